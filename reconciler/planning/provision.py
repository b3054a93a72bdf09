"""Which releases a bench may need: for every one that a device may come with, whole or without its Device OS.

A bench without network plans with those alone that it has, so that no plan needs a module that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Desired, Via
from reconciler.model.module import ModuleFunction
from reconciler.model.plan import Knowledge, Situation
from reconciler.model.platform import Platform
from reconciler.model.release import Release
from reconciler.model.step import FlashModule
from reconciler.planning.route import Found, RouteSearch
from reconciler.planning.situation import inferred_situation


def releases_for_bench(platform: Platform, desired: Desired, catalog: Catalog) -> tuple[Release, ...]:
    """The releases that routes over USB to the desired one pass, ascending, the desired one last."""
    if desired.device_os is None:
        return ()
    search = RouteSearch(platform, catalog, Via.USB)
    passed = {desired.device_os}
    for start in dict.fromkeys(_starts(platform, desired, catalog)):  # what is left of many releases is the same
        found = search.find(
            start, desired.device_os, completeness=desired.completeness, allow_prerelease=desired.allow_prerelease
        )
        passed.update(found.hops if isinstance(found, Found) else ())
    return tuple(release for release in catalog.releases(platform) if release.version in passed)


def steps_of(platform: Platform, release: Release) -> tuple[FlashModule, ...]:
    """A step for every module of a release that can be sent."""
    return tuple(
        FlashModule(
            module=shipped.module,
            device_os=release.version,
            boots_into=DeviceMode.NORMAL,
            size=shipped.size,
            sha256=shipped.sha256,
            via=Via.USB,
        )
        for shipped in release.modules
        if not platform.bounds[shipped.module.slot].encrypted
    )


def with_these_alone(catalog: Catalog, there: frozenset[tuple[int, str]]) -> Catalog:
    """The catalog in which no route passes a release that is not there; `there`: platform ids and releases.

    All releases stay known, for what devices run.
    """
    releases = (
        replace(release, published=release.published and (release.platform_id, release.version.text) in there)
        for release in catalog.all_releases
    )
    return Catalog(releases, catalog.all_stations)


def _starts(platform: Platform, desired: Desired, catalog: Catalog) -> Iterator[Situation]:
    """A device of every release up to the desired one, the same without system parts, and with bootloaders alone."""
    assert desired.device_os is not None
    parts = platform.system_parts
    for release in catalog.releases(platform):
        if not release.published or release.prerelease or not release.version <= desired.device_os:
            continue
        if not any(shipped.module.slot in parts for shipped in release.modules):
            continue
        whole = inferred_situation(platform, release.version, catalog)
        yield whole
        broken = replace(whole, device_os=None, mode=DeviceMode.SAFE_MODE, knowledge=Knowledge.REPORTED)
        yield replace(broken, modules=tuple(module for module in whole.modules if module.slot not in parts))
        bootloaders = (module for module in whole.modules if module.slot.function is ModuleFunction.BOOTLOADER)
        yield replace(broken, modules=tuple(bootloaders))
