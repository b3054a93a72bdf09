"""What came of a run: counts for the report, and which word ends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from reconciler.controller.apply import Rest
from reconciler.controller.health import doubts_in_words
from reconciler.controller.product import failed_actions
from reconciler.controller.run import Run
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import DeviceId
from reconciler.model.failure import CONSEQUENCES, Counts, MustAct
from reconciler.model.instant import iso_from_instant
from reconciler.particle.traffic import Traffic
from reconciler.render.outcome import Outcome
from reconciler.rollout.retry import counts_against_rollout, held_until
from reconciler.rollout.verdict import FINAL_HOLDS, WINDOW_HOLDS, Hold, Verdict, Wait


class Ending(Enum):
    """How a run ended, by the exit codes of contracts section 5."""

    DONE = 0
    ERROR = 1
    DEVICES_FAILED = 3
    STALE = 4
    AWAITING_APPROVAL = 5
    OUTSIDE_WINDOW = 6


def outcome_of(run: Run, traffic: Traffic, *, interrupted: bool) -> Outcome:
    """The counts of a run. Attempts that an earlier run left open count here when this run ended them."""
    agreed = run.agreement.steps
    failed = failed_devices(run)
    return Outcome(
        devices_planned=len(agreed),
        devices_arrived=len(run.arrived),
        devices_failed=len(failed),
        devices_waiting=len(agreed.keys() - run.arrived - failed),
        devices_refused=sum(plan.summary.refused for plan in run.plans.values()),
        steps_planned=sum(map(len, agreed.values())),
        steps_done=run.moved_here[AttemptState.VERIFIED],
        steps_failed=run.moved_here[AttemptState.FAILED],
        steps_open=len(run.tools.journal.open_attempts()),
        requests=traffic.requests,
        requests_writing=traffic.writes,
        bytes_sent=traffic.bytes_sent,
        actions_planned=len(run.agreement.actions),
        actions_done=sum(attempts[0].state is AttemptState.VERIFIED for attempts in run.product_ended.values()),
        actions_failed=len(failed_actions(run)),
        halted_fleets=tuple(fleet for fleet in sorted(run.plans) if run.story_of(fleet).halted is not None),
        interrupted=interrupted,
    )


_FAILURES: Final = frozenset({Hold.HALTED, Hold.TURNED_BACK, Hold.NOT_UPLOADED})
"""Holds that say that something went wrong, whoever failed."""


def ending_of(run: Run, rest: Rest) -> Ending:
    """The first of these that happened: an error, failed devices, a stale plan, an approval or a window missing."""
    holds = {verdict.hold for verdict in _waits(run)}
    if rest.left:
        return Ending.ERROR
    if failed_devices(run) or failed_actions(run) or holds & _FAILURES:
        return Ending.DEVICES_FAILED
    if stale_devices(run) or Hold.APPROVAL_STALE in holds:
        return Ending.STALE
    if Hold.AWAITING_APPROVAL in holds or run.unapproved:
        return Ending.AWAITING_APPROVAL
    return Ending.OUTSIDE_WINDOW if holds & WINDOW_HOLDS else Ending.DONE


def failed_devices(run: Run) -> set[DeviceId]:
    """Devices that keep failing, are worse off, unwell, or lost with a step under way. Offline is no failure."""
    held = {
        device_id
        for device_id, attempts in run.ended.items()
        if attempts[0].fleet in run.plans
        and (counts_against_rollout(attempts) or (held_until(attempts, run.latest) and _is_failure(attempts[0])))
    }
    unwell = (run.story_of(fleet).unwell for fleet in run.plans)
    return (held - run.arrived).union(run.lost, *run.suffering.values(), *unwell)


def _is_failure(last: Attempt) -> bool:
    if last.failure is None:
        return False
    follows = CONSEQUENCES[last.failure]
    return follows.counts is not Counts.NEVER or follows.must_act is not MustAct.NOBODY


def stale_devices(run: Run) -> set[DeviceId]:
    """Devices that were agreed to and whose next step is not among the agreed ones any more."""
    agreed = run.agreement.steps
    return {v.device_id for v in _waits(run) if v.hold is Hold.NOT_APPROVED and v.device_id in agreed}


def holds_in_words(run: Run) -> list[str]:
    """Why devices with a route were not started, one line a fleet and reason, where this run could not outlast it."""
    lines = []
    for fleet, verdicts in sorted(run.verdicts.items()):
        holds = [verdict.hold for verdict in verdicts if isinstance(verdict, Wait)]
        final = [hold for hold in Hold if hold in holds and hold in FINAL_HOLDS]
        lines += [f"{fleet}: {holds.count(hold)} not started: {hold.value}{_until(verdicts, hold)}" for hold in final]
    lines += sorted(f"{action.product}: not released: {why}" for action, why in run.product_held.items())
    return [*lines, *doubts_in_words(run)]


def _until(verdicts: Sequence[Verdict], hold: Hold) -> str:
    """When the first of the devices with this hold may start, where that is known beforehand."""
    until = [v.until for v in verdicts if isinstance(v, Wait) and v.hold is hold and v.until is not None]
    what = "next opening" if hold in WINDOW_HOLDS else "until"
    return f"; {what} {iso_from_instant(min(until))}" if until else ""


def _waits(run: Run) -> Iterator[Wait]:
    return (verdict for verdicts in run.verdicts.values() for verdict in verdicts if isinstance(verdict, Wait))
