"""One request budget for many processes: together they take no more than one, and silence is everybody's."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres_allowance import PostgresAllowance
from reconciler.model.allowance import Allowance
from reconciler.particle.budget import RequestBudget
from tests.cut_connection import CuttableWay

SLOW = Allowance(requests=60, window_seconds=36_000.0, at_once=50)
"""Fifty at once, and the next after an hour."""


@pytest.fixture
def place(postgres_journal: str) -> PostgresPlace:
    return PostgresPlace(postgres_journal)


def taken(bucket: PostgresAllowance, tries: int) -> int:
    return sum(bucket.take(time.monotonic()) == 0 for _ in range(tries))


def test_two_processes_together_take_what_one_may(place: PostgresPlace) -> None:
    buckets = [PostgresAllowance(place, "cloud", SLOW) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda each: taken(each, 20), buckets)) == SLOW.at_once
    elsewhere = PostgresAllowance(place, "cloud elsewhere", SLOW)
    assert taken(elsewhere, 3) == 3
    for each in (*buckets, elsewhere):
        each.close()


def test_what_the_cloud_said_to_one_holds_for_all(place: PostgresPlace) -> None:
    one, other = PostgresAllowance(place, "cloud", SLOW), PostgresAllowance(place, "cloud", SLOW)
    one.be_silent(time.monotonic() + 600.0)
    waits = RequestBudget(clock=time.monotonic, sleep=lambda _: None, shared=other)
    assert 500.0 < waits.take(write=True, silence_seconds_max=30.0) <= 600.0
    one.close()
    other.close()


def test_a_budget_that_cannot_be_asked_allows_nothing_and_comes_back(postgres_journal: str, tmp_path: Path) -> None:
    way = CuttableWay(tmp_path, postgres_journal)
    bucket = PostgresAllowance(PostgresPlace(way.address), "cloud", SLOW)
    now = time.monotonic()
    way.cut()
    away = bucket.take(now)
    assert away > 0
    assert bucket.silent_until > now
    way.mend()
    assert bucket.take(now + away) == 0
    bucket.close()
    way.close()
