"""Whoever runs the passes, one process or several: dying, pausing and losing the database hurt no device.

Every play is of real processes on a served cloud with its referee, by whose laws no device is acted on by two.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.worker_stage import WorkerStage, fleets, worker_stage


@pytest.fixture(params=["sqlite", "postgres"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WorkerStage]:
    journal = str(tmp_path / "journal.sqlite")
    if request.param == "postgres":
        journal = request.getfixturevalue("postgres_journal")
    with worker_stage(tmp_path, journal) as made:
        yield made


@pytest.fixture
def shared(postgres_journal: str, tmp_path: Path) -> Iterator[WorkerStage]:
    with worker_stage(tmp_path, postgres_journal) as made:
        yield made


def test_one_process_brings_every_device_there(stage: WorkerStage) -> None:
    stage.repository.commit(fleets("2.1.0"))
    worker = stage.begin()
    stage.wait_for_release("2.1.0")
    assert worker.end() == 0
    stage.assert_nothing_wrong()
