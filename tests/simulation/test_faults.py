"""A hostile cloud, for a while and for ever, and devices that misbehave: a clear end, the right code, nothing lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.attempt import AttemptState
from tests.simulation.stage import IMPATIENT, TOKEN, Ended, Stage, set_stage

PATIENCE = (str(IMPATIENT), "1.2")
SECONDS_MAX = 40.0
"""Real seconds that `apply` may take with the patience of these tests when nothing answers ever again."""

DEVICES = """
  - {count: 2, product: cold-chain, platform: boron, deviceOS: "1.5.2", application: 1, groups: [all]}
"""

FOR_EVER = {
    "error-500": "PFR3008",
    "garbage": "PFR3007",
    "html": "PFR3007",
    "rate-limit-storm": "PFR3006",
    "silence": "PFR3008",
    "token-revoked": "PFR3002",
    "lost-answer": "PFR3008",
}
"""What the cloud does from the second flash on, and the code that `apply` must end with."""

FOR_A_WHILE: dict[str, tuple[tuple[str, ...], float, int | None]] = {
    "answers that are none": (("error-500", "garbage", "html"), 0.4, 3),
    "too many requests": (("rate-limit-storm",), 0.3, 2),
    "silence": (("silence",), 0.3, 3),
    "slowness": (("slow-answer",), 0.3, 2),
    "lost requests and answers": (("lost-request", "lost-answer"), 0.4, 4),
    "stale lists and bad ears": (("stale-list", "events-dropped", "events-doubled"), 0.5, None),
    "failing transfers": (("flash-fails",), 0.5, 3),
    "lost connections": (("offline-during-transfer",), 0.5, 2),
    "a crash at boot": (("boot-crash",), 1.0, 1),
    "transfers that lie": (("success-not-applied", "restart-after-transfer"), 0.5, 2),
    "transfers that stop": (("transfer-stalls", "restart-before-transfer", "restart-during-transfer"), 0.4, 2),
    "requests that come twice or too late": (("doubled-request", "device-timeout"), 0.5, 3),
    "a wrong clock and stale devices": (("clock-skew", "stale-device"), 0.5, None),
    "events as they like": (("events-late", "events-out-of-order", "events-doubled"), 0.6, None),
}
"""Faults, their rate, and how many times each strikes at most."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    rollout = '{maxConcurrent: "100%", maxFailures: "100%", stepDeadline: 15m}'
    with set_stage(tmp_path, devices=DEVICES, products=("cold-chain",), speed=900.0, rollout=rollout) as stage:
        yield stage


def assert_all_has_arrived(stage: Stage) -> None:
    states = stage.end_state().values()
    assert {(application, mode) for _, application, mode in states} == {(2, "normal")}
    assert {modules["system_part/1"] for modules, _, _ in states} == {6305}
    assert stage.open_attempts() == ()


def assert_clear_end(ended: Ended, code: str) -> None:
    assert ended.code == 1, ended.out + ended.err
    assert code in ended.err
    assert "next: " in ended.err
    assert "Traceback" not in ended.err + ended.out
    assert ended.seconds < SECONDS_MAX


@pytest.mark.parametrize("fault", FOR_EVER)
def test_a_cloud_that_breaks_in_the_middle_and_for_ever_ends_the_run_and_loses_nothing(
    stage: Stage, fault: str
) -> None:
    stage.when_flashed(2, lambda: stage.fault(fault))
    ended = stage.run("apply", runner=PATIENCE)
    assert_clear_end(ended, FOR_EVER[fault])

    stage.lift_all()
    again = stage.apply_until_rest()

    assert again.code == 0, again.err
    assert_all_has_arrived(stage)
    assert stage.installed_more_than_once() == {}
    stage.assert_nothing_wrong()


@pytest.mark.parametrize("fault", ["garbage", "silence", "token-revoked"])
def test_a_cloud_that_is_broken_from_the_beginning_is_sent_nothing(stage: Stage, fault: str) -> None:
    stage.fault(fault)
    assert_clear_end(stage.run("apply", runner=PATIENCE), FOR_EVER[fault])
    assert stage.writes() == []
    assert stage.open_attempts() == ()
    stage.assert_nothing_wrong()


def test_an_address_where_nobody_answers_ends_the_run(stage: Stage) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert_clear_end(stage.run("apply", runner=PATIENCE, url=url), "PFR3003")
    stage.assert_nothing_wrong()


def test_an_address_where_something_listens_and_says_nothing_ends_the_run(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        url = f"http://127.0.0.1:{dumb.getsockname()[1]}"
        assert_clear_end(stage.run("apply", runner=PATIENCE, url=url), "PFR3008")
    stage.assert_nothing_wrong()


@pytest.mark.parametrize("trouble", FOR_A_WHILE)
def test_what_goes_wrong_for_a_while_is_outlasted(stage: Stage, trouble: str) -> None:
    faults, rate, count = FOR_A_WHILE[trouble]
    stage.when_flashed(1, lambda: [stage.fault(fault, rate=rate, count=count) for fault in faults])

    ended = stage.run("apply", runner=(str(IMPATIENT), "6"))

    assert stage.struck() > 0
    assert ended.code in {0, 3}, ended.err
    assert "Traceback" not in ended.err
    if ended.code == 3:
        assert " left alone: " in ended.err
        stage.lift_all()
        assert stage.apply_until_rest().code == 0
    assert_all_has_arrived(stage)
    stage.assert_nothing_wrong()


def test_a_token_that_is_revoked_for_a_while_loses_nothing(stage: Stage) -> None:
    stage.when_flashed(3, lambda: stage.fault("token-revoked"))
    assert_clear_end(stage.run("apply"), "PFR3002")
    stage.lift_all()
    assert stage.run("apply").code == 0
    assert_all_has_arrived(stage)


def test_a_device_that_never_returns_is_failed_and_settled_when_it_does(stage: Stage) -> None:
    stage.when_flashed(1, lambda: stage.fault("device-never-returns", count=1))
    ended = stage.run("apply")
    assert ended.code == 3, ended.err
    (lost,) = stage.open_attempts()
    assert lost.state in {AttemptState.SENT, AttemptState.UNKNOWN}

    with stage.emulator.locked() as cloud:
        device = cloud.state.devices[lost.device_id]
        device.gone = False
        cloud.state.life.set_online(device, True, stage.emulator.now())

    assert stage.apply_until_rest().code == 0
    assert_all_has_arrived(stage)
    assert stage.installed_more_than_once() == {}
    stage.assert_nothing_wrong()


def test_the_token_is_nowhere_but_in_the_environment(stage: Stage) -> None:
    assert stage.run("plan", "--out", "saved.json").code == 0
    for fault in ("html", "error-500", "lost-answer", "flash-fails"):
        stage.fault(fault, rate=0.3, count=3)

    applied = stage.run("apply", "--verbose", "--output", "json", manifests="saved.json", runner=(str(IMPATIENT), "6"))

    assert applied.code in {0, 1, 3}
    assert stage.struck() > 0
    assert "operator" in {request.token for request in stage.requests()}, "the token was used"
    kept = ("saved.json", "journal.sqlite", "catalog.json")
    assert all((stage.folder / name).stat().st_size > 1000 for name in kept)
    assert stage.leaks() == []


def test_the_search_for_the_token_finds_it_where_it_stands(stage: Stage) -> None:
    (stage.folder / "careless.log").write_text(f"Authorization: Bearer {TOKEN}", encoding="utf-8")
    stage.said.append(f"PUT failed, headers {TOKEN}")
    assert len(stage.leaks()) == 2
