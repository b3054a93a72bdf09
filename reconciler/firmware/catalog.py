"""The release catalog: which modules every release ships for every platform, what they need, how big they are.

The catalog is reviewed data. It answers; it never guesses: what it does not know is None or an empty tuple.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.model.platform import Platform, platform_by_id
from reconciler.model.release import LowerBound, Release, ReleaseModule, Span, Station, Unreachable
from reconciler.model.version import DeviceOsVersion

FORMAT_VERSION = "1.0"


class Catalog:
    """All known releases, by platform and version."""

    def __init__(
        self,
        releases: Iterable[Release],
        stations: Iterable[Station] = (),
        *,
        unreachable: Iterable[Unreachable] = (),
        lower_bounds: Iterable[LowerBound] = (),
    ) -> None:
        self._by_platform: dict[int, dict[DeviceOsVersion, Release]] = {}
        for release in releases:
            self._by_platform.setdefault(release.platform_id, {})[release.version] = release
        for platform_id, by_version in self._by_platform.items():
            self._by_platform[platform_id] = dict(
                sorted(
                    by_version.items(), key=lambda item: (_system_number(item[1]), not item[0].prerelease, item[0].text)
                )
            )
        self._stations = tuple(stations)
        self._unreachable = tuple(unreachable)
        self._lower_bounds = tuple(lower_bounds)

    def release(self, platform: Platform, version: DeviceOsVersion) -> Release | None:
        """The release of this version for this platform, or None when nothing is known of it."""
        return self._by_platform.get(platform.id, {}).get(version)

    def releases(self, platform: Platform) -> tuple[Release, ...]:
        """All known releases for the platform, ascending by the number of their system parts."""
        return tuple(self._by_platform.get(platform.id, {}).values())

    def releases_of_system(self, platform: Platform, number: int) -> tuple[Release, ...]:
        """The releases whose system parts have this module number, the stable one first."""
        return self._by_system_number.get((platform.id, number), ())

    def modules(self, platform: Platform, slot: ModuleSlot, version: int) -> tuple[Module, ...]:
        """Every build of this module that some release ships; a number does not identify an image (facts 2)."""
        return self._builds.get((platform.id, slot, version), ())

    def largest_size(self, platform: Platform, slot: ModuleSlot) -> int:
        """The largest known size (bytes) of any module in this slot; 0 when no source has one."""
        return self._largest_sizes.get((platform.id, slot), 0)

    def stations(self, platform: Platform, via: str) -> tuple[DeviceOsVersion, ...]:
        """The releases at which a route of this platform must stop when it passes them."""
        return tuple(
            version
            for station in self._stations
            if platform.name in station.platforms and via in station.via
            for version in station.versions
        )

    @property
    def all_stations(self) -> tuple[Station, ...]:
        """Every station with its reason and source."""
        return self._stations

    @property
    def unreachable(self) -> tuple[Unreachable, ...]:
        """The releases that are known not to be reachable from some earlier ones."""
        return self._unreachable

    @property
    def lower_bounds(self) -> tuple[LowerBound, ...]:
        """The needed versions that are known to be shipped by no release."""
        return self._lower_bounds

    @property
    def all_releases(self) -> tuple[Release, ...]:
        """Every release of every platform."""
        return tuple(release for by_version in self._by_platform.values() for release in by_version.values())

    def merged_with(self, other: Catalog) -> Catalog:
        """This catalog with another on top.

        A release that both have keeps our modules where the other has none; where both have one, the other's counts.
        Stations and reviewed exceptions of both hold.
        """
        releases = {(release.platform_id, release.version): release for release in self.all_releases}
        for release in other.all_releases:
            key = (release.platform_id, release.version)
            releases[key] = _completed(release, releases.get(key))
        return Catalog(
            releases.values(),
            dict.fromkeys((*self._stations, *other._stations)),
            unreachable=dict.fromkeys((*self._unreachable, *other._unreachable)),
            lower_bounds=dict.fromkeys((*self._lower_bounds, *other._lower_bounds)),
        )

    @cached_property
    def digest(self) -> str:
        """`sha256:…` over the document of this catalog."""
        text = json.dumps(self.document(), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """The catalog in the published format (contracts section 3)."""
        document: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "releases": [_release_document(release) for release in self.all_releases],
            "stations": [
                {
                    "platforms": list(station.platforms),
                    "via": list(station.via),
                    "device_os": [version.text for version in station.versions],
                    "reason": station.reason,
                    "source": station.source,
                }
                for station in self._stations
            ],
        }
        if self._unreachable:
            document["unreachable"] = [_unreachable_document(one) for one in self._unreachable]
        if self._lower_bounds:
            document["lower_bounds"] = [_lower_bound_document(bound) for bound in self._lower_bounds]
        return document

    @cached_property
    def _by_system_number(self) -> Mapping[tuple[int, int], tuple[Release, ...]]:
        found: dict[tuple[int, int], tuple[Release, ...]] = {}
        for release in self.all_releases:
            key = (release.platform_id, _system_number(release))
            found[key] = tuple(sorted((*found.get(key, ()), release), key=lambda r: (r.prerelease, r.version.text)))
        return found

    @cached_property
    def _builds(self) -> Mapping[tuple[int, ModuleSlot, int], tuple[Module, ...]]:
        found: dict[tuple[int, ModuleSlot, int], dict[Module, None]] = {}
        for release in self.all_releases:
            for shipped in release.modules:
                key = (release.platform_id, shipped.module.slot, shipped.module.version)
                found.setdefault(key, {})[shipped.module] = None
        return {key: tuple(modules) for key, modules in found.items()}

    @cached_property
    def _largest_sizes(self) -> Mapping[tuple[int, ModuleSlot], int]:
        found: dict[tuple[int, ModuleSlot], int] = {}
        for release in self.all_releases:
            for shipped in release.modules:
                key = (release.platform_id, shipped.module.slot)
                found[key] = max(found.get(key, 0), shipped.size or 0)
        return found


def _completed(release: Release, earlier: Release | None) -> Release:
    if earlier is None:
        return release
    modules = {shipped.module.slot: shipped for shipped in (*earlier.modules, *release.modules)}
    return replace(release, modules=tuple(modules[slot] for slot in sorted(modules)))


def _system_number(release: Release) -> int:
    platform = platform_by_id(release.platform_id)
    parts = platform.system_parts if platform else ()
    return max((m.module.version for m in release.modules if m.module.slot in parts), default=-1)


def _release_document(release: Release) -> dict[str, Any]:
    platform = platform_by_id(release.platform_id)
    return {
        "device_os": release.version.text,
        "prerelease": release.prerelease,
        "platform": platform.name if platform else str(release.platform_id),
        "published": release.published,
        "modules": [_module_document(shipped) for shipped in release.modules],
    }


def _module_document(shipped: ReleaseModule) -> dict[str, Any]:
    module = shipped.module
    document: dict[str, Any] = {
        "function": module.slot.function.label,
        "index": module.slot.index,
        "version": module.version,
    }
    for name in ("size", "sha256", "file"):
        value = getattr(shipped, name)
        if value is not None:
            document[name] = value
    document["dependencies"] = [_dependency_document(dependency) for dependency in module.dependencies]
    return document


def _dependency_document(dependency: Dependency) -> dict[str, Any]:
    return {
        "function": dependency.slot.function.label,
        "index": dependency.slot.index,
        "version": dependency.version,
    }


def _unreachable_document(one: Unreachable) -> dict[str, Any]:
    return {
        "platforms": list(one.platforms),
        "from": _span_document(one.start),
        "to": _span_document(one.desired),
        "reason": one.reason,
        "source": one.source,
    }


def _span_document(span: Span) -> dict[str, str]:
    return {"first": span.first.text} | ({} if span.last is None else {"last": span.last.text})


def _lower_bound_document(bound: LowerBound) -> dict[str, Any]:
    return {
        "platforms": list(bound.platforms),
        "function": bound.slot.function.label,
        "index": bound.slot.index,
        "version": bound.version,
        "reason": bound.reason,
        "source": bound.source,
    }
