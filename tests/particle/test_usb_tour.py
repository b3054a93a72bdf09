"""Every request of the wire, against both faces of the pretend bench: under pyusb here, and under libusb on the bus."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.device import DeviceId
from tests.os_bench import os_bench
from tests.pretend_bench import DEVICE, PretendBench
from tests.usb_tour import tour

DEVICES = [
    ("boron", "4.0.0", "6.3.4"),
    ("photon", "2.0.1", "2.3.1"),
    ("electron", "1.5.2", "2.3.1"),
    ("p2", "5.6.0", "5.7.0"),
    ("msom", "6.4.0", "6.4.1"),
    ("argon", "6.1.1", "6.5.0"),
]


def expected(platform: str, before: str, after: str) -> dict[str, Any]:
    return {
        "device": ["1-1", platform, "normal"],
        "modes": ["normal", "listening", "normal"],
        "cloud": ["disconnected", "disconnected", "connected"],
        "phases": ["preparing", "sending", "applying"],
        "same bytes": True,
        "at the end": after,
    }


def check(seen: dict[str, Any], platform: str, before: str, after: str) -> None:
    wanted = expected(platform, before, after)
    assert {key: seen[key] for key in wanted} == wanted
    assert seen["names"][0] == DEVICE
    assert seen["names"][2] == before
    assert seen["after the update"] != seen["modules"]


@pytest.mark.parametrize(("platform", "before", "after"), DEVICES)
def test_a_device_answers_and_is_brought_up_in_this_process(platform: str, before: str, after: str) -> None:
    bench = PretendBench()
    bench.plug(platform, before)
    check(tour(bench.bus, DEVICE, after), platform, before, after)
    assert bench.violations() == []


@pytest.mark.parametrize(("platform", "before", "after"), DEVICES[:2] + DEVICES[3:4])
def test_a_device_on_the_bus_of_the_operating_system_does_the_same(platform: str, before: str, after: str) -> None:
    here = PretendBench()
    here.plug(platform, before)
    line = {"id": DEVICE, "platform": platform, "release": before, "product": [12345, 3], "port": [1]}
    with os_bench({"devices": [line]}) as bench:
        seen = bench.python("tests.usb_tour", DEVICE, after)
        assert seen == tour(here.bus, DeviceId(DEVICE), after)
        assert bench.ask("judge", unmet_allowed=True) == []
    check(seen, platform, before, after)


@pytest.mark.parametrize(
    ("kind", "of", "times", "seen"),
    [
        ("stall", "check", 1, ["PFR3205"]),
        ("unplug", "recv", 1, ["PFR3204"]),
        ("garbage", "check", 1, ["PFR3207"]),
        ("short", "recv", 1, ["PFR3215"]),
        ("busy", "init", 3, ["1-1", 4]),
    ],
)
def test_a_fault_is_the_same_error_through_the_operating_system(
    kind: str, of: str, times: int, seen: list[object]
) -> None:
    line = {"id": DEVICE, "platform": "boron", "release": "4.0.0", "product": [12345, 3], "port": [1]}
    with os_bench({"devices": [line], "faults": [{"kind": kind, "of": of, "times": times}]}) as bench:
        assert bench.python("tests.usb_ask", DEVICE) == seen


def test_a_device_that_is_pulled_out_and_plugged_in_elsewhere_is_found_there() -> None:
    line = {"id": DEVICE, "platform": "boron", "release": "4.0.0", "product": [12345, 3], "port": [1]}
    with os_bench({"devices": [line]}) as bench:
        assert bench.python("tests.usb_ask", DEVICE) == ["1-1", 4]
        bench.ask("unplug", device=DEVICE)
        assert bench.python("tests.usb_ask", DEVICE) == ["PFR3204"]
        bench.ask("plug", device=DEVICE, port=[7])
        assert bench.python("tests.usb_ask", DEVICE) == ["1-7", 4]
