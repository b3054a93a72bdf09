"""Which bytes bring a module by DFU, and where anything may be written that way at all.

- Only system parts, applications and the radio stack go by DFU (facts 3.1). Bootloaders, network processors and what is
  encrypted, compressed or combined go in normal mode, where the device unpacks and judges; the rest never.
- Nothing outside of the places of those modules is ever written: not the bootloader (from 0xF4000 on, although the
  device's own text lets one write there, facts 7.4), not keys and settings, no external flash.
- A module that drops its information is written without its first 24 bytes (facts 7.4).
- An application in the large slot of nRF52840 is hidden by one in the old, smaller slot (facts 3.2). So the first 4 KiB
  of that one are blanked before, as the vendor's tool does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from reconciler.firmware.binary import parse_module
from reconciler.firmware.prefix import PREFIX_SIZE, ModuleFlags
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.platform import ModuleBounds, Platform
from reconciler.particle.usb import DfuWrite
from reconciler.particle.usb_error import UsbUnsupportedError

DFU_FUNCTIONS: Final = frozenset({ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART, ModuleFunction.RADIO_STACK})
"""What goes by DFU."""

_NOT_BY_DFU: Final = ModuleFlags.COMPRESSED | ModuleFlags.COMBINED | ModuleFlags.ENCRYPTED
_LARGE_APPLICATION: Final = ModuleSlot(ModuleFunction.USER_PART, 2)
_FORMER_APPLICATION: Final = ModuleSlot(ModuleFunction.USER_PART, 1)
_BLANK: Final = b"\xff" * 4096
_CRC_SIZE: Final = 4
_ARGON: Final = 12
"""The radio stack of every nRF52840 platform carried this id in sets up to 3.3.1 (facts 2)."""


def dfu_writes(platform: Platform, content: bytes) -> tuple[DfuWrite, ...]:
    """The writes, in their order, that bring one module file to a device of this platform.

    Raises:
        FirmwareError: It is no valid module.
        UsbUnsupportedError: It is for another platform, or does not go by DFU.
    """
    parsed = parse_module(content)
    slot = parsed.module.slot
    shared = slot.function is ModuleFunction.RADIO_STACK and platform.mcu == "nrf52840" and parsed.platform_id == _ARGON
    if (parsed.platform_id != platform.id and not shared) or slot not in platform.bounds:
        raise UsbUnsupportedError(f"{parsed.module} is for platform {parsed.platform_id}, the device is {platform}")
    if slot.function not in DFU_FUNCTIONS or parsed.flags & _NOT_BY_DFU:
        raise UsbUnsupportedError(f"{parsed.module} goes in normal mode, not by DFU")
    body = content[PREFIX_SIZE:] if parsed.flags & ModuleFlags.DROP_MODULE_INFO else content
    write = DfuWrite(address=parsed.prefix.start_address, content=body)
    former = platform.bounds.get(_FORMER_APPLICATION)
    if slot == _LARGE_APPLICATION and former is not None:
        return DfuWrite(address=former.start_addresses[0], content=_BLANK), write
    return (write,)


@lru_cache(maxsize=64)
def writable_ranges(platform: Platform) -> tuple[range, ...]:
    """The addresses of internal flash that may be written by DFU, ascending; empty where we do not know its modules."""
    places = [place for bounds in platform.layout if (place := _place(bounds, platform)) is not None]
    joined: list[range] = []
    for place in sorted(places, key=lambda each: each.start):
        if joined and place.start <= joined[-1].stop:
            joined[-1] = range(joined[-1].start, max(joined[-1].stop, place.stop))
        else:
            joined.append(place)
    return tuple(joined)


def is_writable(platform: Platform, start: int, end: int, *, alternate: int) -> bool:
    """Whether all addresses from `start` up to, not including, `end` may be written."""
    if alternate != 0:
        return False
    return any(allowed.start <= start < end <= allowed.stop for allowed in writable_ranges(platform))


def _place(bounds: ModuleBounds, platform: Platform) -> range | None:
    if bounds.slot.function not in DFU_FUNCTIONS:
        return None
    if bounds.end_address is not None:
        end = bounds.end_address + _CRC_SIZE
        return range(end - bounds.size_max, end)
    first = min(bounds.start_addresses)
    if bounds.size_max:
        return range(first, max(bounds.start_addresses) + bounds.size_max)
    # The radio stack has no size of its own: it ends where the system part begins, wherever releases put that.
    return range(first, max(platform.bounds[platform.system_parts[0]].start_addresses))
