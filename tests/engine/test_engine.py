"""One engine on a real PostgreSQL, with passes that do nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import psycopg
import pytest
from procrastinate.manager import JobManager

from reconciler.controller.pace import Pause
from reconciler.controller.runner import Ended, Product
from reconciler.controller.schedule import Schedule
from reconciler.engine.runner import TASK, Engine, EngineSettings, make_tables
from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres_turns import PostgresTurns
from reconciler.model.error import JournalError

WITHIN_SECONDS = 60.0


class Passes:
    """`went_on`: for each pass whether nobody else had had the product."""

    def __init__(self) -> None:
        self.went_on: list[bool] = []
        self.had_one = threading.Event()

    def admit(self, product: Product) -> bool:
        return True

    def dismiss(self, product: Product) -> None:
        """Nothing was begun."""

    def run(self, product: Product, *, goes_on: bool) -> Ended:
        self.went_on.append(goes_on)
        self.had_one.set()
        return Ended(pause=Pause(at_least=0.0, at_most=3600.0))


@contextmanager
def engine_on(place: PostgresPlace) -> Iterator[Engine]:
    wrong: list[BaseException] = []
    settings = EngineSettings(place=place, holder="alive", passes_at_once=2, lost_seconds=5.0, grace_seconds=5.0)
    with Engine(settings, Schedule(Random(1)), report=wrong.append) as engine:
        yield engine
    assert wrong == []


def test_a_job_that_waits_in_the_queue_of_a_dead_worker_keeps_nobody_from_its_product(postgres_journal: str) -> None:
    place, passes = PostgresPlace(postgres_journal), Passes()
    make_tables(place)
    with psycopg.connect(postgres_journal) as connection:
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, status)"
            " VALUES ('passes@dead', %s, 0, 'product 7', 'product 7', '{\"product\": \"7\"}', 'todo')",
            [TASK],
        )
    with engine_on(place) as engine:
        engine.runner(passes, is_latest=lambda: True).follow(["7"])
        assert passes.had_one.wait(WITHIN_SECONDS)


def test_a_product_that_passes_to_another_loop_begins_anew_there(postgres_journal: str) -> None:
    first, second = Passes(), Passes()
    with engine_on(PostgresPlace(postgres_journal)) as engine:
        before = engine.runner(first, is_latest=lambda: True)
        before.follow(["7"])
        assert first.had_one.wait(WITHIN_SECONDS)
        before.end()
        engine.runner(second, is_latest=lambda: True).follow(["7"])
        assert second.had_one.wait(WITHIN_SECONDS)
        assert engine.queue().ok
    assert (len(first.went_on), second.went_on) == (1, [False])


def test_who_has_not_what_was_taken_last_has_no_pass(postgres_journal: str) -> None:
    late, latest = Passes(), Passes()
    with engine_on(PostgresPlace(postgres_journal)) as engine:
        for passes in (late, latest):
            engine.runner(passes, is_latest=lambda passes=passes: passes is latest).follow(["7"])
        assert latest.had_one.wait(WITHIN_SECONDS)
    assert late.went_on == []


def test_who_dies_while_it_rescues_leaves_the_product_to_others(
    postgres_journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, passes, died = PostgresPlace(postgres_journal), Passes(), threading.Event()
    make_tables(place)
    turns = PostgresTurns(place, holder="dead")
    turns.due(["7"])
    turns.begin("7")
    with psycopg.connect(postgres_journal) as connection:
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, args, status)"
            " VALUES ('passes', %s, 0, 'product 7', '{\"product\": \"7\"}', 'doing')",
            [TASK],
        )
    finish = JobManager.finish_job

    async def die_after_it(*arguments: Any, **options: Any) -> None:
        await finish(*arguments, **options)
        if not died.is_set():
            died.set()
            raise JournalError("PFR5001", "gone", next_step="none")

    monkeypatch.setattr(JobManager, "finish_job", die_after_it)
    with engine_on(place) as engine:
        engine.runner(passes, is_latest=lambda: True).follow(["7"])
        assert passes.had_one.wait(WITHIN_SECONDS)
    turns.close()
    assert died.is_set()
