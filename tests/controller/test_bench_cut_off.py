"""Cut off at every moment: unplugged, or the program killed. The next plug-in, or the next run, finishes the work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.seat import SeatState
from reconciler.model.attempt import AttemptState
from reconciler.model.fleet import FleetSet, Selector
from reconciler.model.platform import platform_by_name
from reconciler.model.version import ApplicationVersion
from reconciler.particle.usb import UsbMode
from tests.bench.fake_bus import FakeDevice, application_of
from tests.bench.stage import USB, Stage
from tests.fleet_samples import fleet, own_binary

ONE = "e00fce680000000000000001"
ROUTES = [
    ("boron", "1.2.1", "1.5.2"),
    ("boron", "2.0.1", "6.3.4"),
    ("photon", "1.5.2", "2.3.1"),
    ("tracker", "2.3.1", "3.0.0"),
]


class KilledError(BaseException):
    """The process ends here: nothing catches it."""


def staged(platform: str, start: str, desired: str) -> tuple[Stage, FakeDevice]:
    named = platform_by_name(platform)
    assert named is not None
    wanted = replace(own_binary(platform, file="logger.bin"), version=ApplicationVersion(44))
    of_fleet = fleet(device_os=desired, application=wanted, select=Selector(devices=frozenset({ONE})), delivery=USB)
    here = Stage(fleets=FleetSet(fleets=(of_fleet,)), applications={(platform, 44): application_of(named, desired, 44)})
    return here, here.bus.plug(1, platform, start, application=(start, 12))


def moments_of(route: tuple[str, str, str]) -> int:
    here, device = staged(*route)
    assert here.serve(device).state is SeatState.DONE
    return len([moment for moment in device.moments if not moment.startswith("boots")])


def keeps_the_laws(here: Stage, device: FakeDevice, desired: str) -> None:
    assert device.device_os() == desired
    assert device.mode is UsbMode.NORMAL
    attempts = here.journal.attempts()
    assert not here.journal.open_attempts()
    ended = {AttemptState.VERIFIED, AttemptState.FAILED}
    assert {attempt.state for attempt in attempts} <= ended
    verified = [attempt.step for attempt in attempts if attempt.state is AttemptState.VERIFIED]
    assert len(verified) == len(set(verified)), "nothing that was proven is done again"


class At:
    """Does something at the n-th moment of a device, once."""

    def __init__(self, number: int, *, kill: bool) -> None:
        self._left = number
        self._kill = kill
        self.happened = False

    def __call__(self, device: FakeDevice, moment: str) -> None:
        self._left -= 1
        if self._left == 0:
            self.happened = True
            if self._kill:
                raise KilledError(moment)
            device.plugged = False


@pytest.mark.parametrize("route", ROUTES, ids="-".join)
def test_unplugged_at_any_moment_the_next_plug_in_finishes_it(route: tuple[str, str, str]) -> None:
    for number in range(1, moments_of(route) + 1):
        here, device = staged(*route)
        device.at_moment = cut = At(number, kill=False)
        bench = here.bench()
        assert here.serve(device, bench).state is SeatState.GONE, number
        assert cut.happened
        device.plugged = True
        device.port = "3-4"
        here.eyes.memory.forget(device.id)
        here.bus.clock.sleep(60)
        seat = here.serve(device, bench)
        assert seat.state is SeatState.DONE, (number, seat, device.moments)
        keeps_the_laws(here, device, route[2])


@pytest.mark.parametrize("route", ROUTES, ids="-".join)
def test_killed_at_any_moment_the_next_run_finishes_it(route: tuple[str, str, str]) -> None:
    for number in range(1, moments_of(route) + 1):
        here, device = staged(*route)
        device.at_moment = At(number, kill=True)
        with pytest.raises(KilledError):
            here.serve(device)
        here.bus.clock.sleep(60)
        seat = here.serve(device, here.bench())
        assert seat.state is SeatState.DONE, (number, seat, device.moments)
        keeps_the_laws(here, device, route[2])
