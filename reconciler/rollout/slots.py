"""Which devices no longer hold the slot that their first step took. Pure.

A device holds its slot while it is being changed: with a step under way, between two steps, out of sight for the time
of a step, or pausing after a failure. It lets go of it when it is there, when it is left alone, and when its step is
past its deadline: an offline or held device must not cost the others their turn. Neither does one between two steps
whose window has closed: where devices go by their own zones the night of others begins.
"""

from __future__ import annotations

from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.plan import PASSING, FleetPlan
from reconciler.rollout.ledger import Ledger, hold_for_this_run
from reconciler.rollout.opening import Openings
from reconciler.rollout.retry import may_start_at
from reconciler.rollout.standing import is_restarting


def released(plan: FleetPlan, ledger: Ledger, now: Instant) -> frozenset[DeviceId]:
    """The devices of `ledger.slots` that are not being changed any more."""
    openings = Openings(plan.fleet, now=now)
    between = {
        device_id
        for route in plan.routes
        if openings.hold(route) is None
        for device_id in ledger.slots.intersection(route.devices)
        if hold_for_this_run(route, device_id, ledger) is None
    }
    restarting = {
        device_id
        for waiting in plan.waiting
        if waiting.reason in PASSING
        for device_id in ledger.slots.intersection(waiting.devices)
        if is_restarting(plan, ledger, device_id, now)
    }
    pausing = {
        device_id
        for device_id in ledger.slots.difference(plan.current)
        if now < (may_start_at(ledger.ended.get(device_id, ())) or now)
    }
    held = {device_id for device_id in ledger.slots if ledger.held_until(device_id, now) is not None}
    left_alone = held | ledger.story.unwell.keys()
    under_way = {device_id for device_id, flight in ledger.in_flight.items() if flight.within_deadline}
    keep = under_way | ((between | restarting | pausing) - left_alone - ledger.in_flight.keys())
    return ledger.slots - keep
