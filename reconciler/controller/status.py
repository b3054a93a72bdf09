"""Where everything stands: the plan for where devices are, the journal for what was tried. Nothing is judged anew.

A step is under way until a run settles it, also where this look would prove what became of it: `status` only reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconciler.controller.approvals import KeptPlans
from reconciler.controller.health_memory import FleetHealth
from reconciler.controller.progress import ledger_of_look, progress_of
from reconciler.journal.journal import Journal
from reconciler.model.allowance import REQUESTS
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import DeviceId
from reconciler.model.fleet import Fleet, FleetSet, PlanApproval, RolloutPolicy
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Plan, Refused, Route, Waiting
from reconciler.model.rollout import FleetStory, stories_of
from reconciler.render.status import BudgetStatus, FailedDevice, FleetStatus, Halted, LastRun, UnderWay
from reconciler.rollout.approval import NO_APPROVALS, Approvals
from reconciler.rollout.gate import hold_of_fleet
from reconciler.rollout.opening import Openings
from reconciler.rollout.retry import held_until, last_failure
from reconciler.rollout.verdict import Hold

ATTEMPTS_READ_MAX: Final = 50_000
"""The latest attempts of the journal that are looked through. Open ones are never missed."""


class Memory:
    """What the journal remembers, read once; of plans that were approved what `plans` can read."""

    def __init__(self, journal: Journal, plans: KeptPlans | None = None) -> None:
        self._plans = plans
        self.halts = {halt.fleet: Halted(reason=halt.reason, at=halt.at, by=halt.by) for halt in journal.halts()}
        self.open_attempts = journal.open_attempts()
        self.stories = stories_of(noted.entry for noted in journal.entries())
        self.attempts = journal.attempts(limit=ATTEMPTS_READ_MAX)
        self.by_device: dict[DeviceId, list[Attempt]] = {}
        for attempt in self.attempts:
            self.by_device.setdefault(attempt.device_id, []).append(attempt)

    def approvals_of(self, fleet: Fleet | None, files: Sequence[PlanApproval], now: Instant) -> Approvals:
        """What people have agreed to in a fleet."""
        if fleet is None or self._plans is None:
            return NO_APPROVALS
        story = self.stories.get(fleet.name, FleetStory(fleet=fleet.name))
        return self._plans.approvals(fleet, story.approvals, files, now=now)

    def last_run(self) -> LastRun | None:
        """The steps of the plan of the latest attempt."""
        if not self.attempts:
            return None
        plan_id = self.attempts[0].plan_id
        steps = [attempt for attempt in self.attempts if attempt.plan_id == plan_id]
        states = Counter(attempt.state for attempt in steps)
        return LastRun(
            plan_id=plan_id,
            began_at=min(attempt.intended_at for attempt in steps),
            moved_at=max(attempt.ended_at or attempt.began_at for attempt in steps),
            verified=states[AttemptState.VERIFIED],
            failed=states[AttemptState.FAILED],
            under_way=sum(attempt.is_open for attempt in steps),
            withdrawn=states[AttemptState.WITHDRAWN],
        )


def budget_status(memory: Memory | None, *, requests: int, now: Instant) -> BudgetStatus:
    """`requests` are those of this process so far."""
    begun = [] if memory is None else [now - attempt.intended_at for attempt in memory.attempts]
    return BudgetStatus(
        requests_max=REQUESTS.requests,
        window_seconds=round(REQUESTS.window_seconds),
        requests_of_this_command=requests,
        steps_begun=sum(age <= REQUESTS.window_seconds for age in begun),
    )


def fleet_statuses(
    fleets: FleetSet | None,
    plan: Plan | None,
    memory: Memory | None,
    *,
    now: Instant,
    health: Mapping[str, FleetHealth] | None = None,
) -> tuple[FleetStatus, ...]:
    """The fleets of the manifests, and those that only the journal knows and in which something is open or wrong.

    `health` is what the runs that watch the fleets remember, by fleet; None: nobody who watches them is asked.
    """
    wanted: dict[str, Fleet | None] = {} if fleets is None else {fleet.name: fleet for fleet in fleets.fleets}
    plans = {} if plan is None else {each.fleet.name: each for each in plan.fleets}
    files = () if fleets is None else fleets.approvals
    found = [_status(name, fleet, plans.get(name), memory, now, files) for name, fleet in wanted.items()]
    if health is not None:
        found = [_with_doubts(each, health.get(each.name)) for each in found]
    if memory is None:
        return tuple(found)
    known = {attempt.fleet for attempt in memory.attempts} | {attempt.fleet for attempt in memory.open_attempts}
    others = (
        _status(name, None, None, memory, now) for name in sorted((known | memory.stories.keys()) - wanted.keys())
    )
    return (*found, *(other for other in others if _is_open(other)))


def _with_doubts(status: FleetStatus, health: FleetHealth | None) -> FleetStatus:
    """The same, with whose health is unknown in the wave that is under way."""
    rollout = status.progress.rollout
    if rollout is None:
        return status
    doubts = health.doubts if health is not None and health.rollout_id == rollout.id else {}
    waves = tuple(
        replace(wave, in_doubt=doubts if health is not None and wave.name == health.wave else {})
        for wave in rollout.waves
    )
    return replace(status, progress=replace(status.progress, rollout=replace(rollout, waves=waves)))


def _is_open(status: FleetStatus) -> bool:
    """Whether anything is open or wrong in a fleet."""
    progress = status.progress
    is_rolling = progress.rollout is not None and progress.rollout.is_rolling
    return bool(status.halted or progress.suspensions or is_rolling or status.under_way or status.failed)


def _status(
    name: str,
    fleet: Fleet | None,
    plan: FleetPlan | None,
    memory: Memory | None,
    now: Instant,
    files: Sequence[PlanApproval] = (),
) -> FleetStatus:
    halted = None if memory is None else memory.halts.get(name)
    story = FleetStory(fleet=name) if memory is None else memory.stories.get(name, FleetStory(fleet=name))
    approvals = NO_APPROVALS if memory is None else memory.approvals_of(fleet, files, now)
    held, held_for = ("", None) if plan is None else _held(plan, story, approvals, now)
    ledger = None
    if plan is not None and memory is not None:
        ledger = ledger_of_look(plan, story, memory.attempts, memory.open_attempts, now, approvals)
    return FleetStatus(
        name=name,
        desired=None if fleet is None else fleet.desired,
        plan=plan,
        halted=halted,
        held=held,
        held_until=held_for,
        under_way=() if memory is None else _under_way(name, fleet, memory.open_attempts, now),
        failed=() if memory is None else _failed(story, plan, memory.by_device, now),
        progress=progress_of(story, fleet, plan, ledger, now, approvals),
    )


def _held(plan: FleetPlan, story: FleetStory, approvals: Approvals, now: Instant) -> tuple[str, Instant | None]:
    """Why a run that begins now would start nothing, halts apart, and until when where its windows are the reason."""
    if not plan.routes:
        return "", None
    hold = hold_of_fleet(plan, FleetStory(fleet=plan.fleet.name), now)
    openings = Openings(plan.fleet, now=now)
    closed = [found for route in plan.routes if (found := openings.hold(route)) is not None]
    if hold in {None, Hold.OUTSIDE_WINDOW} and len(closed) == len(plan.routes):
        first, until = min(closed, key=lambda found: (found[1] is None, found[1]))
        return first.value, until
    if hold is None:
        holds = [approvals.hold(story, route, device_id) for route in plan.routes for device_id in route.devices]
        hold = holds[0] if all(holds) else None
    return ("" if hold is None else hold.value), None


def _under_way(name: str, fleet: Fleet | None, attempts: Sequence[Attempt], now: Instant) -> tuple[UnderWay, ...]:
    """The oldest first."""
    deadline = (RolloutPolicy() if fleet is None else fleet.rollout).step_deadline_seconds
    found = [
        UnderWay(attempt=attempt, overdue=now - attempt.began_at > deadline)
        for attempt in attempts
        if attempt.fleet == name
    ]
    return tuple(sorted(found, key=lambda each: each.attempt.began_at))


def _failed(
    story: FleetStory, plan: FleetPlan | None, by_device: Mapping[DeviceId, Sequence[Attempt]], now: Instant
) -> tuple[FailedDevice, ...]:
    """The latest first. Who is as desired by now, or not of this fleet any more, has not failed."""
    still: set[DeviceId] | None = None
    if plan is not None:
        entries: tuple[Route | Refused | Waiting, ...] = (*plan.routes, *plan.refused, *plan.waiting)
        still = {device for entry in entries for device in entry.devices}
    found = [
        _failed_device(story, attempts, now)
        for device_id, attempts in by_device.items()
        if attempts[0].fleet == story.fleet
        and attempts[0].state is AttemptState.FAILED
        and (still is None or device_id in still)
    ]
    return tuple(sorted(found, key=lambda each: (-(each.attempt.ended_at or 0.0), each.attempt.device_id)))


def _failed_device(story: FleetStory, attempts: Sequence[Attempt], now: Instant) -> FailedDevice:
    last = last_failure(attempts)
    assert last is not None
    verified = (place for place, each in enumerate(attempts) if each.state is AttemptState.VERIFIED)
    of_rollout = list(filter(story.uses_up_tries, attempts))
    return FailedDevice(
        attempt=last,
        tries=sum(each.state is AttemptState.FAILED for each in attempts[: next(verified, len(attempts))]),
        given_up=held_until(of_rollout, now) is not None,
    )
