"""Which bytes go where in DFU mode: a module's own address, and what the vendor's tool does besides (facts 3.2, 7.4).

Pure: bytes and platform in, writes out.
"""

from __future__ import annotations

from typing import Final

from reconciler.firmware.binary import ParsedModule
from reconciler.firmware.prefix import PREFIX_SIZE, ModuleFlags
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform
from reconciler.particle.usb import DfuWrite

_LARGE_APPLICATION: Final = ModuleSlot(ModuleFunction.USER_PART, 2)
_FORMER_APPLICATION: Final = ModuleSlot(ModuleFunction.USER_PART, 1)
_FORMER_BYTES: Final = 4096
"""As much of an old application as is emptied, so that it is none any more (facts 3.2)."""


def dfu_writes(platform: Platform, parsed: ParsedModule, content: bytes) -> tuple[DfuWrite, ...]:
    """The writes that bring this module, in their order.

    A module that drops its information is written without it. Before an application for the large slot the former slot
    is emptied, or the device would go on with what lies there.
    """
    drops = bool(parsed.flags & ModuleFlags.DROP_MODULE_INFO)
    write = DfuWrite(address=parsed.prefix.start_address, content=content[PREFIX_SIZE:] if drops else content)
    former = platform.bounds.get(_FORMER_APPLICATION)
    if parsed.module.slot != _LARGE_APPLICATION or former is None:
        return (write,)
    return (DfuWrite(address=former.start_addresses[0], content=b"\xff" * _FORMER_BYTES), write)
