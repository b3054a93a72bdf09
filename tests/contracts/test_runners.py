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

from tests.cut_connection import CuttableWay
from tests.postgres_server import new_database, restart, running_server
from tests.simulation.worker_stage import Crew, Worker, WorkerStage, fleets, several_operators, worker_stage

TAKEN_OVER_WITHIN = 30.0
"""Three seconds of silence, a second to notice, and a pass on a machine that does much else."""


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


def struck_in_the_midst(stage: Crew, number: int, *, flash: int = 3) -> Worker:
    """The process that sends the next flashes gets a signal while the cloud has its request in hand."""
    struck: list[Worker] = []
    done = threading.Event()

    def strike() -> None:
        worker = stage.who_sends()
        worker.send(number)
        struck.append(worker)
        done.set()

    stage.stage.when_flashed(flash, strike)
    stage.wait_for(done.is_set)
    return struck[0]


def wait_until_taken_over(stage: Crew, lost: Worker) -> float:
    """Until others have passed over everything that a process had; the seconds that it took."""
    had = [product for product, holder in stage.holders().items() if holder == lost.process.pid]
    before, began = stage.turns(), time.monotonic()

    def is_taken_over() -> bool:
        holders, turns = stage.holders(), stage.turns()
        return all(
            holders.get(product) not in {None, lost.process.pid} and turns[product] > before[product] for product in had
        )

    stage.wait_for(is_taken_over, within=TAKEN_OVER_WITHIN)
    return time.monotonic() - began


def assert_all_well(stage: Crew, *, release: str = "2.1.0") -> None:
    stage.wait_for_release(release)
    stage.wait_for(lambda: not stage.open_attempts())
    for worker in stage.workers:
        if worker.process.poll() is None:
            assert worker.end() == 0, worker.said()
    stage.assert_nothing_wrong()


def test_one_process_that_is_killed_in_the_midst_is_followed_by_another(alone: Crew) -> None:
    alone.desire("2.1.0")
    first = alone.begin()
    alone.stage.when_flashed(3, lambda: first.send(signal.SIGKILL))
    first.process.wait(90)
    alone.begin()
    assert_all_well(alone)


def test_one_process_that_is_paused_goes_on_where_it_was(alone: Crew) -> None:
    alone.desire("2.1.0")
    only = alone.begin()
    stopped = threading.Event()
    alone.stage.when_flashed(3, lambda: (only.send(signal.SIGSTOP), stopped.set()))
    alone.wait_for(stopped.is_set)
    time.sleep(6.0)  # longer than a worker may be silent
    only.send(signal.SIGCONT)
    assert_all_well(alone)


def test_what_a_killed_worker_had_is_passed_over_again_within_seconds(stage: Crew) -> None:
    begin_several(stage, 3)
    killed = struck_in_the_midst(stage, signal.SIGKILL)
    seconds = wait_until_taken_over(stage, killed)
    assert seconds < TAKEN_OVER_WITHIN
    assert_all_well(stage)


def test_a_worker_that_wakes_up_late_writes_nothing_and_sends_nothing(stage: Crew) -> None:
    begin_several(stage, 2)
    paused = struck_in_the_midst(stage, signal.SIGSTOP)
    wait_until_taken_over(stage, paused)
    paused.send(signal.SIGCONT)
    stage.wait_for(lambda: "PFR5021" in paused.said())
    assert_all_well(stage)


def test_a_worker_that_ends_leaves_its_products_to_the_others_at_once(stage: Crew) -> None:
    begin_several(stage, 2)
    ended = struck_in_the_midst(stage, signal.SIGTERM)
    assert ended.process.wait(30) == 0
    assert ended.process.pid not in stage.holders().values()
    assert_all_well(stage)


def test_a_worker_that_is_cut_off_from_the_journal_sends_nothing_until_it_is_back(
    postgres_journal: str, tmp_path: Path
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="way-"))  # the path of a socket may have about 100 characters
    way = CuttableWay(folder, postgres_journal)
    try:
        with worker_stage(tmp_path, postgres_journal) as stage:
            stage.desire("2.1.0")
            cut = stage.begin(journal=way.address)
            stage.wait_for(lambda: cut.process.pid in stage.holders().values())
            other = stage.begin("worker")
            stage.wait_for(lambda: stage.is_at_work(other))
            before = len(stage.stage.flashes())
            stage.desire("2.2.0")
            stage.wait_for(lambda: len(stage.stage.flashes()) > before)
            way.cut()
            wait_until_taken_over(stage, cut)
            way.mend()
            assert_all_well(stage, release="2.2.0")
    finally:
        way.close()
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["controllers", "operators"])
def test_a_server_that_falls_and_comes_back_is_waited_for(kind: str, tmp_path: Path) -> None:
    with running_server() as server, played(kind, tmp_path, new_database(server)) as stage:
        begin_several(stage, 2)
        stage.wait_for(lambda: len(stage.stage.flashes()) >= 3)
        restart(server)
        assert_all_well(stage)


def test_workers_that_fetch_different_commits_do_not_fight(postgres_journal: str, tmp_path: Path) -> None:
    with worker_stage(tmp_path, postgres_journal) as stage:
        fetch_different_commits(stage)


def fetch_different_commits(stage: WorkerStage) -> None:
    begin_several(stage, 3)
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
