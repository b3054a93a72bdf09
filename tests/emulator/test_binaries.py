from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from reconciler.emulator.binaries import EmulatedBinaries, application_module, real_files_in
from reconciler.firmware.binary import parse_module
from reconciler.firmware.builder import build_module
from reconciler.firmware.known import known_catalog
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.version import DeviceOsVersion

BOOTLOADER = ModuleSlot.parse("bootloader/0")
VERSION = DeviceOsVersion("6.3.4")


def platform(name: str) -> Platform:
    found = platform_by_name(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "name", ["photon", "p1", "electron", "argon", "boron", "tracker", "b5som", "p2", "msom", "esomx"]
)
def test_every_module_of_the_newest_release_has_a_valid_binary_of_its_size(name: str) -> None:
    binaries = EmulatedBinaries(known_catalog())
    release = [r for r in binaries.catalog.releases(platform(name)) if r.published][-1]
    for shipped in release.modules:
        binary = binaries.module(platform(name), release.version, shipped.module.slot)
        assert binary is not None
        parsed = parse_module(binary)
        assert (parsed.module, parsed.platform_id) == (shipped.module, platform(name).id)
        assert shipped.size in (None, len(binary))


def test_a_synthetic_binary_is_the_same_wherever_it_is_served() -> None:
    one, other = EmulatedBinaries(known_catalog()), EmulatedBinaries(known_catalog())
    assert one.module(platform("boron"), VERSION, BOOTLOADER) == other.module(platform("boron"), VERSION, BOOTLOADER)


def test_a_module_that_the_release_does_not_ship_has_no_binary() -> None:
    binaries = EmulatedBinaries(known_catalog())
    assert binaries.module(platform("boron"), VERSION, ModuleSlot.parse("ncp_firmware/0")) is None


def test_the_catalog_claims_no_hash_of_a_synthetic_binary() -> None:
    catalog = EmulatedBinaries(known_catalog()).catalog
    assert not any(m.sha256 or m.file for release in catalog.all_releases for m in release.modules)
    assert any(m.sha256 for release in known_catalog().all_releases for m in release.modules)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a bootloader under a misleading name, one for another platform, and rubbish."""
    place = tmp_path / "boron" / "6.3.4"
    place.mkdir(parents=True)
    release = known_catalog().release(platform("boron"), VERSION)
    assert release is not None
    bootloader = next(m.module for m in release.modules if m.module.slot == BOOTLOADER)
    for name, of in (("system-part1.bin", "boron"), ("argon.bin", "argon")):
        (place / name).write_bytes(build_module(platform(of), bootloader, size=40_000, product=None, seed=99))
    (place / "rubbish.bin").write_bytes(b"rubbish")
    return tmp_path


def test_a_real_file_is_served_by_what_it_is_and_not_by_its_name(folder: Path) -> None:
    binaries = EmulatedBinaries(known_catalog(), real_files_in(folder))
    real = (folder / "boron" / "6.3.4" / "system-part1.bin").read_bytes()
    assert binaries.real_count == 1
    assert binaries.module(platform("boron"), VERSION, BOOTLOADER) == real
    release = binaries.catalog.release(platform("boron"), VERSION)
    assert release is not None
    hashes = {m.module.slot: m.sha256 for m in release.modules}
    assert hashes.pop(BOOTLOADER) == hashlib.sha256(real).hexdigest()
    assert set(hashes.values()) == {None}


def test_files_are_asked_for_by_platform_and_release() -> None:
    asked = set()

    def real(platform: Platform, version: DeviceOsVersion) -> Iterable[tuple[str, bytes]]:
        asked.add((platform.name, version.text))
        return ()

    EmulatedBinaries(known_catalog(), real)
    assert ("boron", "6.3.4") in asked


@pytest.mark.parametrize(
    ("name", "version", "slot", "need"),
    [
        ("photon", "2.3.1", "user_part/1", "system_part/2 >= 2302"),
        ("electron", "3.3.1", "user_part/1", "system_part/2 >= 3302"),
        ("boron", "3.0.0", "user_part/1", "system_part/1 >= 3005"),
        ("boron", "3.1.0", "user_part/2", "system_part/1 >= 3103"),
        ("p2", "6.3.4", "user_part/1", "system_part/1 >= 6305"),
    ],
)
def test_an_application_needs_the_release_that_it_was_built_for(name: str, version: str, slot: str, need: str) -> None:
    module = application_module(known_catalog(), platform(name), DeviceOsVersion(version))
    assert str(module.slot) == slot
    assert [str(dependency) for dependency in module.dependencies] == [need]


def test_a_second_request_for_a_binary_builds_nothing() -> None:
    binaries = EmulatedBinaries(known_catalog())
    system = ModuleSlot.parse("system_part/1")
    assert binaries.module(platform("p2"), VERSION, system) is binaries.module(platform("p2"), VERSION, system)
