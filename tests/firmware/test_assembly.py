from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.firmware.assembly import catalog_from_binaries, extended, seen_modules
from reconciler.firmware.builder import build_application, build_asset, build_module
from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import known_catalog
from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.release import Release, ReleaseModule
from reconciler.model.version import DeviceOsVersion

SYSTEM_1 = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
SYSTEM_2 = ModuleSlot(ModuleFunction.SYSTEM_PART, 2)
BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
RADIO_STACK = ModuleSlot(ModuleFunction.RADIO_STACK, 0)


def platform(name: str) -> Platform:
    found = platform_by_name(name)
    assert found is not None
    return found


def facts_without_hashes() -> Catalog:
    """The known catalog without the hashes of real files, so that synthetic files of the known sizes fit it."""
    known = known_catalog()
    releases = (
        replace(release, modules=tuple(replace(shipped, sha256=None) for shipped in release.modules))
        for release in known.all_releases
    )
    return Catalog(releases, known.all_stations)


FACTS = facts_without_hashes()


def release_of(name: str, version: str) -> Release:
    found = FACTS.release(platform(name), DeviceOsVersion(version))
    assert found is not None
    return found


def files_of(name: str, version: str, folder: str = "") -> dict[str, bytes]:
    """Synthetic binaries of a known release, under names that say nothing."""
    return {
        f"{folder}{number}.bin": build_module(platform(name), shipped.module, size=shipped.size)
        for number, shipped in enumerate(release_of(name, version).modules)
    }


def rebuilt(name: str, module: Module, size: int | None = None) -> bytes:
    return build_module(platform(name), module, size=size)


@pytest.mark.parametrize(
    ("name", "version"), [("photon", "2.3.1"), ("electron", "0.7.0"), ("boron", "4.1.0"), ("p2", "6.3.4")]
)
def test_a_release_is_known_by_the_number_of_its_system_parts(name: str, version: str) -> None:
    built = catalog_from_binaries(files_of(name, version), FACTS)
    (release,) = built.all_releases
    assert release.version is DeviceOsVersion(version)
    assert [shipped.module for shipped in release.modules] == [
        shipped.module for shipped in release_of(name, version).modules
    ]
    assert release.published


def test_sizes_hashes_and_names_come_from_the_files() -> None:
    files = files_of("boron", "4.1.0", "set/")
    (release,) = catalog_from_binaries(files, FACTS).all_releases
    for shipped in release.modules:
        assert shipped.file is not None
        assert shipped.size == len(files[f"set/{shipped.file}"])
        assert shipped.sha256 is not None


def test_folders_keep_releases_apart() -> None:
    files = files_of("boron", "4.1.0", "a/") | files_of("boron", "4.2.0", "b/")
    assert [release.version.text for release in catalog_from_binaries(files, FACTS).all_releases] == ["4.1.0", "4.2.0"]


def test_releases_in_one_folder_are_told_apart_by_what_they_are_known_to_ship() -> None:
    files = files_of("boron", "4.1.0", "old-") | files_of("boron", "6.3.4", "new-")
    releases = {r.version.text: r for r in catalog_from_binaries(files, FACTS).all_releases}
    assert {str(m.module) for m in releases["6.3.4"].modules} >= {"bootloader/0 3200", "system_part/1 6305"}
    assert {str(m.module) for m in releases["4.1.0"].modules} >= {"bootloader/0 1200", "system_part/1 4100"}


def test_applications_and_assets_are_left_out() -> None:
    files = files_of("boron", "6.3.4")
    files["app.bin"] = build_application(platform("boron"), system_version=6305, product=None)
    files["asset.bin"] = build_asset("a", b"a")
    assert {one.file for one in seen_modules(files) if one.why_left_out()} == {"app.bin", "asset.bin"}
    assert len(catalog_from_binaries(files, FACTS).all_releases) == 1


def test_modules_that_are_never_sent_are_left_out() -> None:
    files = files_of("boron", "6.3.4")
    files["old.bin"] = rebuilt("boron", Module(slot=RADIO_STACK, version=169))
    files["mbr.bin"] = rebuilt("p2", Module(slot=ModuleSlot(ModuleFunction.BOOTLOADER, 1), version=1))
    assert {one.file for one in seen_modules(files) if one.why_left_out()} == {"old.bin", "mbr.bin"}


def test_all_bad_files_are_told_at_once() -> None:
    files = {**files_of("boron", "6.3.4"), "bad/empty.bin": b"", "bad/text.bin": b"not a module" * 20}
    with pytest.raises(FirmwareError) as caught:
        catalog_from_binaries(files, FACTS)
    assert caught.value.code == "PFR4110"
    assert "bad/empty.bin: PFR4001" in caught.value.message
    assert "bad/text.bin: PFR4002" in caught.value.message


def test_a_module_with_other_dependencies_than_the_known_build_is_refused_and_both_are_named() -> None:
    files = files_of("boron", "6.3.4")
    files["1.bin"] = rebuilt("boron", Module(slot=SYSTEM_1, version=6305, first_dependency=Dependency(BOOTLOADER, 99)))
    with pytest.raises(FirmwareError) as caught:
        catalog_from_binaries(files, FACTS)
    assert caught.value.code == "PFR4111"
    assert "1.bin" in caught.value.message
    assert "bootloader/0 >= 3100, radio_stack/0 >= 202" in caught.value.message
    assert "bootloader/0 >= 99" in caught.value.message


def test_a_module_of_another_version_than_the_release_ships_is_refused() -> None:
    files = {**files_of("boron", "6.3.4"), "0.bin": rebuilt("boron", Module(slot=BOOTLOADER, version=3300))}
    with pytest.raises(FirmwareError, match="ships bootloader/0 3200 that needs nothing, this is bootloader/0 3300"):
        catalog_from_binaries(files, FACTS)


def test_a_module_of_another_size_than_the_known_build_is_refused() -> None:
    files = {**files_of("boron", "6.3.4"), "0.bin": rebuilt("boron", Module(slot=BOOTLOADER, version=3200), 40_000)}
    with pytest.raises(FirmwareError, match="has size 48802, this one 40000"):
        catalog_from_binaries(files, FACTS)


def test_a_synthetic_file_is_not_taken_for_the_real_one() -> None:
    with pytest.raises(FirmwareError, match="has sha256") as caught:
        catalog_from_binaries(files_of("boron", "2.0.0"))
    assert caught.value.code == "PFR4111"


@pytest.mark.parametrize("name", ["photon", "p1"])
@pytest.mark.parametrize("version", ["1.0.1", "1.1.0"])
def test_builds_without_a_bootloader_dependency_are_refused_by_name(name: str, version: str) -> None:
    facts = next(one.module for one in release_of(name, version).modules if one.module.slot == SYSTEM_2)
    assert facts.second_dependency is not None
    assert facts.second_dependency.version > 7
    lowered = replace(facts, second_dependency=Dependency(BOOTLOADER, 7))
    with pytest.raises(FirmwareError, match="no-boot-dep") as caught:
        catalog_from_binaries({"part2.bin": rebuilt(name, lowered)}, FACTS)
    assert caught.value.code == "PFR4112"


def test_a_bootloader_without_a_system_part_beside_it_has_no_release() -> None:
    files = {"set/boot.bin": rebuilt("boron", Module(slot=BOOTLOADER, version=3200), 48802)}
    with pytest.raises(FirmwareError, match="no system part beside it") as caught:
        catalog_from_binaries(files, FACTS)
    assert caught.value.code == "PFR4113"


def test_a_system_part_of_an_unknown_number_has_no_release() -> None:
    files = {"new.bin": rebuilt("boron", Module(slot=SYSTEM_1, version=9999))}
    with pytest.raises(FirmwareError, match="a number of no known release"):
        catalog_from_binaries(files, FACTS)


def test_two_different_files_of_one_module_are_refused() -> None:
    module = release_of("boron", "6.3.4").modules[1]
    files = {
        "a.bin": build_module(platform("boron"), module.module, size=module.size, seed=1),
        "b.bin": build_module(platform("boron"), module.module, size=module.size, seed=2),
    }
    with pytest.raises(FirmwareError, match=r"a.bin and b.bin: both are system_part/1 of boron 6.3.4") as caught:
        catalog_from_binaries(files, FACTS)
    assert caught.value.code == "PFR4114"


def test_a_number_that_several_versions_share_is_the_stable_ones() -> None:
    module = next(m for m in release_of("photon", "0.5.0").modules if m.module.slot == SYSTEM_1)
    files = {"part1.bin": rebuilt("photon", module.module, module.size)}
    (release,) = catalog_from_binaries(files, FACTS).all_releases
    assert release.version.text == "0.5.0"


def test_an_added_catalog_keeps_the_known_modules_that_it_does_not_name() -> None:
    known = release_of("boron", "6.3.4")
    added = Catalog((replace(known, modules=(replace(known.modules[0], file="mine.bin"),)),))
    release = extended(FACTS, added).release(platform("boron"), DeviceOsVersion("6.3.4"))
    assert release is not None
    assert release.modules == (replace(known.modules[0], file="mine.bin"), *known.modules[1:])


def test_an_added_catalog_that_contradicts_the_facts_is_refused() -> None:
    known = release_of("boron", "6.3.4")
    other = ReleaseModule(module=Module(slot=BOOTLOADER, version=1))
    with pytest.raises(FirmwareError, match=r"boron 6.3.4: .*ships bootloader/0 3200") as caught:
        extended(FACTS, Catalog((replace(known, modules=(other,)),)))
    assert caught.value.code == "PFR4111"


def test_a_release_that_nobody_knows_can_be_added() -> None:
    new = Release(
        version=DeviceOsVersion("9.0.0"),
        platform_id=platform("boron").id,
        published=True,
        modules=(ReleaseModule(module=Module(slot=SYSTEM_1, version=9000)),),
    )
    assert extended(FACTS, Catalog((new,))).release(platform("boron"), new.version) == new
