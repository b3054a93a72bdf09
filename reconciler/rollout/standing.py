"""Where every device of a fleet stands in its rollout, by what one pass saw and what the ledger remembers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from reconciler.model.device import DeviceId
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.instant import Instant
from reconciler.model.plan import PASSING, FleetPlan, Route, Waiting
from reconciler.rollout.ledger import Ledger, failed_devices, hold_for_this_run
from reconciler.rollout.retry import may_start_at


class Standing(Enum):
    """Where a device stands.

    - DONE: as desired, by an observation newer than its last step, and not known to be unwell.
    - READY: its next step may start, by all that is the device's own.
    - MOVING: a step is under way, or it is between two, pausing before another try, or restarting.
    - FAILED: it counts against the limits, and nothing more is tried on it now.
    - UNREACHED: out of sight; it may come back by itself.
    - EXEMPT: nothing will start on it: refused, held by a person, not agreed to.
    """

    DONE = "done"
    READY = "ready"
    MOVING = "moving"
    FAILED = "failed"
    UNREACHED = "unreached"
    EXEMPT = "exempt"


def standings(plan: FleetPlan, ledger: Ledger, now: Instant) -> Mapping[DeviceId, Standing]:
    """The standing of every device of a plan. A device that is not in it has left the fleet."""
    found = dict.fromkeys(plan.current, Standing.DONE)
    for refused in plan.refused:
        found.update(dict.fromkeys(refused.devices, Standing.EXEMPT))
    for waiting in plan.waiting:
        found.update((device_id, _of_waiting(plan, ledger, waiting, device_id, now)) for device_id in waiting.devices)
    for route in plan.routes:
        found.update((device_id, _of_route(ledger, route, device_id, now)) for device_id in route.devices)
    for device_id in failed_devices(plan, ledger) & found.keys():
        if found[device_id] not in (Standing.MOVING, Standing.READY):
            found[device_id] = Standing.FAILED
    for device_id, flight in ledger.in_flight.items():
        if device_id in found:
            found[device_id] = Standing.MOVING if flight.within_deadline else Standing.FAILED
    return found


def _of_waiting(plan: FleetPlan, ledger: Ledger, waiting: Waiting, device_id: DeviceId, now: Instant) -> Standing:
    if waiting.reason not in PASSING:
        return Standing.EXEMPT
    if is_restarting(plan, ledger, device_id, now):
        return Standing.MOVING
    return Standing.UNREACHED if device_id in ledger.agreed else Standing.EXEMPT


def _of_route(ledger: Ledger, route: Route, device_id: DeviceId, now: Instant) -> Standing:
    is_held = ledger.held_until(device_id, now) is not None or device_id in ledger.story.unwell
    if is_held or hold_for_this_run(route, device_id, ledger) is not None:
        return Standing.EXEMPT
    earliest = may_start_at(ledger.ended.get(device_id, ()))
    return Standing.MOVING if earliest is not None and now < earliest else Standing.READY


def is_restarting(plan: FleetPlan, ledger: Ledger, device_id: DeviceId, now: Instant) -> bool:
    """Whether a device that is out of sight took something within the time of a step, as far as anybody knows."""
    attempts = ledger.ended.get(device_id)
    if not attempts or ledger.held_until(device_id, now) is not None:
        return False
    reached = any(each.failure is None or CONSEQUENCES[each.failure].reached_device for each in attempts)
    return reached and now - (attempts[0].ended_at or now) <= plan.fleet.rollout.step_deadline_seconds
