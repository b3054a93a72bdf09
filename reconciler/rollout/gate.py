"""The gate: for every device with a route, may its next step start now? The first answer of an ordered table wins.

Concurrency counts devices that are being changed, from their first step to their arrival (`slots.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Route
from reconciler.model.rollout import FleetStory
from reconciler.model.step import LockApplication
from reconciler.rollout.ledger import Ledger, hold_for_this_run
from reconciler.rollout.opening import Openings
from reconciler.rollout.retry import UNTIL_A_PERSON, may_start_at
from reconciler.rollout.verdict import Hold, Start, Verdict, Wait
from reconciler.rollout.waves import before_its_wave


def verdicts(plan: FleetPlan, ledger: Ledger, *, now: Instant) -> Iterator[Verdict]:
    """A verdict for every device with a route, in the order of the plan."""
    fleet_hold = hold_of_fleet(plan, ledger.story, now)
    before_wave, wave_until = before_its_wave(plan.fleet.rollout, ledger.story, ledger.approvals)
    allowed = plan.fleet.rollout.concurrent_max.of(plan.summary.devices)
    slots = allowed - len(ledger.slots)
    # After a run has ended more devices may be between two steps than may have one under way.
    room = allowed - sum(flight.within_deadline for flight in ledger.in_flight.values())
    rollout = ledger.story.rollout
    openings = Openings(plan.fleet, now=now)
    for route in plan.routes:
        closed = openings.hold(route)
        for device_id in route.devices:
            verdict = _of_device(route, device_id, fleet_hold, closed, ledger, now)
            if verdict is not None:
                yield verdict
            elif rollout is None or rollout.wave_of(device_id) is None:
                yield Wait(device_id=device_id, hold=before_wave, until=wave_until)
            elif room <= 0 or (device_id not in ledger.slots and slots <= 0):
                yield Wait(device_id=device_id, hold=Hold.NO_SLOT)
            elif ledger.spent_until is not None and now < ledger.spent_until:
                until = None if ledger.spent_until == UNTIL_A_PERSON else ledger.spent_until
                yield Wait(device_id=device_id, hold=Hold.BUDGET_SPENT, until=until)
            else:
                slots -= device_id not in ledger.slots
                room -= 1
                yield Start(device_id=device_id, route=route, step=route.steps[0])


def hold_of_fleet(plan: FleetPlan, story: FleetStory, now: Instant) -> Hold | None:
    """Why nothing may start in a fleet now, whatever the device; of its windows, when they are closed in every zone."""
    fleet = plan.fleet
    if story.halted is not None:
        return Hold.HALTED
    if story.is_suspended(now):
        return Hold.SUSPENDED
    if not fleet.rollout.concurrent_max.of(plan.summary.devices):
        return Hold.CONCURRENCY_ZERO
    return None if Openings(fleet, now=now).is_open_anywhere() else Hold.OUTSIDE_WINDOW


def _of_device(
    route: Route,
    device_id: DeviceId,
    fleet_hold: Hold | None,
    closed: tuple[Hold, Instant | None] | None,
    ledger: Ledger,
    now: Instant,
) -> Wait | None:
    """Why a device's next step may not start now, but for its wave and its turn."""
    if device_id in ledger.in_flight:
        return Wait(device_id=device_id, hold=Hold.IN_FLIGHT)
    held_until = ledger.held_until(device_id, now)
    if held_until is not None or device_id in ledger.story.unwell:
        return Wait(device_id=device_id, hold=Hold.HELD, until=None if held_until == UNTIL_A_PERSON else held_until)
    if closed is not None and fleet_hold in {None, Hold.OUTSIDE_WINDOW}:
        return Wait(device_id=device_id, hold=closed[0], until=closed[1])
    hold = fleet_hold or hold_for_this_run(route, device_id, ledger)
    if hold is not None:
        return Wait(device_id=device_id, hold=hold)
    if device_id in ledger.receiving:
        return Wait(device_id=device_id, hold=Hold.RECEIVING)
    step = route.steps[0]
    if isinstance(step, LockApplication) and step.application in ledger.lacking:
        return Wait(device_id=device_id, hold=Hold.UPLOADING)
    earliest = may_start_at(ledger.ended.get(device_id, ()))
    if earliest is not None and now < earliest:
        return Wait(device_id=device_id, hold=Hold.PAUSED, until=earliest)
    return None
