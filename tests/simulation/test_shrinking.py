"""A world that breaks a law is made smaller until only what matters is left."""

from __future__ import annotations

from tests.simulation.drawing import drawn
from tests.simulation.shrinking import in_words, shrunk, size, smaller
from tests.simulation.worlds import World


def has_a_crash_and_two_devices(world: World) -> bool:
    return bool(world.crashes) and len(world.devices) >= 2


def test_only_what_a_failure_needs_is_left() -> None:
    world = next(world for world in map(drawn, range(1, 100)) if size(world) > 20 and len(world.crashes) > 1)

    small = shrunk(world, has_a_crash_and_two_devices)

    assert has_a_crash_and_two_devices(small)
    assert not any(has_a_crash_and_two_devices(other) for other in smaller(small) if size(other) < size(small))
    assert (len(small.devices), len(small.crashes), len(small.faults), len(small.happenings)) == (2, 1, 0, 0)
    assert "World(" in in_words(small)


def test_without_time_a_world_stays_as_it_is() -> None:
    world = drawn(1)
    assert shrunk(world, lambda _: True, seconds_max=0.0) == world
