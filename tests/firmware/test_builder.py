from __future__ import annotations

import pytest

from reconciler.firmware.binary import parse_module
from reconciler.firmware.builder import (
    application_module,
    build_application,
    build_asset,
    build_module,
    combine_modules,
    compress_module,
)
from reconciler.firmware.known import known_catalog
from reconciler.firmware.prefix import ModuleFlags
from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import PLATFORMS, Platform, platform_by_id, platform_by_name

SYSTEM = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
EVERY_SLOT = [(platform, slot) for platform in PLATFORMS for slot in platform.bounds]


def platform(name: str) -> Platform:
    found = platform_by_name(name)
    assert found is not None
    return found


@pytest.mark.parametrize(("platform", "slot"), EVERY_SLOT, ids=str)
def test_a_built_module_is_what_was_asked_for(platform: Platform, slot: ModuleSlot) -> None:
    module = Module(
        slot=slot, version=4711, first_dependency=Dependency(SYSTEM, 7), second_dependency=Dependency(BOOTLOADER, 3)
    )
    product = (1234, 5) if slot.function is ModuleFunction.USER_PART else None
    data = build_module(platform, module, size=4000, product=product)
    parsed = parse_module(data)
    bounds = platform.bounds[slot]
    assert (parsed.size, len(data)) == (4000, 4000)
    assert parsed.module == module
    assert parsed.platform_id == platform.id
    assert parsed.product == product
    assert parsed.prefix_offset == bounds.prefix_offset
    if bounds.end_address is not None:
        assert parsed.prefix.end_address == bounds.end_address
    else:
        assert parsed.prefix.start_address in bounds.start_addresses


def test_every_module_of_the_catalog_can_be_built_in_its_size() -> None:
    """Every platform's largest and smallest module of every slot stand for the others."""
    extremes: dict[tuple[int, ModuleSlot], list[tuple[int, Module]]] = {}
    for release in known_catalog().all_releases:
        for shipped in release.modules:
            if shipped.size is not None:
                sizes = extremes.setdefault((release.platform_id, shipped.module.slot), [])
                sizes.append((shipped.size, shipped.module))
    assert len(extremes) > 40
    for (platform_id, _), sizes in extremes.items():
        owner = platform_by_id(platform_id)
        assert owner is not None
        for size, module in (min(sizes, key=lambda one: one[0]), max(sizes, key=lambda one: one[0])):
            parsed = parse_module(build_module(owner, module, size=size))
            assert (parsed.size, parsed.module) == (size, module)


def test_the_same_arguments_give_the_same_bytes() -> None:
    module = Module(slot=SYSTEM, version=6305)
    assert build_module(platform("boron"), module, seed=3) == build_module(platform("boron"), module, seed=3)


def test_another_seed_gives_other_code() -> None:
    module = Module(slot=SYSTEM, version=6305)
    assert build_module(platform("boron"), module, seed=3) != build_module(platform("boron"), module, seed=4)


def test_the_nrf_system_part_moves_with_6_2_0() -> None:
    older = build_module(platform("boron"), Module(slot=SYSTEM, version=6101))
    newer = build_module(platform("boron"), Module(slot=SYSTEM, version=6200))
    assert parse_module(older).prefix.start_address == 0x30000
    assert parse_module(newer).prefix.start_address == 0x28000


def test_a_device_finds_the_prefix_behind_a_vector_table_by_its_first_word() -> None:
    data = build_module(platform("boron"), Module(slot=SYSTEM, version=6305))
    assert int.from_bytes(data[:4], "little") >> 16 in {0x2003, 0x2004}


def test_radio_stacks_and_ncp_images_look_like_real_ones() -> None:
    radio = parse_module(
        build_module(platform("tracker"), Module(slot=ModuleSlot(ModuleFunction.RADIO_STACK, 0), version=202))
    )
    ncp = parse_module(
        build_module(platform("tracker"), Module(slot=ModuleSlot(ModuleFunction.NCP_FIRMWARE, 0), version=7))
    )
    assert (radio.flags, radio.suffix_size, radio.prefix.mcu) == (ModuleFlags.DROP_MODULE_INFO, 36, 0)
    assert (ncp.flags, ncp.suffix_size, ncp.prefix.mcu) == (ModuleFlags(0), 36, 0x21)


def test_the_realtek_mbr_is_marked_as_encrypted() -> None:
    module = Module(slot=ModuleSlot(ModuleFunction.BOOTLOADER, 1), version=9)
    assert parse_module(build_module(platform("p2"), module)).flags == ModuleFlags.ENCRYPTED


def test_realtek_modules_have_the_suffix_of_real_ones() -> None:
    parsed = parse_module(build_module(platform("p2"), Module(slot=SYSTEM, version=6305)))
    assert parsed.suffix_size == 62
    assert [(extension.type, 4 + len(extension.body)) for extension in parsed.suffix_extensions] == [(2, 16), (1, 10)]


@pytest.mark.parametrize(
    ("name", "system_version", "slot", "needed"),
    [
        ("photon", 2302, "user_part/1", "system_part/2"),
        ("electron", 2302, "user_part/1", "system_part/2"),
        ("boron", 2302, "user_part/1", "system_part/1"),
        ("boron", 3103, "user_part/2", "system_part/1"),
        ("p2", 6305, "user_part/1", "system_part/1"),
    ],
)
def test_an_application_needs_the_device_os_it_was_built_for(
    name: str, system_version: int, slot: str, needed: str
) -> None:
    module = application_module(platform(name), system_version)
    assert str(module.slot) == slot
    assert module.first_dependency == Dependency(ModuleSlot.parse(needed), system_version)


def test_an_application_has_its_product_and_exact_size() -> None:
    data = build_application(platform("p2"), system_version=6305, product=(31_000, 44), size=57_344)
    parsed = parse_module(data)
    assert (parsed.product, parsed.size) == ((31_000, 44), 57_344)
    assert parsed.prefix.end_address == 0x085FFFFC


@pytest.mark.parametrize("size", [100, 16 * 1024 + 1])
def test_an_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(FirmwareError, match="is no size for bootloader/0 of photon"):
        build_module(platform("photon"), Module(slot=BOOTLOADER, version=1), size=size)


def test_a_slot_that_the_platform_lacks_is_refused() -> None:
    with pytest.raises(FirmwareError, match="boron has no system_part/2"):
        build_module(platform("boron"), Module(slot=ModuleSlot(ModuleFunction.SYSTEM_PART, 2), version=1))


@pytest.mark.parametrize("product", [(0xFFFF, 1), (1, 0xFFFF), (70_000, 1), (-1, 1)])
def test_a_product_that_does_not_fit_is_refused(product: tuple[int, int]) -> None:
    with pytest.raises(FirmwareError, match="does not fit"):
        build_application(platform("boron"), system_version=6305, product=product)


def test_numbers_that_a_prefix_cannot_hold_are_refused() -> None:
    with pytest.raises(FirmwareError, match="numbers that its prefix cannot hold"):
        build_module(platform("boron"), Module(slot=SYSTEM, version=70_000))


def test_a_radio_stack_has_no_product() -> None:
    module = Module(slot=ModuleSlot(ModuleFunction.RADIO_STACK, 0), version=202)
    with pytest.raises(FirmwareError, match="no place for a product"):
        build_module(platform("boron"), module, product=(1, 2))


def test_a_platform_of_which_nothing_is_known_gets_no_application() -> None:
    with pytest.raises(FirmwareError, match="the modules of core are not known"):
        build_application(platform("core"), system_version=1406, product=None)


def test_synthetic_code_compresses_about_as_well_as_firmware() -> None:
    data = build_module(platform("boron"), Module(slot=SYSTEM, version=6305), size=500_000)
    assert 0.55 < len(compress_module(data)) / len(data) < 0.8


def test_a_compressed_module_is_not_compressed_again() -> None:
    data = compress_module(build_module(platform("boron"), Module(slot=SYSTEM, version=6305)))
    with pytest.raises(FirmwareError, match="compressed already"):
        compress_module(data)


def test_nothing_cannot_be_combined() -> None:
    with pytest.raises(FirmwareError, match="nothing to combine"):
        combine_modules([])


def test_an_asset_name_longer_than_its_field_is_refused() -> None:
    with pytest.raises(FirmwareError, match="at most 65535 bytes"):
        build_asset("x" * 70_000, b"content")
