"""DFU on pretend devices: memory layouts, writing and reading back, what is refused, and what faults leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator.bench.faults import BenchFault, FaultKind, TransferKind
from reconciler.emulator.bench.memory import Chip, memories
from reconciler.emulator.bench.timing import LIFELIKE, Timing
from reconciler.model.platform import Platform
from reconciler.model.usb_ids import USB_IDS
from reconciler.particle.usb import DfuSession, DfuWrite, Phase, Protection, UsbMode, UsbProgress
from reconciler.particle.usb_clock import UsbClock
from reconciler.particle.usb_dfu import LibusbDfu
from reconciler.particle.usb_error import (
    DfuError,
    ForbiddenRangeError,
    UsbCancelledError,
    UsbError,
    UsbGarbledError,
    UsbGoneError,
    UsbProtectedError,
    UsbTimeoutError,
    UsbUnsupportedError,
    UsbVerifyError,
)
from reconciler.particle.usb_image import dfu_writes, writable_ranges
from reconciler.particle.usb_pipe import UsbPipe
from tests.pretend_bench import DEVICE, PretendBench, application, factory, module, platform

WITH_MODULES = [ids.platform for ids in USB_IDS if ids.platform.layout]


@contextmanager
def dfu(bench: PretendBench) -> Iterator[DfuSession]:
    with bench.in_dfu().dfu() as session:
        yield session


def system_part(release: str) -> DfuWrite:
    (write,) = dfu_writes(platform("boron"), module("boron", release, "system_part/1"))
    return write


CONFIGURATION = (
    bytes.fromhex("09022d00010100c032") + bytes.fromhex("0904000000fe010206") + bytes.fromhex("09210bff0000101a01")
)


class Bootloader:
    """A device of pyusb with a true layout, whose statuses and memory are what it is given, in a circle."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.transfers = 0

    def ctrl_transfer(self, kind: int, request: int, value: int, index: int, data: Any, timeout: int) -> Any:
        self.transfers += 1
        if not kind & 0x80:
            return len(data)
        if kind == 0x80:
            text = memories(platform("boron"))[0].text.encode("utf-16-le")
            descriptor = CONFIGURATION if value >> 8 == 2 else bytes((len(text) + 2, 3)) + text
            return descriptor[:data]
        return self.answers[self.transfers % len(self.answers)][:data]

    def set_interface_altsetting(self, interface: int, alternate_setting: int) -> None:
        self.transfers += 1


STATUSES = st.builds(
    lambda status, poll, state, text: bytes((status, poll, 0, 0, state, text)),
    status=st.sampled_from([0, 0, 0, 11, 14]),
    poll=st.sampled_from([0, 100]),
    state=st.sampled_from([2, 3, 4, 5, 5, 7, 9, 10]),
    text=st.sampled_from([0, 6]),
)


@given(
    answers=st.lists(st.one_of(STATUSES, st.binary(max_size=8)), min_size=1, max_size=7), ends=st.sampled_from([1, 9])
)
@settings(deadline=None)
def test_whatever_a_bootloader_answers_work_ends_in_time_with_a_typed_error(answers: list[bytes], ends: float) -> None:
    seconds = [0.0]

    def sleep(pause: float) -> None:
        seconds[0] += pause

    device = Bootloader(answers)
    clock = UsbClock(now=lambda: seconds[0], sleep=sleep)
    session = LibusbDfu(UsbPipe(device, "port 1", out_needs_data=False), platform("boron"), clock)
    with suppress(UsbError):
        session.flash(DfuWrite(address=0x30000, content=bytes(9000)), deadline_seconds=ends)
    with suppress(UsbError):
        session.read(0x30000, 9000, deadline_seconds=ends)
    with suppress(UsbError):
        session.leave()
    with suppress(UsbError):
        session.enter_safe_mode()
    assert seconds[0] < 200
    assert device.transfers < 200_000


def test_a_module_is_written_read_back_and_told_of() -> None:
    bench = PretendBench(timing=LIFELIKE)
    device = bench.plug("boron", "4.0.0")
    write = system_part("4.0.2")
    progress: list[UsbProgress] = []
    with dfu(bench) as session:
        session.flash(write, on_progress=progress.append)
        session.leave()
    for phase, total in (
        (Phase.ERASING, 503808),
        (Phase.SENDING, len(write.content)),
        (Phase.VERIFYING, len(write.content)),
    ):
        done = [step.done_bytes for step in progress if step.phase is phase]
        assert done == sorted(done)
        assert (done[-1], progress[-1].total_bytes) == (
            total if phase is not Phase.ERASING else done[-1],
            len(write.content),
        )
    assert device.chips[Chip.INTERNAL].read(write.address, len(write.content)) == write.content
    with bench.normal().control() as control:
        assert control.system_version() == "4.0.2"
    assert bench.violations() == []


def test_an_application_in_the_large_place_blanks_the_former_one() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "4.0.0", own_application=application("boron", "2.0.0", 2))
    assert "user_part/1" in map(str, device.holdings.held)
    with dfu(bench) as session:
        for write in dfu_writes(platform("boron"), application("boron", "4.0.0", 3, size=200_000)):
            session.flash(write)
        session.leave()
    bench.normal()
    assert [str(slot) for slot in device.holdings.held if slot.function.label == "user_part"] == ["user_part/2"]
    assert device.boot_mode() == "normal"


def test_without_blanking_the_former_application_would_hide_the_new_one() -> None:
    """Why `dfu_writes` names two writes: on a device whose bootloader does not do it itself (facts 3.2)."""
    bench = PretendBench()
    device = bench.plug("boron", "2.0.0")
    _, only = dfu_writes(platform("boron"), application("boron", "4.0.0", 4))
    with dfu(bench) as session:
        session.flash(only)
    assert device.holdings.loadout.application is not None
    assert device.holdings.loadout.application.product_version == 3


def test_a_radio_stack_is_written_without_its_prefix() -> None:
    bench = PretendBench()
    device = bench.plug("argon", "1.3.1")
    content = module("argon", "1.4.4", "radio_stack/0")
    (write,) = dfu_writes(platform("argon"), content)
    assert (write.address, write.content) == (0x1000, content[24:])
    with dfu(bench) as session:
        session.flash(write)
    assert [v for slot, v in device.holdings.loadout.versions.items() if slot.function.label == "radio_stack"] == [202]


@pytest.mark.parametrize(
    ("address", "size", "alternate"),
    [
        (0x000F4000, 4096, 0),
        (0x000F3FFC, 8, 0),
        (0x000F8000, 4096, 0),
        (0x00000000, 4096, 0),
        (0x00000000, 16, 1),
        (0x80000000, 4096, 2),
        (0x00200000, 16, 0),
        (0x000FFFFC, 8, 0),
        (0x00030000, 0, 0),
        (0x00030000, 16, 7),
    ],
)
def test_a_range_that_must_never_be_written_is_refused_before_anything_is_sent(
    address: int, size: int, alternate: int
) -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    with dfu(bench) as session, pytest.raises(ForbiddenRangeError) as caught:
        session.flash(DfuWrite(address=address, content=bytes(size), alternate=alternate))
    assert not caught.value.may_have_changed
    assert {entry.moment for entry in bench.bench.story(0.0)} <= {"plugged", "restarted", "seen"}


@pytest.mark.parametrize("each", WITH_MODULES, ids=str)
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_no_write_whatever_reaches_what_must_never_be_written(each: Platform, data: st.DataObject) -> None:
    name = str(each)
    bench = PretendBench()
    bench.bench.plug(factory().blank(DEVICE, platform(name)), (1,), 0.0)
    memory = memories(platform(name))[0]
    edges = [edge for allowed in writable_ranges(platform(name)) for edge in (allowed.start, allowed.stop)]
    near = st.builds(lambda edge, off: max(edge + off, 0), st.sampled_from(edges), st.integers(-5000, 5000))
    address = data.draw(st.one_of(near, st.integers(memory.start, memory.end)))
    write = DfuWrite(address=address, content=bytes(data.draw(st.integers(0, 9000))))
    with dfu(bench) as session:
        try:
            session.flash(write)
        except (ForbiddenRangeError, UsbProtectedError):
            assert {entry.moment for entry in bench.bench.story(0.0)} <= {"plugged", "restarted", "seen"}
    assert [line for line in bench.violations() if line.startswith("B2")] == []


def test_a_protected_bootloader_is_left_alone() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "6.3.4")
    with dfu(bench) as session:
        assert session.protection() is Protection.OPEN
    device.protected = True
    with dfu(bench) as session:
        assert session.protection() is Protection.PROTECTED
        with pytest.raises(UsbProtectedError) as caught:
            session.flash(system_part("6.4.1"))
        assert not caught.value.may_have_changed
        with pytest.raises(UsbProtectedError):
            session.read(0x30000, 4096)
        device.service = True
        assert session.protection() is Protection.SERVICE


def test_in_service_mode_a_new_system_part_is_taken_and_an_old_one_is_not() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "6.3.4")
    device.protected = device.service = True
    with dfu(bench) as session:
        with pytest.raises(UsbProtectedError):
            session.flash(system_part("5.9.0"))
        session.flash(system_part("6.4.0"))
    assert device.system_number == 6400
    assert bench.violations() == []


def test_a_bootloader_that_hides_that_it_is_protected_is_told_by_its_first_refusal() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "6.3.4")
    with dfu(bench) as session:
        device.protected = True
        with pytest.raises(UsbProtectedError):
            session.flash(system_part("6.4.1"))
        device.protected = False
        session.flash(system_part("6.4.1"))
    assert bench.violations() == []


def test_an_old_bootloader_that_is_protected_shows_it_by_its_layout() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "5.9.0")
    with dfu(bench) as session:
        assert session.protection() is Protection.UNKNOWN
    device.protected = True
    with dfu(bench) as session:
        assert session.protection() is Protection.PROTECTED


def test_what_goes_in_normal_mode_does_not_go_by_dfu() -> None:
    for slot in ("bootloader/0",):
        with pytest.raises(UsbUnsupportedError):
            dfu_writes(platform("boron"), module("boron", "4.0.0", slot))
    with pytest.raises(UsbUnsupportedError):
        dfu_writes(platform("tracker"), module("tracker", "5.6.0", "ncp_firmware/0"))
    with pytest.raises(UsbUnsupportedError):
        dfu_writes(platform("boron"), module("argon", "4.0.0", "system_part/1"))


@pytest.mark.parametrize("at", [1, 7, 60, 122])
@pytest.mark.parametrize(
    ("kind", "of", "expected"),
    [
        (FaultKind.UNPLUG, TransferKind.DFU_WRITE, UsbGoneError),
        (FaultKind.STALL, TransferKind.DFU_WRITE, UsbError),
        (FaultKind.LOST, TransferKind.DFU_COMMAND, UsbTimeoutError),
        (FaultKind.GARBAGE, TransferKind.DFU_STATUS, UsbGarbledError),
        (FaultKind.SHORT, TransferKind.DFU_STATUS, UsbGarbledError),
        (FaultKind.FLIP, TransferKind.DFU_WRITE, UsbVerifyError),
        (FaultKind.FLIP, TransferKind.DFU_READ, UsbVerifyError),
        (FaultKind.SHORT, TransferKind.DFU_READ, UsbError),
        (FaultKind.SILENCE, TransferKind.DFU_READ, UsbTimeoutError),
    ],
)
def test_a_fault_in_the_middle_is_a_typed_error_and_the_next_try_mends_the_module(
    kind: FaultKind, of: TransferKind, expected: type[UsbError], at: int
) -> None:
    bench = PretendBench(faults=[BenchFault(kind=kind, of=of, transfer=at)])
    device = bench.plug("boron", "4.0.0")
    write = system_part("4.0.2")
    device_in_dfu = bench.in_dfu()
    with pytest.raises(expected) as caught, device_in_dfu.dfu() as session:
        session.flash(write)
    if of is not TransferKind.DFU_STATUS or at > 10:
        assert caught.value.may_have_changed
    if kind is FaultKind.UNPLUG:
        bench.bench.plug(device, (3,), bench.seconds)
        found = bench.bus.find(DEVICE, within_seconds=10)
        assert found.port == "1-3"
        # A device without a whole system part stays in its bootloader.
        assert found.mode is UsbMode.DFU
    with dfu(bench) as session:
        session.flash(write)
        session.leave()
    with bench.normal().control() as control:
        assert control.system_version() == "4.0.2"
    assert bench.violations() == []


def test_a_flip_in_the_address_is_seen_or_does_no_harm_outside() -> None:
    bench = PretendBench(faults=[BenchFault(kind=FaultKind.FLIP, of=TransferKind.DFU_COMMAND, transfer=3)])
    bench.plug("boron", "4.0.0")
    with dfu(bench) as session:
        with pytest.raises(DfuError) as caught:
            session.flash(system_part("4.0.2"))
        assert caught.value.status
        session.flash(system_part("4.0.2"))
    assert bench.violations() == []


def test_a_person_stops_a_write_and_the_referee_sees_what_was_left() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    steps: list[UsbProgress] = []
    with dfu(bench) as session, pytest.raises(UsbCancelledError) as caught:
        session.flash(system_part("4.0.2"), on_progress=steps.append, stopped=lambda: len(steps) > 200)
    assert caught.value.may_have_changed
    assert [line for line in bench.violations() if line.startswith("B3")]


def test_a_bootloader_in_any_state_is_brought_to_rest() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    handle: Any = bench.in_dfu()
    raw = handle.handle
    for disturb in (
        lambda: raw.ctrl_transfer(0x21, 1, 2, 0, b"x" * 64, 1000),
        lambda: raw.ctrl_transfer(0x21, 1, 1, 0, b"x", 1000),
        lambda: raw.ctrl_transfer(0xA1, 2, 2, 0, 64, 1000),
    ):
        disturb()
        with handle.dfu() as session:
            assert len(session.read(0x30000, 10_000)) == 10_000


def test_reading_gives_what_is_there() -> None:
    bench = PretendBench()
    device = bench.plug("p2", "5.6.0")
    with dfu(bench) as session:
        assert session.read(0x08060000, 300_001) == device.chips[Chip.INTERNAL].read(0x08060000, 300_001)
        with pytest.raises(UsbError):
            session.read(0x08060000, 16, alternate=9)


def test_leaving_into_safe_mode_needs_a_bootloader_that_can() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "6.3.4")
    with dfu(bench) as session:
        session.enter_safe_mode()
    bench.normal()
    assert device.mode == "safe_mode"
    old = PretendBench()
    old.plug("photon", "2.0.1")
    with dfu(old) as session, pytest.raises(UsbUnsupportedError):
        session.enter_safe_mode()


def test_a_write_ends_at_its_deadline() -> None:
    bench = PretendBench(timing=Timing(program_kib=1.0))
    bench.plug("photon", "2.0.1")
    (write,) = dfu_writes(platform("photon"), module("photon", "2.1.0", "system_part/1"))
    with dfu(bench) as session:
        begun = bench.seconds
        with pytest.raises(UsbTimeoutError):
            session.flash(write, deadline_seconds=20)
        assert bench.seconds - begun < 45


@pytest.mark.parametrize(("name", "before", "after"), [("boron", "4.0.0", "4.0.2"), ("photon", "2.0.1", "2.1.0")])
def test_a_device_waits_for_nothing_but_itself(name: str, before: str, after: str) -> None:
    bench = PretendBench(timing=LIFELIKE)
    device = bench.plug(name, before)
    found = bench.in_dfu()
    begun, spent = bench.seconds, device.seconds_spent
    with found.dfu() as session:
        for slot in platform(name).system_parts:
            for write in dfu_writes(platform(name), module(name, after, str(slot))):
                session.flash(write)
        session.leave()
    bench.bus.find(DEVICE, restarted_from=found, within_seconds=30)
    assert bench.seconds - begun <= 1.1 * (device.seconds_spent - spent)
