"""The gate: for every device with a route, may its next step start now? The first answer of an ordered table wins.

Concurrency counts devices that are being changed, from their first step to their arrival. A fleet that asks for
something that is not built is held whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.fleet import Fleet
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Route, WaitingReason
from reconciler.model.step import LockApplication, Step
from reconciler.model.version import ApplicationVersion
from reconciler.rollout.approval import NO_APPROVALS, Approvals
from reconciler.rollout.retry import GIVEN_UP, may_start_at
from reconciler.rollout.verdict import Hold, Start, Verdict, Wait
from reconciler.rollout.window import is_open

TURNED_BACK_MAX: Final = 10
"""Last looks that may say no before a run leaves a device: it changes faster than we can plan."""

PASSING: Final = frozenset({WaitingReason.OFFLINE, WaitingReason.MODULES_UNKNOWN})
"""Reasons to wait that may pass without anybody's doing: every device is offline for a moment after a transfer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What a run remembers of one fleet.

    - `in_flight`: devices of the fleet with an open attempt, and whether it is within its deadline.
    - `ended`: every device's ended attempts of this run, the latest first.
    - `given_up`: devices of the fleet on which this run tries nothing more.
    - `turned_back`: how often the last look before a step said no, by device.
    - `receiving`: devices to which a transfer is under way that is no attempt of ours, as far as was heard.
    - `halted`: whether the fleet is halted, by this run or by an earlier one.
    - `agreed`: the steps that were agreed to, by device. A step that is not among them is never started.
    - `approvals`: what people agreed to, where the fleet or a wave asks for it.
    - `lacking`: applications that the product lacks, or that nobody has seen to be the planned ones there;
      `awaited_uploads`: those of them that this run brings, or is finding out about.
    """

    in_flight: Mapping[DeviceId, bool]
    ended: Mapping[DeviceId, Sequence[Attempt]]
    given_up: frozenset[DeviceId]
    turned_back: Mapping[DeviceId, int]
    halted: bool
    receiving: frozenset[DeviceId] = frozenset()
    agreed: Mapping[DeviceId, frozenset[Step]]
    approvals: Approvals = NO_APPROVALS
    lacking: frozenset[ApplicationVersion] = frozenset()
    awaited_uploads: frozenset[ApplicationVersion] = frozenset()


def verdicts(plan: FleetPlan, ledger: Ledger, *, now: Instant) -> Iterator[Verdict]:
    """A verdict for every device with a route, in the order of the plan."""
    fleet_hold = hold_of_fleet(plan, now, halted=ledger.halted)
    holders = _slot_holders(plan, ledger, now)
    slots = plan.fleet.rollout.concurrent_max.of(plan.summary.devices) - len(holders)
    for route in plan.routes:
        for device_id in route.devices:
            has_slot = device_id in holders or slots > 0
            verdict = _verdict(plan.fleet, route, device_id, fleet_hold, ledger, now=now, has_slot=has_slot)
            slots -= isinstance(verdict, Start) and device_id not in holders
            yield verdict


def _slot_holders(plan: FleetPlan, ledger: Ledger, now: Instant) -> frozenset[DeviceId]:
    """The devices that are being changed: with a step under way, between two steps, or pausing after a failure.

    Between two steps a device may be out of sight, for the time of a step at most. A device that is given up holds no
    slot, and neither does one whose step is past its deadline, or whose next step this run will not start.
    """
    under_way = {device_id for device_id, within_deadline in ledger.in_flight.items() if within_deadline}
    begun = {device_id for route in plan.routes for device_id in route.devices if device_id in ledger.ended}
    pausing = {
        device_id
        for device_id, attempts in ledger.ended.items()
        if attempts[0].fleet == plan.fleet.name and now < (may_start_at(attempts) or now) < GIVEN_UP
    }
    overdue = ledger.in_flight.keys() - under_way
    stuck = {
        device_id
        for route in plan.routes
        for device_id in begun.intersection(route.devices)
        if _hold_for_this_run(plan.fleet, route, device_id, ledger) is not None
    }
    between = begun | pausing | _out_of_sight(plan, ledger, now)
    return frozenset(under_way | (between - ledger.given_up - overdue - stuck))


def _out_of_sight(plan: FleetPlan, ledger: Ledger, now: Instant) -> frozenset[DeviceId]:
    """The devices that took something and have no route because they are restarting, as far as anybody knows."""
    deadline = plan.fleet.rollout.step_deadline_seconds
    waiting = (device_id for place in plan.waiting if place.reason in PASSING for device_id in place.devices)
    attempts_of = {device_id: ledger.ended[device_id] for device_id in waiting if device_id in ledger.ended}
    return frozenset(
        device_id
        for device_id, attempts in attempts_of.items()
        if any(attempt.failure is None or CONSEQUENCES[attempt.failure].reached_device for attempt in attempts)
        and now - (attempts[0].ended_at or now) <= deadline
    )


def failures_that_halt(fleet: Fleet, devices: int) -> int:
    """The number of failed devices at which the fleet is halted: the limit, and 1 where the limit is 0."""
    return max(1, fleet.rollout.failures_max.of(devices))


def hold_of_fleet(plan: FleetPlan, now: Instant, *, halted: bool) -> Hold | None:
    """Why nothing may start in a fleet now, whatever the device."""
    fleet = plan.fleet
    if fleet.rollout.waves:
        return Hold.WAVES_UNSUPPORTED
    if not is_open(fleet.windows_allow, fleet.windows_deny, now):
        return Hold.OUTSIDE_WINDOW
    if halted:
        return Hold.HALTED
    return None if fleet.rollout.concurrent_max.of(plan.summary.devices) else Hold.CONCURRENCY_ZERO


def _verdict(
    fleet: Fleet,
    route: Route,
    device_id: DeviceId,
    fleet_hold: Hold | None,
    ledger: Ledger,
    *,
    now: Instant,
    has_slot: bool,
) -> Verdict:
    if device_id in ledger.in_flight:
        return Wait(device_id=device_id, hold=Hold.IN_FLIGHT)
    if device_id in ledger.given_up:
        return Wait(device_id=device_id, hold=Hold.GIVEN_UP)
    if fleet_hold is not None:
        return Wait(device_id=device_id, hold=fleet_hold)
    stays = _hold_for_this_run(fleet, route, device_id, ledger)
    if stays is not None:
        return Wait(device_id=device_id, hold=stays)
    if device_id in ledger.receiving:
        return Wait(device_id=device_id, hold=Hold.RECEIVING)
    step = route.steps[0]
    if isinstance(step, LockApplication) and step.application in ledger.lacking:
        return Wait(device_id=device_id, hold=Hold.UPLOADING)
    earliest = may_start_at(ledger.ended.get(device_id, ()))
    if earliest is not None and now < earliest:
        return Wait(device_id=device_id, hold=Hold.PAUSED, until=earliest)
    if not has_slot:
        return Wait(device_id=device_id, hold=Hold.NO_SLOT)
    return Start(device_id=device_id, route=route, step=step)


def _hold_for_this_run(fleet: Fleet, route: Route, device_id: DeviceId, ledger: Ledger) -> Hold | None:
    """Why this run will not start the next step of the device, however long it waits; such a device holds no slot."""
    step = route.steps[0]
    if step not in ledger.agreed.get(device_id, frozenset()):
        return Hold.NOT_APPROVED
    unapproved = ledger.approvals.hold(fleet, None, route, device_id)
    if unapproved is not None:
        return unapproved
    if isinstance(step, LockApplication) and step.application in ledger.lacking - ledger.awaited_uploads:
        return Hold.NOT_UPLOADED
    return Hold.TURNED_BACK if ledger.turned_back.get(device_id, 0) >= TURNED_BACK_MAX else None
