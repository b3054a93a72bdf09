"""Application files that manifests name: read, checked, and every problem told at its place."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from reconciler.firmware.builder import build_application, build_module
from reconciler.manifests import ManifestErrors, ProblemCode
from reconciler.model.fleet import BuiltApplication, FleetSet
from reconciler.sources import read_manifests
from reconciler.sources.applications import with_applications
from tests.fleet_samples import module, platform

LOGGER = build_application(platform("boron"), system_version=6305, product=(12345, 44))

FLEET = """\
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {name: eu}
spec:
  product: cold-chain
  select: {platforms: [boron]}
  desired: {application: {release: logger, version: 44}}
"""
RELEASE = """\
apiVersion: fleet.reconciler.dev/v1alpha1
kind: ApplicationRelease
metadata: {name: logger}
spec:
  product: cold-chain
  versions:
    - version: 44
      binaries:
        - {platform: boron, file: FILE, sha256: SHA256}
    - version: 43
      binaries:
        - {platform: boron, file: never-read.bin, sha256: SHA256}
"""


def read(
    folder: Path, *, file: str = "logger.bin", content: bytes | None = LOGGER, sha256: str | None = None
) -> FleetSet:
    digest = hashlib.sha256(content or b"").hexdigest() if sha256 is None else sha256
    (folder / "fleet.yaml").write_text(FLEET)
    (folder / "release.yaml").write_text(RELEASE.replace("FILE", file).replace("SHA256", digest))
    if content is not None:
        (folder / "logger.bin").write_bytes(content)
    manifests = read_manifests([folder])
    return with_applications(manifests.compile(), manifests)


def built(fleets: FleetSet) -> BuiltApplication:
    application = fleets.fleets[0].desired.application
    assert application is not None
    found = application.binaries[0].built
    assert found is not None
    return found


def problem(folder: Path, **options: object) -> tuple[str, ProblemCode, str]:
    with pytest.raises(ManifestErrors) as caught:
        read(folder, **options)  # type: ignore[arg-type]  # by name
    (only,) = caught.value.problems
    assert only.line == (folder / "release.yaml").read_text().splitlines()[only.place.line - 1]
    return f"{Path(only.place.file).name}:{only.place.line}", only.code, only.message


def test_the_fleets_know_what_the_files_of_their_applications_say(tmp_path: Path) -> None:
    application = built(read(tmp_path))
    assert (application.platform_id, application.product_version) == (13, 44)
    assert application.size == len(LOGGER)


def test_only_desired_versions_are_read(tmp_path: Path) -> None:
    assert not (tmp_path / "never-read.bin").exists()
    assert built(read(tmp_path))


def test_another_digest_than_the_manifest_s_is_a_problem_at_its_place(tmp_path: Path) -> None:
    place, code, message = problem(tmp_path, sha256="a" * 64)
    assert (place, code) == ("release.yaml:9", ProblemCode.INTEGRITY)
    assert hashlib.sha256(LOGGER).hexdigest() in message


def test_a_file_that_is_not_there_is_a_problem_at_its_place(tmp_path: Path) -> None:
    place, code, message = problem(tmp_path, content=None)
    assert (place, code) == ("release.yaml:9", ProblemCode.BINARY)
    assert "there is no file" in message


def test_a_file_that_is_no_application_is_a_problem_with_its_own_code(tmp_path: Path) -> None:
    system = build_module(platform("boron"), module("boron", "6.3.4", "system_part/1"))
    _, code, message = problem(tmp_path, content=system)
    assert code is ProblemCode.BINARY
    assert "PFR4011" in message


def test_a_file_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(LOGGER)
    _, code, _ = problem(folder, file="../outside.bin")
    assert code is ProblemCode.OUTSIDE


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    two = FLEET.replace("name: eu", "name: us").replace("version: 44", "version: 43").replace("boron", "argon")
    (tmp_path / "second.yaml").write_text(two)
    with pytest.raises(ManifestErrors) as caught:
        read(tmp_path, sha256="a" * 64)
    assert [found.code for found in caught.value.problems] == [ProblemCode.INTEGRITY, ProblemCode.BINARY]
