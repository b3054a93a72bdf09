"""A cloud that takes no Device OS module for devices that are not marked as development, with the real command line.

Whether the real one does is not known (facts 5.4, 8). The pretend cloud is told to here, at its own border.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.controller.direct_flash import REFUSALS_THAT_TEACH
from reconciler.emulator import device_calls
from reconciler.emulator.message import Answer, ApiError
from tests.simulation.stage import Stage, set_stage

DEVICES = """
  - {count: 40, product: cold-chain, platform: boron, deviceOS: "5.5.0", application: 1, groups: [all]}
  - {count: 1, product: cold-chain, platform: boron, deviceOS: "5.5.0", application: 1, groups: [all], name: bench}
  - {count: 1, product: home-hub, platform: photon, deviceOS: "1.4.4", application: 2, groups: [all], name: hub}
"""


def refusing(original: Callable[..., Answer], status: int) -> Callable[..., Answer]:
    def flash(call: Any, device: Any) -> Answer:
        if device.product_id == 12301 and not device.development:
            raise ApiError(status, "not_allowed", "Device OS is updated together with product firmware")
        return original(call, device)

    return flash


@pytest.fixture(params=[403, 400], ids=["403", "400"])
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Stage]:
    monkeypatch.setattr(device_calls, "_flash", refusing(device_calls._flash, request.param))
    rollout = '{waves: [{name: all, size: remaining}], maxConcurrent: "100%", maxFailures: 1, stepDeadline: 15m}'
    with set_stage(tmp_path, devices=DEVICES, rollout=rollout) as stage:
        with stage.emulator.locked() as cloud:
            bench = next(device for device in cloud.state.devices.values() if device.name == "bench")
            bench.development = True
        yield stage


def test_it_costs_a_handful_of_requests_and_the_next_plan_says_why_the_devices_wait(stage: Stage) -> None:
    applied = stage.run("apply")
    assert applied.code == 0, applied.err
    refused = [flash for flash in stage.flashes() if flash.status in (400, 403)]
    assert len(refused) == REFUSALS_THAT_TEACH
    # The other product, and the device that is marked, were served.
    arrived = [mode for _, application, mode in stage.end_state().values() if application == 2]
    assert arrived == ["normal", "normal"]

    planned = json.loads(stage.run("plan", "--output", "json").out)
    [waiting] = [entry for fleet in planned["fleets"] for entry in fleet["waiting"]]
    assert (waiting["code"], waiting["reason"], len(waiting["devices"])) == ("PFR2130", "system_flash_refused", 40)

    flashes = len(stage.flashes())
    assert stage.run("apply").code == 0
    assert len(stage.flashes()) == flashes
    assert "together with product firmware" in stage.history()
    stage.assert_nothing_wrong()


def test_a_person_may_say_that_it_is_to_be_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage.run("apply").code == 0
    monkeypatch.undo()
    stage.say("resume", "--product", "12301")
    assert stage.run("apply").code == 0
    assert {(application, mode) for _, application, mode in stage.end_state().values()} == {(2, "normal")}
    stage.assert_nothing_wrong()


@pytest.mark.parametrize("takes", ["development-only", "refused"])
def test_the_pretend_clouds_own_switch_is_learnt_as_well(tmp_path: Path, takes: str) -> None:
    devices = (
        '\n  - {count: 20, product: cold-chain, platform: boron, deviceOS: "5.5.0", application: 1, groups: [all]}\n'
    )
    switch = f"directSystemFlash: {takes}\n"
    rollout = '{waves: [{name: all, size: remaining}], maxConcurrent: "100%", maxFailures: 1, stepDeadline: 15m}'
    with set_stage(tmp_path, devices=devices, products=("cold-chain",), rollout=rollout, extra=switch) as stage:
        applied = stage.run("apply")
        assert applied.code == 0, applied.err
        assert len(stage.flashes()) == REFUSALS_THAT_TEACH
        assert "PFR2130" in stage.run("plan").out
        stage.assert_nothing_wrong()
