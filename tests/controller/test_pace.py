"""How soon to look again."""

from __future__ import annotations

import pytest

from reconciler.controller.pace import (
    LOOK_SECONDS_MAX,
    LOOK_SECONDS_MIN,
    LOOKING_SHARE,
    POLL_SECONDS,
    Pause,
    pause_after,
)

RATE = 8_000 / 300


def test_news_of_a_small_fleet_is_looked_at_soon_and_silence_after_a_while() -> None:
    pause = pause_after(1, RATE, poll_seconds=None, silence=0.0)
    assert pause == Pause(at_least=LOOK_SECONDS_MIN, at_most=POLL_SECONDS)


@pytest.mark.parametrize("pages", [10, 20, 50])
def test_looking_takes_no_more_than_its_share_of_the_budget(pages: int) -> None:
    pause = pause_after(pages, RATE, poll_seconds=None, silence=0.0)
    assert pages / pause.at_least == pytest.approx(RATE * LOOKING_SHARE)
    assert pause.at_most >= pause.at_least


def test_the_largest_fleet_is_looked_at_too() -> None:
    pause = pause_after(1_000, RATE, poll_seconds=None, silence=0.0)
    assert pause == Pause(at_least=LOOK_SECONDS_MAX, at_most=LOOK_SECONDS_MAX)


def test_a_persons_wish_for_more_looks_holds_whatever_they_cost() -> None:
    assert pause_after(100, RATE, poll_seconds=2.0, silence=0.0) == Pause(at_least=2.0, at_most=2.0)


def test_a_persons_wish_for_fewer_looks_does_not_make_news_wait() -> None:
    assert pause_after(1, RATE, poll_seconds=300.0, silence=0.0) == Pause(at_least=LOOK_SECONDS_MIN, at_most=300.0)


def test_the_clouds_wish_for_silence_is_above_all() -> None:
    assert pause_after(1, RATE, poll_seconds=0.1, silence=90.0) == Pause(at_least=90.0, at_most=90.0)
