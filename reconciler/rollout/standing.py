"""Where every device of a fleet stands in its rollout, by what one pass saw and what the ledger remembers. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.device import DeviceId
from reconciler.model.device_life import DeviceState
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.instant import Instant
from reconciler.model.plan import PASSING, FleetPlan, Route, Waiting
from reconciler.rollout.ledger import Ledger, failed_devices, hold_for_this_run
from reconciler.rollout.retry import may_start_at


def standings(plan: FleetPlan, ledger: Ledger, now: Instant) -> Mapping[DeviceId, DeviceState]:
    """The standing of every device of a plan. A device that is not in it has left the fleet."""
    found = dict.fromkeys(plan.current, DeviceState.DONE)
    for refused in plan.refused:
        found.update(dict.fromkeys(refused.devices, DeviceState.EXEMPT))
    for waiting in plan.waiting:
        found.update(_of_waiting(plan, ledger, waiting, now))
    for route in plan.routes:
        found.update((device_id, _of_route(ledger, route, device_id, now)) for device_id in route.devices)
    for device_id in failed_devices(plan, ledger) & found.keys():
        if found[device_id] not in (DeviceState.MOVING, DeviceState.PAUSING, DeviceState.READY):
            found[device_id] = DeviceState.FAILED
    for device_id, flight in ledger.in_flight.items():
        if device_id in found:
            found[device_id] = DeviceState.MOVING if flight.within_deadline else DeviceState.FAILED
    return found


def _of_waiting(plan: FleetPlan, ledger: Ledger, waiting: Waiting, now: Instant) -> Mapping[DeviceId, DeviceState]:
    """Most of them nobody asked for and nobody did anything to, so that these are not looked at one by one."""
    found = dict.fromkeys(waiting.devices, DeviceState.EXEMPT)
    if waiting.reason in PASSING:
        found.update(dict.fromkeys(found.keys() & ledger.agreed.keys(), DeviceState.UNREACHED))
        tried = found.keys() & ledger.ended.keys()
        found.update((each, DeviceState.MOVING) for each in tried if is_restarting(plan, ledger, each, now))
    return found


def _of_route(ledger: Ledger, route: Route, device_id: DeviceId, now: Instant) -> DeviceState:
    is_held = ledger.held_until(device_id, now) is not None or device_id in ledger.story.unwell
    if is_held or hold_for_this_run(route, device_id, ledger) is not None:
        return DeviceState.EXEMPT
    earliest = may_start_at(ledger.ended.get(device_id, ()))
    return DeviceState.PAUSING if earliest is not None and now < earliest else DeviceState.READY


def is_restarting(plan: FleetPlan, ledger: Ledger, device_id: DeviceId, now: Instant) -> bool:
    """Whether a device that is out of sight took something within the time of a step, as far as anybody knows."""
    attempts = ledger.ended.get(device_id)
    if not attempts or ledger.held_until(device_id, now) is not None:
        return False
    reached = any(each.failure is None or CONSEQUENCES[each.failure].reached_device for each in attempts)
    return reached and now - (attempts[0].ended_at or now) <= plan.fleet.rollout.step_deadline_seconds
