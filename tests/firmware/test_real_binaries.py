"""The vendor's own files against the table that the facts made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.firmware.assembly import catalog_from_binaries
from reconciler.firmware.binary import parse_file, parse_module, uncompressed
from reconciler.firmware.builder import compress_module
from reconciler.firmware.extension import Extension
from reconciler.firmware.known import known_catalog
from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, ModuleFunction, ModuleSlot
from reconciler.model.platform import platform_by_id, platform_by_name
from reconciler.model.version import DeviceOsVersion

pytestmark = pytest.mark.real

NOT_COMPARED = {"source", "other_sources", "file", "function_name", "crc_ok", "sha256"}


def row_of(data: bytes) -> dict[str, str]:
    """What the parser says of a file, in the columns of the table."""
    parsed = parse_module(data)
    module = parsed.module
    values: dict[str, Any] = {
        "platform_id": parsed.platform_id,
        "function": int(module.slot.function),
        "index": module.slot.index,
        "version": module.version,
        **dependency_columns("dep", module.first_dependency),
        **dependency_columns("dep2", module.second_dependency),
        "size": parsed.size,
        "prefix_offset": parsed.prefix_offset,
        "start_address": f"{parsed.prefix.start_address:#010x}",
        "end_address": f"{parsed.prefix.end_address:#010x}",
        "flags": int(parsed.flags),
        "reserved_mcu": parsed.prefix.mcu,
        "product_id": -1 if parsed.product_id is None else parsed.product_id,
        "product_version": -1 if parsed.product_version is None else parsed.product_version,
        "suffix_size": parsed.suffix_size,
        "prefix_ext": extension_column(parsed.prefix_extensions),
        "suffix_ext": extension_column(parsed.suffix_extensions),
    }
    return {name: str(value) for name, value in values.items()}


def dependency_columns(name: str, dependency: Dependency | None) -> dict[str, int]:
    function, index, version = (0, 0, 0)
    if dependency is not None:
        function, index, version = dependency.slot.function, dependency.slot.index, dependency.version
    return {f"{name}_function": function, f"{name}_index": index, f"{name}_version": version}


def extension_column(extensions: tuple[Extension, ...]) -> str:
    return " ".join(f"{extension.type}:{4 + len(extension.body)}" for extension in extensions)


def names(folder: Path) -> Mapping[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.bin"))}


def test_npm_has_every_listed_file_that_names_it_as_its_source(real_modules: Any) -> None:
    expected = {sha256 for sha256, row in real_modules.rows.items() if row["source"].startswith("npm:")}
    assert set(real_modules.files) == expected
    assert Counter(real_modules.rows[sha256]["crc_ok"] for sha256 in expected) == {"1": 201, "0": 3}


def test_every_valid_file_parses_to_exactly_the_listed_fields(real_modules: Any) -> None:
    wrong = {}
    for sha256, data in real_modules.files.items():
        row = real_modules.rows[sha256]
        if row["crc_ok"] == "1":
            listed = {name: value for name, value in row.items() if name not in NOT_COMPARED}
            if (parsed := row_of(data)) != listed:
                wrong[row["file"]] = (listed, parsed)
    assert wrong == {}


def test_every_corrupt_file_is_refused_with_a_reason(real_modules: Any) -> None:
    corrupt = [data for sha256, data in real_modules.files.items() if real_modules.rows[sha256]["crc_ok"] == "0"]
    assert corrupt
    for data in corrupt:
        with pytest.raises(FirmwareError) as caught:
            parse_file(data)
        assert caught.value.code.startswith("PFR40")
        assert caught.value.message


def test_a_realtek_application_says_its_product(real_modules: Any) -> None:
    products = {
        row["file"]: parse_module(real_modules.files[sha256]).product
        for sha256, row in real_modules.rows.items()
        if sha256 in real_modules.files and row["suffix_size"] == "62"
    }
    assert products["assets/knownApps/p2/tinker/tinker-5.0.0-p2.bin"] == (32, 4)
    assert products["assets/knownApps/msom/tinker/tinker-6.3.4-msom.bin"] == (35, 4)


def test_a_real_module_survives_compression(real_modules: Any) -> None:
    for name in ("boron/4.0.2/boron-system-part1@4.0.2.bin", "photon/2.0.0/photon-system-part2@2.0.0.bin"):
        data = (real_modules.folder / name).read_bytes()
        compressed = compress_module(data)
        assert len(compressed) < len(data)
        assert uncompressed(parse_module(compressed), compressed) == data


def test_real_releases_agree_with_the_known_catalog(real_modules: Any) -> None:
    built = catalog_from_binaries(names(real_modules.folder))
    assert len(built.all_releases) == 76
    merged = known_catalog().merged_with(built)
    modules = {
        (release.platform_id, release.version): [shipped.module for shipped in release.modules]
        for release in merged.all_releases
    }
    assert modules == {
        (release.platform_id, release.version): [shipped.module for shipped in release.modules]
        for release in known_catalog().all_releases
    }


def test_every_real_file_belongs_to_the_release_of_its_folder(real_modules: Any) -> None:
    files = names(real_modules.folder)
    built = catalog_from_binaries(files)
    found = set()
    for release in built.all_releases:
        owner = platform_by_id(release.platform_id)
        found |= {f"{owner}/{release.version}/{shipped.file}" for shipped in release.modules}
    assert found == set(files)


def test_the_electron_parts_are_known_by_their_bytes_and_not_by_their_names(real_modules: Any) -> None:
    files = names(real_modules.folder / "electron" / "2.0.0")
    electron = platform_by_name("electron")
    assert electron is not None
    release = catalog_from_binaries(files).release(electron, DeviceOsVersion("2.0.0"))
    assert release is not None
    by_slot = {shipped.module.slot: shipped.file for shipped in release.modules}
    assert by_slot[ModuleSlot(ModuleFunction.SYSTEM_PART, 3)] == "electron-system-part1@2.0.0.bin"
    assert by_slot[ModuleSlot(ModuleFunction.SYSTEM_PART, 1)] == "electron-system-part2@2.0.0.bin"
    assert by_slot[ModuleSlot(ModuleFunction.SYSTEM_PART, 2)] == "electron-system-part3@2.0.0.bin"


def test_all_real_releases_of_a_platform_in_one_folder_still_find_their_release(real_modules: Any) -> None:
    files = {Path(name).name: data for name, data in names(real_modules.folder / "boron").items()}
    boron = platform_by_name("boron")
    assert boron is not None
    for release in catalog_from_binaries(
        {name: data for name, data in files.items() if "system-part1" in name}
    ).releases(boron):
        (shipped,) = release.modules
        assert shipped.file == f"boron-system-part1@{release.version}.bin"
