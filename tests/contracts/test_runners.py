"""Whoever runs the passes, one process or several: dying, pausing and losing the database hurt no device.

Every play is of real processes on a served cloud with its referee, by whose laws no device is acted on by two.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.rollout_entry import Halted, RolloutCompleted
from tests.cut_connection import CuttableWay
from tests.postgres_server import restart
from tests.simulation.strikes import assert_all_well, struck_in_the_midst, wait_until_taken_over
from tests.simulation.worker_stage import (
    PRODUCTS,
    WITHIN_SECONDS,
    Crew,
    WorkerStage,
    fleets,
    several_operators,
    worker_stage,
)

LONGER_THAN_LOST = 4.0
"""A worker may be silent for three seconds."""


@pytest.fixture(params=["sqlite", "postgres"])
def alone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crew]:
    """A stage for one process, on every kind of runner."""
    journal = str(tmp_path / "journal.sqlite")
    if request.param == "postgres":
        journal = request.getfixturevalue("postgres_journal")
    with worker_stage(tmp_path, journal) as made:
        yield made


@contextlib.contextmanager
def played(kind: str, folder: Path, journal: str) -> Iterator[Crew]:
    with (worker_stage if kind == "controllers" else several_operators)(folder, journal) as made:
        yield made


@pytest.fixture(params=["controllers", "operators"])
def stage(request: pytest.FixtureRequest, postgres_journal: str, tmp_path: Path) -> Iterator[Crew]:
    with played(request.param, tmp_path, postgres_journal) as made:
        yield made


def begin_several(stage: Crew, count: int) -> None:
    """Of controllers one, and workers beside it; operators are all alike."""
    stage.desire("2.1.0")
    for command in (None, *["worker"] * (count - 1)):
        stage.begin(command)


def test_one_process_that_sleeps_and_dies_goes_on_where_it_was(alone: Crew) -> None:
    alone.desire("2.1.0")
    first = alone.begin()
    stopped = threading.Event()
    alone.stage.when_flashed(3, lambda: (first.send(signal.SIGSTOP), stopped.set()))
    alone.wait_for(stopped.is_set)
    time.sleep(LONGER_THAN_LOST)
    alone.stage.when_flashed(2, lambda: first.send(signal.SIGKILL))
    first.send(signal.SIGCONT)
    first.process.wait(WITHIN_SECONDS)
    alone.begin()
    assert_all_well(alone)


def test_workers_that_sleep_die_and_end_hurt_no_device_and_others_take_over(stage: Crew) -> None:
    begin_several(stage, 3)
    paused = struck_in_the_midst(stage, signal.SIGSTOP)
    wait_until_taken_over(stage, paused)
    paused.send(signal.SIGCONT)
    stage.wait_for(lambda: "PFR5021" in paused.said())
    stage.wait_for_release("2.1.0")
    stage.desire("2.2.0")
    wait_until_taken_over(stage, struck_in_the_midst(stage, signal.SIGKILL))
    stage.wait_for_release("2.2.0")
    stage.desire("2.3.0")
    ended = struck_in_the_midst(stage, signal.SIGTERM)
    assert ended.process.wait(WITHIN_SECONDS) == 0
    assert ended.process.pid not in stage.holders().values()
    assert_all_well(stage, release="2.3.0")


@pytest.mark.parametrize("kind", ["controllers", "operators"])
def test_a_worker_that_is_cut_off_from_the_journal_begins_nothing_until_it_is_back(
    kind: str, postgres_journal: str, tmp_path: Path
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="way-"))  # the path of a socket may have about 100 characters
    way = CuttableWay(folder, postgres_journal)
    try:
        with played(kind, tmp_path, postgres_journal) as stage:
            stage.desire("2.1.0")
            cut = stage.begin(journal=way.address)
            stage.wait_for(lambda: cut.process.pid in stage.holders().values())
            stage.wait_for(lambda: all(stage.checks(cut).values()))
            assert stage.checks(cut).keys() >= {"journal", "queue", *stage.looks_at}
            other = stage.begin("worker")
            stage.wait_for(lambda: stage.is_at_work(other))
            before = len(stage.stage.flashes())
            stage.desire("2.2.0")
            stage.wait_for(lambda: len(stage.stage.flashes()) > before)
            way.cut()
            wait_until_taken_over(stage, cut)
            stage.wait_for(lambda: not stage.checks(cut)["queue"])
            way.mend()
            assert_all_well(stage, release="2.2.0")
    finally:
        way.close()
        shutil.rmtree(folder)


def test_a_server_that_falls_and_comes_back_is_waited_for(stage: Crew, postgres_server: Path) -> None:
    begin_several(stage, 2)
    stage.wait_for(lambda: len(stage.stage.flashes()) >= 3)
    restart(postgres_server)
    before = stage.turns()
    stage.wait_for(lambda: all(number > before[product] + 1 for product, number in stage.turns().items()))
    # The cloud's time runs 300 times as fast as the server comes back: what became of a step may stay unknown.
    stage.wait_for(lambda: over(stage) == set(PRODUCTS))
    assert [worker.end() for worker in stage.workers] == [0, 0]
    stage.assert_nothing_wrong()


def over(stage: Crew) -> set[str]:
    """The fleets, by their last names, whose rollout has come to its end."""
    with stage.reading() as kept:
        latest = {noted.entry.fleet.rpartition("/")[2]: noted.entry for noted in kept.entries()}
    return {fleet for fleet, entry in latest.items() if isinstance(entry, RolloutCompleted | Halted)}


def test_workers_that_fetch_different_commits_do_not_fight(postgres_journal: str, tmp_path: Path) -> None:
    with worker_stage(tmp_path, postgres_journal) as stage:
        fetch_different_commits(stage)


def fetch_different_commits(stage: WorkerStage) -> None:
    begin_several(stage, 2)
    stage.wait_for(lambda: len(stage.stage.flashes()) >= 2)
    for release in ("2.2.0", "2.3.0"):
        stage.repository.commit(fleets(release))
        stage.wait_for(stage.stage.flashes)
    last = stage.repository.commit(fleets("2.1.0"), message="back to what it was")
    stage.wait_for(lambda: _latest(stage) == f"sha1:{last}")
    assert_taken_in_their_order(stage)


def _latest(stage: Crew) -> str:
    with stage.reading() as kept:
        return kept.intents(limit=1)[0].revision.commit


def assert_taken_in_their_order(stage: Crew) -> None:
    """Every commit was taken once at most, and never an earlier one after a later."""
    with stage.reading() as kept:
        taken = [each.revision.committed_at for each in reversed(kept.intents())]
        commits = [each.revision.commit for each in kept.intents()]
    assert taken == sorted(taken)
    assert len(set(commits)) == len(commits)
