"""Each law of the bench, kept and broken, by devices that a careless host works on."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.emulator.bench.referee import BenchRules
from reconciler.particle.usb import DfuWrite
from reconciler.particle.usb_image import dfu_writes
from tests.pretend_bench import DEVICE, PretendBench, application, module, platform


def write(bench: PretendBench, address: int, content: bytes, *, leave: bool = True) -> None:
    """By raw requests: our own session would refuse most of this."""
    handle: Any = bench.in_dfu()
    raw = handle.handle
    offsets = range(0, len(content), 4096)
    for offset in offsets:
        command(raw, 0x41, address + offset)
    for offset in offsets:
        command(raw, 0x21, address + offset)
        raw.ctrl_transfer(0x21, 1, 2, 0, content[offset : offset + 4096], 1000)
        status(raw)
    if leave:
        raw.ctrl_transfer(0x21, 1, 2, 0, b"", 1000)
        raw.ctrl_transfer(0xA1, 3, 0, 0, 6, 1000)


def command(raw: Any, number: int, address: int) -> None:
    raw.ctrl_transfer(0x21, 1, 0, 0, bytes((number,)) + address.to_bytes(4, "little"), 1000)
    status(raw)


def status(raw: Any) -> None:
    for _ in range(2):
        raw.ctrl_transfer(0xA1, 3, 0, 0, 6, 1000)


def laws(bench: PretendBench, rules: BenchRules | None = None) -> set[str]:
    return {line.split()[0] for line in bench.violations(rules)}


def test_b1_a_module_that_falls_is_seen() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.2")
    write(bench, 0x30000, module("boron", "4.0.0", "system_part/1"))
    assert laws(bench) == {"B1"}


def test_b1_an_application_that_falls_is_seen() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    with bench.normal().control() as session:
        session.update(application("boron", "4.0.0", 2))
    assert laws(bench) == {"B1"}


def test_b1_a_fall_by_the_way_of_a_broken_module_is_seen() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "4.0.2")
    write(bench, 0x30000, bytes(4096), leave=False)
    bench.bench.unplug(device, 0.0)
    bench.bench.plug(device, (1,), 0.0)
    write(bench, 0x30000, module("boron", "4.0.0", "system_part/1"))
    assert "B1" in laws(bench)


@pytest.mark.parametrize("address", [0xF4000, 0xF8000, 0x0])
def test_b2_a_write_outside_of_the_places_of_modules_is_seen(address: int) -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    write(bench, address, bytes(4096), leave=False)
    assert "B2" in laws(bench)


def test_b3_a_module_left_incomplete_is_seen_at_a_restart_and_at_the_end() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    write(bench, 0x30000, module("boron", "4.0.2", "system_part/1")[:40_960])
    assert laws(bench) == {"B3"}
    assert laws(bench, BenchRules(unmet_allowed=True, ended=False)) == {"B3"}


def test_b3_a_power_cut_in_the_middle_is_nobodys_fault_when_it_is_mended() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "4.0.0")
    content = module("boron", "4.0.2", "system_part/1")
    write(bench, 0x30000, content[:40_960], leave=False)
    bench.bench.unplug(device, 0.0)
    assert laws(bench, BenchRules(unmet_allowed=True, ended=False)) == set()
    assert laws(bench) == {"B3"}
    bench.bench.plug(device, (2,), 0.0)
    write(bench, 0x30000, content)
    assert laws(bench) == set()


def test_b3_what_a_power_cut_left_may_be_restarted_to_be_mended_and_must_be_mended() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "4.0.0")
    content = application("boron", "4.0.0", 4, 65_536)
    write(bench, 0xB4000, content[:8192], leave=False)
    bench.bench.unplug(device, 0.0)
    bench.bench.plug(device, (2,), 0.0)
    bench.normal()
    bench.in_dfu()
    assert laws(bench, BenchRules(unmet_allowed=True, ended=False)) == set()
    assert laws(bench) == {"B3"}
    write(bench, 0xB4000, content)
    assert laws(bench) == set()


def test_b4_a_device_of_no_fleet_that_is_touched_is_seen() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    nobody = BenchRules(desired=frozenset(), unmet_allowed=True)
    assert laws(bench, nobody) == set()
    with bench.normal().control() as session:
        session.update(application("boron", "4.0.0", 4))
    assert laws(bench, nobody) == {"B4"}
    assert laws(bench, BenchRules(desired=frozenset({DEVICE}))) == set()


def test_b5_a_restart_into_needs_that_are_not_met_is_seen_unless_it_is_allowed() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    with bench.in_dfu().dfu() as session:
        for each in dfu_writes(platform("boron"), module("boron", "6.1.1", "system_part/1")):
            session.flash(each)
        session.leave()
    assert laws(bench, BenchRules()) == {"B5"}
    assert laws(bench) == set()


def test_a_careful_host_breaks_no_law() -> None:
    bench = PretendBench()
    bench.plug("boron", "6.1.1")
    with bench.normal().control() as control:
        control.update(module("boron", "6.3.4", "bootloader/0"))
    with bench.in_dfu().dfu() as session:
        writes: tuple[DfuWrite, ...] = dfu_writes(platform("boron"), module("boron", "6.3.4", "system_part/1"))
        for each in writes:
            session.flash(each)
        session.leave()
    bench.normal()
    assert laws(bench, BenchRules(desired=frozenset({DEVICE}))) == set()
