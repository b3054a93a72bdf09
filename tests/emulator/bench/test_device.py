"""What a pretend device finds in its flash, what it boots, and what it accepts."""

from __future__ import annotations

import pytest

from reconciler.emulator.bench.building import BenchFactory
from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.bench.memory import Chip
from reconciler.emulator.bench.records import BenchMode
from reconciler.emulator.binaries import EmulatedBinaries, real_files_in
from reconciler.firmware.builder import compress_module
from reconciler.firmware.known import known_catalog
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.platform import PLATFORMS
from reconciler.model.version import DeviceOsVersion
from tests.conftest import RealModules
from tests.pretend_bench import DEVICE, PRODUCT, application, binaries, factory, module, platform

CATALOG = known_catalog()
RELEASES = [
    (each.name, release.version.text)
    for each in PLATFORMS
    if each.layout and (releases := CATALOG.releases(each))
    for release in (releases[0], releases[len(releases) // 2], releases[-1])
]


def device(name: str, release: str, own: bytes | None = None) -> BenchDevice:
    return factory().device(DEVICE, platform(name), DeviceOsVersion(release), product=PRODUCT, application=own)


@pytest.mark.parametrize(("name", "release"), RELEASES)
def test_a_device_made_by_a_release_has_its_modules_whole(name: str, release: str) -> None:
    made = device(name, release)
    found = made.holdings
    shipped = CATALOG.release(platform(name), DeviceOsVersion(release))
    assert shipped is not None
    assert found.broken == ()
    assert {m.module for m in shipped.modules if not platform(name).bounds[m.module.slot].encrypted} <= {
        held.installed.module for held in found.held.values()
    }
    assert found.loadout.application is not None
    assert found.loadout.application.product_version == PRODUCT[1]


def test_an_empty_device_stays_in_its_bootloader() -> None:
    blank = factory().blank(DEVICE, platform("boron"))
    assert blank.boot_mode() is BenchMode.DFU
    assert blank.holdings.broken == ()
    assert blank.system_number == 0


@pytest.mark.parametrize("release", ["0.5.3", "0.6.4"])
def test_an_electron_starts_with_the_system_parts_that_its_release_has_and_not_without_one(release: str) -> None:
    parts = [slot for slot in device("electron", release).holdings.held if slot.function is ModuleFunction.SYSTEM_PART]
    assert len(parts) == (2 if release == "0.5.3" else 3)
    assert device("electron", release).boot_mode() is BenchMode.NORMAL
    for slot in parts:
        made = device("electron", release)
        made.chips[Chip.INTERNAL].erase(made.holdings.held[slot].start, 4096)
        assert made.boot_mode() is BenchMode.DFU, slot


def test_the_rest_of_a_larger_system_part_in_the_place_of_applications_is_no_broken_application() -> None:
    made = device("argon", "1.5.2")
    assert made.holdings.held[ModuleSlot(ModuleFunction.SYSTEM_PART, 1)].size > 0xB4000 - 0x30000
    made.place_file(module("argon", "4.2.0", "bootloader/0"))
    made.place_file(module("argon", "4.2.0", "system_part/1"))
    assert made.chips[Chip.INTERNAL].read(0xB4000, 16) != b"\xff" * 16
    assert made.holdings.broken == ()
    assert made.boot_mode() is BenchMode.NORMAL


@pytest.mark.parametrize(
    ("name", "release", "address", "mode"),
    [
        ("boron", "4.0.0", 0x30000, BenchMode.DFU),
        ("boron", "6.3.4", 0x28000, BenchMode.DFU),
        ("boron", "4.0.0", 0x1000, BenchMode.DFU),
        ("boron", "4.0.0", 0xB4000, BenchMode.SAFE_MODE),
        ("photon", "2.0.1", 0x08060000, BenchMode.DFU),
        ("photon", "2.0.1", 0x080A0000, BenchMode.SAFE_MODE),
        ("p2", "5.6.0", 0x08060000, BenchMode.DFU),
        ("p2", "5.6.0", 0x085FF000, BenchMode.SAFE_MODE),
    ],
)
def test_a_module_with_one_wrong_byte_is_broken(name: str, release: str, address: int, mode: BenchMode) -> None:
    made = device(name, release)
    assert made.boot_mode() is BenchMode.NORMAL
    made.chips[Chip.INTERNAL].write(address + 0xE00, b"\0\0\0\0")
    assert len(made.holdings.broken) == 1
    assert made.boot_mode() is mode


def test_an_application_for_a_newer_release_leads_to_safe_mode_and_one_for_this_to_normal() -> None:
    made = device("boron", "4.0.0", application("boron", "6.3.4", 4))
    assert made.boot_mode() is BenchMode.SAFE_MODE
    made.install(application("boron", "4.0.0", 4))
    assert made.boot_mode() is BenchMode.NORMAL


@pytest.mark.parametrize("slot", ["system_part/1", "bootloader/0"])
def test_a_compressed_module_is_unpacked_into_the_same_bytes(slot: str) -> None:
    plain, packed = device("boron", "6.3.4"), device("boron", "6.3.4")
    content = module("boron", "6.4.1", slot)
    plain.install(content)
    packed.install(compress_module(content))
    assert packed.chips[Chip.INTERNAL].read(0, 1 << 20) == plain.chips[Chip.INTERNAL].read(0, 1 << 20)


def test_a_compressed_radio_stack_is_unpacked_too() -> None:
    made = device("argon", "1.3.1")
    made.install(compress_module(module("argon", "1.4.4", "radio_stack/0")))
    assert made.holdings.loadout.versions[ModuleSlot.parse("radio_stack/0")] == 202


def test_a_protected_device_takes_no_old_system_part() -> None:
    made = device("boron", "6.3.4")
    made.protected = made.service = True
    error = made.judge(module("boron", "5.9.0", "system_part/1"))
    assert error is not None
    assert error.code == -1801
    assert made.judge(module("boron", "6.3.5", "system_part/1")) is None


def test_what_is_too_large_or_no_module_is_refused() -> None:
    made = device("boron", "6.3.4")
    codes = [error.code for content in (bytes(2_000_000), b"x") if (error := made.judge(content)) is not None]
    assert codes == [-1351, -1330]


@pytest.mark.real
def test_real_binaries_are_found_in_flash_as_what_they_are(real_modules: RealModules) -> None:
    real = EmulatedBinaries(known_catalog(), real_files_in(real_modules.folder), side_by_side=True)
    made = BenchFactory(real)
    seen = 0
    for name, release in (("boron", "4.0.2"), ("argon", "1.5.2"), ("photon", "2.3.1"), ("electron", "2.3.1")):
        version = DeviceOsVersion(release)
        one = made.device(DEVICE, platform(name), version, product=PRODUCT)
        assert one.boot_mode() is BenchMode.NORMAL
        for slot, held in one.holdings.held.items():
            content = real.module(platform(name), version, slot)
            if content is not None and content != binaries().module(platform(name), version, slot):
                seen += 1
                assert held.size == len(content)
    assert seen >= 6
