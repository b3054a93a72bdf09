"""What is plugged in: ports, modes, serials, and what cannot be opened."""

from __future__ import annotations

import sys
import threading

import pytest
import usb.core

from reconciler.emulator.bench.faults import BenchFault, FaultKind, TransferKind
from reconciler.emulator.bench.timing import LIFELIKE
from reconciler.model.usb_ids import USB_IDS, UsbIds
from reconciler.particle.usb import UsbMode
from reconciler.particle.usb_bus import LibusbBus
from reconciler.particle.usb_error import (
    UsbBusyError,
    UsbError,
    UsbGoneError,
    UsbMissingError,
    UsbPermissionError,
    UsbTimeoutError,
    UsbUnsupportedError,
)
from reconciler.particle.usb_image import dfu_writes
from tests.pretend_bench import DEVICE, OTHER, PretendBench, factory, module, platform


def test_devices_are_listed_by_port_with_platform_mode_and_serial() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0", port=(10,))
    bench.plug("photon", "2.0.1", device_id=OTHER, port=(2, 4))
    listed = [(device.port, device.serial, device.platform.name, device.mode) for device in bench.bus.devices()]
    assert listed == [("1-2.4", OTHER, "photon", UsbMode.NORMAL), ("1-10", DEVICE, "boron", UsbMode.NORMAL)]


@pytest.mark.parametrize("ids", [ids for ids in USB_IDS if ids.platform.layout], ids=lambda ids: ids.platform.name)
def test_every_platform_is_known_in_dfu_mode(ids: UsbIds) -> None:
    bench = PretendBench()
    bench.bench.plug(factory().blank(DEVICE, ids.platform), (1,), 0.0)
    (device,) = bench.bus.devices()
    assert (device.mode, device.platform, device.serial) == (UsbMode.DFU, ids.platform, DEVICE)
    with device.dfu() as session:
        assert session.layouts()


def test_a_device_that_may_not_be_opened_is_listed_with_its_trouble() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    bench.backend.denied.add((1,))
    (device,) = bench.bus.devices()
    assert (device.port, device.serial) == ("1-1", None)
    assert isinstance(device.trouble, UsbPermissionError)
    assert "udev" in device.trouble.next_step
    with pytest.raises(UsbPermissionError), device.control() as session:
        session.system_version()
    with pytest.raises(UsbPermissionError, match="not seen within 1 s; port 1-1: the operating system does not let"):
        bench.bus.find(DEVICE, within_seconds=1)
    with pytest.raises(UsbGoneError, match="was not seen in dfu mode"):
        bench.bus.find(DEVICE, mode=UsbMode.DFU, within_seconds=1)
    bench.backend.denied.clear()
    assert bench.bus.devices()[0].serial == DEVICE


def test_a_second_program_finds_a_bootloader_busy() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    device = bench.in_dfu()
    with device.dfu() as first:
        first.read(0x30000, 16)
        second = LibusbBus(backend=bench.backend).devices()[0]
        with pytest.raises(UsbBusyError), second.dfu() as session:
            session.read(0x30000, 16)
    with bench.in_dfu().dfu() as session:
        assert len(session.read(0x30000, 16)) == 16


def test_a_device_may_come_back_on_another_port() -> None:
    bench = PretendBench(moves={(DEVICE, 1): (2, 3)})
    bench.plug("boron", "4.0.0")
    before = bench.normal()
    with before.control() as session:
        session.enter_dfu()
    after = bench.bus.find(DEVICE, mode=UsbMode.DFU, within_seconds=10)
    assert (before.port, after.port) == ("1-1", "1-2.3")


def test_before_it_obeys_a_device_that_was_told_to_restart_does_not_count() -> None:
    bench = PretendBench(timing=LIFELIKE)
    bench.plug("boron", "4.0.0")
    before = bench.normal()
    with before.control() as session:
        session.reset()
    assert bench.bus.find(DEVICE, within_seconds=0).incarnation == before.incarnation
    begun = bench.seconds
    after = bench.bus.find(DEVICE, restarted_from=before, within_seconds=10)
    assert after.incarnation != before.incarnation
    assert bench.seconds - begun >= 3


def test_who_looks_for_a_device_that_never_comes_gives_up_in_time() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    with pytest.raises(UsbGoneError, match="normal mode on port 1-1"):
        bench.bus.find(DEVICE, mode=UsbMode.DFU, within_seconds=7)
    assert bench.seconds == pytest.approx(7, abs=0.5)


@pytest.mark.parametrize("kind", [FaultKind.STALL, FaultKind.GARBAGE, FaultKind.SHORT])
def test_a_serial_that_cannot_be_read_is_trouble_of_one_look(kind: FaultKind) -> None:
    bench = PretendBench(faults=[BenchFault(kind=kind, of=TransferKind.DESCRIPTOR)])
    bench.plug("boron", "4.0.0")
    (device,) = bench.bus.devices()
    assert device.serial is None
    assert isinstance(device.trouble, UsbError)
    assert bench.bus.devices()[0].serial == DEVICE


def test_a_device_that_does_not_answer_holds_nobody_up_for_long_and_is_asked_again() -> None:
    bench = PretendBench(faults=[BenchFault(kind=FaultKind.SILENCE, of=TransferKind.DESCRIPTOR)])
    bench.plug("boron", "4.0.0")
    for _ in range(10):
        (device,) = bench.bus.devices()
        assert isinstance(device.trouble, UsbTimeoutError)
    assert bench.seconds < 3
    bench.sleep(10)
    for _ in range(2):
        (device,) = bench.bus.devices()
        assert (device.serial, device.trouble) == (DEVICE, None)


def test_a_device_that_goes_while_it_is_listed_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    real = bench.backend.get_device_descriptor
    goes = iter([True, False])

    def descriptor(dev: object) -> object:
        if next(goes, False):
            raise usb.core.USBError("No such device", -4, 19)
        return real(dev)

    monkeypatch.setattr(bench.backend, "get_device_descriptor", descriptor)
    assert [device.serial for device in bench.bus.devices()] == [DEVICE]


def test_without_the_usb_libraries_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usb.core", None)
    with pytest.raises(UsbMissingError) as caught:
        LibusbBus().devices()
    assert "[usb]" in caught.value.next_step


def test_a_device_that_knows_no_control_requests_is_not_asked() -> None:
    (core,) = [ids for ids in USB_IDS if ids.platform.name == "core"]
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    device = bench.normal()
    object.__setattr__(device, "ids", core)
    with pytest.raises(UsbUnsupportedError), device.control():
        pytest.fail("opened")


def test_ten_devices_at_once_are_written_whole() -> None:
    bench = PretendBench()
    serials = [f"{number:024x}" for number in range(1, 11)]
    for number, serial in enumerate(serials, start=1):
        bench.plug("boron", "4.0.0", device_id=serial, port=(number,))
    for serial in serials:
        bench.in_dfu(serial)
    writes = dfu_writes(platform("boron"), module("boron", "4.0.2", "system_part/1"))
    failures: list[BaseException] = []

    def bring(serial: str) -> None:
        try:
            with bench.in_dfu(serial).dfu() as session:
                for write in writes:
                    session.flash(write)
                session.leave()
        except BaseException as error:  # noqa: BLE001  # a thread's failure is the test's
            failures.append(error)

    threads = [threading.Thread(target=bring, args=(serial,)) for serial in serials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for serial in serials:
        with bench.normal(serial).control() as session:
            assert session.system_version() == "4.0.2"
    assert bench.violations() == []
