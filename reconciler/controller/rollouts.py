"""What a pass means for every fleet's rollout: who is left alone, what follows for its waves, who may start now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler.controller.health import doubt_may_pass, doubtful
from reconciler.controller.picture import Picture
from reconciler.controller.product import uploads_of
from reconciler.controller.receiving import receiving
from reconciler.controller.run import Run, Scope
from reconciler.controller.suffering import note_suffering
from reconciler.journal.journal import Permit
from reconciler.journal.settling import latest_attempt
from reconciler.model.device import DeviceId, Observation
from reconciler.model.event import DeviceArrived, DeviceSetAside
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Plan
from reconciler.model.rollout import FleetStory
from reconciler.rollout.gate import hold_of_fleet, verdicts
from reconciler.rollout.ledger import InFlight, Ledger
from reconciler.rollout.retry import UNTIL_A_PERSON, held_until
from reconciler.rollout.slots import released
from reconciler.rollout.verdict import FINAL_HOLDS, Hold, Start, Verdict
from reconciler.rollout.waves import before_its_wave, is_at_rest, judgement, may_pass_by_time, see


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was decided for one fleet, and whether a later pass of this run may find more to do, if only by time."""

    fleet: str
    verdicts: Sequence[Verdict]
    is_to_come: bool


def decide(run: Run, scope: Scope, plan: Plan, in_flight: Sequence[InFlight], picture: Picture) -> Sequence[Decided]:
    """Judge every fleet's rollout by what was seen, durably, and say who may start. A person's word is heard first."""
    run.read_on()
    return [_decide(run, scope, fleet_plan, in_flight, picture) for fleet_plan in plan.fleets]


def _decide(run: Run, scope: Scope, plan: FleetPlan, in_flight: Sequence[InFlight], picture: Picture) -> Decided:
    fleet, now = plan.fleet.name, picture.observation.observed_at
    _note_arrivals(run, plan, now)
    _set_aside(run, plan, now)
    note_suffering(run, plan, {flight.attempt.device_id for flight in in_flight}, now)
    ledger = _ledger(run, scope, plan, in_flight, picture)
    if is_at_rest(plan, ledger):
        run.plans[fleet], run.verdicts[fleet] = plan, ()
        return Decided(fleet=fleet, verdicts=(), is_to_come=False)
    seen = see(
        plan,
        ledger,
        held=run.stopping or hold_of_fleet(plan, ledger.story, now) is not None,
        claims=picture.claims(plan.fleet),
        plan_id=run.agreement.plan_id,
        now=now,
    )
    is_judged = run.add(fleet, judgement(seen))
    story = run.story_of(fleet)
    freed = released(plan, ledger, now)
    if _id_of(story) != _id_of(ledger.story):
        # Who has been there in the rollout before is no further along in this one than others.
        freed |= ledger.slots - ledger.in_flight.keys()
    if freed:
        run.tools.journal.release(fleet, freed, permit=run.fences.get(fleet))
    run.permits[fleet] = _permit(run, plan)
    ledger = replace(ledger, story=story, slots=ledger.slots - freed)
    decided = () if run.stopping else tuple(verdicts(plan, ledger, now=now))
    run.plans[fleet], run.verdicts[fleet] = plan, decided
    may_pass = may_pass_by_time(seen, story) or doubt_may_pass(run, fleet)
    is_to_come = any(map(_is_to_come, decided)) or (not run.stopping and (may_pass or not is_judged))
    return Decided(fleet=fleet, verdicts=decided, is_to_come=is_to_come)


def _permit(run: Run, plan: FleetPlan) -> Permit:
    """What this pass may begin: the journal holds to it whatever it is asked for."""
    fleet = plan.fleet
    return replace(
        run.fences.get(fleet.name, Permit()),
        concurrent_max=fleet.rollout.concurrent_max.of(plan.summary.devices),
        begun_per_minute_max=fleet.rollout.sends_per_minute,
        bytes_per_day_max=fleet.bytes_per_day_max,
    )


def _id_of(story: FleetStory) -> str | None:
    return None if story.rollout is None else story.rollout.id


def _ledger(run: Run, scope: Scope, plan: FleetPlan, in_flight: Sequence[InFlight], picture: Picture) -> Ledger:
    fleet, observation = plan.fleet.name, picture.observation
    moving = {device_id for route in plan.routes for device_id in route.devices}
    uploads = uploads_of(run, scope, plan, observation)
    return Ledger(
        story=run.story_of(fleet),
        agreed=run.agreement.steps,
        approvals=run.approvals_of(plan.fleet, scope.fleets.approvals),
        in_flight={
            flight.attempt.device_id: flight
            for flight in in_flight
            if flight.attempt.fleet == fleet or flight.attempt.device_id in moving
        },
        latest_attempt=latest_attempt(run.tools.journal, fleet=fleet),
        ended=run.ended,
        slots=frozenset(run.tools.journal.slots(fleet)),
        spent_until=run.spent_until.get(fleet),
        suffering=run.suffering[fleet],
        health_unknown=doubtful(run, fleet) | _not_seen_soaked(plan, run.story_of(fleet), observation),
        turned_back=run.turned_back,
        receiving=receiving(scope.hearing, moving, picture, plan.fleet.rollout, now=observation.observed_at),
        lacking=uploads.lacking,
        awaited_uploads=uploads.awaited,
    )


def _not_seen_soaked(plan: FleetPlan, story: FleetStory, observation: Observation) -> frozenset[DeviceId]:
    """Devices that were not looked at since the soak of their wave was over: it is not known that they are well."""
    hold, soaked_at = before_its_wave(plan.fleet.rollout, story)
    if hold is not Hold.SOAKING or soaked_at is None or observation.observed_at < soaked_at:
        return frozenset()
    return frozenset(device.id for device in observation.devices if device.observed_at < soaked_at)


def _note_arrivals(run: Run, plan: FleetPlan, now: Instant) -> None:
    for device_id in sorted(run.bound.intersection(plan.current)):
        run.bound.discard(device_id)
        run.arrived.add(device_id)
        run.tools.tell(DeviceArrived(at=now, fleet=plan.fleet.name, device_id=device_id))


def _set_aside(run: Run, plan: FleetPlan, now: Instant) -> None:
    """Tell of devices whose failures have used up their tries: once for every time that they are left alone."""
    fleet = plan.fleet.name
    for device_id, attempts in sorted(run.ended.items()):
        last = attempts[0]
        until = held_until(attempts, now) if last.fleet == fleet else None
        if until is None or run.set_aside.get(device_id) == last.id:
            continue
        run.set_aside[device_id] = last.id
        aside = DeviceSetAside(
            at=now,
            fleet=fleet,
            device_id=device_id,
            reason=last.failure or "",
            message=last.detail,
            until=None if until == UNTIL_A_PERSON else until,
        )
        run.tools.tell(aside)


def _is_to_come(verdict: Verdict) -> bool:
    """Whether a later pass of this run may find more to do for the device than to watch what is under way."""
    return isinstance(verdict, Start) or (verdict.hold not in FINAL_HOLDS and verdict.hold is not Hold.IN_FLIGHT)
