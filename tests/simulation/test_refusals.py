"""Manifests that ask for less than what runs: refusals, and not one request that writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.stage import DESIRED, Stage, manifests_for, set_stage

DEVICES = """
  - {count: 2, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 2, groups: [all]}
  - {count: 1, product: home-hub, platform: photon, deviceOS: "2.3.1", application: 2, groups: [all]}
  - {count: 1, platform: argon, deviceOS: "6.3.4"}
"""
LOWER = {**DESIRED, "boron": "5.5.0", "photon": "1.4.4", "argon": "4.2.0"}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with set_stage(tmp_path, devices=DEVICES, products=("cold-chain", "home-hub"), own=True) as stage:
        yield stage


def refusals(stage: Stage) -> set[tuple[str, str, int]]:
    plan = stage.run("plan", "--output", "json")
    assert plan.code == 0, plan.err
    fleets = json.loads(plan.out)["fleets"]
    return {
        (fleet["name"], refused["code"], len(refused["devices"])) for fleet in fleets for refused in fleet["refused"]
    }


def test_a_lower_device_os_is_refused_and_nothing_is_written(stage: Stage) -> None:
    before = stage.end_state()
    stage.write_manifests(manifests_for(("cold-chain", "home-hub"), own=True, device_os=LOWER))
    assert refusals(stage) == {("cold-chain", "PFR2001", 2), ("home-hub", "PFR2001", 1), ("own-argons", "PFR2001", 1)}

    applied = stage.run("apply", "--output", "json")

    assert applied.code == 0, applied.err
    assert (applied.outcome["devices_refused"], applied.outcome["requests_writing"]) == (4, 0)
    assert stage.writes() == []
    assert stage.end_state() == before
    stage.assert_nothing_wrong()


def test_a_lower_application_is_refused_and_nothing_is_written(stage: Stage) -> None:
    stage.write_manifests(manifests_for(("cold-chain", "home-hub"), own=True, application=1))
    assert refusals(stage) == {("cold-chain", "PFR2001", 2), ("home-hub", "PFR2001", 1)}

    applied = stage.run("apply")

    assert applied.code == 0, applied.err
    assert "3 refused" in applied.out
    assert stage.writes() == []
    stage.assert_nothing_wrong()


def test_a_saved_plan_whose_devices_have_gone_ahead_in_the_meantime_sends_nothing_lower(tmp_path: Path) -> None:
    behind = (
        '\n  - {count: 1, product: cold-chain, platform: boron, deviceOS: "5.5.0", application: 1, groups: [all]}\n'
    )
    lower = {**DESIRED, "boron": "5.6.0"}
    with set_stage(tmp_path, devices=behind, products=("cold-chain",), device_os=lower) as stage:
        assert stage.run("plan", "--out", "plan.json").code == 0
        stage.write_manifests(manifests_for(("cold-chain",)))
        assert stage.run("apply").code == 0
        written = len(stage.writes())

        late = stage.run("apply", manifests="plan.json")

        # It was changed by something else than this plan, so the plan is stale.
        assert late.code == 4, late.err
        assert len(stage.writes()) == written
        stage.assert_nothing_wrong()
