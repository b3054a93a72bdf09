"""Settle what is open: what does this look at the devices prove about the steps under way?"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from reconciler.controller.facts import facts_of
from reconciler.controller.run import Run, Scope
from reconciler.execution.evidence import HeardTransfer, judge, judge_of_a_bench
from reconciler.inventory.hearing import TransferStatus
from reconciler.model.attempt import Attempt, AttemptState, FailureClass
from reconciler.model.device import Observation
from reconciler.model.event import DeviceSetAside
from reconciler.model.fleet import RolloutPolicy, Via
from reconciler.model.instant import Instant
from reconciler.rollout.ledger import InFlight

NO_FLEET_SECONDS: Final = RolloutPolicy().step_deadline_seconds
"""The deadline of steps whose fleet is in no manifest any more."""

FOUND_OPEN: Final = "found open at the start of a run"


def disown_open_attempts(run: Run, *, but: Collection[str] = ()) -> None:
    """At the start of a run: whatever is open was sent by a process that is gone, so nobody knows what came of it.

    Not what is open in the fleets of `but`: those are in the hands of other runs of this process. And what a bench has
    open is the bench's, which may be at work on it (`bench_settle.py`). Once a run: what it sent since is its own.
    """
    if run.has_disowned:
        return
    for attempt in run.tools.journal.open_attempts():
        is_ours = attempt.step.via is Via.CLOUD and attempt.fleet not in but
        if is_ours and attempt.state is not AttemptState.UNKNOWN:
            run.record(attempt.lost_sight(FOUND_OPEN))
    for on_product in run.tools.journal.open_product_attempts():
        if on_product.state is not AttemptState.UNKNOWN and on_product.fleet not in but:
            run.tools.journal.record_product(on_product.lost_sight(FOUND_OPEN))
    run.has_disowned = True


def settle(run: Run, scope: Scope, observation: Observation) -> list[InFlight]:
    """Judge every open attempt on these devices; what stays open is in flight.

    A device of our fleets that is no longer listed proves nothing either way: its attempt stays open.
    """
    open_attempts = run.tools.journal.open_attempts()
    devices = observation.by_id if open_attempts else {}
    deadlines = {fleet.name: fleet.rollout.step_deadline_seconds for fleet in scope.fleets.fleets}
    in_flight = []
    for attempt in open_attempts:
        device = devices.get(attempt.device_id)
        if device is None and attempt.fleet not in deadlines:
            continue
        deadline = deadlines.get(attempt.fleet, NO_FLEET_SECONDS)
        judged = attempt
        if device is not None and attempt.step.via is Via.USB:
            judged = judge_of_a_bench(attempt, device, run.tools.catalog)
        elif device is not None:
            gap = _first_gap(run, scope, attempt)
            judged = judge(
                attempt,
                device,
                _heard(run, scope, attempt, gap),
                run.tools.catalog,
                deadline_seconds=deadline,
                had_gap=gap is not None,
            )
        # Whoever was not looked at since its deadline may well have been in time.
        seen_at = observation.observed_at if device is None else min(observation.observed_at, device.observed_at)
        within_deadline = seen_at - attempt.began_at <= deadline
        if judged is attempt:
            in_flight.append(InFlight(attempt, within_deadline))
        else:
            run.record(judged, after=None if device is None else facts_of(device))
        concerns_us = device is not None or attempt.id in run.heard_before
        if judged is attempt and not within_deadline and concerns_us:
            _lose(run, attempt, observation.observed_at)
        else:
            run.lost.pop(attempt.device_id, None)
    scope.hearing.listen_for(flight.attempt.device_id for flight in in_flight)
    return in_flight


def _lose(run: Run, attempt: Attempt, now: Instant) -> None:
    """A device that may have taken a request and is silent past its deadline: told once a run, counted as failed."""
    if attempt.device_id not in run.lost:
        message = "nothing shows what became of its step, and the deadline has passed"
        device_id, fleet = attempt.device_id, attempt.fleet
        aside = DeviceSetAside(at=now, fleet=fleet, device_id=device_id, reason=FailureClass.LOST, message=message)
        run.tools.tell(aside)
    run.lost[attempt.device_id] = attempt


def keep_reports(run: Run, scope: Scope) -> None:
    """What devices said of their own modules outlives this process."""
    for report in scope.hearing.module_reports():
        run.knowledge.keep(report)


def _first_gap(run: Run, scope: Scope, attempt: Attempt) -> int | None:
    """When the stream was first away since this run sent the step. One of an earlier run is unknown in any case."""
    before = run.heard_before.get(attempt.id)
    return None if before is None else scope.hearing.first_gap_since(before)


def _heard(run: Run, scope: Scope, attempt: Attempt, gap: int | None) -> HeardTransfer | None:
    """How the transfer to the device ended that was the first to end since the attempt began.

    A device takes one transfer at a time, so the first end is ours and a later one somebody else's. Our own clock, and
    the date of an answer, are not compared: our own sends are remembered by what had been heard before them, and of
    those of an earlier run everything that this process hears came after. The stream may be late, or say a thing twice:
    an end that is older than the session in which the step was sent is of the step before. Behind a gap (its ordinal)
    the first end that was heard need not be the first that there was.
    """
    ordinal = run.heard_before.get(attempt.id, 0)
    session_began = attempt.handshake_before or 0.0
    ends = (
        transfer
        for transfer in scope.hearing.transfers_since(attempt.device_id, ordinal)
        if transfer.status.is_end and transfer.at > session_began
    )
    end = next(ends, None)
    if end is None:
        return None
    return HeardTransfer(end.status is TransferStatus.SUCCESS, end.at, behind_gap=gap is not None and gap < end.ordinal)
