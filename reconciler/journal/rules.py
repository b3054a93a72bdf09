"""What every journal checks before it writes, whatever it writes to. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from operator import attrgetter
from typing import TypeVar

from reconciler.journal.journal import AttemptMovedError, KeptPlan, NotedMeanwhileError
from reconciler.model.attempt import MOVES, Attempt, AttemptState
from reconciler.model.error import BugError
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.revision import TakenIntent
from reconciler.model.rollout_entry import Halted, Resumed, RolloutEntry
from reconciler.model.step import LockApplication

AnyAttempt = TypeVar("AnyAttempt", Attempt, ProductAttempt)


def storable(attempt: AnyAttempt) -> AnyAttempt:
    """The attempt with a detail that UTF-8 can hold."""
    detail = storable_words(attempt.detail)
    return attempt if detail == attempt.detail else replace(attempt, detail=detail)


def storable_words(words: str) -> str:
    """Words that UTF-8 can hold: half a surrogate pair, as hostile JSON has it, becomes its escape.

    A record must never fail over the words of a stranger when its request has already left.
    """
    return words.encode("utf-8", "backslashreplace").decode("utf-8")


def storable_entry(entry: RolloutEntry) -> RolloutEntry:
    """The entry with words that UTF-8 can hold."""
    texts = {field.name: getattr(entry, field.name) for field in fields(entry)}
    changed = {
        name: words for name, text in texts.items() if isinstance(text, str) and (words := storable_words(text)) != text
    }
    return replace(entry, **changed) if changed else entry  # type: ignore[arg-type]  # mypy cannot type replace(**mapping)


def storable_intent(intent: TakenIntent) -> TakenIntent:
    """The intent with words that UTF-8 can hold."""
    revision = intent.revision
    return replace(
        intent,
        revision=replace(
            revision,
            source=storable_words(revision.source),
            name=storable_words(revision.name),
            commit=storable_words(revision.commit),
            signer=None if revision.signer is None else storable_words(revision.signer),
        ),
        digest=storable_words(intent.digest),
        fleets=tuple(map(storable_words, intent.fleets)),
        by=None if intent.by is None else storable_words(intent.by),
    )


def halted_now(entries: Iterable[RolloutEntry]) -> dict[str, Halted]:
    """The fleets that are halted after these entries, by name, in the order in which they were."""
    halted: dict[str, Halted] = {}
    for entry in entries:
        if isinstance(entry, Halted):
            halted.setdefault(entry.fleet, entry)
        elif isinstance(entry, Resumed):
            halted.pop(entry.fleet, None)
    return halted


def check_nothing_unread(fleet: str | None) -> None:
    """Raise NotedMeanwhileError PFR5028 where a fleet has an entry that its writer has not read; None: none has."""
    if fleet is not None:
        raise NotedMeanwhileError(fleet)


def check_begin(attempt: Attempt | ProductAttempt) -> None:
    """Raise BugError PFR9501 unless the attempt is in state intended."""
    if attempt.state is not AttemptState.INTENDED:
        raise BugError("PFR9501", f"attempt {attempt.id} begins its life as {attempt.state}, not as intended")


def check_record(recorded: Attempt | None, attempt: Attempt) -> None:
    """Raise unless `attempt` is the recorded one in a next state: PFR9502, PFR9504, or AttemptMovedError PFR5003."""
    if recorded is None:
        raise BugError("PFR9502", f"attempt {attempt.id} on device {attempt.device_id} was never begun")
    if _about(recorded) != _about(attempt):
        raise BugError("PFR9504", f"attempt {attempt.id} is about something else than when it was begun")
    if attempt.state not in MOVES[recorded.state]:
        raise AttemptMovedError(attempt, recorded.state)


def check_record_product(recorded: ProductAttempt | None, attempt: ProductAttempt) -> None:
    """As `check_record`, for an attempt on a product."""
    if recorded is None:
        raise BugError("PFR9502", f"attempt {attempt.id} on product {attempt.product} was never begun")
    about = attrgetter("product", "fleet", "plan_id", "action", "intended_at")
    if about(recorded) != about(attempt):
        raise BugError("PFR9504", f"attempt {attempt.id} is about something else than when it was begun")
    if attempt.state not in MOVES[recorded.state]:
        raise AttemptMovedError(attempt, recorded.state)


def check_plan(kept: KeptPlan, plan: KeptPlan) -> None:
    """Raise BugError PFR9505 when a plan with the same id is another plan."""
    if kept.digest != plan.digest:
        raise BugError("PFR9505", f"{plan.plan_id} is kept with digest {kept.digest}, not {plan.digest}")


def lock_may_stand(attempt: Attempt) -> bool:
    """Whether this is a lock that may be in force: not withdrawn before it left, and not refused by the cloud.

    A lock that was sent stands even when the device failed afterwards: it is the cloud's, not the device's.
    """
    if not isinstance(attempt.step, LockApplication) or attempt.state is AttemptState.WITHDRAWN:
        return False
    return attempt.failure is None or CONSEQUENCES[attempt.failure].reached_device


def time_of_state(attempt: Attempt) -> Instant | None:
    """When the attempt entered its state, by its own account; None for unknown, which has no time of its own."""
    match attempt.state:
        case AttemptState.INTENDED:
            return attempt.intended_at
        case AttemptState.SENT:
            return attempt.sent_at
        case AttemptState.UNKNOWN:
            return None
        case AttemptState.VERIFIED | AttemptState.FAILED | AttemptState.WITHDRAWN:
            return attempt.ended_at


def storable_write(attempt: Attempt | ProductAttempt, write: ExternalWrite) -> ExternalWrite:
    """The request with words that UTF-8 can hold, and a time: where no answer said one, that of its attempt."""
    at = write.at or attempt.ended_at or attempt.intended_at
    return replace(write, at=at, path=storable_words(write.path), answer=storable_words(write.answer))


def ending_of(attempt: Attempt | ProductAttempt, seen: Facts | None) -> Facts:
    """How an attempt has ended, and what was seen then."""
    ending: dict[str, str | int | float | bool | None] = {"state": attempt.state.value}
    if isinstance(attempt, Attempt) and attempt.evidence is not None:
        ending["evidence"] = attempt.evidence.value
    if attempt.failure is not None:
        ending["failure"] = attempt.failure.value
    return {**ending, **(seen or {})}


def closed_error() -> BugError:
    """PFR9506: the journal was used after it had been closed."""
    return BugError("PFR9506", "the journal was used after it had been closed")


def _about(attempt: Attempt) -> tuple[object, ...]:
    return (
        attempt.device_id,
        attempt.fleet,
        attempt.plan_id,
        attempt.step,
        attempt.intended_at,
        attempt.handshake_before,
        attempt.well_before,
    )
