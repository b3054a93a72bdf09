"""What is kept between two plans changes nothing in them; nothing here is about time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from tests.benchmarks.replan import World, again, changed, report, world_of


def ticking() -> Callable[[], float]:
    return map(float, itertools.count()).__next__


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_of(300, tmp_path_factory.mktemp("world"), seed=3)


def test_planning_again_is_measured_both_ways(world: World) -> None:
    row = again(world, runs=1, seed=3, clock=ticking())
    assert (row.devices, row.anew, row.followed, row.ratio) == (300, 1.0, 1.0, 1.0)
    assert 1 < row.kinds <= 300
    assert {line.count("|") for line in report([row])[:3]} == {6}


def test_one_device_of_a_hundred_changes(world: World) -> None:
    after = changed(world.observed, random.Random(5))
    pairs = zip(world.observed.devices, after.devices, strict=True)
    assert sum(before is not now for before, now in pairs) == 3
    assert [device.id for device in after.devices] == [device.id for device in world.observed.devices]
