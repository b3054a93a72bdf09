"""The real client under rules of the house that say what its manifests ask for: the referee accuses it of nothing.

Every rule is one that a test of the referee has seen broken, so that silence here means something.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.emulator.world import load_rules
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant
from tests.simulation.stage import Stage, set_stage

BORONS = """
  - {count: 8, product: cold-chain, platform: boron, deviceOS: "5.5.0", application: 1, groups: [all]}
"""
OUTSIDE = "e00fce68ffffffffffffffff"
SECONDS_TO_LEARN = 120
"""Virtual: a poll and a request are some tenths of a real second, at 300 virtual seconds each."""


def sent_to(stage: Stage) -> set[str]:
    return {write.device for write in stage.writes() if write.device is not None}


def test_a_rollout_keeps_to_its_concurrency_its_devices_and_what_it_has_seen(tmp_path: Path) -> None:
    devices = BORONS + (
        f'  - {{id: {OUTSIDE}, product: cold-chain, platform: boron, deviceOS: "5.5.0", application: 1}}\n'
    )
    rules = (
        f"rules: {{maxConcurrent: 2, maxDevices: 8, leaveAlone: [{OUTSIDE}], stalenessSeconds: {SECONDS_TO_LEARN}, "
        "bytesPerDevicePerDay: 1000000, requestsPerFiveMinutes: 10000}\n"
    )
    rollout = '{maxConcurrent: 2, maxFailures: "100%"}'
    with set_stage(
        tmp_path, devices=devices, products=("cold-chain",), rollout=rollout, speed=300.0, extra=rules
    ) as stage:
        assert stage.run("apply").code == 0
        assert len(sent_to(stage)) == 8
        stage.assert_nothing_wrong()


def test_after_a_halt_by_a_persons_word_nothing_is_started(tmp_path: Path) -> None:
    with set_stage(
        tmp_path,
        devices=BORONS,
        products=("cold-chain",),
        rollout='{maxConcurrent: 1, maxFailures: "100%"}',
        speed=300.0,
    ) as stage:
        running = stage.begin("apply")
        while len(stage.flashes()) < 2:
            assert running.poll() is None
        with SqliteJournal(stage.journal) as kept:
            kept.halt("cold-chain", "a person halted it", stage.emulator.now())
        halted_at = stage.emulator.now()
        with stage.emulator.locked() as cloud:
            halt = {"from": iso_from_instant(Instant(halted_at))}
            cloud.rules = load_rules({"halts": [halt], "graceSeconds": SECONDS_TO_LEARN})
        assert stage.end(running).code == 3
        assert stage.emulator.now() > halted_at + SECONDS_TO_LEARN
        assert len(sent_to(stage)) < 8
        stage.assert_nothing_wrong()


def test_nothing_starts_after_the_window_of_the_manifest(tmp_path: Path) -> None:
    window = 'allow: {days: [sun], start: "09:00", duration: 60m, timeZone: UTC}'
    closes_at = "2026-11-22T10:02:00Z"
    with set_stage(
        tmp_path,
        devices=BORONS.replace("count: 8", "count: 20"),
        products=("cold-chain",),
        rollout=f'{{maxConcurrent: 1, maxFailures: "100%"}}\n  windows: [{{{window}}}]',
        speed=300.0,
        extra=f'rules: {{windows: [{{from: "2026-11-22T09:00:00Z", until: "{closes_at}"}}]}}\n',
    ) as stage:
        ended = stage.run("apply")
        assert 0 < len(sent_to(stage)) < 20, ended.err
        assert stage.run("apply").code == 6
        assert stage.emulator.now() > instant_from_iso(closes_at)
        stage.assert_nothing_wrong()
