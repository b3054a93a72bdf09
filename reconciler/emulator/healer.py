"""What the cloud sends of its own accord besides applications.

The safe mode healer sends the next module to a device in safe mode, one a session (facts 4.6): only what unmet
dependencies require, never an older version, and only what the device would take now. Of the modules that would do it
takes the lowest version that a published release of the platform ships; what that one needs first it sends first.

To a device that takes it so, the one system part that an application lacks goes along with it, compressed (facts 6.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.emulator.artifact import Artifact, Combined
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.device import Device, broken_dependency
from reconciler.firmware.catalog import Catalog
from reconciler.model.module import Dependency, Module, ModuleFunction
from reconciler.model.platform import Platform
from reconciler.model.release import Release, ReleaseModule

COMPRESSED_SHARE: Final = 0.72
"""Of the size of modules, what travels when they are compressed: 373,462 of about 517,000 bytes (facts 6.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A module to send, and the release that ships it."""

    release: Release
    shipped: ReleaseModule


def remedy_for(device: Device, catalog: Catalog) -> Remedy | None:
    """The next module for a device in safe mode, or None when nothing helps."""
    modules = [installed.module for installed in device.modules.values()]
    search = _Search(device.platform, catalog, modules)
    for _, dependency in device.loadout.unmet:
        remedy = search.meeting(dependency, ())
        if remedy is not None:
            return remedy
    return None


def remedy_artifact(device: Device, binaries: EmulatedBinaries) -> Artifact | None:
    """What the healer sends to a device in safe mode, or None when nothing helps."""
    remedy = remedy_for(device, binaries.catalog)
    return _artifact(device, remedy, binaries) if remedy is not None else None


def with_company(device: Device, application: Artifact, binaries: EmulatedBinaries) -> Artifact | Combined:
    """An application as the cloud sends it: with the system part that it lacks, where the device takes both at once."""
    if not device.combines or not device.unpacks:
        return application
    modules = device.loadout.with_module(application)
    missing = modules.unmet
    if len(missing) != 1 or missing[0][1].slot.function is not ModuleFunction.SYSTEM_PART:
        return application
    remedy = _Search(device.platform, binaries.catalog, [i.module for i in device.modules.values()]).meeting(
        missing[0][1], ()
    )
    if remedy is None:
        return application
    part = _artifact(device, remedy, binaries)
    if modules.with_module(part).unmet:
        return application
    size = int((part.size + application.size) * COMPRESSED_SHARE)
    return Combined(parts=(part, application), size=size)


def _artifact(device: Device, remedy: Remedy, binaries: EmulatedBinaries) -> Artifact:
    """The module, compressed if the device unpacks it."""
    module, size = remedy.shipped.module, binaries.size(device.platform, remedy.shipped)
    compressed = device.unpacks and module.slot.function is not ModuleFunction.NCP_FIRMWARE
    return Artifact(
        platform_id=device.platform.id,
        module=module,
        size=int(size * COMPRESSED_SHARE) if compressed else size,
        compressed=compressed,
    )


class _Search:
    def __init__(self, platform: Platform, catalog: Catalog, modules: list[Module]) -> None:
        self._platform = platform
        self._catalog = catalog
        self._versions = {module.slot: module.version for module in modules}
        self._parts = [module for module in modules if module.slot.function is ModuleFunction.SYSTEM_PART]

    def meeting(self, dependency: Dependency, wanted: tuple[Dependency, ...]) -> Remedy | None:
        """The first module to send on the way to meet a dependency. `wanted` are those already on the way to."""
        if dependency in wanted:
            return None
        for candidate in self._candidates(dependency):
            module = candidate.shipped.module
            if broken_dependency(self._versions, self._parts, module) is None:
                return candidate
            for need in module.dependencies:
                if self._versions.get(need.slot, 0) < need.version:
                    before = self.meeting(need, (*wanted, dependency))
                    if before is not None:
                        return before
        return None

    def _candidates(self, dependency: Dependency) -> list[Remedy]:
        lowest = max(dependency.version, self._versions.get(dependency.slot, 0) + 1)
        found: dict[int, Remedy] = {}
        for release in self._catalog.releases(self._platform):
            if not release.published or release.prerelease:
                continue
            for shipped in release.modules:
                if shipped.module.slot == dependency.slot and shipped.module.version >= lowest:
                    found.setdefault(shipped.module.version, Remedy(release=release, shipped=shipped))
        # A few of the lowest are enough: later ones only ever need more.
        return [found[version] for version in sorted(found)[:3]]
