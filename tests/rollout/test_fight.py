from __future__ import annotations

from dataclasses import replace

from reconciler.model.console import ChangeKind, ConsoleChange, Latch
from reconciler.model.instant import Instant
from reconciler.rollout.fight import FIGHT_SECONDS, latch_of, latches_that_halt
from tests.fleet_samples import NOW, ONE


def undone(number: int, attempt: str | None = None, intent: str = "i", *, at: float | None = None) -> ConsoleChange:
    """The undoing of one attempt, an hour after the one before."""
    seen_at = Instant(NOW + 3600 * number if at is None else at)
    return ConsoleChange(
        device_id=ONE,
        fleet="eu",
        intent=intent,
        kind=ChangeKind.LOCK,
        before="44",
        after="43",
        not_before=NOW,
        seen_at=seen_at,
        concerns_git=True,
        undid=attempt or f"attempt-{number}",
    )


ROUNDS = [undone(1), undone(2), undone(3)]


def latched(changes: list[ConsoleChange], last: Latch | None = None) -> Latch | None:
    return latch_of(changes, last, now=changes[-1].seen_at)


def test_three_rounds_are_a_fight_and_two_are_not() -> None:
    assert latched(ROUNDS[:2]) is None
    latch = latched(ROUNDS)
    assert latch is not None
    assert (latch.device_id, latch.fleet, latch.intent, latch.lifted) == (ONE, "eu", "i", False)
    assert latch.at == ROUNDS[-1].seen_at
    assert "3 times" in latch.why
    assert "lock 44 -> 43" in latch.why


def test_one_attempt_undone_is_one_round_however_often_it_shows() -> None:
    lock, application = undone(1), replace(undone(2, "attempt-1"), kind=ChangeKind.APPLICATION)
    assert latched([lock, application, undone(3, "attempt-1"), undone(4)]) is None


def test_what_undid_nothing_of_ours_is_no_round() -> None:
    assert latched([replace(change, undid=None) for change in ROUNDS]) is None


def test_rounds_of_an_earlier_intent_do_not_count() -> None:
    assert latched([undone(1, intent="earlier"), *ROUNDS[1:]]) is None


def test_rounds_that_are_older_than_a_week_do_not_count() -> None:
    last = undone(9, at=NOW + FIGHT_SECONDS + 3601)
    assert latched([*ROUNDS[:2], last]) is None
    assert latched([*ROUNDS[:2], replace(last, seen_at=Instant(NOW + FIGHT_SECONDS + 3600))]) is not None


def test_after_a_person_has_settled_a_fight_the_rounds_are_counted_anew() -> None:
    settled = latched(ROUNDS)
    assert settled is not None
    settled = replace(settled, lifted=True)
    again = [*ROUNDS, undone(4), undone(5)]
    assert latched(again, settled) is None
    assert latched([*again, undone(6)], settled) is not None


def test_a_fleet_is_halted_when_a_tenth_of_it_and_at_least_five_are_latched() -> None:
    assert [latches_that_halt(devices) for devices in (1, 50, 51, 1000)] == [5, 5, 6, 100]
