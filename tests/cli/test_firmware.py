from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.firmware import command
from reconciler.firmware.builder import build_application, build_asset, build_module, combine_modules, compress_module
from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.model.platform import platform_by_name

BORON = platform_by_name("boron")
ELECTRON = platform_by_name("electron")
assert BORON is not None
assert ELECTRON is not None
SYSTEM = Module(
    slot=ModuleSlot.parse("system_part/1"),
    version=6305,
    first_dependency=Dependency(ModuleSlot.parse("bootloader/0"), 3100),
    second_dependency=Dependency(ModuleSlot.parse("radio_stack/0"), 202),
)
APPLICATION = build_application(BORON, system_version=6305, product=(1234, 44))


def inspected(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, ["inspect", *map(str, arguments)])


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_system_part_says_what_it_is_needs_and_ships_with(tmp_path: Path) -> None:
    result = inspected(written(tmp_path, "x.bin", build_module(BORON, SYSTEM)))
    assert result.exit_code == 0
    for words in (
        "system_part/1 6305 for boron",
        "bootloader/0 3100 or later and radio_stack/0 202 or later",
        "shipped with 6.3.4",
    ):
        assert words in result.stdout


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    part_3 = build_module(ELECTRON, Module(slot=ModuleSlot.parse("system_part/3"), version=2302))
    assert "system_part/3 2302 for electron" in inspected(written(tmp_path, "system-part1.bin", part_3)).stdout


def test_an_application_says_its_product_and_what_it_was_built_for(tmp_path: Path) -> None:
    result = inspected(written(tmp_path, "app.bin", APPLICATION))
    assert "1234, version 44" in result.stdout
    assert "built for 6.3.4" in result.stdout


def test_an_asset_says_its_name(tmp_path: Path) -> None:
    assert "is the asset 'cat.jpg'" in inspected(written(tmp_path, "a.bin", build_asset("cat.jpg", b"meow"))).stdout


def test_every_module_of_a_combined_file_is_told(tmp_path: Path) -> None:
    data = combine_modules([compress_module(build_module(BORON, SYSTEM)), APPLICATION])
    output = inspected(written(tmp_path, "c.bin", data)).stdout
    assert "module 1 of 2" in output
    assert "module 2 of 2" in output
    assert "compressed, combined" in output


def test_json_has_every_field(tmp_path: Path) -> None:
    path = written(tmp_path, "app.bin", APPLICATION)
    result = inspected(path, "--output", "json")
    document = json.loads(result.stdout)
    assert document["errors"] == []
    (file,) = document["files"]
    assert (file["file"], file["size"]) == (str(path), len(APPLICATION))
    assert file["sha256"] == hashlib.sha256(APPLICATION).hexdigest()
    (module,) = file["modules"]
    assert (module["platform"], module["function"], module["index"], module["version"]) == ("boron", "user_part", 2, 6)
    assert module["dependencies"] == [{"function": "system_part", "index": 1, "version": 6305}]
    assert module["product"] == {"id": 1234, "version": 44}
    assert module["flags"] == []
    assert (module["start_address"], module["prefix_offset"], module["suffix_size"]) == (0xB4000, 0, 40)


def test_json_lists_extensions(tmp_path: Path) -> None:
    document = json.loads(inspected(written(tmp_path, "a.bin", build_asset("cat", b"meow")), "--output", "json").stdout)
    extensions = document["files"][0]["modules"][0]["suffix_extensions"]
    assert [extension["name"] for extension in extensions] == ["Hash", "Name", "ProductData"]
    assert extensions[0]["digest"] == hashlib.sha256(b"meow").hexdigest()
    assert extensions[1]["text"] == "cat"


@pytest.mark.parametrize("output", ["text", "json"])
def test_all_bad_files_are_told_and_the_good_ones_too(tmp_path: Path, output: str) -> None:
    good = written(tmp_path, "good.bin", APPLICATION)
    empty = written(tmp_path, "empty.bin", b"")
    padded = written(tmp_path, "padded.bin", APPLICATION + b"\xff" * 9)
    missing = tmp_path / "missing.bin"
    result = inspected(empty, good, padded, missing, tmp_path, "--output", output)
    assert result.exit_code == 1
    assert "user_part" in result.stdout
    for path, code in ((empty, "PFR4001"), (padded, "PFR4003"), (missing, "PFR6601"), (tmp_path, "PFR6601")):
        assert f"{code} {path}" in result.stderr
    if output == "json":
        codes = [error["code"] for error in json.loads(result.stdout)["errors"]]
        assert codes == ["PFR4001", "PFR4003", "PFR6601", "PFR6601"]


def test_a_compressed_module_that_does_not_uncompress_is_a_bad_file(tmp_path: Path) -> None:
    inner = build_application(BORON, system_version=6305, product=None)
    asset = bytearray(build_asset("a", inner))
    asset[30:32] = b"\xff\xff"  # the stated size grows, the sums do not follow
    result = inspected(written(tmp_path, "bad.bin", bytes(asset)))
    assert result.exit_code == 1
    assert "PFR4004" in result.stderr


def test_no_file_is_a_usage_error() -> None:
    assert inspected().exit_code == 2
