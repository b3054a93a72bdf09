"""The hall: who comes gets a seat, who goes gives it up, and who was pulled out in the middle is not forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.controller.bench_hall import AWAY_SECONDS, Hall
from reconciler.controller.seat import SeatState
from reconciler.model.fleet import FleetSet, Selector
from reconciler.particle.usb_error import UsbPermissionError
from tests.bench.fake_bus import FakeDevice
from tests.bench.stage import USB, Stage
from tests.fleet_samples import device_id, fleet

OURS = Selector(devices=frozenset(map(device_id, range(1, 11))))


@pytest.fixture
def here() -> Stage:
    return Stage(fleets=FleetSet(fleets=(fleet(select=OURS, delivery=USB),)))


@pytest.fixture
def hall(here: Stage) -> Iterator[Hall]:
    here.bench()
    with ThreadPoolExecutor(8) as pool:
        yield Hall(here.bench, here.eyes, pool, now=here.clock.now)


def settled(hall: Hall) -> dict[str, SeatState]:
    hall.look_around()
    hall.wait()
    return {str(seat.device_id): seat.state for seat in hall.seats()}


def test_everybody_who_is_plugged_in_is_served(here: Stage, hall: Hall) -> None:
    devices = [here.bus.plug(number, "boron", "2.0.1") for number in (1, 2, 3)]
    stranger = here.bus.plug(99, "boron", "2.0.1")
    states = settled(hall)
    assert states.pop(stranger.id) is SeatState.STRANGER
    assert states == dict.fromkeys((device.id for device in devices), SeatState.DONE)


def test_who_is_done_is_served_once_for_as_long_as_it_stays(here: Stage, hall: Hall) -> None:
    device = here.bus.plug(1, "boron", "2.0.1")
    settled(hall)
    moments = len(device.moments)
    here.clock.sleep(600)
    settled(hall)
    assert len(device.moments) == moments


def test_a_seat_is_free_when_its_device_is_unplugged_for_a_while(here: Stage, hall: Hall) -> None:
    device = here.bus.plug(1, "boron", "2.0.1")
    settled(hall)
    device.plugged = False
    settled(hall)
    assert len(hall.seats()) == 1, "it may be restarting"
    here.clock.sleep(AWAY_SECONDS + 1)
    assert settled(hall) == {}


def test_who_was_pulled_out_in_the_middle_keeps_its_seat_and_goes_on_when_it_is_back(here: Stage, hall: Hall) -> None:
    device = here.bus.plug(1, "boron", "2.0.1")

    def pull(pulled: FakeDevice, moment: str) -> None:
        if moment.startswith("half"):
            pulled.plugged = False
            pulled.at_moment = lambda _device, _moment: None

    device.at_moment = pull
    assert settled(hall) == {device.id: SeatState.GONE}
    here.clock.sleep(600)
    assert settled(hall) == {device.id: SeatState.GONE}
    device.plugged = True
    assert settled(hall) == {device.id: SeatState.DONE}


def test_a_device_that_may_not_be_opened_is_shown_and_served_once_it_may(here: Stage, hall: Hall) -> None:
    device = here.bus.plug(1, "boron", "2.0.1")
    device.trouble = UsbPermissionError("no right to open port 1-1")
    hall.look_around()
    (seat,) = hall.seats()
    assert (seat.state, seat.code) == (SeatState.TROUBLE, "PFR3202")
    device.trouble = None
    assert settled(hall) == {device.id: SeatState.DONE}
