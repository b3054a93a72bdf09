"""Which modules a bench may need: for every release that a device may come with, whole or without its Device OS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Desired, Via
from reconciler.model.plan import Knowledge, Situation
from reconciler.model.platform import Platform
from reconciler.model.step import FlashModule
from reconciler.planning.route import Found, RouteSearch
from reconciler.planning.situation import inferred_situation


def modules_for_bench(platform: Platform, desired: Desired, catalog: Catalog) -> tuple[FlashModule, ...]:
    """One step for each module of each release that some route over USB to the desired release sends, by release."""
    if desired.device_os is None:
        return ()
    search = RouteSearch(platform, catalog, Via.USB)
    needed: dict[tuple[object, ...], FlashModule] = {}
    for start in _starts(platform, desired, catalog):
        found = search.find(
            start, desired.device_os, completeness=desired.completeness, allow_prerelease=desired.allow_prerelease
        )
        for step in found.steps if isinstance(found, Found) else ():
            needed.setdefault((step.device_os.text, step.module), step)
    return tuple(sorted(needed.values(), key=lambda step: (step.device_os, step.module.slot)))


def _starts(platform: Platform, desired: Desired, catalog: Catalog) -> Iterator[Situation]:
    """A device of every release up to the desired one, and the same with its system parts lost."""
    assert desired.device_os is not None
    parts = platform.system_parts
    for release in catalog.releases(platform):
        if not release.published or release.prerelease or not release.version <= desired.device_os:
            continue
        if not any(shipped.module.slot in parts for shipped in release.modules):
            continue
        whole = inferred_situation(platform, release.version, catalog)
        yield whole
        left = tuple(module for module in whole.modules if module.slot not in parts)
        yield replace(whole, modules=left, device_os=None, mode=DeviceMode.SAFE_MODE, knowledge=Knowledge.REPORTED)
