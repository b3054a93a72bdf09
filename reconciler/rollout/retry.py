"""What follows from a failure, by its class: how often it is tried again, and when it counts against the rollout.

| class | tries | first pause | counts | why |
|---|---|---|---|---|
| offline | 6 | 30 s | never | the device was not there: neither success nor failure |
| transport | 6 | 30 s | when given up | nothing was taken by the device |
| install | 3 | 60 s | when given up | the transfer, or the device's own check, failed |
| boot | 2 | 120 s | at once | the device came back without its application |
| refused | 3 | 120 s | never | the device may be busy, or a person may change what forbids it |
| incompatible, integrity, lost | 1 | - | at once | trying again changes nothing |
| unauthorised | 1 | - | never | it stops the product, whatever the device |

Only failures of the same class use up its tries. Pauses double.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from reconciler.model.attempt import Attempt, AttemptState, FailureClass
from reconciler.model.instant import Instant


class Counts(Enum):
    """When a failed device counts against `rollout.maxFailures`."""

    AT_ONCE = "at once"
    WHEN_GIVEN_UP = "when given up"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class _Course:
    tries: int
    first_pause_seconds: float
    counts: Counts


_COURSES: Final = {
    FailureClass.OFFLINE: _Course(6, 30.0, Counts.NEVER),
    FailureClass.TRANSPORT: _Course(6, 30.0, Counts.WHEN_GIVEN_UP),
    FailureClass.INSTALL: _Course(3, 60.0, Counts.WHEN_GIVEN_UP),
    FailureClass.BOOT: _Course(2, 120.0, Counts.AT_ONCE),
    FailureClass.REFUSED: _Course(3, 120.0, Counts.NEVER),
    FailureClass.INCOMPATIBLE: _Course(1, 0.0, Counts.AT_ONCE),
    FailureClass.INTEGRITY: _Course(1, 0.0, Counts.AT_ONCE),
    FailureClass.LOST: _Course(1, 0.0, Counts.AT_ONCE),
    FailureClass.UNAUTHORISED: _Course(1, 0.0, Counts.NEVER),
}

GIVEN_UP: Final = Instant(float("inf"))
"""Never again in this run."""


def may_start_at(attempts: Sequence[Attempt]) -> Instant | None:
    """When a device may be tried again, by its ended attempts of this run, the latest first; None: at once."""
    last = last_failure(attempts)
    if last is None:
        return None
    assert last.failure is not None
    assert last.ended_at is not None
    course = _COURSES[last.failure]
    failures = sum(attempt.failure is last.failure for attempt in _since_verified(attempts))
    if failures >= course.tries:
        return GIVEN_UP
    return Instant(last.ended_at + course.first_pause_seconds * 2 ** (failures - 1))


def counts_against_rollout(attempts: Sequence[Attempt]) -> bool:
    """Whether a device counts as failed, by its ended attempts of this run, the latest first."""
    last = last_failure(attempts)
    if last is None:
        return False
    assert last.failure is not None
    counts = _COURSES[last.failure].counts
    return counts is Counts.AT_ONCE or (counts is Counts.WHEN_GIVEN_UP and may_start_at(attempts) == GIVEN_UP)


def last_failure(attempts: Sequence[Attempt]) -> Attempt | None:
    """The latest failure since the last attempt that was verified."""
    return next((attempt for attempt in _since_verified(attempts) if attempt.failure is not None), None)


def _since_verified(attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    verified = (place for place, attempt in enumerate(attempts) if attempt.state is AttemptState.VERIFIED)
    return attempts[: next(verified, len(attempts))]
