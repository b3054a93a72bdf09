"""The catalog that the package carries, made from the tables in `facts/` (copied unchanged from the project's facts).

- Modules and dependencies: `device-os-dependencies.csv` (facts 4). A row without a module version means that the
  release ships no such module; build metadata (`5.4.0+ledger`) is not a release of its own.
- Radio stack 202 and NCP firmware 7 stand beside that table: contracts section 4, point 7.
- Published: `device-os-published.csv`. Sizes: `device-os-module-sizes.csv`, without special builds.
- Stations: facts 4.3, the vendor's documented sequence for the Electron over the air.
- Reviewed exceptions, which `catalog lint` holds the catalog to: the Tracker's circle, and needed versions that no
  release ships.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final

from reconciler.firmware.catalog import Catalog
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.release import LowerBound, Release, ReleaseModule, Span, Station, Unreachable
from reconciler.model.version import DeviceOsVersion

BOOTLOADER: Final = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
_SYSTEM: Final = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
RADIO_STACK: Final = ModuleSlot(ModuleFunction.RADIO_STACK, 0)
NCP_FIRMWARE: Final = ModuleSlot(ModuleFunction.NCP_FIRMWARE, 0)

RADIO_STACK_VERSION: Final = 202
NCP_FIRMWARE_VERSION: Final = 7
NEVER_SENT: Final = {RADIO_STACK: (169, 182), NCP_FIRMWARE: (5,)}
"""Module versions that devices carry from the factory or from old releases, and that no release sends any more."""

_SPECIAL_BUILDS: Final = ("+debug", "no-boot-dep")

ELECTRON_STATIONS: Final = Station(
    platforms=("electron",),
    via=("cloud",),
    versions=tuple(map(DeviceOsVersion, ("0.5.5", "0.6.4", "0.7.0", "1.2.1"))),
    reason="The vendor brings Electrons over the air through these releases, one after the other.",
    source="Device OS release notes 1.0.1-rc.1 to 1.5.0-rc.2, quoted in facts section 4.3",
)

TRACKER_CIRCLE: Final = Unreachable(
    platforms=("tracker",),
    start=Span(first=DeviceOsVersion("2.0.0"), last=DeviceOsVersion("2.3.1")),
    desired=Span(first=DeviceOsVersion("3.0.0")),
    reason="Every system part from 3.0.0 to 5.5.0 needs NCP firmware 7, which needs system part 3000; later ones need "
    "system part 3001. Only the prerelease 3.0.0-alpha.1 lies between, and no stable release.",
    source="Module prefixes of these releases; facts section 4.3",
)

_RADIO_STACK_BUILD: Final = (
    "Radio stack 202 is one build for all platforms of this kind, older than this platform's first release."
)
_LOWESTBOOTLOADER: Final = "The release asks for the lowest bootloader that is good enough and ships a later one."
_PREFIXES: Final = "Module prefixes, device-os-dependencies.csv; facts section 4.2"
LOWER_BOUNDS: Final = tuple(
    LowerBound(platforms=platforms, slot=slot, version=version, reason=reason, source=source)
    for platforms, slot, version, reason, source in (
        (("argon", "boron", "xenon"), BOOTLOADER, 101, _LOWESTBOOTLOADER, _PREFIXES),
        (("argon", "boron", "xenon", "asom", "bsom", "xsom"), BOOTLOADER, 201, _LOWESTBOOTLOADER, _PREFIXES),
        (("esomx", "tracker"), BOOTLOADER, 501, _RADIO_STACK_BUILD, "contracts section 4, point 7"),
        (("esomx", "b5som", "tracker"), _SYSTEM, 1321, _RADIO_STACK_BUILD, "contracts section 4, point 7"),
    )
)

_Key = tuple[str, str]


@cache
def known_catalog() -> Catalog:
    """The catalog of everything in the facts: about 1,200 releases of 15 platforms."""
    published = {(row["version"], row["platform"]) for row in _table("device-os-published.csv")}
    sizes = _sizes()
    modules: dict[_Key, list[Module]] = {}
    for row in _table("device-os-dependencies.csv"):
        if "+" not in row["version"] and row["module_version"] and row["module_function"] != "user_part":
            modules.setdefault((row["version"], row["platform"]), []).append(_module(row))
    releases = []
    for (version, platform_name), shipped in modules.items():
        platform = platform_by_name(platform_name)
        assert platform is not None, platform_name
        releases.append(
            Release(
                version=DeviceOsVersion(version),
                platform_id=platform.id,
                published=(version, platform_name) in published,
                modules=tuple(
                    _with_size(module, sizes.get((version, platform_name, module.slot, module.version)))
                    for module in sorted(
                        shipped + _beside_the_table(DeviceOsVersion(version), platform), key=lambda module: module.slot
                    )
                ),
            )
        )
    return Catalog(releases, (ELECTRON_STATIONS,), unreachable=(TRACKER_CIRCLE,), lower_bounds=LOWER_BOUNDS)


def _table(name: str) -> Iterator[dict[str, str]]:
    text = resources.files(__package__).joinpath("facts", name).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


def _module(row: dict[str, str]) -> Module:
    return Module(
        slot=ModuleSlot(ModuleFunction.from_label(row["module_function"]), int(row["module_index"])),
        version=int(row["module_version"]),
        first_dependency=_dependency(row["dep_function"], row["dep_index"], row["dep_version"]),
        second_dependency=_dependency(row["dep2_function"], row["dep2_index"], row["dep2_version"]),
    )


def _dependency(function: str, index: str, version: str) -> Dependency | None:
    if function == "0":
        return None
    return Dependency(ModuleSlot(ModuleFunction(int(function)), int(index)), int(version))


def _beside_the_table(version: DeviceOsVersion, platform: Platform) -> list[Module]:
    found = []
    if platform.mcu == "nrf52840" and version >= DeviceOsVersion("1.4.0"):
        bootloader = 401 if version < DeviceOsVersion("1.4.2") else 501
        found.append(
            Module(
                slot=RADIO_STACK,
                version=RADIO_STACK_VERSION,
                first_dependency=Dependency(BOOTLOADER, bootloader),
                second_dependency=Dependency(_SYSTEM, 1321),
            )
        )
    if platform.name == "tracker" and version >= DeviceOsVersion("3.0.0"):
        found.append(
            Module(slot=NCP_FIRMWARE, version=NCP_FIRMWARE_VERSION, first_dependency=Dependency(_SYSTEM, 3000))
        )
    return found


def _sizes() -> dict[tuple[str, str, ModuleSlot, int], dict[str, str]]:
    found = {}
    for row in _table("device-os-module-sizes.csv"):
        if any(mark in row["source"] for mark in _SPECIAL_BUILDS):
            continue
        slot = ModuleSlot(ModuleFunction.from_label(row["module_function"]), int(row["module_index"]))
        found[row["version"], row["platform"], slot, int(row["module_version"])] = row
    return found


def _with_size(module: Module, row: dict[str, str] | None) -> ReleaseModule:
    if row is None:
        return ReleaseModule(module=module)
    return ReleaseModule(module=module, size=int(row["size"]), sha256=row["sha256"] or None, file=_file(row["source"]))


def _file(source: str) -> str | None:
    kind, _, name = source.rpartition(" ")
    return name if kind.startswith("real file") else None
