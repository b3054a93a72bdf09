"""Ctrl-C and SIGTERM: the run says that nothing is lost, ends with 130, and the next one goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.stage import Stage, set_stage

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with set_stage(tmp_path, speed=500.0) as stage:
        yield stage


def interrupted_at_flash(stage: Stage, times: int, number: signal.Signals, *options: str) -> subprocess.Popen[str]:
    flashed = threading.Event()
    stage.when_flashed(times, flashed.set)
    process = stage.begin("apply", *options)
    assert flashed.wait(20)
    process.send_signal(number)
    return process


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_apply_says_so_and_the_next_one_goes_on(stage: Stage, number: signal.Signals) -> None:
    interrupted = stage.end(interrupted_at_flash(stage, 4, number), within=20)
    assert interrupted.code == 130
    assert "Interrupted: " in interrupted.out
    assert "Nothing is lost; run the same command again to go on." in interrupted.out
    assert "Traceback" not in interrupted.err

    assert stage.run("apply").code == 0

    assert stage.run("drift").code == 0
    assert stage.installed_more_than_once() == {}
    assert stage.open_attempts() == ()
    stage.assert_nothing_wrong()


def test_an_interrupted_apply_says_so_to_machines(stage: Stage) -> None:
    interrupted = stage.end(interrupted_at_flash(stage, 2, signal.SIGINT, "--output", "json"), within=20)
    assert (interrupted.code, interrupted.outcome["interrupted"]) == (130, True)
    assert all(json.loads(line) for line in interrupted.out.splitlines())


@pytest.mark.parametrize("number", SIGNALS)
def test_interrupted_before_anything_is_sent_it_ends_with_130(stage: Stage, number: signal.Signals) -> None:
    stage.fault("silence")
    process = stage.begin("apply")
    while not stage.requests() and process.poll() is None:
        threading.Event().wait(0.02)
    process.send_signal(number)
    interrupted = stage.end(process, within=20)
    assert interrupted.code == 130, interrupted.err
    assert "Traceback" not in interrupted.err
    assert "interrupted" in interrupted.err
    assert stage.writes() == []
