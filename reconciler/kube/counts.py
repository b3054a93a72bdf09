"""Where the devices of a fleet are, in counts that add up, and the few of them that somebody should see. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.model.device import DeviceId
from reconciler.model.plan import PASSING, FleetPlan, Refused, Route, Waiting, WaitingReason
from reconciler.render.ink import harmless
from reconciler.render.status import FleetStatus

SAMPLES_MAX: Final = 10
SAMPLE_MESSAGE_CHARACTERS_MAX: Final = 256

WITH_THE_FLEET: Final = frozenset({WaitingReason.SUSPENDED})
"""The whole fleet waits, and says so itself: its devices are to come."""
ON_PURPOSE: Final = frozenset({WaitingReason.HELD})
"""Somebody wants exactly these devices to be left alone: nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One device for which somebody may have to do something. `state` is `failed` or `blocked`."""

    device: DeviceId
    state: str
    message: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Every device once: the counts but `total`, `on_purpose` and `to_be_retried` add up to `total`.

    `on_purpose` are those of `blocked` that a person holds by name, `to_be_retried` those of `failed` that are tried
    again without anybody's doing.
    """

    total: int = 0
    current: int = 0
    upgrading: int = 0
    pending: int = 0
    failed: int = 0
    blocked: int = 0
    offline: int = 0
    on_purpose: int = 0
    to_be_retried: int = 0


def counts_of(fleet: FleetStatus) -> Counts:
    """The counts of a fleet; all zero while it was not observed."""
    plan = fleet.plan
    if plan is None:
        return Counts()
    moving, failed = _apart(fleet, plan)
    apart = moving | failed
    blocked = [waiting for waiting in plan.waiting if _is_blocked(waiting)]
    no_or_not_now: list[Refused | Waiting] = [*plan.refused, *blocked]
    offline = [waiting for waiting in plan.waiting if waiting.reason in PASSING]
    to_come: list[Route | Waiting] = [
        *plan.routes,
        *(waiting for waiting in plan.waiting if waiting.reason in WITH_THE_FLEET),
    ]
    on_purpose = [waiting for waiting in blocked if waiting.reason in ON_PURPOSE]
    for_a_person = {each.device_id for each in fleet.progress.held if each.until is None}
    return Counts(
        total=plan.summary.devices,
        current=_number([plan.current], apart),
        upgrading=len(moving),
        pending=_number([each.devices for each in to_come], apart),
        failed=len(failed),
        blocked=_number([each.devices for each in no_or_not_now], apart),
        offline=_number([each.devices for each in offline], apart),
        on_purpose=_number([each.devices for each in on_purpose], apart),
        to_be_retried=len(failed - for_a_person),
    )


def samples_of(fleet: FleetStatus) -> tuple[tuple[Sample, ...], bool]:
    """The samples, failed devices first, and whether there are more devices like them."""
    if fleet.plan is None:
        return (), False
    moving, failed = _apart(fleet, fleet.plan)
    found: list[Sample] = []
    for sample in (*_failed(fleet, failed), *_blocked(fleet.plan, moving | failed)):
        if len(found) == SAMPLES_MAX:
            return tuple(found), True
        found.append(sample)
    return tuple(found), False


def blocks_of(plan: FleetPlan) -> Sequence[Refused | Waiting]:
    """What a person must act for, that with the most devices first."""
    waiting = (each for each in plan.waiting if _is_blocked(each) and each.reason not in ON_PURPOSE)
    return sorted((*plan.refused, *waiting), key=lambda each: (-len(each.devices), each.reason.code, each.message))


def _is_blocked(waiting: Waiting) -> bool:
    return waiting.reason not in PASSING and waiting.reason not in WITH_THE_FLEET


def _apart(fleet: FleetStatus, plan: FleetPlan) -> tuple[frozenset[DeviceId], frozenset[DeviceId]]:
    """The devices of the plan that are under way, and those that have failed; few, whatever the fleet."""
    moving = {each.attempt.device_id for each in fleet.under_way if not each.overdue}
    overdue = {each.attempt.device_id for each in fleet.under_way if each.overdue}
    held = {each.device_id for each in fleet.progress.held}
    failed = overdue | held | {each.attempt.device_id for each in fleet.failed}
    here = (moving | failed).intersection(plan.devices)
    return frozenset(moving & here), frozenset((failed & here) - moving)


def _number(groups: Iterable[Sequence[DeviceId]], apart: frozenset[DeviceId]) -> int:
    return sum(len(devices) - len(apart.intersection(devices)) for devices in groups)


def _failed(fleet: FleetStatus, failed: frozenset[DeviceId]) -> Iterator[Sample]:
    words = {each.attempt.device_id: _overdue_words(each.attempt.detail) for each in fleet.under_way if each.overdue}
    for each in fleet.failed:
        attempt = each.attempt
        what = f"{attempt.failure or 'failed'}" + (f": {attempt.detail}" if attempt.detail else "")
        words[attempt.device_id] = f"{what} ({each.tries} tries)" if each.tries > 1 else what
    words |= {each.device_id: each.why for each in fleet.progress.held}
    for device_id in sorted(failed):
        yield Sample(device=device_id, state="failed", message=shortened(words[device_id]))


def _overdue_words(detail: str) -> str:
    return "a step has had more than rollout.stepDeadline" + (f": {detail}" if detail else "")


def _blocked(plan: FleetPlan, apart: frozenset[DeviceId]) -> Iterator[Sample]:
    for block in blocks_of(plan):
        for device_id in block.devices:
            if device_id not in apart:
                yield Sample(
                    device=device_id, state="blocked", code=block.reason.code, message=shortened(block.message)
                )


def shortened(text: str, characters_max: int = SAMPLE_MESSAGE_CHARACTERS_MAX) -> str:
    """Harmless, on one line, and not longer."""
    line = harmless(" ".join(text.split()))
    return line if len(line) <= characters_max else line[: characters_max - 1] + "…"
