"""The commands beside `particle-cli` do what they are measured for; nothing here is about time or needs npm."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.benchmarks.particle_cli import LAST_SLOT, Cost, Ours, cost_of, each_further, plan_and_apply, serve, table
from tests.npm_package import modules_of, packages_folder


def test_a_world_is_planned_and_brought_to_the_release(tmp_path: Path) -> None:
    ours = plan_and_apply(2, tmp_path)
    assert ours.apply.processor_seconds > 0
    assert '"devices_arrived": 2' in (tmp_path / "apply.json").read_text(encoding="utf-8")


def test_the_world_begins_below_the_release() -> None:
    server = serve(3)
    server.close()
    with server.locked() as cloud:
        versions = {device.versions[LAST_SLOT] for device in cloud.state.devices.values()}
    assert versions == {4003}


def test_processor_time_is_that_of_the_command_alone(tmp_path: Path) -> None:
    idle = cost_of([sys.executable, "-c", "import time; time.sleep(0.2)"], os.environ, log=tmp_path / "log")
    assert idle.processor_seconds < 0.2 <= idle.seconds


def test_a_command_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such luck"):
        cost_of([sys.executable, "-c", "raise SystemExit('no such luck')"], os.environ, log=tmp_path / "log")


def test_the_figures_are_laid_out() -> None:
    few, many = (
        Ours(devices=n, plan=Cost(seconds=1, processor_seconds=1), apply=Cost(seconds=9, processor_seconds=n / 10))
        for n in (10, 20)
    )
    assert each_further("apply", few, many) == pytest.approx(0.1)
    assert {line.count("|") for line in table([few.plan], [few.plan], [few, many])} == {5}


def test_packages_are_kept_outside_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RECONCILER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert modules_of("mahler", "4.1.5").is_relative_to(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert not packages_folder().is_relative_to(Path(__file__).parents[2])
