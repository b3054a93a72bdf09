"""An application that crashes, or a module that kills, and a rollout that is careful: how many devices it reaches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.stage import Ended, Stage, set_stage

DEVICES = """
  - {count: 20, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 1, groups: [all]}
"""
CONCURRENT, FAILURES = 3, 2
# The manifest's limit halts when it is reached; a failed transfer is tried three times. Until the client has seen a
# failure, some minutes of this time pass.
RULES = (
    f"rules: {{maxConcurrent: {CONCURRENT}, maxFailures: {FAILURES - 1}, transferTries: 3, overdueSeconds: 900, "
    "graceSeconds: 300}\n"
)
ROLLOUT = f"{{maxConcurrent: {CONCURRENT}, maxFailures: {FAILURES}, stepDeadline: 15m}}"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with set_stage(
        tmp_path, devices=DEVICES, products=("cold-chain",), rollout=ROLLOUT, speed=600.0, extra=RULES
    ) as stage:
        yield stage


def exposed(stage: Stage) -> set[str | None]:
    return {write.device for write in stage.writes()}


def assert_stopped_early(stage: Stage, ended: Ended) -> None:
    assert ended.code == 3, ended.err
    assert "cold-chain: HALTED by itself: " in ended.err
    assert 0 < len(exposed(stage)) < CONCURRENT + FAILURES
    stage.assert_nothing_wrong()


@pytest.mark.parametrize("silent", [False, True], ids=["events are heard", "no event is heard"])
def test_an_application_that_crashes_is_stopped_early(stage: Stage, silent: bool) -> None:
    stage.fault("boot-crash")
    if silent:
        stage.fault("events-dropped")
    assert_stopped_early(stage, stage.run("apply"))
    in_safe_mode = {device for device, (_, _, mode) in stage.end_state().items() if mode == "safe_mode"}
    assert in_safe_mode
    assert in_safe_mode <= exposed(stage)


def test_an_application_after_which_no_device_comes_back_is_stopped_early(stage: Stage) -> None:
    stage.fault("device-never-returns")
    assert_stopped_early(stage, stage.run("apply"))
    assert {attempt.device_id for attempt in stage.open_attempts()} == exposed(stage)


def test_devices_that_take_nothing_are_given_up_though_they_are_offline_then(stage: Stage) -> None:
    stage.fault("flash-fails")
    ended = stage.run("apply")
    assert ended.code == 3, ended.err
    assert ended.err.count(" is left alone") >= FAILURES
    assert "cold-chain: HALTED by itself: " in ended.err
    stage.assert_nothing_wrong()


def test_after_a_halt_the_next_run_reaches_nobody_until_a_person_resumes(stage: Stage) -> None:
    stage.fault("boot-crash")
    stage.run("apply")
    reached = exposed(stage)
    again = stage.run("apply")
    assert again.code == 3, again.err
    assert exposed(stage) == reached
