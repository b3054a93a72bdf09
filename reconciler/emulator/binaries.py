"""Binaries of every module that the catalog knows: the vendor's own where a folder has them, synthetic ones elsewhere.

A synthetic binary has the version, the dependencies and, where known, the size of the real one, and is a valid module;
its bytes are not the vendor's. So the catalog that goes with it keeps hashes and file names only for what is served
from a real file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from reconciler.emulator.device import application_base
from reconciler.firmware.binary import ParsedModule, parse_module
from reconciler.firmware.builder import build_module
from reconciler.firmware.catalog import Catalog
from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_id
from reconciler.model.release import Release, ReleaseModule
from reconciler.model.version import DeviceOsVersion

RealFiles = Callable[[Platform, DeviceOsVersion], Iterable[tuple[str, bytes]]]
"""Files (name, content) that a folder has for one release of one platform."""

_BUILT_KEPT: Final = 64
_SEED: Final = 0
"""Of all synthetic bytes, so that a binary is the same wherever and whenever it is served."""
_SIZE_UNKNOWN: Final = 40 * 1024
_APPLICATION_SIZE: Final = {"stm32f2xx": 12 * 1024, "nrf52840": 16 * 1024, "rtl872x": 56 * 1024}
"""Bytes of a small application (facts 6.1)."""
_APPLICATION_MODULE_VERSION: Final = 6
_SYSTEM_MOVED_AT: Final = 6200
_SYSTEM_START, _SYSTEM_START_SINCE = 0x30000, 0x28000
_LARGE_APPLICATION_START: Final = 0xB4000
"""A system part of unknown size leaves room for a large application, wherever it begins (facts 3.2)."""
_LARGE_APPLICATIONS_SINCE: Final = 3100
"""Device OS module number from which nRF52840 applications have index 2 (facts 1.5)."""


class EmulatedBinaries:
    """The binaries that the pretend cloud serves.

    `side_by_side`: modules lie beside each other in one flash, as on the pretend bench. So a synthetic system part of a
    size that no source has leaves room for the application. The cloud's devices have no flash, only modules.
    """

    def __init__(self, catalog: Catalog, real_files: RealFiles | None = None, *, side_by_side: bool = False) -> None:
        self._side_by_side = side_by_side
        self._real: dict[tuple[int, DeviceOsVersion, ModuleSlot], tuple[str, bytes]] = {}
        if real_files is not None:
            self._real = dict(_matching(catalog, real_files))
        self.catalog = Catalog((self._as_served(release) for release in catalog.all_releases), catalog.all_stations)
        self._built = lru_cache(maxsize=_BUILT_KEPT)(self._build)

    @property
    def real_count(self) -> int:
        """How many modules of releases are served from real files."""
        return len(self._real)

    def module(self, platform: Platform, version: DeviceOsVersion, slot: ModuleSlot) -> bytes | None:
        """The binary of one module of one release, or None when the release ships no such module."""
        real = self._real.get((platform.id, version, slot))
        return real[1] if real else self._built(platform.id, version, slot)

    def file_name(self, platform: Platform, version: DeviceOsVersion, slot: ModuleSlot) -> str:
        """What the binary is called."""
        real = self._real.get((platform.id, version, slot))
        if real:
            return real[0]
        return f"{platform}-{slot.function.label.replace('_', '-')}{slot.index}@{version}.bin"

    def application(
        self,
        platform: Platform,
        device_os: DeviceOsVersion,
        *,
        product: tuple[int, int] | None,
        size: int | None = None,
    ) -> bytes:
        """A synthetic application built for a release. Raises KeyError when the catalog has no such release."""
        module = application_module(self.catalog, platform, device_os)
        return build_module(platform, module, size=size or _APPLICATION_SIZE[platform.mcu], product=product, seed=_SEED)

    def _build(self, platform_id: int, version: DeviceOsVersion, slot: ModuleSlot) -> bytes | None:
        platform = platform_by_id(platform_id)
        assert platform is not None
        release = self.catalog.release(platform, version)
        shipped = next((m for m in release.modules if m.module.slot == slot), None) if release else None
        if shipped is None:
            return None
        return build_module(platform, shipped.module, size=self.size(platform, shipped), product=None, seed=_SEED)

    def size(self, platform: Platform, shipped: ReleaseModule) -> int:
        """Bytes of a module as served; where no source has its size, the largest known one of its slot, or some."""
        slot = shipped.module.slot
        known = shipped.size or self.catalog.largest_size(platform, slot)
        is_system = platform.mcu == "nrf52840" and slot.function is ModuleFunction.SYSTEM_PART
        if self._side_by_side and is_system and shipped.size is None:
            start = _SYSTEM_START if shipped.module.version < _SYSTEM_MOVED_AT else _SYSTEM_START_SINCE
            known = min(known, _LARGE_APPLICATION_START - start)
        return known or min(_SIZE_UNKNOWN, platform.bounds[slot].size_max or _SIZE_UNKNOWN)

    def _as_served(self, release: Release) -> Release:
        return replace(release, modules=tuple(self._module_as_served(release, m) for m in release.modules))

    def _module_as_served(self, release: Release, shipped: ReleaseModule) -> ReleaseModule:
        real = self._real.get((release.platform_id, release.version, shipped.module.slot))
        if real is None:
            return replace(shipped, sha256=None, file=None)
        name, content = real
        return replace(shipped, size=len(content), sha256=hashlib.sha256(content).hexdigest(), file=name)


def application_module(catalog: Catalog, platform: Platform, device_os: DeviceOsVersion) -> Module:
    """The user part of an application built for a release (facts 4.1). Raises KeyError for an unknown release."""
    release = catalog.release(platform, device_os)
    base = application_base(platform)
    number = next((m.module.version for m in release.modules if m.module.slot == base), None) if release else None
    if number is None:
        raise KeyError(device_os.text)
    large = platform.mcu == "nrf52840" and number >= _LARGE_APPLICATIONS_SINCE
    return Module(
        slot=ModuleSlot(ModuleFunction.USER_PART, 2 if large else 1),
        version=_APPLICATION_MODULE_VERSION,
        first_dependency=Dependency(base, number),
    )


def real_files_in(folder: Path) -> RealFiles:
    """Real binaries laid out as FOLDER/<platform>/<Device OS version>/<file>.bin."""

    def read(platform: Platform, version: DeviceOsVersion) -> Iterable[tuple[str, bytes]]:
        return (
            (path.name, path.read_bytes()) for path in sorted((folder / platform.name / version.text).glob("*.bin"))
        )

    return read


def _matching(
    catalog: Catalog, real_files: RealFiles
) -> Iterable[tuple[tuple[int, DeviceOsVersion, ModuleSlot], tuple[str, bytes]]]:
    """Real files by what their prefix says, never by name; only those that are what the release ships."""
    for release in catalog.all_releases:
        platform = platform_by_id(release.platform_id)
        assert platform is not None
        shipped = {m.module.slot: m.module for m in release.modules}
        for name, content in real_files(platform, release.version):
            parsed = _parsed(content)
            if parsed and parsed.platform_id == platform.id and shipped.get(parsed.module.slot) == parsed.module:
                yield (platform.id, release.version, parsed.module.slot), (name, content)


def _parsed(content: bytes) -> ParsedModule | None:
    try:
        return parse_module(content)
    except FirmwareError:
        return None
