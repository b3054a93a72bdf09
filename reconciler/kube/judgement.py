"""What is said of a fleet as a whole: a state, its reason and a sentence. Pure; the first question answered wins.

| State | Ready | beside it | kstatus | What it means |
|---|---|---|---|---|
| Ready | True | - | Current | every device that can be is as desired |
| Progressing | False | Reconciling | InProgress | it goes on without anybody's doing |
| AwaitingApproval | False | Reconciling | InProgress | the manifest asks for a word that is not there yet |
| Suspended | False | - | InProgress | a person wants nothing to start |
| Stalled | False | Stalled | Failed | a person must act |
| Unknown | Unknown | Reconciling | InProgress | it has not been looked at yet |

A fleet that waits for an approval, or that is suspended, has not failed: somebody wanted it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.controller.troubles import Trouble
from reconciler.kube.counts import Counts, blocks_of, counts_of
from reconciler.kube.situation import FleetSituation, Reason, State
from reconciler.model.device_life import DeviceState
from reconciler.model.error import OperatorError
from reconciler.model.plan import FleetPlan, RefusalReason, WaitingReason
from reconciler.model.rollout import RolloutState, WaveState
from reconciler.render.ink import counted
from reconciler.render.plan_text import desired_in_words
from reconciler.render.rollout_status import RolloutStatus, WaveStatus
from reconciler.render.rollout_words import halted_by, until_when
from reconciler.render.status import FleetStatus
from reconciler.render.step_words import time_in_words
from reconciler.rollout.verdict import Hold

_NEEDS_A_PERSON: Final[Mapping[str, Reason]] = {
    "PFR3002": Reason.CREDENTIALS_INVALID,
    "PFR5021": Reason.WRITE_RIGHT_LOST,
    "PFR6508": Reason.ACCESS_DENIED,
    "PFR6509": Reason.VERIFICATION_FAILED,
    "PFR6517": Reason.VERIFICATION_FAILED,
    "PFR6518": Reason.VERIFICATION_FAILED,
    "PFR6519": Reason.VERIFICATION_FAILED,
    "PFR6811": Reason.REVISION_REFUSED,
    "PFR6812": Reason.REVISION_REFUSED,
    "PFR6813": Reason.REVISION_REFUSED,
    "PFR6951": Reason.REVISION_REFUSED,
    "PFR6958": Reason.CREDENTIALS_INVALID,
}
"""Trouble, and refusals, that trying again does not end. Other trouble is tried again; other refusals are problems."""
_RATE_LIMITED: Final = "PFR3006"

_REASON_OF_BLOCK: Final[Mapping[RefusalReason | WaitingReason, Reason]] = {
    RefusalReason.DOWNGRADE_REFUSED: Reason.DOWNGRADE_REFUSED,
    WaitingReason.DRIFTED: Reason.DRIFT_DETECTED,
    WaitingReason.FIGHT: Reason.FIGHT_DETECTED,
    WaitingReason.TARGETS_EXCEEDED: Reason.TOO_MANY_DEVICES,
}
_REASON_OF_HOLD: Final[Mapping[str, Reason]] = {
    Hold.OUTSIDE_WINDOW.value: Reason.OUTSIDE_MAINTENANCE_WINDOW,
    Hold.WINDOW_ENDING.value: Reason.OUTSIDE_MAINTENANCE_WINDOW,
    Hold.AWAITING_APPROVAL.value: Reason.AWAITING_APPROVAL,
    Hold.APPROVAL_STALE.value: Reason.PLAN_STALE,
    Hold.CONCURRENCY_ZERO.value: Reason.CONCURRENCY_ZERO,
}
_ASKS: Final = frozenset({Reason.AWAITING_APPROVAL, Reason.PLAN_STALE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is said. `message` is one sentence; nothing in it changes unless something has happened.

    But for what others say of their troubles: that may be in other words every time. `cause` is then the beginning of
    the message that tells one trouble from another; otherwise it is empty.
    """

    state: State
    reason: Reason
    message: str
    cause: str = ""


def judgement_of(situation: FleetSituation) -> Judgement:
    """What is said of a fleet now."""
    fleet = situation.fleet
    if situation.refusal is not None:
        refusal = situation.refusal
        stands = "nothing is desired yet" if situation.taken is None else "what was taken before stands"
        message = f"{refusal.revision.text} is not taken, {stands}: {refusal.message} ({refusal.code})"
        return stalled(reason_of(refusal.code), message, refusal.next_step)
    if fleet is not None and fleet.halted is not None:
        return _halted(fleet)
    if situation.troubles:
        return _troubled(situation.troubles)
    if situation.judged != situation.generation:
        return _unknown("this generation of the manifest has not been judged yet")
    if fleet is None or fleet.plan is None:
        return _unknown("its product has not been looked at yet")
    return _of_plan(fleet, fleet.plan, situation.misheard)


def reason_of(code: str) -> Reason:
    """What a refusal of this code is called in a condition."""
    return _NEEDS_A_PERSON.get(code, Reason.BUILD_FAILED)


def needs_approval(fleet: FleetStatus) -> bool:
    """Whether a person has to agree to something before it starts."""
    rollout = fleet.progress.rollout
    of_wave = rollout is not None and rollout.is_rolling and bool(rollout.awaits_approval)
    return of_wave or _REASON_OF_HOLD.get(fleet.held) in _ASKS


def _halted(fleet: FleetStatus) -> Judgement:
    halted = fleet.halted
    assert halted is not None
    reason = Reason.FAILURE_BUDGET_EXCEEDED if halted.by is None else Reason.HALTED
    next_step = f"look at the samples, then `reconciler resume {fleet.name}`"
    return stalled(reason, f"halted {halted_by(halted.by)}: {halted.reason}; {_current(counts_of(fleet))}", next_step)


def _troubled(troubles: Mapping[str, Trouble]) -> Judgement:
    """That which a person must act for is said first."""
    what, trouble = min(troubles.items(), key=lambda each: (each[1].code not in _NEEDS_A_PERSON, each[0]))
    cause = f"{what} ({trouble.code}): "
    if trouble.code in _NEEDS_A_PERSON:
        reason, state = _NEEDS_A_PERSON[trouble.code], State.STALLED
        message = f"{cause}{trouble.message}; next: see docs/errors.md for {trouble.code}"
    else:
        reason = Reason.RATE_LIMITED if trouble.code == _RATE_LIMITED else Reason.PROGRESSING_WITH_RETRY
        state, message = State.PROGRESSING, f"{cause}{trouble.message}; it is tried again"
    return Judgement(state=state, reason=reason, message=message, cause=cause)


def _of_plan(fleet: FleetStatus, plan: FleetPlan, misheard: OperatorError | None) -> Judgement:
    counts, rollout = counts_of(fleet), fleet.progress.rollout
    is_rolling = rollout is not None and rollout.is_rolling
    waits_for_us = counts.upgrading + counts.pending
    if _is_ready(counts, rollout, plan) and not plan.due_actions:
        return _ready(counts, plan)
    if fleet.progress.suspensions:
        return _suspended(fleet, counts)
    hold = _REASON_OF_HOLD.get(fleet.held)
    if needs_approval(fleet) and not counts.upgrading:
        return _awaiting(counts, rollout, Reason.PLAN_STALE if hold is Reason.PLAN_STALE else None, misheard)
    if hold is Reason.CONCURRENCY_ZERO and not counts.upgrading:
        message = f"rollout.maxConcurrent is 0: nothing starts; {_tally(counts)}; next: raise it in the manifest"
        return Judgement(state=State.SUSPENDED, reason=hold, message=message)
    if hold is Reason.OUTSIDE_MAINTENANCE_WINDOW and not counts.upgrading:
        until = "" if fleet.held_until is None else f", which open at {time_in_words(fleet.held_until)}"
        return _progressing(hold, f"outside the fleet's windows{until}; {_tally(counts)}")
    if rollout is not None and is_rolling:
        return _rolling(rollout, counts)
    if waits_for_us:
        return _progressing(Reason.PROGRESSING, _tally(counts))
    if counts.to_be_retried:
        return _progressing(Reason.PROGRESSING_WITH_RETRY, f"{_tally(counts)}; failed devices are tried again")
    return _at_rest(fleet, plan, counts)


def _at_rest(fleet: FleetStatus, plan: FleetPlan, counts: Counts) -> Judgement:
    """Nothing is under way, nothing is to come, and it is not as desired."""
    if counts.failed:
        next_step = f"look at the samples, then `reconciler retry --fleet {fleet.name} --all`"
        return stalled(Reason.DEVICES_FAILED, _tally(counts), next_step)
    if counts.blocked > counts.on_purpose:
        worst = blocks_of(plan)[0]
        message = f"{_tally(counts)}; {counted(len(worst.devices), 'device')}: {worst.message} ({worst.reason.code})"
        next_step = f"see docs/errors.md for {worst.reason.code}"
        return stalled(_REASON_OF_BLOCK.get(worst.reason, Reason.DEVICES_BLOCKED), message, next_step)
    if counts.offline:
        return _progressing(Reason.DEVICES_OFFLINE, f"{_tally(counts)}; it goes on when they are back")
    return _progressing(Reason.RELEASING, f"{_current(counts)}; the product is still to be told")


def _is_ready(counts: Counts, rollout: RolloutStatus | None, plan: FleetPlan) -> bool:
    """Whether every device that can be is as desired: who is offline may follow once the rollout is complete."""
    if rollout is not None and rollout.is_rolling:
        return False
    if counts.upgrading or counts.pending or counts.failed or counts.blocked > counts.on_purpose:
        return False
    is_over = rollout is not None and rollout.state is RolloutState.COMPLETE
    return not counts.offline or (is_over and rollout is not None and rollout.intent == plan.fleet.desired.intent)


def _ready(counts: Counts, plan: FleetPlan) -> Judgement:
    if not counts.total:
        message = "no device is selected; next: look at spec.select if there should be some"
        return Judgement(state=State.READY, reason=Reason.NO_DEVICES, message=message)
    rest = [f"{counts.offline:,} offline, which go on when they are back"] if counts.offline else []
    rest += [f"{counts.on_purpose:,} held by a DeviceOverride"] if counts.on_purpose else []
    desired = desired_in_words(plan.fleet.desired)
    message = "; ".join([f"{counts.current:,}/{counts.total:,} devices run {desired}", *rest])
    return Judgement(state=State.READY, reason=Reason.SUCCEEDED, message=message)


def _suspended(fleet: FleetStatus, counts: Counts) -> Judgement:
    said = fleet.progress.suspensions[0]
    by = f" by {said.by}" if said.by else ""
    no_end = said.in_manifest and said.until is None
    until = "" if no_end else f" {until_when(said.until)}"
    next_step = "take spec.suspend out of the manifest" if said.in_manifest else f"`reconciler resume {fleet.name}`"
    message = f"suspended{by}{until}: {said.reason}; {_tally(counts)}; next, to end it: {next_step}"
    return Judgement(state=State.SUSPENDED, reason=Reason.SUSPENDED, message=message)


def _awaiting(
    counts: Counts, rollout: RolloutStatus | None, stale: Reason | None, misheard: OperatorError | None
) -> Judgement:
    wave = "" if rollout is None or not rollout.awaits_approval else f" of wave {rollout.awaits_approval}"
    what = "what was approved is not what would be done now" if stale else f"the approval{wave} is missing"
    if misheard is not None:
        what = f"{what}, and one by annotation does not count: {misheard.message} ({misheard.code})"
    next_step = "approve the plan in status.plan, by a PlanApproval or the annotation approve-plan"
    message = f"{what}; {_tally(counts)}; next: {next_step}"
    return Judgement(state=State.AWAITING_APPROVAL, reason=stale or Reason.AWAITING_APPROVAL, message=message)


def _rolling(rollout: RolloutStatus, counts: Counts) -> Judgement:
    if not rollout.waves:
        return _progressing(Reason.WAVE_IN_PROGRESS, f"the rollout begins; {_tally(counts)}")
    wave, whole = rollout.waves[-1], len(rollout.waves) + len(rollout.to_come)
    text = f'Wave {len(rollout.waves)}/{whole} "{wave.name}"{_of_wave(wave)}'
    if wave.state is WaveState.SOAKING:
        soaks = "soaking" if wave.soaks_until is None else f"soaking until {time_in_words(wave.soaks_until)}"
        return _progressing(Reason.SOAKING, f"{text}; {soaks}; {_tally(counts)} in all")
    return _progressing(Reason.WAVE_IN_PROGRESS, f"{text}; {_tally(counts)} in all")


def _of_wave(wave: WaveStatus) -> str:
    if wave.standings is None:
        return f": {counted(wave.devices, 'device')}"
    done, failed = wave.standings.get(DeviceState.DONE, 0), wave.standings.get(DeviceState.FAILED, 0)
    return f": {done:,}/{wave.devices:,} as desired" + (f", {failed:,} failed" if failed else "")


def _current(counts: Counts) -> str:
    return f"{counts.current:,}/{counts.total:,} devices as desired"


def _tally(counts: Counts) -> str:
    names = ("upgrading", "pending", "failed", "blocked", "offline")
    return ", ".join([_current(counts), *(f"{getattr(counts, n):,} {n}" for n in names if getattr(counts, n))])


def _unknown(message: str) -> Judgement:
    return Judgement(state=State.UNKNOWN, reason=Reason.PROGRESSING, message=message)


def _progressing(reason: Reason, message: str) -> Judgement:
    return Judgement(state=State.PROGRESSING, reason=reason, message=message)


def stalled(reason: Reason, message: str, next_step: str) -> Judgement:
    """A person must act."""
    return Judgement(
        state=State.STALLED, reason=reason, message=f"{message}; next: {next_step}" if next_step else message
    )
