"""The bus that the devices of a pretend bench share."""

from __future__ import annotations

import pytest

from reconciler.emulator.bench.bench import Bench
from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.bench.timing import INSTANT, LIFELIKE, Timing
from reconciler.emulator.bench.transfer import Setup
from reconciler.model.version import DeviceOsVersion
from tests.pretend_bench import factory, platform

DESCRIPTOR = Setup(request_type=0x80, request=6, value=0x0100, index=0, length=18)


def plugged(timing: Timing) -> tuple[Bench, list[BenchDevice]]:
    bench = Bench(release_name=factory().release_name, timing=timing)
    devices = [
        factory().device(f"e00fce68{number:016x}", platform("boron"), DeviceOsVersion("6.3.4"), product=(13, 1))
        for number in range(1, 11)
    ]
    for port, device in enumerate(devices, 1):
        bench.plug(device, (port,), 0.0)
    return bench, devices


def seconds_of(bench: Bench, now: float) -> list[float]:
    """One transfer with everybody at the same moment."""
    there = [each.address for each in bench.attached(now)]
    return [bench.transfer(address, DESCRIPTOR, b"", now).seconds for address in there if address is not None]


def test_transfers_of_one_moment_pass_one_after_the_other() -> None:
    bench, devices = plugged(LIFELIKE)
    alone, *others = seconds_of(bench, 10.0)
    waits = [seconds - alone for seconds in others]
    assert waits == pytest.approx([turn * LIFELIKE.shared(18) for turn in range(1, 10)])
    assert [device.seconds_waited for device in devices] == pytest.approx([0.0, *waits])


def test_who_comes_when_the_bus_is_free_waits_for_nobody() -> None:
    bench, devices = plugged(LIFELIKE)
    seconds_of(bench, 10.0)
    first, *_ = devices
    assert first.seconds_waited == 0.0
    seconds_of(bench, 11.0)
    assert first.seconds_waited == 0.0


def test_the_bus_passes_about_as_much_as_the_standard_says() -> None:
    """USB 2.0, table 5-2: 13 control transfers of 64 bytes in a frame of a millisecond."""
    assert 13 <= 0.001 / LIFELIKE.shared(64) < 14


def test_without_times_nobody_waits() -> None:
    bench, devices = plugged(INSTANT)
    assert {*seconds_of(bench, 0.0)} == {0.0}
    assert {device.seconds_waited for device in devices} == {0.0}
