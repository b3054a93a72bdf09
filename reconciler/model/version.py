"""Device OS versions and their order.

The rules:
- Where both versions are in the published table, the module number that the device itself compares decides
  (facts section 2). Equal numbers: a prerelease comes before the release it led to.
- Where a version is not in the table, only the plain spelling `N.N.N[-(alpha|beta|rc).N]` is ordered, by PEP 440.
- Everything else is refused with `UnorderableVersionsError`, never guessed.

Why: Particle used spellings (`1.5.1-tracker.1`, `0.4.6.1`, `3.0.0-b003`) on which PEP 440 and semver disagree with
each other and with the devices.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final, NewType

from packaging.version import Version

ApplicationVersion = NewType("ApplicationVersion", int)
"""A product firmware version: 0..65535, as the running firmware reports it."""

_PLAIN: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-(?:alpha|beta|rc)\.(?:0|[1-9]\d*))?", re.ASCII)


class UnorderableVersionsError(ValueError):
    """Two versions for which no source says which is the later one."""


class DeviceOsVersion:
    """One Device OS version, interned: equal text is the same object, so comparing identity is enough.

    `text` is kept as written (the cloud knows `5.6.0-rc.1`, not `5.6.0rc1`). `module_number` is the number that the
    system parts carry, or None for a version that is not in the table; `pep440` is None unless the spelling is plain.
    """

    __slots__ = ("module_number", "pep440", "prerelease", "text")

    text: str
    module_number: int | None
    prerelease: bool
    pep440: Version | None

    def __new__(cls, text: str) -> DeviceOsVersion:  # noqa: PYI034  # there are no subclasses
        """The one object for this text."""
        return _interned(text)

    def __lt__(self, other: DeviceOsVersion) -> bool:
        return self is not other and _is_before(self, other)

    def __gt__(self, other: DeviceOsVersion) -> bool:
        return other < self

    def __le__(self, other: DeviceOsVersion) -> bool:
        return self is other or self < other

    def __ge__(self, other: DeviceOsVersion) -> bool:
        return other <= self

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"DeviceOsVersion({self.text!r})"

    def __reduce__(self) -> tuple[type[DeviceOsVersion], tuple[str]]:
        return DeviceOsVersion, (self.text,)


@cache
def _interned(text: str) -> DeviceOsVersion:
    version = object.__new__(DeviceOsVersion)
    version.text = text
    number_and_prerelease = _published_numbers().get(text)
    version.pep440 = Version(text) if _PLAIN.fullmatch(text) else None
    if number_and_prerelease is not None:
        version.module_number, version.prerelease = number_and_prerelease
    else:
        version.module_number = None
        version.prerelease = version.pep440 is None or version.pep440.is_prerelease
    return version


@cache
def _published_numbers() -> dict[str, tuple[int, bool]]:
    return {row["version"]: (int(row["module_version"]), row["prerelease"] == "true") for row in _table()}


def _table() -> Iterator[dict[str, str]]:
    text = resources.files(__package__).joinpath("device_os_versions.csv").read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


def _is_before(earlier: DeviceOsVersion, later: DeviceOsVersion) -> bool:
    if earlier.module_number is not None and later.module_number is not None:
        if earlier.module_number != later.module_number:
            return earlier.module_number < later.module_number
        if earlier.prerelease != later.prerelease:
            return earlier.prerelease
    if earlier.pep440 is None or later.pep440 is None:
        message = f"no source says which of {earlier} and {later} is the later one"
        raise UnorderableVersionsError(message)
    return earlier.pep440 < later.pep440


@cache
def published_bootloader_numbers() -> frozenset[int]:
    """Every bootloader number that the table names, for platforms and releases of which no dependency row tells."""
    return frozenset(
        int(number) for row in _table() for number in re.findall(r"\d+(?!\])", row["bootloader_module_version"])
    )


def is_known_version(version: DeviceOsVersion) -> bool:
    """Whether the published table has a module number for this version."""
    return version.module_number is not None


def published_versions() -> tuple[DeviceOsVersion, ...]:
    """Every version of the published table, in the table's order (facts, `device-os-versions.csv`)."""
    return tuple(map(DeviceOsVersion, _published_numbers()))
