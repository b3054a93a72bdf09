"""The measurement of a pass measures what it says; nothing here is about time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.controller_pass import (
    HOURS_HEAD,
    converged,
    disturbed,
    idle,
    passes,
    report_of_hour,
    report_of_passes,
)


def ticking() -> Callable[[], float]:
    return map(float, itertools.count()).__next__


def test_every_kind_of_pass_is_measured() -> None:
    row = passes(300, runs=1, seed=3, clock=ticking())
    assert (row.devices, row.anew, row.first, row.idle, row.changed, row.listed) == (300, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert {line.count("|") for line in report_of_passes([row])} == {11}


def test_one_device_of_a_hundred_is_disturbed(tmp_path: Path) -> None:
    world = converged(300, tmp_path, seed=3)
    after = disturbed(world, random.Random(5))
    assert sum(before is not now for before, now in zip(world.seen.devices, after.devices, strict=True)) == 3


def test_hours_of_an_idle_fleet_are_counted() -> None:
    first, second = idle(300, hours=2)
    assert (first.passes, second.passes) == (60, 60)
    assert second.writes == 0
    # A list every ten minutes of three pages and the holdings, and devices that wake up.
    assert 6 * 4 <= second.requests <= 60
    assert second.files == first.files
    assert second.objects <= first.objects * 1.02 + 50
    assert {line.count("|") for line in (*HOURS_HEAD, report_of_hour(300, 2, second))} == {10}
