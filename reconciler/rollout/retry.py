"""When a device may be tried again after a failure, and when it counts against the rollout.

What follows from which class of failure is in `model/failure.py`. Only failures of the same class use up its tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.failure import CONSEQUENCES, Counts
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt

AnyAttempt = TypeVar("AnyAttempt", Attempt, ProductAttempt)

GIVEN_UP: Final = Instant(float("inf"))
"""Never again in this run."""


def may_start_at(attempts: Sequence[AnyAttempt]) -> Instant | None:
    """When a device (or an action) may be tried again, by its ended attempts of this run, the latest first.

    None: at once.
    """
    last = last_failure(attempts)
    if last is None:
        return None
    assert last.failure is not None
    assert last.ended_at is not None
    consequence = CONSEQUENCES[last.failure]
    failures = sum(attempt.failure is last.failure for attempt in _since_verified(attempts))
    if failures >= consequence.tries:
        return GIVEN_UP
    return Instant(last.ended_at + consequence.first_pause_seconds * 2 ** (failures - 1))


def counts_against_rollout(attempts: Sequence[Attempt]) -> bool:
    """Whether a device counts as failed, by its ended attempts of this run, the latest first."""
    last = last_failure(attempts)
    if last is None:
        return False
    assert last.failure is not None
    match CONSEQUENCES[last.failure].counts:
        case Counts.AT_ONCE | Counts.HALTS_FLEET:
            return True
        case Counts.WHEN_GIVEN_UP:
            return may_start_at(attempts) == GIVEN_UP
        case Counts.NEVER:
            return False


def halts_fleet(attempts: Sequence[Attempt]) -> bool:
    """Whether the last failure of a device is one after which nothing more may be started in its fleet."""
    last = last_failure(attempts)
    return last is not None and last.failure is not None and CONSEQUENCES[last.failure].counts is Counts.HALTS_FLEET


def last_failure(attempts: Sequence[AnyAttempt]) -> AnyAttempt | None:
    """The latest failure since the last attempt that was verified."""
    return next((attempt for attempt in _since_verified(attempts) if attempt.failure is not None), None)


def _since_verified(attempts: Sequence[AnyAttempt]) -> Sequence[AnyAttempt]:
    verified = (place for place, attempt in enumerate(attempts) if attempt.state is AttemptState.VERIFIED)
    return attempts[: next(verified, len(attempts))]
