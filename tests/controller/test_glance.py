"""What is shown is worked out for a small share of the time only."""

from __future__ import annotations

import pytest

from reconciler.controller.glance import SHOWN_SECONDS_MAX, SHOWN_TIMES, Glance


class Slow:
    """A look that takes a while, by a clock of its own, and counts."""

    def __init__(self, seconds: float) -> None:
        self.now = 0.0
        self.looks = 0
        self.seconds = seconds

    def look(self) -> int:
        self.now += self.seconds
        self.looks += 1
        return self.looks

    def clock(self) -> float:
        return self.now


def test_whoever_looks_all_the_time_takes_a_tenth_of_it() -> None:
    slow = Slow(2.0)
    glance = Glance(slow.look, slow.clock)
    while slow.now < 1000.0:
        glance()
        slow.now += 0.5
    assert slow.looks * slow.seconds == pytest.approx(slow.now / (SHOWN_TIMES + 1), rel=0.1)


def test_it_is_never_shown_for_longer_than_people_wait() -> None:
    slow = Slow(60.0)
    glance = Glance(slow.look, slow.clock)
    assert glance() == 1
    slow.now += SHOWN_SECONDS_MAX
    assert glance() == 2


def test_what_is_not_true_any_more_is_not_shown() -> None:
    slow = Slow(2.0)
    glance = Glance(slow.look, slow.clock)
    assert (glance(), glance()) == (1, 1)
    glance.is_over()
    assert (glance(), glance()) == (2, 2)


def test_a_look_that_failed_is_tried_again() -> None:
    slow = Slow(2.0)
    fails = True

    def look() -> int:
        if fails:
            raise ValueError
        return slow.look()

    glance = Glance(look, slow.clock)
    with pytest.raises(ValueError):  # noqa: PT011  # whatever it was
        glance()
    fails = False
    assert glance() == 1
