"""What seeds have found, in worlds that were made small: each of them once broke a law."""

from __future__ import annotations

import pytest

from reconciler.model.fleet import RolloutPolicy, Share
from tests.simulation.broken_twins import small
from tests.simulation.laws import broken
from tests.simulation.longplay import play_long
from tests.simulation.playing import play
from tests.simulation.worlds import Deed, DeviceSpec, FaultSpec, FleetSpec, Happening, World

ONE_BY_ONE = RolloutPolicy(concurrent_max=Share(1), failures_max=Share(100, percent=True), step_deadline_seconds=900.0)


def later(deed: Deed, device: int = 1) -> Happening:
    """When the first rollout is over and its client has gone."""
    return Happening(at=3000.0, deed=deed, fleet="a", device=device)


WORLDS: dict[str, World] = {
    "a second rollout is no wider than the first (S12)": small(
        device_os="6.3.4", rollout=ONE_BY_ONE, days=0.3, happenings=(later(Deed.NEW_APPLICATION),)
    ),
    "what people undid after a rollout is put back one by one (S12)": small(
        device_os="6.3.4", rollout=ONE_BY_ONE, days=0.3, happenings=tuple(later(Deed.LOCK, n) for n in (1, 2, 3))
    ),
    "a device that says yes to one module and no to the next is sent both a few times only (P7)": small(
        devices=1,
        days=0.25,
        faults=(FaultSpec(fault="success-not-applied", rate=1.0, count=None, begin=0.0, end=20_000.0),),
    ),
}


OF_CONTROLLERS: dict[str, World] = {
    "who is in safe mode with what a person released waits for that person, and has told of its modules (P5)": World(
        seed=34,
        days=0.0625,
        devices=tuple(
            DeviceSpec(number=number, product="home-hub", device_os=release, group="b", healer=number == 4)
            for number, release in ((4, "0.5.2"), (5, "0.6.3"))
        ),
        fleets=(
            FleetSpec(
                name="b",
                product="home-hub",
                device_os="2.3.1",
                application=2,
                rollout=RolloutPolicy(concurrent_max=Share(5), failures_max=Share(100, percent=True)),
            ),
        ),
        faults=(FaultSpec(fault="person-changes-release", rate=0.262, count=4, begin=0.0, end=17_225.0),),
    ),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("words", OF_CONTROLLERS)
def test_what_a_seed_once_found_in_controllers_is_mended(words: str) -> None:
    assert broken(play_long(OF_CONTROLLERS[words])) == {}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("words", WORLDS)
def test_what_a_seed_once_found_is_mended(words: str) -> None:
    assert broken(play(WORLDS[words])) == {}
