"""Dice that replay."""

from __future__ import annotations

import sys
from itertools import pairwise

from reconciler.emulator.dice import Dice


def test_the_same_text_throws_the_same() -> None:
    assert [Dice("7/life/a").random() for _ in range(3)] == [Dice("7/life/a").random()] * 3
    assert Dice("7/life/a").random() != Dice("7/life/b").random()
    first, second = Dice("x"), Dice("x")
    assert [first.random() for _ in range(50)] == [second.random() for _ in range(50)]


def test_the_throws_of_a_release_are_those_of_the_next() -> None:
    # One seed, one history: also after an update of this package or of Python.
    dice = Dice("7/life/e00fce680000000000000001")
    assert [round(dice.random(), 12) for _ in range(3)] == [0.412913817209, 0.247756814492, 0.792692358678]


def test_throws_are_spread_evenly() -> None:
    dice = Dice("spread")
    throws = [dice.uniform(2.0, 7.0) for _ in range(20_000)]
    counts = [sum(low <= throw < low + 1 for throw in throws) for low in range(2, 7)]
    assert sum(counts) == len(throws)
    assert all(3_700 < count < 4_300 for count in counts)
    assert 9_500 < sum(dice.coin() for _ in range(20_000)) < 10_500


def test_neighbouring_dice_have_nothing_to_do_with_each_other() -> None:
    firsts = sorted(Dice(f"7/life/{number}").random() for number in range(1000))
    gaps = [later - earlier for earlier, later in pairwise(firsts)]
    assert max(gaps) < 0.02


def test_every_face_comes_up() -> None:
    dice = Dice("faces")
    assert {dice.choice("abcdef") for _ in range(200)} == set("abcdef")


def test_a_die_is_small() -> None:
    assert sys.getsizeof(Dice("a")) < 100
