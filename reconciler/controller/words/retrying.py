"""`retry`: try devices again, whatever failed on them before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.controller.words.speaker import Speaker, unknown_fleet
from reconciler.journal.journal import Journal
from reconciler.journal.settling import settled
from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.rollout import FleetStory, story_of
from reconciler.model.rollout_entry import Retried
from reconciler.render.ink import counted
from reconciler.render.step_words import duration_in_words, step_in_words
from reconciler.render.word import Told
from reconciler.rollout.retry import last_failure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A device, the fleet that the journal knows it in (None: none), and what is wrong with it (empty: nothing)."""

    device_id: DeviceId
    fleet: str | None
    wrong: str
    under_way: bool = False


def retry(speaker: Speaker, device_ids: Sequence[DeviceId]) -> list[Told]:
    """Try these devices again in the next pass, and forget what failed on them so far.

    What is forgotten does not count against the rollout either, and no longer holds the device. It lifts neither the
    halt of a fleet nor the hold of a device that somebody kept setting back, and says where one is.
    """
    return _again(speaker, [_case(speaker.journal, device_id) for device_id in dict.fromkeys(device_ids)])


def retry_fleet(speaker: Speaker, fleet: str) -> list[Told]:
    """The same for every device of a fleet on which something failed."""
    return _again(speaker, _cases_of(speaker.journal, fleet)) or [_none_failed(speaker.journal, fleet)]


def _again(speaker: Speaker, cases: Sequence[_Case]) -> list[Told]:
    speaker.journal.note(
        [
            Retried(
                fleet=case.fleet,
                at=speaker.moment(device_id=case.device_id),
                device_id=case.device_id,
                by=speaker.by,
                **settled(speaker.journal, device_id=case.device_id),
            )
            for case in cases
            if case.wrong and case.fleet is not None
        ]
    )
    return [_told(case, needed) for case, needed in zip(cases, _also_needed(speaker.journal, cases), strict=True)]


def _case(journal: Journal, device_id: DeviceId) -> _Case:
    attempts = journal.attempts(device_id=device_id)
    if not attempts:
        state = journal.console_states().get(device_id)
        fleet = None if state is None else state.fleet
        return _Case(device_id=device_id, fleet=fleet, wrong=_wrong(_story(journal, fleet), device_id, ()))
    fleet = attempts[0].fleet
    return _of_attempts(_story(journal, fleet), device_id, attempts)


def _cases_of(journal: Journal, fleet: str) -> list[_Case]:
    """The devices of the fleet of which something failed that a person has not settled yet."""
    story = _story(journal, fleet)
    attempts: dict[DeviceId, list[Attempt]] = {}
    for attempt in journal.attempts(fleet=fleet):
        attempts.setdefault(attempt.device_id, []).append(attempt)
    devices = sorted({*attempts, *story.unwell})
    cases = (_of_attempts(story, device_id, attempts.get(device_id, ())) for device_id in devices)
    return [case for case in cases if case.wrong]


def _of_attempts(story: FleetStory, device_id: DeviceId, attempts: Sequence[Attempt]) -> _Case:
    return _Case(
        device_id=device_id,
        fleet=story.fleet,
        wrong=_wrong(story, device_id, attempts),
        under_way=any(attempt.is_open for attempt in attempts),
    )


def _story(journal: Journal, fleet: str | None) -> FleetStory:
    return story_of(fleet or "", () if fleet is None else (noted.entry for noted in journal.entries(fleet=fleet)))


def _wrong(story: FleetStory, device_id: DeviceId, attempts: Sequence[Attempt]) -> str:
    """What failed on the device in this rollout and was not tried again by a person's word; empty: nothing."""
    ended = [attempt for attempt in attempts if not attempt.is_open and story.uses_up_tries(attempt)]
    last = last_failure(ended)
    found = []
    if last is not None and last.failure is not None:
        tries = counted(sum(attempt.failure is not None for attempt in ended), "try", "tries")
        took = duration_in_words((last.ended_at or last.intended_at) - last.intended_at)
        detail = f": {last.detail}" if last.detail else ""
        why = f"({last.failure}, {tries}){detail}; who must act: {CONSEQUENCES[last.failure].must_act.value}"
        found.append(f"{step_in_words(last.step)} failed after {took} {why}")
    if device_id in story.unwell:
        found.append(f"it was unwell, {story.unwell[device_id].check}: {story.unwell[device_id].why}")
    return "; ".join(found)


def _told(case: _Case, needed: str) -> Told:
    """`needed` is the word of a person that is needed as well."""
    device_id, fleet = case.device_id, case.fleet
    if not case.wrong:
        why = "the journal knows no such device" if fleet is None else "nothing has failed on it that would hold it"
        waiting = "; a step of it is under way" if case.under_way else ""
        message = f"device {device_id}: {why}{waiting}"
    else:
        message = f"device {device_id} of {fleet} is tried again in the next pass. What was wrong: {case.wrong}"
    return Told(done=bool(case.wrong), device_id=device_id, fleet=fleet, message=message, next_step=needed)


def _also_needed(journal: Journal, cases: Sequence[_Case]) -> list[str]:
    """For every device what else holds it, and the word that ends that; empty where nothing does."""
    latched = {device_id for device_id, latch in journal.latches().items() if not latch.lifted}
    halted = {halt.fleet for halt in journal.halts()}
    return [
        "; ".join(
            [f"somebody kept setting it back; let go of it: reconciler resume --device {case.device_id}"]
            * (case.device_id in latched)
            + [f"its fleet is halted; lift that: reconciler resume {case.fleet}"] * (case.fleet in halted)
        )
        for case in cases
    ]


def _none_failed(journal: Journal, fleet: str) -> Told:
    unknown = unknown_fleet(journal, fleet)
    message = f"no device of fleet {fleet} has failed" if unknown is None else f"{unknown.message} ({unknown.code})"
    return Told(done=False, fleet=fleet, message=message)
