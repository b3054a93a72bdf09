"""Devices that are out of sight for a moment and expected back.

After every transfer, a failed one too, a device is offline for a moment, and one in safe mode reports its modules a
little later. A run that ended at such a moment would leave a device that it could have served.
"""

from __future__ import annotations

from reconciler.controller.run import Run
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.plan import PASSING, FleetPlan
from reconciler.rollout.retry import held_until


def is_awaited(run: Run, plan: FleetPlan, *, now: Instant) -> bool:
    """Whether this run has ended a step on a device of the fleet that may be back within the time of a step."""
    if run.stopping or run.story_of(plan.fleet.name).halted is not None:
        return False
    deadline = plan.fleet.rollout.step_deadline_seconds
    expected = [device_id for device_id in run.ended if _is_expected(run, device_id, now, deadline)]
    waiting = (place.devices for place in plan.waiting if place.reason in PASSING) if expected else ()
    return any(not frozenset(devices).isdisjoint(expected) for devices in waiting)


def _is_expected(run: Run, device_id: DeviceId, now: Instant, deadline_seconds: float) -> bool:
    ended = run.ended.get(device_id)
    if not ended or device_id not in run.bound or held_until(ended, now) is not None:
        return False
    return ended[0].ended_at is not None and now - ended[0].ended_at <= deadline_seconds
