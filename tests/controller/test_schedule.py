"""Products have turns: nobody starves, trouble stays where it is, and a person's word is heard at once."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller.pace import Pause
from reconciler.controller.schedule import BACK_OFF_SECONDS_MAX, JITTER, Schedule

IDLE = Pause(at_least=3.0, at_most=300.0)


@pytest.fixture
def schedule() -> Schedule:
    made = Schedule(Random(7))
    made.follow(["a", "b"], now=0.0)
    return made


def passed(schedule: Schedule, product: str, pause: Pause = IDLE, *, now: float) -> None:
    """A pass of a product, from its beginning to its end."""
    schedule.begin(product)
    schedule.end(product, pause, now=now)


def test_new_products_are_due_at_once_and_have_one_pass_at_a_time(schedule: Schedule) -> None:
    assert schedule.due(now=0.0) == ["a", "b"]
    schedule.begin("a")
    assert schedule.due(now=10.0) == ["b"]
    assert list(schedule.under_way) == ["a"]


def test_after_a_pass_a_product_waits_for_its_time(schedule: Schedule) -> None:
    passed(schedule, "a", now=10.0)
    assert schedule.due(now=309.0) == ["b"]
    assert schedule.due(now=310.0) == ["b", "a"]


def test_news_bring_the_next_pass_forward_but_no_nearer_than_the_last_look_allows(schedule: Schedule) -> None:
    passed(schedule, "a", now=10.0)
    schedule.wake("a", now=11.0)
    assert schedule.due(now=12.9) == ["b"]
    assert "a" in schedule.due(now=13.0)


def test_news_that_come_in_the_midst_of_a_pass_are_not_lost(schedule: Schedule) -> None:
    schedule.begin("a")
    schedule.wake("a", now=1.0)
    schedule.end("a", IDLE, now=2.0)
    assert "a" in schedule.due(now=5.0)


def test_a_persons_word_is_due_at_once_also_in_the_midst_of_a_pass_and_in_trouble(schedule: Schedule) -> None:
    schedule.begin("a")
    schedule.wake("a", now=1.0, by_word=True)
    schedule.fail("a", silence_seconds=math.inf, now=2.0)
    assert "a" in schedule.due(now=2.0)
    schedule.begin("b")
    schedule.fail("b", silence_seconds=math.inf, now=2.0)
    assert "b" not in schedule.due(now=1e9)
    schedule.wake("b", now=3.0)
    assert "b" not in schedule.due(now=1e9)
    schedule.wake("b", now=4.0, by_word=True)
    assert "b" in schedule.due(now=4.0)


def test_a_product_in_trouble_waits_longer_every_time_up_to_a_limit_and_a_good_pass_forgives(
    schedule: Schedule,
) -> None:
    waits = []
    for _ in range(12):
        schedule.begin("a")
        waits.append(schedule.fail("a", now=0.0))
    assert waits[0] < waits[1] < waits[2] < waits[3]
    assert max(waits) <= BACK_OFF_SECONDS_MAX * (1 + JITTER)
    passed(schedule, "a", now=0.0)
    schedule.begin("a")
    assert schedule.fail("a", now=0.0) <= waits[0] * (1 + JITTER) / (1 - JITTER)


def test_the_silence_that_the_cloud_wants_is_kept(schedule: Schedule) -> None:
    schedule.begin("a")
    assert schedule.fail("a", silence_seconds=120.0, now=0.0) == 120.0


def test_products_that_are_gone_have_no_turns_and_their_pass_ends_without_a_trace(schedule: Schedule) -> None:
    schedule.begin("a")
    schedule.follow(["b", None], now=5.0)
    schedule.end("a", IDLE, now=6.0)
    assert set(schedule.due(now=6.0)) == {"b", None}


@given(
    st.lists(
        st.tuples(st.sampled_from(["wake", "word", "fail", "end"]), st.integers(0, 4), st.floats(0.0, 60.0)),
        max_size=60,
    )
)
def test_whoever_is_due_for_longest_comes_first_so_that_nobody_starves(does: list[tuple[str, int, float]]) -> None:
    """Whatever happens to others, a product's pass begins before every other product has had two."""
    schedule, now = Schedule(Random(1)), 0.0
    products = [f"product {number}" for number in range(5)]
    schedule.follow(products, now=now)
    passes_since_due = dict.fromkeys(products, 0)
    for what, number, later in does:
        now += later
        due = schedule.due(now=now)
        if due:
            first = due[0]
            for other in due[1:]:
                passes_since_due[other] += 1
            passes_since_due[first] = 0
            schedule.begin(first)
            if what == "fail":
                schedule.fail(first, now=now)
            else:
                schedule.end(first, Pause(at_least=1.0, at_most=10.0), now=now)
        schedule.wake(products[number], now=now, by_word=what == "word")
        assert max(passes_since_due.values()) <= 2 * len(products)
