"""The modules of a device in DFU mode, read from its flash: nothing runs that could be asked (facts 1.2, 3.2, 7.4).

The rules:
- A module is there when its prefix stands where the platform has it and the whole of it is sound, CRC included. What
  this process has read or written before is known by its prefix and its last bytes; the rest is read whole, once.
- What carries no module information in flash, or lies in another chip, is taken from memory, or from what our record
  has as verified. Where there is none, it is
  supposed to be as low as the intact modules allow, as for a device in normal mode (contracts 4, point 6); but where a
  write may have broken it, it is not there.
- Unless the intact modules make a whole Device OS, the device is in safe mode to planning, and lacks what is broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.firmware.binary import NO_PRODUCT, SUFFIX_SIZE_MIN, parse_module
from reconciler.firmware.catalog import Catalog
from reconciler.firmware.prefix import CRC_SIZE, PREFIX_SIZE, Prefix, candidates
from reconciler.inventory.usb_memory import BenchMemory
from reconciler.model.device import DeviceId, DeviceMode
from reconciler.model.error import FirmwareError
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import ModuleBounds, Platform
from reconciler.particle.usb import DfuSession

_MODULE_BYTES_MIN: Final = PREFIX_SIZE + SUFFIX_SIZE_MIN + CRC_SIZE
_PRODUCT_VERSION_FROM_END: Final = CRC_SIZE + SUFFIX_SIZE_MIN + 2
"""Where the application's version stands, in bytes before the end (facts 1.6)."""

_LARGE_APPLICATION: Final = ModuleSlot(ModuleFunction.USER_PART, 2)
_FORMER_APPLICATION: Final = ModuleSlot(ModuleFunction.USER_PART, 1)
UNREADABLE: Final = frozenset({ModuleFunction.NCP_FIRMWARE, ModuleFunction.RADIO_STACK})
"""What a bootloader cannot show: without its information in flash, or in another chip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashContent:
    """The modules that are there, ascending by slot, the version of the application, and what a boot leads to."""

    modules: tuple[Module, ...]
    application: int | None
    mode: DeviceMode


def read_flash(
    session: DfuSession,
    platform: Platform,
    device_id: DeviceId,
    memory: BenchMemory,
    catalog: Catalog,
    learnt: Sequence[Module] = (),
) -> FlashContent:
    """Look at every place where the platform has a module. Raises UsbError; changes nothing."""
    found: dict[ModuleSlot, Module] = {}
    application = memory.application(device_id)
    for bounds in platform.layout:
        if bounds.encrypted or bounds.slot.function in UNREADABLE:
            continue
        for address in bounds.start_addresses:
            prefix = _prefix_at(session, platform, bounds, address)
            if prefix is None or not _is_intact(session, prefix, device_id, memory):
                continue
            found[bounds.slot] = prefix.module
            if bounds.slot.function is ModuleFunction.USER_PART and _is_the_running_one(bounds.slot, found):
                application = _application_version(session, prefix)
    known = {module.slot: module for module in learnt if not memory.is_doubted(device_id, module.slot)}
    _add_unreadable(found, platform, device_id, memory, catalog, {**known, **memory.intact(device_id)})
    if _LARGE_APPLICATION in found and _FORMER_APPLICATION in found:
        del found[_LARGE_APPLICATION]  # the device does not even report it (facts 3.2)
    whole = _is_whole(found, platform, catalog)
    mode = DeviceMode.NORMAL if whole else DeviceMode.SAFE_MODE
    return FlashContent(modules=tuple(found[slot] for slot in sorted(found)), application=application, mode=mode)


def has_system_parts(modules: tuple[Module, ...], platform: Platform, catalog: Catalog) -> bool:
    """Whether some Device OS can run at all, be it in safe mode: every part that the latest of them came with."""
    there = {module.slot: module.version for module in modules if module.slot in platform.system_parts}
    if not there:
        return False
    latest = catalog.releases_of_system(platform, max(there.values()))
    shipped = [
        s.module.slot for release in latest[:1] for s in release.modules if s.module.slot in platform.system_parts
    ]
    return all(slot in there for slot in shipped or platform.system_parts)


def _prefix_at(session: DfuSession, platform: Platform, bounds: ModuleBounds, address: int) -> Prefix | None:
    content = session.read(address + bounds.prefix_offset, PREFIX_SIZE)
    for candidate in candidates(bytes(bounds.prefix_offset) + content, 0):
        prefix = candidate.prefix
        if candidate.offset != bounds.prefix_offset or prefix is None:
            continue
        is_here = prefix.start_address == address and prefix.platform_id == platform.id
        fits = _MODULE_BYTES_MIN <= prefix.module_size <= (bounds.size_max or prefix.module_size)
        if is_here and fits and prefix.module.slot == bounds.slot:
            return prefix
    return None


def _is_intact(session: DfuSession, prefix: Prefix, device_id: DeviceId, memory: BenchMemory) -> bool:
    slot = prefix.module.slot
    if memory.intact(device_id).get(slot) == prefix.module:
        return True
    try:
        parsed = parse_module(session.read(prefix.start_address, prefix.module_size))
    except FirmwareError:
        memory.doubt(device_id, slot)
        return False
    memory.read(device_id, parsed.module)
    return True


def _is_the_running_one(slot: ModuleSlot, found: Mapping[ModuleSlot, Module]) -> bool:
    """Of two applications the former one, in the small slot, wins (facts 3.2)."""
    return slot == _FORMER_APPLICATION or _FORMER_APPLICATION not in found


def _application_version(session: DfuSession, prefix: Prefix) -> int | None:
    place = prefix.start_address + prefix.module_size - _PRODUCT_VERSION_FROM_END
    version = int.from_bytes(session.read(place, 2), "little")
    return None if version == NO_PRODUCT else version


def _add_unreadable(
    found: dict[ModuleSlot, Module],
    platform: Platform,
    device_id: DeviceId,
    memory: BenchMemory,
    catalog: Catalog,
    known: Mapping[ModuleSlot, Module],
) -> None:
    for bounds in platform.layout:
        slot = bounds.slot
        if slot.function not in UNREADABLE:
            continue
        if slot in known:
            found[slot] = known[slot]
        elif not memory.is_doubted(device_id, slot):
            needs = [need.version for module in found.values() for need in module.dependencies if need.slot == slot]
            if needs:
                found[slot] = _build(platform, slot, max(needs), found, catalog)


def _build(
    platform: Platform, slot: ModuleSlot, version: int, found: Mapping[ModuleSlot, Module], catalog: Catalog
) -> Module:
    """Of several builds of one number the strictest whose needs hold: the device ran with it."""
    builds = catalog.modules(platform, slot, version)
    met = [
        build
        for build in builds
        if all(need.slot in found and found[need.slot].version >= need.version for need in build.dependencies)
    ]
    plain = Module(slot=slot, version=version)
    return max(met or builds, key=lambda build: [need.version for need in build.dependencies], default=plain)


def _is_whole(found: Mapping[ModuleSlot, Module], platform: Platform, catalog: Catalog) -> bool:
    def lowest(slot: ModuleSlot) -> int:
        return found[slot].version if slot in found else 0

    met = all(lowest(need.slot) >= need.version for module in found.values() for need in module.dependencies)
    return met and has_system_parts(tuple(found.values()), platform, catalog)
