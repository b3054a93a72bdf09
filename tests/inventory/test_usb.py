"""Eyes on the bench: everything that is plugged in is shown, exactly, and nothing is touched by looking."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.inventory.usb import Register, UsbInventory
from reconciler.model.device import BENCH, DeviceMode, Product
from reconciler.model.fleet import FleetSet, Selector
from reconciler.model.instant import Instant
from reconciler.model.module import ModuleSlot
from reconciler.particle.usb import UsbMode
from reconciler.particle.usb_error import UsbError, UsbPermissionError
from tests.bench.fake_bus import FakeBus, application_of
from tests.fleet_samples import device as sample_device
from tests.fleet_samples import fleet

NAMED = fleet(select=Selector(devices=frozenset({"e00fce680000000000000001"})))


def eyes(bus: FakeBus, *, register: Register | None = None, fleets: FleetSet | None = None) -> UsbInventory:
    return UsbInventory(
        bus,
        fleets=fleets or FleetSet(fleets=(NAMED,)),
        catalog=known_catalog(),
        clock=lambda: Instant(bus.clock.now()),
        register=register,
    )


def test_a_running_device_lists_its_modules_itself() -> None:
    bus = FakeBus()
    plugged = bus.plug(1, "boron", "2.0.1")
    seen = eyes(bus).observe()
    (device,) = seen.devices
    assert (seen.source, seen.complete) == (BENCH, True)
    assert (device.device_os, device.mode, device.online) == ("2.0.1", DeviceMode.NORMAL, True)
    assert {module.slot: module for module in device.modules or ()} == plugged.modules()


@pytest.mark.parametrize("platform", ["photon", "electron", "boron", "argon", "p2"])
def test_in_dfu_mode_the_flash_says_the_same_as_the_running_device(platform: str) -> None:
    release = {"photon": "2.3.1", "electron": "2.3.1"}.get(platform, "5.9.0")
    bus = FakeBus()
    plugged = bus.plug(1, platform, release)
    look = eyes(bus)
    (running,) = look.observe().devices
    plugged.mode = UsbMode.DFU
    (in_flash,) = eyes(bus).observe().devices
    assert (in_flash.modules, in_flash.mode) == (running.modules, DeviceMode.NORMAL)


def test_the_version_of_an_application_is_read_from_flash() -> None:
    bus = FakeBus()
    plugged = bus.plug(1, "boron", "6.3.4", application=("6.3.4", 44))
    plugged.mode = UsbMode.DFU
    (device,) = eyes(bus).observe().devices
    assert device.application == 44


def test_what_is_broken_is_not_there() -> None:
    bus = FakeBus()
    plugged = bus.plug(1, "photon", "2.3.1")
    plugged.write(0x08060800, b"\x00" * 64)
    plugged.mode = UsbMode.DFU
    (device,) = eyes(bus).observe().devices
    assert device.mode is DeviceMode.SAFE_MODE
    assert ModuleSlot.parse("system_part/2") not in {module.slot for module in device.modules or ()}
    assert eyes(bus).plugged()[0].is_bootable is False


def test_looking_changes_nothing() -> None:
    bus = FakeBus()
    plugged = [bus.plug(1, "boron", "2.0.1"), bus.plug(2, "photon", "2.3.1")]
    plugged[1].mode = UsbMode.DFU
    pages = [dict(each.pages) for each in plugged]
    eyes(bus).observe()
    assert [each.pages for each in plugged] == pages
    assert [each.mode for each in plugged] == [UsbMode.NORMAL, UsbMode.DFU]
    assert [each.incarnation for each in plugged] == [0, 0]


def test_a_device_that_cannot_be_opened_is_shown_with_what_to_do_and_the_others_are_seen() -> None:
    bus = FakeBus()
    bus.plug(1, "boron", "2.0.1")
    bus.plug(2, "boron", "2.0.1").trouble = UsbPermissionError("no right to open port 1-2")
    shown = eyes(bus).plugged()
    assert [one.trouble.code if one.trouble else None for one in shown] == [None, "PFR3202"]
    seen = eyes(bus).observe()
    assert len(seen.devices) == 1
    assert not seen.complete
    assert "udev" in seen.findings[0]


def test_a_device_that_is_asked_for_and_cannot_be_seen_is_an_error_and_one_that_is_gone_is_none() -> None:
    bus = FakeBus()
    plugged = bus.plug(1, "boron", "2.0.1")

    def unplug(*_: object) -> None:
        plugged.plugged = False

    plugged.at_moment = unplug
    with pytest.raises(UsbError, match="PFR3204"):
        eyes(bus).observe_device(plugged.id)
    assert eyes(bus).observe_device(plugged.id) is None


def test_the_register_says_product_groups_and_name() -> None:
    bus = FakeBus()
    plugged = bus.plug(1, "boron", "2.0.1")
    record = replace(sample_device(), id=plugged.id, product_id=777, groups=("eu",), name="pump", application=9)
    register = Register(devices={plugged.id: record}, products=(Product(id=777, slug="cold-chain"),))
    (device,) = eyes(bus, register=register).observe().devices
    assert (device.product_id, device.groups, device.name, device.application) == (777, ("eu",), "pump", 9)


def test_the_hash_of_an_application_says_its_version_and_beats_the_register() -> None:
    bus = FakeBus()
    plugged = bus.plug(1, "boron", "6.3.4", application=("6.3.4", 44))
    content = application_of(plugged.platform, "6.3.4", 44)
    plugged.application_sha256 = content[-38:-6].hex()
    record = replace(sample_device(), id=plugged.id, application=9)
    register = Register(devices={plugged.id: record}, applications={("boron", content[-38:-6].hex()): 44})
    (device,) = eyes(bus, register=register).observe().devices
    assert device.application == 44


def test_a_device_that_a_fleet_names_is_of_its_product_though_nobody_knows_the_products_number() -> None:
    bus = FakeBus()
    bus.plug(1, "boron", "2.0.1")
    bus.plug(2, "boron", "2.0.1")
    seen = eyes(bus).observe()
    (product,) = seen.products
    assert (product.slug, [device.product_id for device in seen.devices]) == ("cold-chain", [product.id, None])
