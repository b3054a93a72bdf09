"""A person with a token of their own changes things in the cloud beside us: seen, named, put back or left."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from reconciler.cli.history import command as history_command
from reconciler.cli.resume import command as resume_command
from reconciler.emulator.products import Intention
from reconciler.emulator.records import RequestKind, RequestRecord
from tests.simulation.stage import MORTAL, PERSON_TOKEN, Stage, manifests_for, set_stage

BY_HAND = "{release: never}"
"""A release of ours would have the cloud itself stand by what is desired."""

THERE = """
  - {count: 1, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 1, groups: [all]}
"""
BEHIND = """
  - {count: 1, product: cold-chain, platform: boron, deviceOS: "1.5.2", application: 1, groups: [all]}
"""
TESTER = """
  - {count: 1, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 1}
"""
DETECT = "  drift: {mode: detect}\n"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """One device that is as desired, by a lock of ours."""
    with set_stage(tmp_path, devices=THERE, products=("cold-chain",), delivery=BY_HAND) as stage:
        assert stage.run("apply").code == 0
        yield stage


def only_device(stage: Stage, group: str = "all") -> str:
    with stage.emulator.locked() as cloud:
        (device,) = (each for each in cloud.state.devices.values() if group in each.groups)
        return device.id


def lock_of(stage: Stage) -> int | None:
    with stage.emulator.locked() as cloud:
        return cloud.state.devices[only_device(stage)].locked


def person_puts(stage: Stage, path: str, **fields: Any) -> None:
    answer = requests.put(
        f"{stage.url}/v1/products/cold-chain/{path}",
        json=fields,
        headers={"Authorization": f"Bearer {PERSON_TOKEN}"},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text


def person_locks(stage: Stage, version: int | None) -> None:
    person_puts(stage, f"devices/{only_device(stage)}", desired_firmware_version=version)


def our_writes(stage: Stage) -> list[RequestRecord]:
    return [request for request in stage.writes() if request.token == "operator"]


def our_locks(stage: Stage) -> list[int | None]:
    return [request.lock_version for request in our_writes(stage) if request.kind is RequestKind.LOCK]


def console_changes(stage: Stage) -> list[dict[str, Any]]:
    drift = stage.run("drift", "--output", "json")
    assert drift.code in (0, 2), drift.err
    changes: list[dict[str, Any]] = json.loads(drift.out)["console_changes"]
    return changes


def said_of(changes: list[dict[str, Any]]) -> list[tuple[str, str | None, str | None, bool]]:
    return [(change["kind"], change["before"], change["after"], change["concerns_git"]) for change in changes]


def waiting(stage: Stage) -> list[str]:
    plan = json.loads(stage.run("plan", "--output", "json").out)
    return [entry["reason"] for fleet in plan["fleets"] for entry in fleet["waiting"]]


def journal_text(stage: Stage) -> list[str]:
    """All that is in the journal, but for who has the right to write: every run takes that."""
    with contextlib.closing(sqlite3.connect(stage.journal)) as database:
        return [line for line in database.iterdump() if not (line.startswith("INSERT") and "epochs" in line)]


def with_detect(stage: Stage) -> None:
    files = manifests_for(("cold-chain",), delivery=BY_HAND)
    stage.write_manifests({**files, "cold-chain.yaml": files["cold-chain.yaml"] + DETECT})


def test_a_pass_over_an_unchanged_fleet_writes_nothing(stage: Stage) -> None:
    before = journal_text(stage)
    assert stage.run("apply").code == 0
    assert journal_text(stage) == before


def test_our_own_doings_are_no_changes_of_others(stage: Stage) -> None:
    drift = stage.run("drift")
    assert (drift.code, console_changes(stage)) == (0, [])
    assert "somebody else" not in history(stage)


@pytest.mark.parametrize("left", [1, None])
def test_a_lock_of_ours_that_a_person_changed_is_named_and_put_back(stage: Stage, left: int | None) -> None:
    if left is None:
        release_one(stage)
    person_locks(stage, left)

    drift = stage.run("drift")
    assert drift.code == 2, drift.out
    assert f"1 lock 2 -> {left or 'none'}, which undid what we had done, between 2026-" in drift.out
    assert said_of(console_changes(stage)) == [("lock", "2", None if left is None else "1", True)]
    explained = stage.run("plan").out
    assert "to put our lock back, which somebody changed" in explained

    applied = stage.run("apply", "--verbose")
    assert applied.code == 0, applied.err
    assert f"lock 2 -> {left or 'none'}" in applied.err
    assert our_locks(stage) == [2, 2]
    assert lock_of(stage) == 2
    assert stage.run("drift").code == 0
    assert f"somebody else: lock 2 -> {left or 'none'}, which undid what we had done" in history(stage)
    stage.assert_nothing_wrong()


def history(stage: Stage) -> str:
    """The words as they are on a page of any width."""
    return " ".join(CliRunner().invoke(history_command, ["--journal", str(stage.journal)]).output.split())


def resumed(stage: Stage, *arguments: str) -> int:
    return CliRunner().invoke(resume_command, ["--journal", str(stage.journal), *arguments]).exit_code


def release_one(stage: Stage) -> None:
    """Make application 1 what the cloud falls back to, as a world that was there before us would have it."""
    with stage.emulator.locked() as cloud:
        (product,) = (each for each in cloud.state.products.values() if each.slug == "cold-chain")
        product.default = Intention(version=1, cause=None)


def test_a_lock_that_is_only_taken_away_is_told_and_moves_nothing(stage: Stage) -> None:
    person_locks(stage, None)
    assert said_of(console_changes(stage)) == [("lock", "2", None, True)]
    assert stage.run("apply").code == 0
    assert our_locks(stage) == [2]
    assert stage.run("drift").code == 0


def test_a_fight_over_a_lock_is_latched_and_costs_nothing_until_a_person_comes(stage: Stage) -> None:
    for _ in range(5):
        person_locks(stage, 1)
        assert stage.run("apply").code == 0
    assert our_locks(stage) == [2, 2, 2]
    assert lock_of(stage) == 1
    assert waiting(stage) == ["fight"]
    assert stage.run("drift").code == 2
    device = only_device(stage)
    held = history(stage)
    assert f"Device {device} of cold-chain is held since" in held
    assert "somebody undid what we did 3 times" in held

    read = len(stage.requests())
    person_locks(stage, None)
    assert stage.run("apply").code == 0
    asked = stage.requests()[read + 1 :]
    assert [request for request in asked if request.method != "GET" or request.device is not None] == []

    person_locks(stage, 1)
    assert resumed(stage, "--device", device) == 0
    assert stage.run("apply").code == 0
    assert our_locks(stage) == [2, 2, 2, 2]
    assert stage.run("drift").code == 0
    stage.assert_nothing_wrong()


def test_another_intent_in_git_ends_a_fight(stage: Stage) -> None:
    for _ in range(4):
        person_locks(stage, 1)
        assert stage.run("apply").code == 0
    assert (waiting(stage), our_locks(stage)) == (["fight"], [2, 2, 2])

    files = manifests_for(("cold-chain",), delivery=BY_HAND)
    whole = files["cold-chain.yaml"].replace('deviceOS: "6.3.4"', 'deviceOS: "6.3.4"\n    completeness: full')
    stage.write_manifests({**files, "cold-chain.yaml": whole})
    assert stage.run("apply").code == 0
    assert (our_locks(stage), lock_of(stage)) == ([2, 2, 2, 2], 2)
    assert stage.run("drift").code == 0
    stage.assert_nothing_wrong()


def test_a_crash_between_a_round_and_its_answer_forgets_neither(stage: Stage) -> None:
    for _ in range(3):
        person_locks(stage, 1)
        killed = stage.run("apply", runner=(str(MORTAL), "answer-written", "1"))
        assert killed.code in (-signal.SIGKILL, 0), killed.err
        assert stage.run("apply").code == 0
    person_locks(stage, 1)
    assert stage.run("apply").code == 0
    assert waiting(stage) == ["fight"]
    assert len(our_locks(stage)) == 3
    stage.assert_nothing_wrong()


def test_a_persons_lock_that_was_never_ours_is_respected(tmp_path: Path) -> None:
    with set_stage(tmp_path, devices=BEHIND, products=("cold-chain",), delivery=BY_HAND) as stage:
        person_locks(stage, 1)
        assert stage.run("apply").code == 0
        assert our_writes(stage) == []
        assert waiting(stage) == ["locked"]
        plan = stage.run("plan").out
        assert "locked to application 1 by somebody else, 2 is desired" in plan
        stage.assert_nothing_wrong()


def test_a_lock_in_the_middle_of_a_route_stops_it(tmp_path: Path) -> None:
    with set_stage(tmp_path, devices=BEHIND, products=("cold-chain",), delivery=BY_HAND) as stage:
        device = only_device(stage)

        def locks() -> None:
            with stage.emulator.locked() as cloud:
                cloud.state.devices[device].locked = 1

        stage.when_flashed(1, locks)
        assert stage.run("apply").code == 0
        assert len(stage.flashes()) == 1
        assert our_locks(stage) == []
        assert said_of(console_changes(stage)) == [("lock", None, "1", True)]
        assert waiting(stage) == ["locked"]
        stage.assert_nothing_wrong()


def test_a_higher_version_that_a_person_locks_is_never_lowered(tmp_path: Path) -> None:
    with set_stage(tmp_path, devices=THERE, products=("cold-chain",), application=1, delivery=BY_HAND) as stage:
        assert stage.run("apply").code == 0
        person_locks(stage, 2)
        drift = stage.run("drift")
        assert (drift.code, "lock none -> 2" in drift.out) == (2, True)
        assert stage.run("apply").code == 0
        assert (our_writes(stage), lock_of(stage)) == ([], 2)
        stage.assert_nothing_wrong()


def test_a_release_of_another_version_is_named_before_it_moves_anything(tmp_path: Path) -> None:
    there = THERE.replace("application: 1", "application: 2")
    with set_stage(tmp_path, devices=f"{there}{TESTER}", products=("cold-chain",), delivery=BY_HAND) as stage:
        assert stage.run("apply").code == 0
        person_puts(stage, "firmware/release", version=1, groups=["all"])
        drift = stage.run("drift")
        assert drift.code == 2
        assert "1 released application none -> 1, between" in drift.out
        assert said_of(console_changes(stage)) == [("release", None, "1", True)]


def test_a_higher_release_holds_our_lock_back(tmp_path: Path) -> None:
    tester = TESTER.replace("application: 1", "application: 2")
    nameless = THERE.replace(", application: 1", "")
    with set_stage(
        tmp_path, devices=f"{nameless}{tester}", products=("cold-chain",), application=1, delivery=BY_HAND
    ) as stage:
        person_puts(stage, "firmware/release", version=2, groups=["all"])
        assert stage.run("apply").code == 0
        assert our_writes(stage) == []
        assert waiting(stage) == ["released_higher"]
        stage.assert_nothing_wrong()


def test_a_device_that_a_person_takes_out_of_the_group_leaves_the_fleet_at_once(tmp_path: Path) -> None:
    with set_stage(tmp_path, devices=BEHIND, products=("cold-chain",), delivery=BY_HAND) as stage:
        device = only_device(stage)

        def moves_away() -> None:
            with stage.emulator.locked() as cloud:
                cloud.state.devices[device].groups = ("lab",)

        stage.when_flashed(1, moves_away)
        assert stage.run("apply").code == 0
        assert len(stage.flashes()) == 1
        assert "fleet cold-chain -> none, by its groups" in history(stage)

        person_puts(stage, f"devices/{device}", groups=["all"])
        assert said_of(console_changes(stage)) == [("fleet", None, "cold-chain", True)]


def test_a_development_mark_is_named(stage: Stage) -> None:
    person_puts(stage, f"devices/{only_device(stage)}", development=True)
    drift = stage.run("drift")
    assert (drift.code, "marked as development" in drift.out) == (2, True)
    assert stage.run("apply").code == 0
    assert len(our_writes(stage)) == 1
    person_puts(stage, f"devices/{only_device(stage)}", development=False)
    assert said_of(console_changes(stage)) == [("development", "true", "false", False)]
    assert stage.run("drift").code == 0


def test_updates_that_a_person_forces_are_no_matter_of_git(stage: Stage) -> None:
    person_puts(stage, f"devices/{only_device(stage)}", firmware_updates_forced=True)
    assert said_of(console_changes(stage)) == [("updates_forced", "false", "true", False)]
    assert stage.run("drift").code == 0


def test_where_drift_is_only_detected_a_changed_lock_is_told_and_left(stage: Stage) -> None:
    with_detect(stage)
    person_locks(stage, 1)
    for _ in range(2):
        assert stage.run("apply").code == 0
        assert stage.run("drift").code == 2
    assert our_locks(stage) == [2]
    stage.assert_nothing_wrong()
