from __future__ import annotations

from dataclasses import replace

from reconciler.firmware.catalog import Catalog
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.release import Release, ReleaseModule, Station
from reconciler.model.version import DeviceOsVersion

SYSTEM = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)


def platform(name: str) -> Platform:
    found = platform_by_name(name)
    assert found is not None
    return found


BORON = platform("boron")


def release(version: str, number: int, *, size: int | None = None, bootloader: int | None = None) -> Release:
    modules = [ReleaseModule(module=Module(slot=SYSTEM, version=number), size=size)]
    if bootloader is not None:
        modules.insert(0, ReleaseModule(module=Module(slot=BOOTLOADER, version=bootloader)))
    return Release(version=DeviceOsVersion(version), platform_id=BORON.id, published=True, modules=tuple(modules))


def station(reason: str) -> Station:
    return Station(
        platforms=("boron",), via=("cloud",), versions=(DeviceOsVersion("2.0.0"),), reason=reason, source="notes"
    )


def test_releases_ascend_by_the_number_of_their_system_parts() -> None:
    catalog = Catalog([release("6.3.4", 6305), release("2.3.1", 2302), release("3.0.0", 3005)])
    assert [one.version.text for one in catalog.releases(BORON)] == ["2.3.1", "3.0.0", "6.3.4"]


def test_a_number_of_several_releases_names_the_stable_one_first() -> None:
    catalog = Catalog([release("0.5.0-rc.2", 13), release("0.5.0", 13)])
    assert [one.version.text for one in catalog.releases_of_system(BORON, 13)] == ["0.5.0", "0.5.0-rc.2"]


def test_what_is_not_there_is_none_or_empty() -> None:
    catalog = Catalog([release("2.0.0", 2008)])
    photon = platform("photon")
    assert catalog.release(BORON, DeviceOsVersion("2.0.1")) is None
    assert catalog.releases(photon) == ()
    assert catalog.releases_of_system(BORON, 1) == ()
    assert catalog.modules(BORON, BOOTLOADER, 7) == ()
    assert catalog.largest_size(BORON, SYSTEM) == 0


def test_every_build_of_one_number_is_found() -> None:
    first = release("2.0.0", 2008)
    other_build = Module(slot=SYSTEM, version=2008, first_dependency=Dependency(BOOTLOADER, 1003))
    second = Release(
        version=DeviceOsVersion("2.0.1"),
        platform_id=BORON.id,
        published=True,
        modules=(ReleaseModule(module=other_build),),
    )
    assert set(Catalog([first, second]).modules(BORON, SYSTEM, 2008)) == {first.modules[0].module, other_build}


def test_the_largest_size_of_a_slot_is_over_all_releases() -> None:
    catalog = Catalog([release("2.0.0", 2008, size=10), release("2.0.1", 2011, size=30), release("2.1.0", 2101)])
    assert catalog.largest_size(BORON, SYSTEM) == 30


def test_merging_replaces_modules_slot_by_slot_and_keeps_the_others() -> None:
    ours = Catalog([release("2.0.0", 2008, bootloader=1003), release("2.0.1", 2011)], [station("ours")])
    theirs = Catalog([release("2.0.0", 2008, size=99)], [station("ours"), station("theirs")])
    merged = ours.merged_with(theirs)
    found = merged.release(BORON, DeviceOsVersion("2.0.0"))
    assert found is not None
    assert {(str(one.module), one.size) for one in found.modules} == {
        ("bootloader/0 1003", None),
        ("system_part/1 2008", 99),
    }
    assert merged.release(BORON, DeviceOsVersion("2.0.1")) == release("2.0.1", 2011)
    assert [one.reason for one in merged.all_stations] == ["ours", "theirs"]


def test_merging_with_itself_changes_nothing() -> None:
    catalog = Catalog([release("2.0.0", 2008, bootloader=1003)], [station("one")])
    assert catalog.merged_with(catalog).digest == catalog.digest


def test_the_digest_follows_the_content_and_not_the_order() -> None:
    one, two = release("2.0.0", 2008), release("2.0.1", 2011)
    assert Catalog([one, two]).digest == Catalog([two, one]).digest
    assert Catalog([one]).digest != Catalog([replace(one, published=False)]).digest


def test_stations_hold_for_their_platform_and_way_only() -> None:
    catalog = Catalog([], [station("boron over the air")])
    assert catalog.stations(BORON, "cloud") == (DeviceOsVersion("2.0.0"),)
    assert catalog.stations(BORON, "usb") == ()
    assert catalog.stations(platform("argon"), "cloud") == ()
