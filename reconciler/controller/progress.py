"""Where a fleet's rollout is, for who only looks: by the journal alone, or by a plan for where devices are now.

The ledger of a look is that of a run that begins now with everything agreed to, so that its standings and verdicts are
those that the next pass of such a run would have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId
from reconciler.model.device_life import DeviceState
from reconciler.model.fleet import Fleet
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan
from reconciler.model.rollout import FleetStory, Rollout, RolloutState, StartedWave, WaveState
from reconciler.planning.waves import waves_of
from reconciler.render.device_progress import DeviceProgress
from reconciler.render.rollout_status import HeldDevice, Progress, RolloutStatus, SuspensionStatus, WaveStatus
from reconciler.rollout.approval import NO_APPROVALS, Approvals
from reconciler.rollout.gate import verdicts
from reconciler.rollout.ledger import InFlight, Ledger
from reconciler.rollout.retry import UNTIL_A_PERSON, held_until, last_failure
from reconciler.rollout.standing import standings
from reconciler.rollout.verdict import Hold
from reconciler.rollout.waves import before_its_wave


def ledger_of_look(
    plan: FleetPlan,
    story: FleetStory,
    attempts: Iterable[Attempt],
    open_attempts: Iterable[Attempt],
    now: Instant,
    approvals: Approvals = NO_APPROVALS,
) -> Ledger:
    """What a run that begins now would know of a fleet. `attempts` are the journal's, the latest begun first."""
    deadline = plan.fleet.rollout.step_deadline_seconds
    agreed = {device_id: frozenset(route.steps) for route in plan.routes for device_id in route.devices}
    agreed |= {device_id: frozenset() for waiting in plan.waiting for device_id in waiting.devices}
    in_flight = {
        attempt.device_id: InFlight(attempt, within_deadline=now - attempt.began_at <= deadline)
        for attempt in open_attempts
        if attempt.fleet == plan.fleet.name or attempt.device_id in agreed
    }
    ended = ended_of(story, attempts)
    return Ledger(
        story=story,
        agreed=agreed,
        approvals=approvals,
        in_flight=in_flight,
        ended=ended,
        slots=frozenset(in_flight),
    )


def ended_of(story: FleetStory, attempts: Iterable[Attempt]) -> Mapping[DeviceId, Sequence[Attempt]]:
    """Every device's ended attempts of the rollout that are not settled, the latest first."""
    found: dict[DeviceId, list[Attempt]] = {}
    for attempt in attempts:
        if attempt.fleet == story.fleet and not attempt.is_open and story.uses_up_tries(attempt):
            found.setdefault(attempt.device_id, []).append(attempt)
    return found


def progress_of(
    story: FleetStory,
    fleet: Fleet | None,
    plan: FleetPlan | None,
    ledger: Ledger | None,
    now: Instant,
    approvals: Approvals = NO_APPROVALS,
) -> Progress:
    """`fleet` is None for one that only the journal knows, `plan` and `ledger` where no device was observed."""
    found = None if plan is None or ledger is None else standings(plan, ledger, now)
    rollout = None if story.rollout is None else _rollout(story, story.rollout, fleet, found, approvals)
    return Progress(
        rollout=rollout,
        suspensions=tuple(_suspensions(story, fleet, now)),
        held=() if plan is None or ledger is None else _held(plan, ledger, now),
    )


def progress_of_device(plan: FleetPlan, ledger: Ledger, device_id: DeviceId, now: Instant) -> DeviceProgress:
    """Where one device is in the rollout of its fleet."""
    story = ledger.story
    found = progress_of(story, plan.fleet, plan, ledger, now, ledger.approvals)
    attempts = ledger.ended.get(device_id, ())
    return DeviceProgress(
        story=story,
        wave=None if story.rollout is None else story.rollout.wave_of(device_id),
        to_come=() if found.rollout is None else found.rollout.to_come,
        standing=standings(plan, ledger, now).get(device_id),
        verdict=next((each for each in verdicts(plan, ledger, now=now) if each.device_id == device_id), None),
        failures=tuple(attempt for attempt in attempts if attempt.failure is not None),
        held=next((each for each in found.held if each.device_id == device_id), None),
    )


def _held(plan: FleetPlan, ledger: Ledger, now: Instant) -> tuple[HeldDevice, ...]:
    """The devices that are left alone because they keep failing or are unwell, those for a person first.

    Not those that are as desired by now, whoever made them so, nor those that have left the fleet.
    """
    not_there = frozenset(plan.devices) - frozenset(plan.current)
    unwell = ledger.story.unwell.keys() & frozenset(plan.devices)
    found = []
    for device_id in sorted((ledger.ended.keys() & not_there) | unwell):
        attempts = ledger.ended.get(device_id, ())
        until, failure = held_until(attempts, now), last_failure(attempts)
        if device_id in ledger.story.unwell:
            entry = ledger.story.unwell[device_id]
            found.append(HeldDevice(device_id=device_id, why=f"unwell, {entry.check}: {entry.why}", until=None))
        elif until is not None and failure is not None:
            why = f"{failure.failure}" + (f": {failure.detail}" if failure.detail else "")
            end = None if until == UNTIL_A_PERSON else until
            found.append(HeldDevice(device_id=device_id, why=why, until=end))
    return tuple(sorted(found, key=lambda each: (each.until is not None, each.until or 0.0, each.device_id)))


def _rollout(
    story: FleetStory,
    rollout: Rollout,
    fleet: Fleet | None,
    found: Mapping[DeviceId, DeviceState] | None,
    approvals: Approvals,
) -> RolloutStatus:
    # What another intent asks of its waves says nothing of this one's.
    policy = fleet.rollout if fleet is not None and fleet.desired.intent == rollout.intent else None
    asked = () if policy is None else waves_of(policy, rollout.devices)
    soaks = {wave.name: wave.soak_seconds for wave in asked}
    started = {wave.name for wave in rollout.waves}
    is_over = rollout.state in (RolloutState.COMPLETE, RolloutState.SUPERSEDED)
    has_last = bool(rollout.waves) and rollout.waves[-1].members is None
    to_come = () if is_over or has_last else tuple(wave.name for wave in asked if wave.name not in started)
    is_held = policy is not None and before_its_wave(policy, story, approvals)[0] is Hold.AWAITING_APPROVAL
    return RolloutStatus(
        id=rollout.id,
        intent=rollout.intent,
        state=rollout.state,
        began_at=rollout.began_at,
        devices=rollout.devices,
        waves=tuple(_wave(story, rollout, wave, soaks.get(wave.name), found) for wave in rollout.waves),
        to_come=to_come,
        awaits_approval=to_come[0] if to_come and is_held else "",
        plan_id=rollout.plan_id,
    )


def _wave(
    story: FleetStory,
    rollout: Rollout,
    wave: StartedWave,
    soak_seconds: float | None,
    found: Mapping[DeviceId, DeviceState] | None,
) -> WaveStatus:
    soaks_until = None
    if wave.state is WaveState.SOAKING and wave.soaking_since is not None and soak_seconds is not None:
        soaks_until = Instant(wave.soaking_since + soak_seconds)
    counts = None
    if found is not None:
        counts = Counter(standing for device_id, standing in found.items() if rollout.wave_of(device_id) == wave)
    return WaveStatus(
        name=wave.name,
        state=wave.state,
        devices=wave.devices,
        started_at=wave.started_at,
        soaks_until=soaks_until,
        standings=counts,
        unwell=sum(rollout.wave_of(device_id) == wave for device_id in story.unwell),
    )


def _suspensions(story: FleetStory, fleet: Fleet | None, now: Instant) -> Iterable[SuspensionStatus]:
    if story.suspended is not None and story.is_suspended(now):
        said = story.suspended
        yield SuspensionStatus(reason=said.reason, until=said.until, by=said.by, in_manifest=False)
    declared = None if fleet is None else fleet.suspension
    if declared is not None and (declared.until is None or now < declared.until):
        yield SuspensionStatus(reason=declared.reason, until=declared.until, by=declared.by or "", in_manifest=True)
