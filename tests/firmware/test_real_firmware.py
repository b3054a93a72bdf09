"""The tool that gets the vendor's binaries, without the network."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests import real_firmware
from tests.real_firmware import RealFirmwareError, cache_folder, gather, package_versions


def packed(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_only_packages_that_bring_something_are_asked_for() -> None:
    versions = package_versions()
    assert versions[0] == "1.16.0"
    assert "2.3.0" in versions
    assert list(versions) == sorted(set(versions), key=lambda text: [int(part) for part in text.split(".")])


def test_without_npm_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RealFirmwareError, match="npm is not installed"):
        gather(tmp_path)


def test_a_failed_download_tells_what_npm_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "npm"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'no such host' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/bin:/usr/bin")
    with pytest.raises(RealFirmwareError, match="no such host"):
        gather(tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    assert list((tmp_path / "cache" / "npm").iterdir()) == []


def test_a_package_with_other_files_than_the_pinned_ones_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    first = package_versions()[0]
    packed(tmp_path / "npm" / f"particle-cli-{first}.tgz", {"package/../../evil.bin": b"evil", "package/a.bin": b"x"})
    with pytest.raises(RealFirmwareError, match="lacks files that it had, or they were changed"):
        gather(tmp_path)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {f"particle-cli-{first}.tgz"}


def test_a_broken_package_is_told_by_its_path(tmp_path: Path) -> None:
    tarball = tmp_path / "npm" / f"particle-cli-{package_versions()[0]}.tgz"
    tarball.parent.mkdir()
    tarball.write_bytes(b"not a tarball")
    with pytest.raises(RealFirmwareError, match=r"cannot be read .* delete it and run again"):
        gather(tmp_path)


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
    monkeypatch.delenv("RECONCILER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/particle-fleet-reconciler")


def test_the_command_says_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("RECONCILER_CACHE", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["real_firmware", "--into", str(tmp_path / "into")])
    assert real_firmware.main() == 1
    assert capsys.readouterr().err.startswith("error: npm is not installed")


@pytest.mark.real
def test_a_warm_layout_is_left_as_it_is_and_repaired_where_it_was_changed(real_modules: object, tmp_path: Path) -> None:
    layout = real_firmware.lay_out(tmp_path)
    path = next(iter(layout))
    before = path.read_bytes()
    others = {other: other.stat().st_mtime_ns for other in layout if other != path}
    path.write_bytes(b"cut off")
    real_firmware.lay_out(tmp_path)
    assert path.read_bytes() == before
    assert {other: other.stat().st_mtime_ns for other in others} == others
