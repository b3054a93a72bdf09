"""When a device may be tried again after a failure, how long it is held, and when it counts against the rollout.

What follows from which class of failure is in `model/failure.py`. Only failures of the same class use up its tries.
Between tries are pauses that double. When the tries are used up the device is held: left alone for an hour, then tried
anew as often, then for four hours, then for a day. After that a person must come, unless the class says that nobody has
to act; then it stays with days. A step that is verified for the first time ends all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from reconciler.model.action import ProductAction
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.failure import CONSEQUENCES, Consequence, Counts, MustAct, Retry
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.step import Step

AnyAttempt = TypeVar("AnyAttempt", Attempt, ProductAttempt)

UNTIL_A_PERSON: Final = Instant(float("inf"))
"""Until a person comes: `reconciler retry`, or something else in the manifests."""

_HOLDS_SECONDS: Final = (3600.0, 4 * 3600.0, 24 * 3600.0)


def may_start_at(attempts: Sequence[AnyAttempt]) -> Instant | None:
    """When a device (or an action) may be tried again, by its ended attempts of this rollout, the latest first.

    None: at once. UNTIL_A_PERSON: not by itself.
    """
    last = last_failure(attempts)
    if last is None:
        return None
    assert last.failure is not None
    assert last.ended_at is not None
    consequence = CONSEQUENCES[last.failure]
    rounds, tries = _rounds(attempts, last, consequence)
    if tries:
        return Instant(last.ended_at + consequence.first_pause_seconds * 2 ** (tries - 1))
    is_patient = consequence.must_act is MustAct.NOBODY or rounds <= len(_HOLDS_SECONDS)
    if consequence.retry is Retry.NEVER or not is_patient:
        return UNTIL_A_PERSON
    return Instant(last.ended_at + _HOLDS_SECONDS[min(rounds, len(_HOLDS_SECONDS)) - 1])


def held_until(attempts: Sequence[AnyAttempt], now: Instant) -> Instant | None:
    """Until when a device (or an action) is left alone because its tries are used up; None: it is not held now."""
    last = last_failure(attempts)
    if last is None or not _is_spent(attempts, last):
        return None
    until = may_start_at(attempts)
    return until if until is not None and now < until else None


def counts_against_rollout(attempts: Sequence[Attempt]) -> bool:
    """Whether a device counts as failed, by its ended attempts of this rollout, the latest first."""
    last = last_failure(attempts)
    if last is None:
        return False
    assert last.failure is not None
    match CONSEQUENCES[last.failure].counts:
        case Counts.AT_ONCE | Counts.HALTS_FLEET:
            return True
        case Counts.WHEN_GIVEN_UP:
            rounds, tries = _rounds(attempts, last, CONSEQUENCES[last.failure])
            return rounds > 0 or tries == 0
        case Counts.NEVER:
            return False


def halts_fleet(attempts: Sequence[Attempt]) -> bool:
    """Whether the last failure of a device is one after which nothing more may be started in its fleet."""
    last = last_failure(attempts)
    return last is not None and last.failure is not None and CONSEQUENCES[last.failure].counts is Counts.HALTS_FLEET


def last_failure(attempts: Sequence[AnyAttempt]) -> AnyAttempt | None:
    """The latest failure since the last attempt that was verified."""
    return next((attempt for attempt in _since_verified(attempts) if attempt.failure is not None), None)


def _is_spent(attempts: Sequence[AnyAttempt], last: AnyAttempt) -> bool:
    assert last.failure is not None
    _, tries = _rounds(attempts, last, CONSEQUENCES[last.failure])
    return tries == 0


def _rounds(attempts: Sequence[AnyAttempt], last: AnyAttempt, consequence: Consequence) -> tuple[int, int]:
    """How often the tries of this class were used up, and how many of the next round are."""
    failures = sum(attempt.failure is last.failure for attempt in _since_verified(attempts))
    return divmod(failures, consequence.tries)


def _since_verified(attempts: Sequence[AnyAttempt]) -> Sequence[AnyAttempt]:
    """The attempts since the last one by which something was verified for the first time.

    What was held to be there, was doubted after a failure and is verified anew is no progress: a device that says yes
    to one module and no to the next one would be sent both for ever.
    """
    known: set[Step | ProductAction] = set()
    latest = len(attempts)
    for place in range(len(attempts) - 1, -1, -1):
        attempt = attempts[place]
        if attempt.state is AttemptState.VERIFIED and _aim(attempt) not in known:
            known.add(_aim(attempt))
            latest = place
    return attempts[:latest]


def _aim(attempt: Attempt | ProductAttempt) -> Step | ProductAction:
    return attempt.step if isinstance(attempt, Attempt) else attempt.action
