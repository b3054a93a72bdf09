"""What the attempts of the past say about the modules of devices. Pure.

The rules:
- A verified `FlashModule` attempt put its module there; of one slot the highest version counts, of equals the last.
- One whose evidence is only presumed is forgotten when a later attempt on the device failed to install, to boot, or for
  want of a dependency: then what we presumed may be what is missing.

Why: the cloud shows no module versions of a device in normal mode, so these lower bounds are all that there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.model.attempt import Evidence, FailureClass
from reconciler.model.device import DeviceId
from reconciler.model.module import Module, ModuleSlot

DOUBT_FAILURES = frozenset({FailureClass.INSTALL, FailureClass.BOOT, FailureClass.INCOMPATIBLE})
"""Failures after which a presumed module is no longer believed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One verified `FlashModule` attempt: its place in the order of all attempts, and what it put where."""

    number: int
    device_id: DeviceId
    evidence: Evidence | None
    module: Module


def modules_learnt(
    lessons: Iterable[Lesson], last_doubts: Mapping[DeviceId, int]
) -> dict[DeviceId, tuple[Module, ...]]:
    """The modules that lessons put on devices, ascending by slot.

    Args:
        lessons: in ascending order of their numbers.
        last_doubts: per device the number of its last attempt that failed with one of `DOUBT_FAILURES`.
    """
    believed: dict[DeviceId, dict[ModuleSlot, Module]] = {}
    for lesson in lessons:
        if lesson.evidence is Evidence.PRESUMED and last_doubts.get(lesson.device_id, -1) > lesson.number:
            continue
        slots = believed.setdefault(lesson.device_id, {})
        known = slots.get(lesson.module.slot)
        if known is None or known.version <= lesson.module.version:
            slots[lesson.module.slot] = lesson.module
    return {device_id: tuple(slots[slot] for slot in sorted(slots)) for device_id, slots in sorted(believed.items())}
