"""The prefix: the 24 bytes in which a module says what it is (facts 1.2), and where in a file they stand (facts 1.5).

A prefix is believed only at the offset that is documented for the very platform, function and index that it names, and
only if every field is one that the facts know. Nothing is guessed by scoring, as older tools do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import PLATFORMS, platform_by_id

PREFIX_SIZE: Final = 24
CRC_SIZE: Final = 4
_PREFIX: Final = struct.Struct("<IIBBHHBBBBHBBH")


class ModuleFlags(IntFlag):
    """The flags of a prefix (facts 1.4)."""

    DROP_MODULE_INFO = 0x01
    COMPRESSED = 0x02
    COMBINED = 0x04
    ENCRYPTED = 0x08
    PREFIX_EXTENSIONS = 0x10


_KNOWN_FLAGS: Final = sum(ModuleFlags)
_FUNCTIONS: Final = frozenset(int(function) for function in ModuleFunction)
_ONLY_AT_THE_START: Final = ModuleFlags.DROP_MODULE_INFO | ModuleFlags.COMPRESSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The fields of a prefix.

    `start_address` is the flash address of the first byte of the file, `end_address` that of the CRC behind the module.
    `mcu` is the reserved byte: 0 the host, 0x21 the ESP32 beside it.
    """

    start_address: int
    end_address: int
    mcu: int
    flags: ModuleFlags
    platform_id: int
    module: Module

    @property
    def module_size(self) -> int:
        """Bytes from the first byte to the last one of the CRC, as the addresses have it; nonsense may be negative."""
        return self.end_address - self.start_address + CRC_SIZE

    def encode(self) -> bytes:
        """The 24 bytes."""
        dependencies: list[int] = []
        for dependency in (self.module.first_dependency, self.module.second_dependency):
            if dependency is None:
                dependencies += (0, 0, 0)
            else:
                dependencies += (dependency.slot.function, dependency.slot.index, dependency.version)
        return _PREFIX.pack(
            self.start_address,
            self.end_address,
            self.mcu,
            self.flags,
            self.module.version,
            self.platform_id,
            self.module.slot.function,
            self.module.slot.index,
            *dependencies,
        )


def _documented_offsets() -> dict[tuple[int, ModuleSlot], int]:
    offsets = {(platform.id, bounds.slot): bounds.prefix_offset for platform in PLATFORMS for bounds in platform.layout}
    offsets[0, ModuleSlot(ModuleFunction.MONO_FIRMWARE, 0)] = 0x10C
    # One Photon file of this kind exists (the 0.4.4 unlocker); it has the vector table of the other Photon modules.
    offsets[6, ModuleSlot(ModuleFunction.MONO_FIRMWARE, 0)] = 0x184
    offsets[103, ModuleSlot(ModuleFunction.SYSTEM_PART, 1)] = 0xC0
    # Assets are for no platform.
    offsets[0, ModuleSlot(ModuleFunction.ASSET, 0)] = 0
    return offsets


DOCUMENTED_OFFSETS: Final = _documented_offsets()
"""Where the prefix of an uncompressed module stands, by platform id and slot."""

OFFSETS: Final = tuple(sorted(set(DOCUMENTED_OFFSETS.values())))
"""Every offset at which some module has its prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What stands at one of the documented offsets.

    `prefix` is None when its fields mean nothing; then `problem` says why. `likeness` counts what speaks for a prefix
    at this place, and is used for one thing: to choose which problem to tell of when nothing fits.
    """

    offset: int
    prefix: Prefix | None
    problem: str
    likeness: int


def candidates(data: bytes, base: int) -> Iterator[Candidate]:
    """What stands at every documented offset behind `base`, as far as the file reaches."""
    for offset in OFFSETS:
        if base + offset + PREFIX_SIZE <= len(data):
            yield _candidate(data, base, offset)


def _candidate(data: bytes, base: int, offset: int) -> Candidate:
    start, end, mcu, flags, version, platform_id, function, index, *needs = _PREFIX.unpack_from(data, base + offset)
    platform = platform_by_id(platform_id)
    problems: list[str] = []
    if platform is None:
        problems.append(f"platform id {platform_id} is unknown")
    if function not in _FUNCTIONS or function == ModuleFunction.NONE:
        problems.append(f"module function {function} is unknown")
    if flags & ~_KNOWN_FLAGS:
        problems.append(f"flags {flags:#04x} are unknown")
    first, first_problem = _dependency(*needs[:3])
    second, second_problem = _dependency(*needs[3:])
    problems += filter(None, (first_problem, second_problem))
    size = end - start + CRC_SIZE
    likeness = 5 - len(problems) + 2 * (size == len(data) - base) + (PREFIX_SIZE < size <= len(data) - base)
    if not problems:
        slot = ModuleSlot(ModuleFunction(function), index)
        problems += filter(None, (_misplaced(platform_id, slot, ModuleFlags(flags), offset),))
        likeness += 3 * (not problems)
        prefix = Prefix(
            start_address=start,
            end_address=end,
            mcu=mcu,
            flags=ModuleFlags(flags),
            platform_id=platform_id,
            module=Module(slot=slot, version=version, first_dependency=first, second_dependency=second),
        )
    return Candidate(offset=offset, prefix=None if problems else prefix, problem="; ".join(problems), likeness=likeness)


def _dependency(function: int, index: int, version: int) -> tuple[Dependency | None, str]:
    if function not in _FUNCTIONS:
        return None, f"it depends on a module of the unknown function {function}"
    if function == ModuleFunction.NONE:
        if index or version:
            return None, f"an empty dependency has index {index} and version {version}"
        return None, ""
    return Dependency(ModuleSlot(ModuleFunction(function), index), version), ""


def _misplaced(platform_id: int, slot: ModuleSlot, flags: ModuleFlags, offset: int) -> str:
    platform = platform_by_id(platform_id)
    documented = DOCUMENTED_OFFSETS.get((platform_id, slot))
    if documented is None:
        return f"no source says where the prefix of {slot} of {platform} stands"
    if flags & ModuleFlags.COMPRESSED:
        # The vector table is inside the compressed data (facts 1.8).
        documented = 0
    if offset != documented:
        return f"the prefix of {slot} of {platform} belongs at {documented:#x}"
    if flags & _ONLY_AT_THE_START and offset:
        return "a module with a vector table in front of its prefix cannot drop its module information"
    return ""
