"""The dates of the cloud's answers and the times of its events come from machines whose clocks need not agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.emulator import serve
from reconciler.model.attempt import FailureClass
from tests.simulation.stage import set_stage

DEVICES = """
  - {count: 1, product: cold-chain, platform: boron, deviceOS: "6.2.0", application: 1, groups: [all]}
"""


@pytest.mark.parametrize("skew_seconds", [300.0, -300.0])
def test_a_failed_transfer_is_heard_though_the_clocks_of_the_cloud_disagree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skew_seconds: float
) -> None:
    truthful = serve.formatdate
    monkeypatch.setattr(serve, "formatdate", lambda at, **style: truthful(at + skew_seconds, **style))
    with set_stage(tmp_path, devices=DEVICES, products=("cold-chain",), speed=300.0) as stage:
        stage.fault("flash-fails", count=1)
        ended = stage.run("apply")
        assert ended.code == 0, ended.err
        first = next(attempt for attempt in reversed(stage.attempts()) if attempt.failure is not None)
        assert (first.failure, first.detail) == (FailureClass.INSTALL, "the transfer was reported as failed")
        stage.assert_nothing_wrong()
