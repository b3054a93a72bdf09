"""What a device finds in its own flash: modules that are whole, and places where one begins and is not.

A module is recognised as the vendor's code does: by its prefix at the place where it belongs, its length and its CRC.
The radio stack lies in flash without its prefix, so it is recognised by its bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.emulator.bench.flash import Flash
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.device import Installed, Loadout
from reconciler.firmware.binary import ParsedModule, parse_module
from reconciler.firmware.prefix import CRC_SIZE, PREFIX_SIZE
from reconciler.model.error import FirmwareError
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import ModuleBounds, Platform

_RADIO: Final = ModuleSlot(ModuleFunction.RADIO_STACK, 0)
_FORMER_APPLICATION: Final = ModuleSlot(ModuleFunction.USER_PART, 1)
_SUFFIX_SIZE_AT: Final = 6
_DYNAMIC_LOCATION: Final = 2
_KEY_BYTES: Final = 4096
_SIZE_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One module in flash: what it is, where it begins, and how many bytes it has as a file."""

    installed: Installed
    start: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """All that is in flash. `broken`: slots where something lies that is no whole module."""

    held: Mapping[ModuleSlot, Held]
    broken: tuple[ModuleSlot, ...]

    @property
    def loadout(self) -> Loadout:
        """As the rules of `emulator/device.py` take it."""
        return Loadout(installed={slot: held.installed for slot, held in self.held.items()})


class RadioStacks:
    """Every radio stack that releases of a platform bring, known by how it begins."""

    def __init__(self, platform: Platform, binaries: EmulatedBinaries) -> None:
        self._known: dict[bytes, tuple[Held, bytes]] = {}
        seen: set[tuple[Module, int, str | None]] = set()
        for release in binaries.catalog.all_releases if _RADIO in platform.bounds else ():
            shipped = next((m for m in release.modules if m.module.slot == _RADIO), None)
            if release.platform_id != platform.id or shipped is None:
                continue
            mark = (shipped.module, binaries.size(platform, shipped), shipped.sha256)
            content = None if mark in seen else binaries.module(platform, release.version, _RADIO)
            seen.add(mark)
            if content is not None:
                # What was compressed comes without its suffix (facts 1.8), so that does not count.
                payload = content[PREFIX_SIZE : parse_module(content).suffix_offset]
                start = platform.bounds[_RADIO].start_addresses[0]
                held = Held(installed=Installed(module=shipped.module), start=start, size=len(content))
                self._known[_key(payload)] = (held, payload)

    def held(self, flash: Flash, address: int) -> Held | None:
        """The radio stack that lies there whole, or None."""
        held, payload = self._known.get(_key(flash.read(address, _KEY_BYTES)), (None, b""))
        return held if flash.read(address, len(payload)) == payload else None


def look(platform: Platform, internal: Flash, ncp: Flash, radio_stacks: RadioStacks) -> Holdings:
    """Read all places where a module may lie."""
    held: dict[ModuleSlot, Held] = {}
    doubtful: list[ModuleBounds] = []
    for bounds in platform.layout:
        if bounds.encrypted:
            continue
        flash = ncp if bounds.slot.function is ModuleFunction.NCP_FIRMWARE else internal
        if bounds.slot == _RADIO:
            found = radio_stacks.held(flash, bounds.start_addresses[0])
        else:
            found = next(_modules(platform, bounds, flash), None)
        if found is not None:
            held[bounds.slot] = found
        elif not _is_hidden(bounds, platform) and _begun(bounds, flash):
            doubtful.append(bounds)
    # Before there were large applications, system parts reached into the place of theirs.
    broken = tuple(bounds.slot for bounds in doubtful if not _is_covered(bounds, held.values()))
    return Holdings(held=_as_shown(held), broken=broken)


def _is_covered(bounds: ModuleBounds, held: Iterable[Held]) -> bool:
    return bool(bounds.start_addresses) and all(
        any(each.start <= start < each.start + each.size for each in held) for start in bounds.start_addresses
    )


def _as_shown(held: dict[ModuleSlot, Held]) -> dict[ModuleSlot, Held]:
    """Of two applications only the one in the old, smaller place runs and is reported (facts 3.2)."""
    users = [slot for slot in held if slot.function is ModuleFunction.USER_PART]
    hidden = {slot for slot in users if len(users) > 1 and slot != _FORMER_APPLICATION}
    return {slot: found for slot, found in held.items() if slot not in hidden}


def _is_hidden(bounds: ModuleBounds, platform: Platform) -> bool:
    """Whether the place lies inside another one, whose bytes it then shows: the old place of applications."""
    return bounds.slot == _FORMER_APPLICATION and ModuleSlot(ModuleFunction.USER_PART, 2) in platform.bounds


def _begun(bounds: ModuleBounds, flash: Flash) -> bool:
    """Whether anything lies where a module would begin (or, where only the end is fixed, end).

    An application's place may hold the rest of a larger system part of old (facts 3.2). To the device there is nothing
    without a prefix that names the place; and an application that is written begins with its prefix.
    """
    if bounds.slot.function is ModuleFunction.USER_PART and bounds.start_addresses:
        return any(_begins_here(flash, start, bounds) for start in bounds.start_addresses)
    if bounds.end_address is not None:
        places: Iterable[int] = (bounds.end_address + CRC_SIZE - _KEY_BYTES,)
    else:
        places = bounds.start_addresses
    return any(flash.read(place, _KEY_BYTES).strip(b"\xff") for place in places)


def _begins_here(flash: Flash, start: int, bounds: ModuleBounds) -> bool:
    return int.from_bytes(flash.read(start + bounds.prefix_offset, 4), "little") == start


def _modules(platform: Platform, bounds: ModuleBounds, flash: Flash) -> Iterator[Held]:
    """The newest place first: a system part that moved is looked for where it moved to (facts 4.3)."""
    for start in _starts(bounds, flash):
        begin, end = struct.unpack("<II", flash.read(start + bounds.prefix_offset, 8))
        size = end - begin + CRC_SIZE
        if begin != start or not PREFIX_SIZE < size <= _SIZE_MAX:
            continue
        try:
            parsed = parse_module(flash.read(start, size))
        except FirmwareError:
            continue
        if parsed.module.slot == bounds.slot and parsed.platform_id == platform.id:
            yield Held(installed=_installed(parsed), start=start, size=parsed.size)


def _starts(bounds: ModuleBounds, flash: Flash) -> Iterator[int]:
    if bounds.end_address is None:
        yield from reversed(bounds.start_addresses)
        return
    end = bounds.end_address + CRC_SIZE
    suffix_size = int.from_bytes(flash.read(end - _SUFFIX_SIZE_AT, 2), "little")
    at = end - CRC_SIZE - suffix_size
    while at < end - _SUFFIX_SIZE_AT:
        kind, length, start = struct.unpack("<HHI", flash.read(at, 8))
        if kind == _DYNAMIC_LOCATION:
            yield start
        if length == 0:
            return
        at += length


def _installed(parsed: ParsedModule) -> Installed:
    product_id, product_version = parsed.product or (None, None)
    return Installed(module=parsed.module, product_id=product_id, product_version=product_version, sha256=parsed.sha256)


def _key(content: bytes) -> bytes:
    return hashlib.sha256(content[:_KEY_BYTES]).digest()
