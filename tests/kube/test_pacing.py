"""Statuses are written seldom, never in vain, and the last one always."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reconciler.kube.pacing import WRITE_EVERY_SECONDS, StatusPace

STATUSES = st.integers(0, 3).map(lambda number: {"observedGeneration": number})


def test_the_first_status_is_written_at_once_and_the_same_one_never_again() -> None:
    pace, written = StatusPace().offered({"a": 1}).take(100.0)
    assert written == {"a": 1}
    assert pace.offered({"a": 1}).due_at() is None


def test_a_second_status_waits_and_a_third_takes_its_place() -> None:
    pace, _ = StatusPace().offered({"a": 1}).take(100.0)
    pace = pace.offered({"a": 2}).offered({"a": 3})
    assert pace.take(109.9)[1] is None
    assert pace.due_at() == 110.0
    assert pace.take(110.0)[1] == {"a": 3}


def test_what_goes_back_to_what_is_written_is_not_written() -> None:
    pace, _ = StatusPace().offered({"a": 1}).take(100.0)
    assert pace.offered({"a": 2}).offered({"a": 1}).take(200.0)[1] is None


def test_a_write_that_failed_goes_again_after_the_pause() -> None:
    pace, written = StatusPace().offered({"a": 1}).take(100.0)
    assert written is not None
    pace = pace.failed(written)
    assert pace.take(105.0)[1] is None
    assert pace.take(110.0)[1] == {"a": 1}


def test_after_a_failure_the_newer_status_goes() -> None:
    pace, written = StatusPace().offered({"a": 1}).take(100.0)
    assert written is not None
    assert pace.offered({"a": 2}).failed(written).take(110.0)[1] == {"a": 2}


def test_after_a_failure_nobody_knows_what_is_there_so_that_the_same_status_goes_again() -> None:
    pace, _ = StatusPace().offered({"a": 1}).take(100.0)
    pace, written = pace.offered({"a": 2}).take(110.0)
    assert written is not None
    assert pace.failed(written).offered({"a": 1}).take(120.0)[1] == {"a": 1}


@given(st.lists(st.tuples(st.integers(0, 15), STATUSES, st.booleans()), min_size=1, max_size=40))
def test_whatever_comes_the_resource_ends_with_the_last_status_and_writes_are_apart(
    offers: list[tuple[int, dict[str, int], bool]],
) -> None:
    pace, now, there = StatusPace(), 1000.0, None
    times: list[float] = []
    for wait, status, is_lost in offers:
        now += wait
        pace, document = pace.offered(status).take(now)
        if document is not None:
            times.append(now)
            pace, there = (pace.failed(document), there) if is_lost else (pace, document)
    due = pace.due_at()
    if due is not None:
        pace, document = pace.take(max(now, due))
        assert document is not None
        times.append(max(now, due))
        there = document
    assert there == offers[-1][1]
    assert all(later - earlier >= WRITE_EVERY_SECONDS for earlier, later in pairwise(times))
