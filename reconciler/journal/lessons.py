"""What the attempts of the past say about the modules of devices. Pure.

The rules:
- A verified `FlashModule` attempt put its module there; of one slot the highest version counts, of equals the last.
- One whose evidence is only presumed is forgotten when a later attempt on the device failed to install, to boot, or for
  want of a dependency: then what we presumed may be what is missing.
- One that was seen to restart, no more, is forgotten when a module that needs it has failed twice since: a bad link
  fails once, a missing dependency every time.

Why: the cloud shows no module versions of a device in normal mode, so these lower bounds are all that there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.model.attempt import Evidence
from reconciler.model.device import DeviceId
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.module import Module, ModuleSlot

DOUBT_FAILURES = frozenset(failure for failure, follows in CONSEQUENCES.items() if follows.doubts_modules)
"""Failures after which a presumed module is no longer believed in."""

DOUBTS_THAT_UNLEARN: Final = 2
"""Failures of modules that need it, after which a module that was only seen to restart is no longer believed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One verified `FlashModule` attempt: its place in the order of all attempts, and what it put where."""

    number: int
    device_id: DeviceId
    evidence: Evidence | None
    module: Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """One attempt that failed with one of `DOUBT_FAILURES`, and the module that it sent, if it sent one."""

    number: int
    device_id: DeviceId
    module: Module | None


def modules_learnt(lessons: Iterable[Lesson], doubts: Iterable[Doubt]) -> dict[DeviceId, tuple[Module, ...]]:
    """The modules that lessons (in ascending order of their numbers) put on devices, ascending by slot."""
    doubts_of: dict[DeviceId, list[Doubt]] = {}
    for doubt in doubts:
        doubts_of.setdefault(doubt.device_id, []).append(doubt)
    believed: dict[DeviceId, dict[ModuleSlot, Module]] = {}
    for lesson in lessons:
        if _is_doubted(lesson, doubts_of.get(lesson.device_id, [])):
            continue
        slots = believed.setdefault(lesson.device_id, {})
        known = slots.get(lesson.module.slot)
        if known is None or known.version <= lesson.module.version:
            slots[lesson.module.slot] = lesson.module
    return {device_id: tuple(slots[slot] for slot in sorted(slots)) for device_id, slots in sorted(believed.items())}


def _is_doubted(lesson: Lesson, doubts: Sequence[Doubt]) -> bool:
    since = [doubt for doubt in doubts if doubt.number > lesson.number]
    match lesson.evidence:
        case Evidence.PRESUMED:
            return bool(since)
        case Evidence.RESTARTED:
            needing = sum(_needs(doubt.module, lesson.module.slot) for doubt in since)
            return needing >= DOUBTS_THAT_UNLEARN
        case _:
            return False


def _needs(module: Module | None, slot: ModuleSlot) -> bool:
    return module is not None and any(dependency.slot == slot for dependency in module.dependencies)
