"""One pass over one product: look, settle, plan, decide, act. The page to read first.

A pass trusts nothing that it remembers: it looks at the devices, judges what is open by what it sees, plans anew, and
starts what the gate allows of what was agreed to. It never waits for a device; the next pass looks again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import wait

from reconciler.controller.act import act
from reconciler.controller.awaiting import is_awaited
from reconciler.controller.console import note_console
from reconciler.controller.product import act_on_product, settle_product, uploads_of
from reconciler.controller.receiving import receiving
from reconciler.controller.run import Run, Scope
from reconciler.controller.settle import InFlight, keep_reports, settle
from reconciler.controller.suffering import note_suffering
from reconciler.model.device import DeviceId, Observation
from reconciler.model.event import DeviceArrived, DeviceSetAside, FleetHalted
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Plan
from reconciler.planning.planner import plan_fleets
from reconciler.rollout.gate import Ledger, failures_that_halt, verdicts
from reconciler.rollout.retry import GIVEN_UP, counts_against_rollout, halts_fleet, may_start_at
from reconciler.rollout.verdict import FINAL_HOLDS, Hold, Start, Verdict

_Decided = Mapping[str, Sequence[Verdict]]


def reconcile_pass(run: Run, scope: Scope) -> bool:
    """Bring one product a step nearer to its manifests. Returns whether there is anything to come back for.

    Raises WireError when the product cannot be observed or refuses our token. What is under way stays in the journal.
    """
    observation = scope.inventory.observe()
    run.latest = max(run.latest, observation.observed_at)
    keep_reports(run, scope)
    in_flight = settle(run, scope, observation)
    settle_product(run, scope, observation)
    known = run.knowledge.added_to_all(observation)
    plan = _plan(run, scope, known)
    if note_console(run, scope, plan, known):
        known = run.knowledge.added_to_all(observation)
        plan = _plan(run, scope, known)
    decided = _decide(run, scope, plan, in_flight, known)
    is_product_to_come = act_on_product(run, scope, plan, known)
    _act(run, scope, decided, known)
    return (
        is_product_to_come
        or any(flight.within_deadline for flight in in_flight)
        or any(map(_is_to_come, _all(decided)))
        or any(is_awaited(run, fleet_plan, now=known.observed_at) for fleet_plan in plan.fleets)
    )


def _plan(run: Run, scope: Scope, known: Observation) -> Plan:
    return plan_fleets(scope.fleets, known, run.tools.catalog, now=known.observed_at, answers=run.answers)


def _decide(run: Run, scope: Scope, plan: Plan, in_flight: Sequence[InFlight], observation: Observation) -> _Decided:
    now = observation.observed_at
    # A person's halt, by another command, reaches a run that is going on.
    run.halted.update(halt.fleet for halt in run.tools.journal.halts())
    run.read_on()
    decided: dict[str, Sequence[Verdict]] = {}
    for fleet_plan in plan.fleets:
        name = fleet_plan.fleet.name
        moving = {device_id for route in fleet_plan.routes for device_id in route.devices}
        _note_arrivals(run, fleet_plan, now)
        _give_up(run, fleet_plan, now)
        note_suffering(run, fleet_plan, {flight.attempt.device_id for flight in in_flight}, now)
        _halt(run, fleet_plan, now)
        uploads = uploads_of(run, scope, fleet_plan, observation)
        ledger = Ledger(
            in_flight={
                flight.attempt.device_id: flight.within_deadline
                for flight in in_flight
                if flight.attempt.fleet == name or flight.attempt.device_id in moving
            },
            ended=run.ended,
            given_up=_given_up(run, name),
            turned_back=run.turned_back,
            receiving=receiving(scope.hearing, moving, observation, fleet_plan.fleet.rollout),
            halted=name in run.halted,
            agreed=run.tools.agreement.steps,
            approvals=run.approvals_of(fleet_plan.fleet, scope.fleets.approvals),
            lacking=uploads.lacking,
            awaited_uploads=uploads.awaited,
        )
        decided[name] = () if run.stopping else tuple(verdicts(fleet_plan, ledger, now=now))
        run.plans[name], run.verdicts[name] = fleet_plan, decided[name]
    return decided


def _act(run: Run, scope: Scope, decided: _Decided, observation: Observation) -> None:
    devices = {device.id: device for device in observation.devices}
    listed_at = scope.answered_at()
    sending = [
        run.tools.pool.submit(act, run, scope, fleet, verdict, devices[verdict.device_id], listed_at)
        for fleet, of_fleet in decided.items()
        for verdict in of_fleet
        if isinstance(verdict, Start)
    ]
    wait(sending)
    for sent in sending:
        sent.result()


def _note_arrivals(run: Run, plan: FleetPlan, now: Instant) -> None:
    for device_id in plan.current:
        if device_id in run.tools.agreement.steps and device_id not in run.arrived:
            run.arrived.add(device_id)
            run.tools.tell(DeviceArrived(at=now, fleet=plan.fleet.name, device_id=device_id))


def _give_up(run: Run, plan: FleetPlan, now: Instant) -> None:
    """Devices whose failures have used up their tries are left alone for the rest of the run, wherever they are now."""
    fleet = plan.fleet.name
    for device_id, attempts in sorted(run.ended.items()):
        is_ours = attempts[0].fleet == fleet and device_id not in run.given_up
        if is_ours and may_start_at(attempts) == GIVEN_UP:
            last = run.given_up[device_id] = attempts[0]
            reason = last.failure or ""
            run.tools.tell(DeviceSetAside(at=now, fleet=fleet, device_id=device_id, reason=reason, message=last.detail))


def _halt(run: Run, plan: FleetPlan, now: Instant) -> None:
    """Too many devices have failed: first the halt is durable, then nothing more is started."""
    fleet = plan.fleet.name
    failed = {d for d, attempts in run.ended.items() if attempts[0].fleet == fleet and counts_against_rollout(attempts)}
    lost = {device_id for device_id, attempt in run.lost.items() if attempt.fleet == fleet}
    failures = len(failed | lost | run.suffering[fleet])
    failures_max = failures_that_halt(plan.fleet, plan.summary.devices)
    fatal = next((ended[0] for ended in run.ended.values() if ended[0].fleet == fleet and halts_fleet(ended)), None)
    if (failures >= failures_max or fatal is not None) and fleet not in run.halted:
        reason = f"{failures} of its devices failed, rollout.maxFailures allows fewer than {failures_max}"
        if fatal is not None:
            reason = f"device {fatal.device_id} failed by {fatal.failure}: {fatal.detail}"
        run.tools.journal.halt(fleet, reason, now)
        run.halted.add(fleet)
        why = "" if fatal is None else reason
        halted = FleetHalted(at=now, fleet=fleet, failures=failures, failures_max=failures_max, reason=why)
        run.tools.tell(halted)


def _given_up(run: Run, fleet: str) -> frozenset[DeviceId]:
    return frozenset(device_id for device_id, attempt in run.given_up.items() if attempt.fleet == fleet)


def _all(decided: _Decided) -> Sequence[Verdict]:
    return [verdict for of_fleet in decided.values() for verdict in of_fleet]


def _is_to_come(verdict: Verdict) -> bool:
    """Whether a later pass of this run may find more to do for the device than to watch what is under way."""
    return isinstance(verdict, Start) or (verdict.hold not in FINAL_HOLDS and verdict.hold is not Hold.IN_FLIGHT)
