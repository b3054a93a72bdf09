"""Devices that this run did something to and that are worse off now: they have failed, though nothing is left to try.

They have no route any more: in safe mode they wait, or what they report now is refused. Without counting them a release
that leaves every device in safe mode would never halt its fleet. Being offline, locked or held is no suffering, and a
device that was in safe mode before this run and still is has not been harmed by it. One in safe mode that does not say
what it has installed may be on its way out, so it has the time of a step.
"""

from __future__ import annotations

from collections.abc import Collection

from reconciler.controller.run import Run
from reconciler.model.attempt import FailureClass
from reconciler.model.device import DeviceId
from reconciler.model.event import DeviceSetAside
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, RefusalReason, Refused, Waiting, WaitingReason


def note_suffering(run: Run, plan: FleetPlan, under_way: Collection[DeviceId], now: Instant) -> None:
    """Remember who suffers now, and tell of those who did not at the last look.

    `under_way` are devices with an open attempt: what became of them is not known yet.
    """
    fleet = plan.fleet.name
    silent = {
        device_id
        for device_id, attempts in run.ended.items()
        if device_id not in under_way and now - (attempts[0].ended_at or now) > plan.fleet.rollout.step_deadline_seconds
    }
    found: dict[DeviceId, str] = {}
    entries: tuple[Refused | Waiting, ...] = (*plan.refused, *plan.waiting) if run.ended else ()
    for entry in entries:
        for device_id in run.ended.keys() & set(entry.devices):
            if _suffers(run, device_id, entry, is_silent=device_id in silent):
                found[device_id] = entry.message
    for device_id in sorted(found.keys() - run.suffering.get(fleet, frozenset())):
        reason, message = run.ended[device_id][0].failure or "safe_mode", found[device_id]
        run.tools.tell(DeviceSetAside(at=now, fleet=fleet, device_id=device_id, reason=reason, message=message))
    run.suffering[fleet] = frozenset(found)


def _suffers(run: Run, device_id: DeviceId, entry: Refused | Waiting, *, is_silent: bool) -> bool:
    failure = run.ended[device_id][0].failure
    match entry.reason:
        case WaitingReason.SAFE_MODE:
            return device_id in run.well_before or failure is FailureClass.BOOT
        case WaitingReason.MODULES_UNKNOWN:
            return failure is FailureClass.BOOT or (is_silent and device_id in run.well_before)
        case RefusalReason():
            return failure is not None and CONSEQUENCES[failure].doubts_modules
        case _:
            return False
