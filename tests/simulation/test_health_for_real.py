"""The real command, a real event stream, a real program: a wave that is good only when all three say so."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.rollout_entry import DeviceUnwell, RolloutCompleted, WaveCompleted
from tests.simulation.stage import Stage, set_stage

DEVICES = """
  - {count: 4, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 1, groups: [all],
     publishes: {event: app/alive, everySeconds: 300}}
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    asked = tmp_path / "asked.jsonl"
    program = f"import sys; open({str(asked)!r}, 'a').write(sys.stdin.read() + chr(10))"
    health = {
        "events": [{"name": "app/alive", "within": "2h"}],
        "vitals": [{"path": "device.system.memory.used", "min": 1}],
        "checks": [{"name": "counts", "command": [sys.executable, "-c", program], "timeout": "30s"}],
    }
    waves = "[{name: canary, size: 1}, {name: rest, size: remaining}]"
    rollout = f"{{waves: {waves}, maxFailures: 1, health: {json.dumps(health)}}}"
    with set_stage(tmp_path, devices=DEVICES, products=("cold-chain",), rollout=rollout, speed=300.0) as stage:
        yield stage


def entries(stage: Stage) -> list[object]:
    with SqliteJournal(stage.journal, create=False) as kept:
        return [noted.entry for noted in kept.entries()]


def test_a_wave_is_good_when_events_vitals_and_the_program_say_so(stage: Stage) -> None:
    ended = stage.run("apply", "--allow-commands")
    assert ended.code == 0, ended.err
    assert [entry.wave for entry in entries(stage) if isinstance(entry, WaveCompleted)] == ["canary", "rest"]
    assert any(isinstance(entry, RolloutCompleted) for entry in entries(stage))
    questions = [json.loads(line) for line in (stage.folder / "asked.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {question["wave"] for question in questions} == {"canary", "rest"}
    assert {len(question["devices"]) for question in questions if question["wave"] == "canary"} == {1}
    stage.assert_nothing_wrong()


def test_a_program_that_may_not_run_leaves_the_wave_in_doubt_and_the_rest_alone(stage: Stage) -> None:
    ended = stage.run("apply")
    assert not (stage.folder / "asked.jsonl").exists()
    assert "cold-chain: wave canary stays, the health of " in ended.out
    assert "--allow-commands" in ended.out
    assert [entry for entry in entries(stage) if isinstance(entry, WaveCompleted | DeviceUnwell)] == []
    assert len({write.device for write in stage.writes()}) == 1
    stage.assert_nothing_wrong()
