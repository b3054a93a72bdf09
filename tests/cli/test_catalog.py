from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.catalog import command
from reconciler.cli.catalog_file import read_catalog
from reconciler.firmware.builder import build_application, build_module
from reconciler.firmware.document import catalog_from_document
from reconciler.firmware.known import known_catalog
from reconciler.model.error import ReconcilerError
from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.version import DeviceOsVersion


def platform(name: str) -> Platform:
    found = platform_by_name(name)
    assert found is not None
    return found


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def code_of(result: Result) -> str:
    assert isinstance(result.exception, ReconcilerError)
    assert result.exception.next_step
    return result.exception.code


def write_release(folder: Path, name: str, version: str) -> None:
    """Synthetic binaries of a release of which no real file was seen."""
    release = known_catalog().release(platform(name), DeviceOsVersion(version))
    assert release is not None
    folder.mkdir(parents=True, exist_ok=True)
    for number, shipped in enumerate(release.modules):
        assert shipped.sha256 is None
        data = build_module(platform(name), shipped.module, size=shipped.size)
        (folder / f"{number}.bin").write_bytes(data)


def test_a_catalog_is_built_from_folders_in_folders(tmp_path: Path) -> None:
    write_release(tmp_path / "in" / "boron" / "6.3.4", "boron", "6.3.4")
    write_release(tmp_path / "in" / "p2" / "6.3.4", "p2", "6.3.4")
    result = run("build", tmp_path / "in", "--output", tmp_path / "catalog.json")
    assert result.exit_code == 0, result.exception
    assert result.stdout == ""
    assert "2 releases of 2 platforms" in result.stderr
    catalog = catalog_from_document(json.loads((tmp_path / "catalog.json").read_text(encoding="utf-8")))
    assert {str(release.version) for release in catalog.all_releases} == {"6.3.4"}
    assert catalog.release(platform("p2"), DeviceOsVersion("6.3.4")) is not None


def test_a_built_catalog_goes_to_standard_output_alone(tmp_path: Path) -> None:
    write_release(tmp_path, "boron", "6.3.4")
    result = run("build", tmp_path, "--output", "-")
    assert json.loads(result.stdout)["format_version"] == "1.0"


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    write_release(tmp_path, "boron", "6.3.4")
    application = build_application(platform("boron"), system_version=6305, product=None)
    (tmp_path / "app.bin").write_bytes(application)
    assert "app.bin: user_part belongs to no release" in run("build", tmp_path, "--output", "-").stderr


def test_a_built_catalog_is_accepted_on_top_of_the_known_one(tmp_path: Path) -> None:
    write_release(tmp_path, "boron", "6.3.4")
    run("build", tmp_path, "--output", tmp_path / "catalog.json")
    release = read_catalog(tmp_path / "catalog.json").release(platform("boron"), DeviceOsVersion("6.3.4"))
    assert release is not None
    assert all(shipped.sha256 for shipped in release.modules)


def test_all_bad_binaries_are_told_and_nothing_is_written(tmp_path: Path) -> None:
    write_release(tmp_path / "in", "boron", "6.3.4")
    (tmp_path / "in" / "a.bin").write_bytes(b"")
    (tmp_path / "in" / "b.bin").write_bytes(b"text" * 100)
    result = run("build", tmp_path / "in", "--output", tmp_path / "catalog.json")
    assert code_of(result) == "PFR4110"
    assert "a.bin" in str(result.exception)
    assert "b.bin" in str(result.exception)
    assert not (tmp_path / "catalog.json").exists()


def test_a_binary_that_contradicts_the_facts_ends_the_build(tmp_path: Path) -> None:
    write_release(tmp_path, "boron", "6.3.4")
    module = Module(
        slot=ModuleSlot.parse("system_part/1"),
        version=6305,
        first_dependency=Dependency(ModuleSlot.parse("bootloader/0"), 1),
    )
    (tmp_path / "1.bin").write_bytes(build_module(platform("boron"), module))
    assert code_of(run("build", tmp_path, "--output", tmp_path / "catalog.json")) == "PFR4111"


def test_folders_without_binaries_or_that_are_not_there_are_errors(tmp_path: Path) -> None:
    assert code_of(run("build", tmp_path, "--output", "-")) == "PFR6604"
    assert code_of(run("build", tmp_path / "missing", "--output", "-")) == "PFR6601"


def test_an_output_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    write_release(tmp_path, "boron", "6.3.4")
    assert code_of(run("build", tmp_path, "--output", tmp_path / "missing" / "x.json")) == "PFR6607"


def test_show_lists_the_platforms() -> None:
    output = run("show").stdout
    assert "electron" in output
    assert "0.5.5, 0.6.4, 0.7.0, 1.2.1 (cloud)" in output


def test_show_lists_the_releases_of_a_platform_by_name_or_alias() -> None:
    assert run("show", "--platform", "photon2").stdout == run("show", "--platform", "p2").stdout
    output = run("show", "--platform", "p2").stdout
    assert "6.3.4" in output
    assert "3.3.1" not in output


def test_show_lists_the_modules_of_a_release() -> None:
    output = run("show", "--platform", "electron", "--device-os", "2.0.0").stdout
    assert "electron-system-part1@2.0.0.bin" in output
    assert "system_part/1 2008, bootloader/0 1003" in output


def test_show_as_json_is_a_catalog_again() -> None:
    result = run("show", "--platform", "boron", "--device-os", "6.3.4", "--output", "json")
    (release,) = catalog_from_document(json.loads(result.stdout)).all_releases
    assert release == known_catalog().release(platform("boron"), DeviceOsVersion("6.3.4"))


def test_show_everything_as_json_is_the_known_catalog() -> None:
    shown = catalog_from_document(json.loads(run("show", "--output", "json").stdout))
    assert shown.digest == known_catalog().digest


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (["--platform", "boro"], "PFR6605", "Known are photon"),
        (["--device-os", "99.0.0"], "PFR6606", "catalog show"),
        (["--platform", "photon", "--device-os", "6.3.4"], "PFR6606", "It is known for argon, b5som, boron"),
        (["--platform", "photon", "--device-os", "99.0.0"], "PFR6606", "--platform photon"),
        (["--platform", "core"], "PFR6606", "catalog show"),
    ],
)
def test_what_is_not_there_is_an_error_with_a_hint(arguments: list[str], code: str, hint: str) -> None:
    result = run("show", *arguments)
    assert code_of(result) == code
    assert isinstance(result.exception, ReconcilerError)
    assert hint in result.exception.next_step


def test_a_release_of_ones_own_is_shown(tmp_path: Path) -> None:
    document: dict[str, Any] = {
        "format_version": "1.0",
        "releases": [{"device_os": "9.0.0", "platform": "boron", "modules": []}],
    }
    (tmp_path / "own.json").write_text(json.dumps(document), encoding="utf-8")
    assert "9.0.0" in run("show", "--platform", "boron", "--catalog", tmp_path / "own.json").stdout


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "PFR6603"), ("{", "PFR6603"), ("[" * 100_000, "PFR6603"), ("{}", "PFR4100"), ("[]", "PFR4100")],
)
def test_a_file_that_is_no_catalog_is_refused_by_its_name(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(text, encoding="utf-8")
    result = run("show", "--catalog", path)
    assert code_of(result) == code
    assert str(path) in str(result.exception)


def test_a_catalog_that_contradicts_the_facts_is_refused(tmp_path: Path) -> None:
    release = known_catalog().release(platform("boron"), DeviceOsVersion("6.3.4"))
    assert release is not None
    first = replace(release.modules[0], module=replace(release.modules[0].module, version=1))
    document = type(known_catalog())([replace(release, modules=(first,))]).document()
    (tmp_path / "other.json").write_text(json.dumps(document), encoding="utf-8")
    assert code_of(run("show", "--catalog", tmp_path / "other.json")) == "PFR4111"


def test_an_error_ends_the_program_with_1_and_its_words_on_standard_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "catalog", "show", "--platform", "boro"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: PFR6605 there is no platform 'boro'\n  next: ")
