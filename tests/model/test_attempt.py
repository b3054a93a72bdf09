"""The life of an attempt, as it is drawn at the head of `model/attempt.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.model.attempt import MOVES, OPEN_STATES, Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceId
from reconciler.model.error import BugError
from reconciler.model.instant import Instant
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion

INTENDED = Attempt(
    id="a1",
    device_id=DeviceId("d1"),
    fleet="eu",
    plan_id="p",
    step=LockApplication(application=ApplicationVersion(44)),
    state=AttemptState.INTENDED,
    intended_at=Instant(100),
    handshake_before=Instant(50),
)

VERBS: dict[AttemptState, Callable[[Attempt], Attempt]] = {
    AttemptState.SENT: lambda attempt: attempt.sent(Instant(101)),
    AttemptState.UNKNOWN: lambda attempt: attempt.lost_sight("killed"),
    AttemptState.VERIFIED: lambda attempt: attempt.verified(Evidence.RESTARTED, Instant(102)),
    AttemptState.FAILED: lambda attempt: attempt.failed(FailureClass.BOOT, "no", Instant(102)),
    AttemptState.WITHDRAWN: lambda attempt: attempt.withdrawn("stopped", Instant(102)),
}

DRAWN = {
    ("intended", "sent"),
    ("intended", "unknown"),
    ("intended", "failed"),
    ("intended", "withdrawn"),
    ("sent", "unknown"),
    ("sent", "verified"),
    ("sent", "failed"),
    ("unknown", "verified"),
    ("unknown", "failed"),
}
"""The arrows of the drawing, written down a second time: the table and the verbs must both agree with them."""


def test_the_table_is_the_drawing() -> None:
    assert {(before.value, after.value) for before, afters in MOVES.items() for after in afters} == DRAWN
    assert set(MOVES) == set(AttemptState)


@pytest.mark.parametrize("before", AttemptState)
@pytest.mark.parametrize("after", VERBS)
def test_every_verb_follows_the_drawing(before: AttemptState, after: AttemptState) -> None:
    attempt = replace(INTENDED, state=before)
    if (before.value, after.value) in DRAWN:
        assert VERBS[after](attempt).state is after
    else:
        with pytest.raises(BugError, match=f"PFR9001 attempt a1 is {before} and cannot become {after}"):
            VERBS[after](attempt)


def test_nothing_leads_back_to_intended() -> None:
    assert all(AttemptState.INTENDED not in afters for afters in MOVES.values())


def test_open_states_are_those_that_something_may_follow() -> None:
    assert {state for state in AttemptState if MOVES[state]} == OPEN_STATES


@pytest.mark.parametrize("state", AttemptState)
def test_an_attempt_is_open_until_its_outcome_is_known(state: AttemptState) -> None:
    assert replace(INTENDED, state=state).is_open is (state.value in {"intended", "sent", "unknown"})


def test_a_verified_attempt_says_when_it_was_sent_and_how_it_is_known() -> None:
    verified = INTENDED.sent(Instant(101)).verified(Evidence.EFFECT, Instant(160))
    assert (verified.sent_at, verified.ended_at, verified.evidence, verified.failure) == (
        101,
        160,
        Evidence.EFFECT,
        None,
    )


def test_a_failed_attempt_says_why_and_when() -> None:
    failed = INTENDED.failed(FailureClass.REFUSED, "404", Instant(101))
    assert (failed.failure, failed.detail, failed.ended_at, failed.evidence) == (
        FailureClass.REFUSED,
        "404",
        101,
        None,
    )


@pytest.mark.parametrize("verb", VERBS.values())
def test_a_move_never_changes_what_the_attempt_is_about(verb: Callable[[Attempt], Attempt]) -> None:
    before = INTENDED if verb is VERBS[AttemptState.SENT] or verb is VERBS[AttemptState.WITHDRAWN] else None
    before = before or INTENDED.sent(Instant(101))
    after = verb(before)
    for name in ("id", "device_id", "fleet", "plan_id", "step", "intended_at", "handshake_before"):
        assert getattr(after, name) == getattr(before, name)


def test_a_move_leaves_the_attempt_before_it_as_it_was() -> None:
    INTENDED.sent(Instant(101))
    assert INTENDED.state is AttemptState.INTENDED
