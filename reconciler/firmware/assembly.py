"""A catalog from module binaries.

What a module is, its bytes say; a file's name says nothing (the Electron's `system-part1` holds system part 3, facts
3.1). Which release it belongs to, the system parts in the same folder say, by their number.

The rules:
- A file that is no valid module is an error; all bad files are told at once.
- Applications and assets belong to no release and are left out, like encrypted modules and old radio stacks and NCP
  images, which are never sent.
- What differs from the known facts is an error that names both. Photon and P1 builds whose bootloader dependency was
  lowered for USB updates are refused by that name: over the air they would leave a device in safe mode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.firmware.binary import ParsedModule, parse_module
from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import NEVER_SENT, known_catalog
from reconciler.firmware.prefix import ModuleFlags
from reconciler.model.error import FirmwareError
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_id
from reconciler.model.release import Release, ReleaseModule
from reconciler.model.version import DeviceOsVersion, published_versions

_LOWERED_BOOTLOADER: Final = 7
"""The bootloader that the "no-boot-dep" builds of particle-cli 1.30 to 1.42 ask for (facts 4.2)."""
_LOWERED_PLATFORMS: Final = ("photon", "p1")
_REPORT: Final = "Take it away if it is not the released one; if it is, the facts are wrong: please report it."
_ReleaseKey = tuple[int, DeviceOsVersion]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenModule:
    """One binary: the file it came from (its name as given), and what is in it. `sha256` is that of the file."""

    file: str
    platform: Platform | None
    parsed: ParsedModule
    sha256: str

    @property
    def module(self) -> Module:
        """Slot, version and dependencies."""
        return self.parsed.module

    @property
    def folder(self) -> str:
        """The folder part of the file's name."""
        return self.file.rpartition("/")[0]

    @property
    def shipped(self) -> ReleaseModule:
        """As a release has it."""
        name = self.file.rpartition("/")[2]
        return ReleaseModule(module=self.module, size=self.parsed.size, sha256=self.sha256, file=name)

    def why_left_out(self) -> str | None:
        """Why no release ships this module, or None: one may."""
        slot = self.module.slot
        if slot.function in (ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE, ModuleFunction.ASSET):
            return f"{slot.function.label} belongs to no release"
        if self.parsed.flags & ModuleFlags.ENCRYPTED:
            return f"{slot} is encrypted, and never sent"
        if self.module.version in NEVER_SENT.get(slot, ()):
            return f"{self.module} is old, and never sent"
        if self.platform is None or slot not in self.platform.bounds:
            return f"the modules of {self.platform} are not known"
        return None


def seen_modules(files: Mapping[str, bytes]) -> tuple[SeenModule, ...]:
    """Read every file; names use `/` between folders. In the order of the names.

    Raises:
        FirmwareError: PFR4110 with every file that is no valid module, and why.
    """
    found = []
    problems = []
    for name in sorted(files):
        data = files[name]
        try:
            parsed = parse_module(data)
        except FirmwareError as error:
            problems.append(f"{name}: {error.code} {error.message}")
            continue
        platform = platform_by_id(parsed.platform_id)
        digest = hashlib.sha256(data).hexdigest()
        found.append(SeenModule(file=name, platform=platform, parsed=parsed, sha256=digest))
    if problems:
        raise _several("PFR4110", "these files are no valid modules", problems, "Take them away or get them again.")
    return tuple(found)


def catalog_from_binaries(files: Mapping[str, bytes], known: Catalog | None = None) -> Catalog:
    """The catalog of what these binaries are: `seen_modules`, then `catalog_from_modules`."""
    return catalog_from_modules(seen_modules(files), known)


def catalog_from_modules(seen: Iterable[SeenModule], known: Catalog | None = None) -> Catalog:
    """The releases that these modules make up, with what they need, their sizes, hashes and file names.

    A release holds the modules that were seen, no others; `known.merged_with(…)` completes it.

    Args:
        seen: The modules; those that no release ships are left out.
        known: What they must agree with; None: the catalog of the package.

    Raises:
        FirmwareError: PFR4111 for modules that differ from the known ones, PFR4112 for builds with a lowered bootloader
            dependency, PFR4113 for modules of which nothing says to which release they belong, PFR4114 for two
            different files of one module of one release. Each names every file concerned.
    """
    known = known or known_catalog()
    groups: dict[tuple[str, int], list[SeenModule]] = {}
    for one in seen:
        if one.why_left_out() is None:
            groups.setdefault((one.folder, one.parsed.platform_id), []).append(one)
    placed: dict[_ReleaseKey, list[SeenModule]] = {}
    homeless: list[str] = []
    for group in groups.values():
        versions = _versions_of(group, known)
        for one in group:
            homes = _homes(one, versions, known)
            if not homes:
                homeless.append(f"{one.file}: {one.platform} {one.module}{_why_homeless(one, versions)}")
            for version in homes:
                placed.setdefault((one.parsed.platform_id, version), []).append(one)
    if homeless:
        next_step = "Put the system parts of its release into the same folder, one release a folder."
        raise _several("PFR4113", "nothing says to which release these modules belong", homeless, next_step)
    _check(placed, known)
    return Catalog(_release(key, modules, known) for key, modules in placed.items())


def extended(known: Catalog, added: Catalog) -> Catalog:
    """The known catalog with another on top of it.

    Raises:
        FirmwareError: PFR4111 with every module of the other catalog that differs from the known one.
    """
    differing = []
    for release in added.all_releases:
        platform = platform_by_id(release.platform_id)
        assert platform is not None
        words = (conflict(platform, release.version, shipped, known) for shipped in release.modules)
        differing += [f"{platform} {release.version}: {line}" for line in words if line is not None]
    if differing:
        raise _several("PFR4111", "the added catalog differs from the known one", differing, _REPORT)
    return known.merged_with(added)


def conflict(platform: Platform, version: DeviceOsVersion, shipped: ReleaseModule, known: Catalog) -> str | None:
    """What of this module differs from the known release, naming both; None: nothing, or the release is not known."""
    release = known.release(platform, version)
    if release is None:
        return None
    module = shipped.module
    facts = next((other for other in release.modules if other.module.slot == module.slot), None)
    if facts is None:
        return f"the known {platform} {version} ships no {module.slot}, this is {module}"
    if facts.module != module:
        return f"the known {platform} {version} ships {_described(facts.module)}, this is {_described(module)}"
    for what in ("size", "sha256"):
        ours, theirs = getattr(facts, what), getattr(shipped, what)
        if None not in (ours, theirs) and ours != theirs:
            return f"the known {platform} {version} {module} has {what} {ours}, this one {theirs}"
    return None


def _versions_of(group: list[SeenModule], known: Catalog) -> dict[int, DeviceOsVersion | None]:
    """The releases of the system parts in a group, by their number."""
    found: dict[int, DeviceOsVersion | None] = {}
    for one in group:
        assert one.platform is not None
        if one.module.slot in one.platform.system_parts:
            releases = known.releases_of_system(one.platform, one.module.version)
            found[one.module.version] = releases[0].version if releases else _version_of_number(one.module.version)
    return found


def _version_of_number(number: int) -> DeviceOsVersion | None:
    """A number that several versions share is the stable one's (facts 2)."""
    named = [version for version in published_versions() if version.module_number == number]
    return min(named, key=lambda version: version.prerelease, default=None)


def _homes(
    one: SeenModule, versions: Mapping[int, DeviceOsVersion | None], known: Catalog
) -> tuple[DeviceOsVersion, ...]:
    platform = one.platform
    assert platform is not None
    if one.module.slot in platform.system_parts:
        own = versions[one.module.version]
        return () if own is None else (own,)
    candidates = tuple(version for version in versions.values() if version is not None)
    if len(candidates) <= 1:
        return candidates
    # Several releases in one folder: those that are known to ship this very module.
    return tuple(
        version
        for version in candidates
        if (release := known.release(platform, version)) is not None
        and any(shipped.module == one.module for shipped in release.modules)
    )


def _why_homeless(one: SeenModule, versions: Mapping[int, DeviceOsVersion | None]) -> str:
    if one.platform is not None and one.module.slot in one.platform.system_parts:
        return ", a number of no known release"
    if not versions:
        return ", and no system part beside it"
    return f", which none of the {len(versions)} releases beside it is known to ship"


def _check(placed: Mapping[_ReleaseKey, list[SeenModule]], known: Catalog) -> None:
    differing: list[str] = []
    lowered: list[str] = []
    doubled: list[str] = []
    for (_, version), modules in placed.items():
        first: dict[ModuleSlot, SeenModule] = {}
        for one in modules:
            platform = one.platform
            assert platform is not None
            earlier = first.setdefault(one.module.slot, one)
            if earlier.sha256 != one.sha256:
                doubled.append(f"{earlier.file} and {one.file}: both are {one.module.slot} of {platform} {version}")
            if _is_lowered(one, version, known):
                lowered.append(f"{one.file}: {platform} {version} {one.module.slot}")
            elif (words := conflict(platform, version, one.shipped, known)) is not None:
                differing.append(f"{one.file}: {words}")
    if lowered:
        next_step = "Use the ordinary build of the release; over the air this one may end in safe mode."
        words = f"these builds ask for bootloader {_LOWERED_BOOTLOADER} only, made so for USB updates (no-boot-dep)"
        raise _several("PFR4112", words, lowered, next_step)
    if differing:
        raise _several("PFR4111", "these modules differ from the known ones", differing, _REPORT)
    if doubled:
        raise _several("PFR4114", "two files for one module", doubled, "Keep the one that was released.")


def _is_lowered(one: SeenModule, version: DeviceOsVersion, known: Catalog) -> bool:
    assert one.platform is not None
    release = known.release(one.platform, version)
    if release is None or one.platform.name not in _LOWERED_PLATFORMS:
        return False
    facts = next((m.module for m in release.modules if m.module.slot == one.module.slot), None)
    return facts is not None and _asks_for_the_lowered(one.module) and not _asks_for_the_lowered(facts)


def _asks_for_the_lowered(module: Module) -> bool:
    return any(
        need.slot.function is ModuleFunction.BOOTLOADER and need.version == _LOWERED_BOOTLOADER
        for need in module.dependencies
    )


def _release(key: _ReleaseKey, modules: list[SeenModule], known: Catalog) -> Release:
    platform_id, version = key
    platform = modules[0].platform
    assert platform is not None
    facts = known.release(platform, version)
    shipped = {one.module.slot: one.shipped for one in modules}
    return Release(
        version=version,
        platform_id=platform_id,
        published=facts is not None and facts.published,
        modules=tuple(shipped[slot] for slot in sorted(shipped)),
    )


def _described(module: Module) -> str:
    needs = ", ".join(map(str, module.dependencies)) or "nothing"
    return f"{module} that needs {needs}"


def _several(code: str, words: str, lines: list[str], next_step: str) -> FirmwareError:
    return FirmwareError(code, words + ":" + "".join(f"\n  {line}" for line in lines), next_step=next_step)
