"""The benchmark of large worlds measures what it says; nothing here is about time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.emulator import Inside, Outside, inside, outside, report, world_of


def ticking() -> Callable[[], float]:
    return map(float, itertools.count()).__next__


@pytest.fixture(scope="module")
def alone() -> Inside:
    return inside(60, runs=1, clock=ticking())


def test_a_world_has_as_many_devices_as_asked_for() -> None:
    assert sum(line.count for line in world_of(1000).devices) == 1000


def test_everything_inside_a_world_is_measured_once(alone: Inside) -> None:
    measured = (alone.build_seconds, alone.first_page_seconds, alone.last_page_seconds, alone.device_seconds)
    assert (alone.devices, *measured) == (60, 1.0, 1.0, 1.0, 1.0)
    assert alone.moments_per_second == alone.moments > 60


def test_a_world_is_asked_over_http_beside_a_bare_server(tmp_path: Path, alone: Inside) -> None:
    row = outside(120, tmp_path, runs=2)
    assert row.page_bytes > 8_000, "the second page of 120 devices has 20"
    assert min(row.page_ratio, row.device_ratio, row.observe_client_seconds) > 0
    assert (tmp_path / "many.json").stat().st_size > row.page_bytes
    assert len([line for line in report([(alone, row)]) if line.startswith(("| 60", "| 120"))]) == 2


def test_the_report_compares_the_smallest_with_the_largest(alone: Inside) -> None:
    rows: list[tuple[Inside, Outside | None]] = [(alone, None), (inside(120, runs=1, clock=ticking()), None)]
    assert report(rows)[-1].startswith("\n- 2 times the devices")
