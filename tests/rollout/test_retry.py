from __future__ import annotations

import pytest

from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.instant import Instant
from reconciler.rollout.retry import GIVEN_UP, counts_against_rollout, may_start_at
from tests.fleet_samples import NOW, attempt

FAILED = AttemptState.FAILED


def failed(failure: FailureClass, *, at: float = 0.0) -> Attempt:
    return attempt(FAILED, failure=failure, ended_at=Instant(NOW + at))


def pauses(failure: FailureClass) -> list[float]:
    """The pause in seconds after each failure in a row, until the device is given up."""
    found: list[float] = []
    for count in range(1, 20):
        earliest = may_start_at([failed(failure)] * count)
        assert earliest is not None
        if earliest == GIVEN_UP:
            return found
        found.append(earliest - NOW)
    pytest.fail("it is never given up")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (FailureClass.OFFLINE, [30, 60, 120, 240, 480]),
        (FailureClass.TRANSPORT, [30, 60, 120, 240, 480]),
        (FailureClass.INSTALL, [60, 120]),
        (FailureClass.REFUSED, [330, 660]),
        (FailureClass.BOOT, [120]),
        (FailureClass.INCOMPATIBLE, []),
        (FailureClass.INTEGRITY, []),
        (FailureClass.UNAUTHORISED, []),
        (FailureClass.LOST, []),
    ],
)
def test_pauses_grow_and_end(failure: FailureClass, expected: list[float]) -> None:
    assert pauses(failure) == expected


def test_every_class_of_failure_has_its_patience() -> None:
    assert all(may_start_at([failed(failure)]) is not None for failure in FailureClass)


def test_a_device_that_never_failed_may_start_at_once() -> None:
    assert may_start_at([]) is None


def test_a_verified_step_ends_the_count() -> None:
    good = attempt(AttemptState.VERIFIED, evidence=Evidence.EFFECT, ended_at=NOW)
    assert may_start_at([good, *[failed(FailureClass.BOOT)] * 5]) is None
    assert may_start_at([failed(FailureClass.INSTALL), good, *[failed(FailureClass.INSTALL)] * 5]) == NOW + 60


def test_a_withdrawn_attempt_is_no_failure() -> None:
    assert may_start_at([attempt(AttemptState.WITHDRAWN, ended_at=NOW)]) is None


def test_the_pause_runs_from_the_latest_failure() -> None:
    assert may_start_at([failed(FailureClass.INSTALL, at=500), failed(FailureClass.INSTALL, at=100)]) == NOW + 500 + 120


def test_only_failures_of_the_same_class_use_up_its_tries() -> None:
    mixed = [failed(FailureClass.INSTALL), failed(FailureClass.TRANSPORT), failed(FailureClass.TRANSPORT)]
    assert may_start_at(mixed) == NOW + 60
    assert may_start_at([failed(FailureClass.INSTALL), *mixed, failed(FailureClass.INSTALL)]) == GIVEN_UP


AT_ONCE = {FailureClass.BOOT, FailureClass.INCOMPATIBLE, FailureClass.INTEGRITY, FailureClass.LOST}
WHEN_GIVEN_UP = {FailureClass.TRANSPORT, FailureClass.INSTALL}
NEVER = {FailureClass.OFFLINE, FailureClass.REFUSED, FailureClass.UNAUTHORISED}


@pytest.mark.parametrize("failure", sorted(FailureClass))
def test_a_failure_counts_against_the_rollout_at_once_when_given_up_or_never(failure: FailureClass) -> None:
    once, for_good = [failed(failure)], [failed(failure)] * 6
    assert counts_against_rollout(once) == (failure in AT_ONCE)
    assert counts_against_rollout(for_good) == (failure in AT_ONCE | WHEN_GIVEN_UP)


def test_every_class_of_failure_counts_in_one_way() -> None:
    assert sorted([*AT_ONCE, *WHEN_GIVEN_UP, *NEVER]) == sorted(FailureClass)


def test_what_came_right_counts_no_more() -> None:
    good = attempt(AttemptState.VERIFIED, evidence=Evidence.EFFECT, ended_at=NOW)
    assert not counts_against_rollout([good, failed(FailureClass.BOOT)])
    assert not counts_against_rollout([])


def test_being_offline_uses_up_no_try_of_a_device_that_boots_badly() -> None:
    mixed = [failed(FailureClass.BOOT), *[failed(FailureClass.OFFLINE)] * 5]
    assert may_start_at(mixed) == NOW + 120
    assert counts_against_rollout(mixed)
