"""The numbers at the end of `apply` against the cloud's own log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.stage import Stage, set_stage

REQUESTS = re.compile(r"cost\s+(\d+) requests\s+([\d.]+) per device\s+(\d+) writing\s+([\d.]+) MB sent")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with set_stage(tmp_path, speed=1500.0) as stage:
        yield stage


def log(stage: Stage) -> tuple[int, int, int]:
    """Requests, writes, and bytes of bodies; event streams are connections, not requests of the report."""
    requests = [request for request in stage.requests() if "/events" not in request.path]
    return len(requests), sum(r.method != "GET" for r in requests), sum(r.bytes for r in requests)


def test_the_json_report_agrees_with_the_log(stage: Stage) -> None:
    planned = json.loads(stage.run("plan", "--output", "json").out)
    steps = sum(len(route["steps"]) * len(route["devices"]) for fleet in planned["fleets"] for route in fleet["routes"])
    before = log(stage)

    outcome = stage.run("apply", "--output", "json").outcome

    requests, writes, sent = (after - earlier for after, earlier in zip(log(stage), before, strict=True))
    assert outcome["event"] == "outcome"
    assert (outcome["steps_planned"], outcome["steps_done"]) == (steps, steps)
    assert (outcome["requests"], outcome["requests_writing"], outcome["bytes_sent"]) == (requests, writes, sent)
    assert outcome["requests_per_device"] == round(requests / 3, 2)
    # Each of the two products has one release at the end.
    assert (outcome["actions_planned"], outcome["actions_done"], outcome["actions_failed"]) == (2, 2, 0)
    assert writes == steps + outcome["actions_done"]


def test_the_text_report_agrees_with_the_log(stage: Stage) -> None:
    applied = stage.run("apply")
    requests, writes, sent = log(stage)
    found = REQUESTS.search(applied.out)
    assert found is not None, applied.out
    assert (int(found[1]), float(found[2]), int(found[3])) == (requests, round(requests / 3, 1), writes)
    assert float(found[4]) == pytest.approx(sent / 1e6, abs=0.06)
    assert re.search(r"steps\s+13 planned\s+13 verified", applied.out)
