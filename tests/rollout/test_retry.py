from __future__ import annotations

import pytest

from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.instant import Instant
from reconciler.rollout.retry import UNTIL_A_PERSON, counts_against_rollout, held_until, may_start_at
from tests.fleet_samples import NOW, attempt

FAILED = AttemptState.FAILED


def failed(failure: FailureClass, *, at: float = 0.0) -> Attempt:
    return attempt(FAILED, failure=failure, ended_at=Instant(NOW + at))


HOUR = 3600
FOR_EVER = float("inf")


def rounds(pauses_seconds: list[float], *, nobody_has_to_act: bool = False) -> list[float]:
    """The pauses of every round, and the hold that ends it."""
    ends: list[float] = [HOUR, 4 * HOUR, 24 * HOUR, 24 * HOUR if nobody_has_to_act else FOR_EVER]
    return [seconds for end in ends for seconds in (*pauses_seconds, end)]


def pauses(failure: FailureClass) -> list[float]:
    """How many seconds after each failure in a row the device may be tried again, up to a person or the third day."""
    found: list[float] = []
    for count in range(1, 40):
        earliest = may_start_at([failed(failure)] * count)
        assert earliest is not None
        found.append(earliest - NOW)
        if earliest == UNTIL_A_PERSON or found.count(24 * HOUR) == 2:
            return found
    pytest.fail("it is tried for ever")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (FailureClass.OFFLINE, rounds([30, 60, 120, 240, 480], nobody_has_to_act=True)),
        (FailureClass.TRANSPORT, rounds([30, 60, 120, 240, 480], nobody_has_to_act=True)),
        (FailureClass.INSTALL, rounds([60, 120])),
        (FailureClass.REFUSED, rounds([330, 660])),
        (FailureClass.BOOT, rounds([120])),
        (FailureClass.INCOMPATIBLE, [FOR_EVER]),
        (FailureClass.INTEGRITY, [FOR_EVER]),
        (FailureClass.UNAUTHORISED, rounds([30, 60, 120, 240, 480])),
        (FailureClass.LOST, [FOR_EVER]),
    ],
)
def test_pauses_grow_then_a_device_is_left_alone_for_longer_and_longer_then_a_person_must_come(
    failure: FailureClass, expected: list[float]
) -> None:
    assert pauses(failure) == expected


@pytest.mark.parametrize(("failures", "until"), [(1, None), (2, HOUR), (3, None), (4, 4 * HOUR), (6, 24 * HOUR)])
def test_a_device_is_held_when_its_tries_are_used_up_and_comes_back_by_itself(
    failures: int, until: float | None
) -> None:
    attempts = [failed(FailureClass.BOOT)] * failures
    end = held_until(attempts, NOW)
    assert end == (None if until is None else NOW + until)
    if end is not None:
        assert held_until(attempts, end) is None


def test_after_the_last_hold_only_a_person_frees_a_device() -> None:
    assert held_until([failed(FailureClass.BOOT)] * 8, Instant(NOW + 10**9)) == UNTIL_A_PERSON


def test_a_device_that_was_held_and_is_tried_again_still_counts_until_it_comes_right() -> None:
    assert counts_against_rollout([failed(FailureClass.INSTALL)] * 4)


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
    assert may_start_at([failed(FailureClass.INSTALL), *mixed, failed(FailureClass.INSTALL)]) == NOW + HOUR


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


def test_what_is_verified_a_second_time_is_no_progress_and_tries_are_used_up_all_the_same() -> None:
    bootloader = attempt(AttemptState.VERIFIED)
    refused = failed(FailureClass.INSTALL)
    latest_first = [refused, bootloader, refused, bootloader, refused, bootloader]

    assert held_until(latest_first, NOW) == NOW + HOUR
    assert counts_against_rollout(latest_first)


def test_what_is_verified_for_the_first_time_ends_the_count() -> None:
    bootloader = attempt(AttemptState.VERIFIED)
    refused = failed(FailureClass.INSTALL)
    assert held_until([bootloader, refused, refused, refused], NOW) is None
    assert not counts_against_rollout([bootloader, refused, refused, refused])
