"""The turns of products: what is due, who has it, and that nobody who was overtaken says anything of it any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres_turns import PostgresTurns, Turn


@pytest.fixture
def place(postgres_journal: str) -> PostgresPlace:
    return PostgresPlace(postgres_journal)


@pytest.fixture
def ann(place: PostgresPlace) -> Iterator[PostgresTurns]:
    turns = PostgresTurns(place, holder="ann")
    yield turns
    turns.close()


@pytest.fixture
def bob(place: PostgresPlace) -> Iterator[PostgresTurns]:
    turns = PostgresTurns(place, holder="bob")
    yield turns
    turns.close()


def begun(turns: PostgresTurns, product: str = "a") -> Turn:
    turn = turns.begin(product)
    assert turn is not None
    return turn


def due(turns: PostgresTurns) -> dict[str, str | None]:
    return {each.product: each.holder for each in turns.due(["a", "b"])}


def test_what_nobody_knew_is_due_and_what_nobody_knows_has_no_pass(ann: PostgresTurns) -> None:
    assert ann.begin("a") is None
    assert due(ann) == {"a": None, "b": None}


def test_a_pass_goes_on_where_nobody_else_had_the_product(ann: PostgresTurns, bob: PostgresTurns) -> None:
    due(ann)
    first = begun(ann)
    assert (first.goes_on, due(ann), ann.held()) == (False, {"b": None}, {"a"})
    ann.end(first, at_least=0.0, at_most=0.0)
    assert due(bob) == {"b": None, "a": "ann"}
    assert begun(ann).goes_on
    assert not begun(bob).goes_on
    assert not begun(ann).goes_on


def test_who_was_overtaken_says_nothing_of_the_product(ann: PostgresTurns, bob: PostgresTurns) -> None:
    due(ann)
    late = begun(ann)
    ann.release("a", number=ann.numbers()["a"])
    begun(bob)
    ann.end(late, at_least=0.0, at_most=0.0)
    ann.fail(late, wait=0.0)
    assert "a" not in due(ann)
    assert begun(bob).failures == 0


def test_news_in_the_midst_of_a_pass_are_not_lost_and_a_word_waits_for_nothing(ann: PostgresTurns) -> None:
    due(ann)
    turn = begun(ann)
    ann.wake("a", by_word=False)
    ann.end(turn, at_least=3600.0, at_most=7200.0)
    assert "a" not in due(ann)
    ann.wake("a", by_word=False)
    assert "a" not in due(ann)
    ann.wake("a", by_word=True)
    assert "a" in due(ann)
    turn = begun(ann)
    ann.wake("a", by_word=True)
    ann.end(turn, at_least=3600.0, at_most=7200.0)
    assert "a" in due(ann)


def test_failures_are_counted_whoever_has_them_until_a_pass_ends_well(ann: PostgresTurns, bob: PostgresTurns) -> None:
    due(ann)
    ann.fail(begun(ann), wait=3600.0)
    assert "a" not in due(ann)
    assert begun(bob).failures == 1
    turn = begun(bob)
    bob.end(turn, at_least=0.0, at_most=0.0)
    assert begun(ann).failures == 0


def test_who_ends_leaves_all_it_had_and_who_cannot_declines(ann: PostgresTurns, bob: PostgresTurns) -> None:
    due(ann)
    ann.end(begun(ann), at_least=0.0, at_most=0.0)
    bob.decline("b", seconds=3600.0)
    assert due(bob) == {"a": "ann"}
    ann.leave()
    assert due(bob) == {"a": None}
