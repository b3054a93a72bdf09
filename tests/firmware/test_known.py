"""The known catalog against what the facts' own text says (sections 2, 3, 4.2, 4.3 and contracts 4)."""

from __future__ import annotations

import pytest

from reconciler.firmware.known import NCP_FIRMWARE, RADIO_STACK, known_catalog
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import PLATFORMS, Platform, platform_by_name
from reconciler.model.release import Release
from reconciler.model.version import DeviceOsVersion

BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
PART_1 = ModuleSlot(ModuleFunction.BOOTLOADER, 2)
SYSTEM_1 = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)


def platform(name: str) -> Platform:
    found = platform_by_name(name)
    assert found is not None
    return found


def release(name: str, version: str) -> Release:
    found = known_catalog().release(platform(name), DeviceOsVersion(version))
    assert found is not None
    return found


def module(name: str, version: str, slot: ModuleSlot) -> Module:
    return next(one.module for one in release(name, version).modules if one.module.slot == slot)


def needs(name: str, version: str, slot: ModuleSlot) -> dict[str, int]:
    """The highest need of the release's system parts, by slot."""
    found: dict[str, int] = {}
    for one in release(name, version).modules:
        if one.module.slot.function is ModuleFunction.SYSTEM_PART or one.module.slot == slot:
            for need in one.module.dependencies:
                found[str(need.slot)] = max(need.version, found.get(str(need.slot), 0))
    return found


@pytest.mark.parametrize(
    ("name", "version", "shipped", "needed"),
    [
        ("photon", "0.7.0", 101, 101),
        ("electron", "0.7.0", 101, 101),
        ("photon", "1.0.1", 201, 201),
        ("boron", "1.1.0", 301, 201),
        ("p1", "1.1.0", 301, 201),
        ("boron", "1.2.1", 311, 311),
        ("boron", "1.3.1", 401, 401),
        ("photon", "1.3.1", 401, 400),
        ("boron", "1.4.0", 500, 401),
        ("boron", "1.4.2", 501, 501),
        ("b5som", "1.5.2", 502, 502),
        ("boron", "1.5.2", 502, 501),
        ("boron", "2.0.0", 1003, 1003),
        ("electron", "2.0.0", 1003, 1003),
        ("boron", "2.0.1", 1005, 1005),
        ("photon", "2.1.0", 1005, 1003),
        ("tracker", "2.3.1", 1006, 1006),
        ("boron", "2.3.1", 1006, 1005),
        ("boron", "3.0.0", 1005, 1005),
        ("argon", "3.3.1", 1100, 1100),
        ("photon", "3.3.1", 1100, 1003),
        ("boron", "4.0.2", 1101, 1101),
        ("esomx", "4.2.0", 1200, 1200),
        ("boron", "5.3.0", 2100, 2002),
        ("p2", "5.3.0", 2100, 2100),
        ("tracker", "5.9.0", 2700, 2300),
        ("msom", "5.9.0", 2700, 2700),
        ("boron", "6.2.0", 3100, 3100),
        ("boron", "6.3.4", 3200, 3100),
        ("p2", "6.3.4", 3200, 3200),
        ("boron", "6.4.1", 3301, 3301),
        ("trackerm", "6.5.0", 3301, 3301),
    ],
)
def test_bootloaders_shipped_and_needed_are_those_of_the_facts(
    name: str, version: str, shipped: int, needed: int
) -> None:
    assert module(name, version, BOOTLOADER).version == shipped
    assert needs(name, version, SYSTEM_1)["bootloader/0"] == needed


@pytest.mark.parametrize(
    ("version", "part_1"),
    [("5.0.0", 3), ("5.3.0", 5), ("5.4.1", 6), ("5.6.0", 7), ("5.8.2", 8), ("5.9.0", 9), ("6.3.4", 11), ("6.5.0", 13)],
)
def test_the_realtek_bootloader_needs_its_part_1(version: str, part_1: int) -> None:
    bootloader = module("p2", version, BOOTLOADER)
    assert [(need.slot, need.version) for need in bootloader.dependencies] == [(PART_1, part_1)]


def test_argon_lists_the_radio_stack_first_since_3_0_and_boron_the_bootloader() -> None:
    argon, boron = module("argon", "3.0.0", SYSTEM_1), module("boron", "3.0.0", SYSTEM_1)
    assert argon.first_dependency is not None
    assert boron.first_dependency is not None
    assert (argon.first_dependency.slot, boron.first_dependency.slot) == (RADIO_STACK, BOOTLOADER)


def test_the_tracker_needs_an_ncp_until_5_5_and_its_own_older_self_since_5_6() -> None:
    older, newer = module("tracker", "5.5.0", SYSTEM_1), module("tracker", "5.6.0", SYSTEM_1)
    assert older.second_dependency is not None
    assert newer.second_dependency is not None
    assert (older.second_dependency.slot, older.second_dependency.version) == (NCP_FIRMWARE, 7)
    assert (newer.second_dependency.slot, newer.second_dependency.version) == (SYSTEM_1, 3001)


@pytest.mark.parametrize(("version", "bootloader"), [("1.4.0", 401), ("1.4.1", 401), ("1.4.2", 501), ("6.5.0", 501)])
def test_radio_stack_202_needs_a_bootloader_by_its_build(version: str, bootloader: int) -> None:
    if known_catalog().release(platform("boron"), DeviceOsVersion(version)) is None:
        pytest.fail(f"boron {version} is missing")
    radio = module("boron", version, RADIO_STACK)
    assert [(str(need.slot), need.version) for need in radio.dependencies] == [
        ("bootloader/0", bootloader),
        ("system_part/1", 1321),
    ]


def test_releases_before_1_4_ship_no_radio_stack() -> None:
    assert all(one.module.slot != RADIO_STACK for one in release("boron", "1.3.1").modules)


def test_only_trackers_get_an_ncp_firmware() -> None:
    with_ncp = {
        one.platform_id
        for one in known_catalog().all_releases
        if any(shipped.module.slot == NCP_FIRMWARE for shipped in one.modules)
    }
    assert with_ncp == {platform("tracker").id}


def test_real_sizes_are_known() -> None:
    """A file shipped unchanged with several releases is listed with the first one only, so a bootloader lacks here."""
    photon = {str(one.module.slot): one.size for one in release("photon", "2.3.1").modules}
    assert photon == {"bootloader/0": None, "system_part/1": 241_496, "system_part/2": 260_984}


def test_special_builds_lend_no_sizes() -> None:
    """Of Photon 1.0.1 only the build without a bootloader dependency was seen."""
    part_2 = next(one for one in release("photon", "1.0.1").modules if str(one.module.slot) == "system_part/2")
    assert part_2.size is None


@pytest.mark.parametrize(("name", "version"), [("p2", "6.0.0"), ("msom", "6.1.0"), ("boron", "5.8.1")])
def test_what_was_never_shown_to_be_published_is_not(name: str, version: str) -> None:
    found = known_catalog().release(platform(name), DeviceOsVersion(version))
    assert found is None or not found.published


def test_build_metadata_is_no_release_of_its_own() -> None:
    assert not [one for one in known_catalog().all_releases if "+" in one.version.text]


def test_every_platform_with_a_layout_and_releases_ships_all_its_system_parts_since_0_6() -> None:
    for one in known_catalog().all_releases:
        owner = next(p for p in PLATFORMS if p.id == one.platform_id)
        shipped = {m.module.slot for m in one.modules}
        if one.version.module_number is not None and one.version.module_number >= 100:
            assert shipped >= set(owner.system_parts), (owner.name, one.version)


def test_the_electron_stops_on_the_way_over_the_air_and_nobody_else_does() -> None:
    stations = {p.name: [v.text for v in known_catalog().stations(p, "cloud")] for p in PLATFORMS}
    assert stations.pop("electron") == ["0.5.5", "0.6.4", "0.7.0", "1.2.1"]
    assert not any(stations.values())
    assert not known_catalog().stations(platform("electron"), "usb")
