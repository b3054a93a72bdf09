"""A step whose request never left, on a device that starts a new session of its own accord: evidence that deceives.

The bootloader is invisible: after the kill nobody can see whether it arrived, a new session lets us presume it, and the
device itself finds out at the next step (`docs/adr/0009`).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.attempt import AttemptState, Evidence
from tests.simulation.stage import MORTAL, Stage, set_stage

ONE = "e00fce680000000000000001"
DEVICES = """
  - {id: e00fce680000000000000001, product: cold-chain, platform: boron, deviceOS: "1.5.2", application: 1,
     groups: [all]}
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    rollout = "{maxConcurrent: 1, maxFailures: 10, stepDeadline: 10m}"
    with set_stage(tmp_path, devices=DEVICES, products=("cold-chain",), speed=600.0, rollout=rollout) as stage:
        yield stage


def reconnect(stage: Stage) -> None:
    with stage.emulator.locked() as cloud:
        device, life = cloud.state.devices[ONE], cloud.state.life
        life.set_online(device, False, stage.emulator.now())
        life.set_online(device, True, stage.emulator.now())


def test_a_wrong_presumption_costs_one_failed_step_and_no_module_is_taken_twice(stage: Stage) -> None:
    killed = stage.run("apply", runner=(str(MORTAL), "intent-written", "1"))
    assert killed.code == -signal.SIGKILL
    assert stage.flashes() == []
    reconnect(stage)

    again = stage.run("apply")

    assert again.code == 0, again.err
    in_order = [(attempt.state, attempt.evidence) for attempt in reversed(stage.attempts())]
    assert in_order == [
        (AttemptState.VERIFIED, Evidence.PRESUMED),
        (AttemptState.FAILED, None),
        (AttemptState.VERIFIED, Evidence.RESTARTED),
        (AttemptState.VERIFIED, Evidence.EFFECT),
        (AttemptState.VERIFIED, Evidence.EFFECT),
    ]
    assert stage.installed_more_than_once() == {}
    assert stage.run("drift").code == 0
    stage.assert_nothing_wrong()
