"""The memory that bootloaders offer over DFU, by microcontroller: the texts that they show, and the sectors.

Source: the vendor's bootloaders (`usbd_dfu_mal.h`, `usbd_flash_if.h`), as in facts 7.4. The vendor's nRF52840
bootloader lets everything below 1 MiB be written, whatever its text says; so does this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Final

from reconciler.model.platform import Platform

_KIB: Final = 1024
_LARGE_EXTERNAL: Final = frozenset({"b5som", "tracker", "esomx"})


class Chip(StrEnum):
    """Where the bytes are. NCP is the network processor beside, which no bootloader shows."""

    INTERNAL = "internal"
    SETTINGS = "settings"
    EXTERNAL = "external"
    NCP = "ncp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One alternate setting: its text, also on a protected device, and its sectors, as (count, bytes) from `start`."""

    chip: Chip
    text: str
    protected_text: str
    start: int
    rows: tuple[tuple[int, int], ...]
    erases: bool = True

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + sum(count * size for count, size in self.rows)

    def sector(self, address: int) -> tuple[int, int]:
        """Start and size, in bytes, of the sector that an address is in."""
        begin = self.start
        for size in chain.from_iterable([size] * count for count, size in self.rows):
            if begin <= address < begin + size:
                return begin, size
            begin += size
        raise IndexError(address)


def memories(platform: Platform) -> tuple[Memory, ...]:
    """The alternate settings of a platform's bootloader, in their order; empty where we know none."""
    match platform.mcu:
        case "stm32f2xx":
            return _STM32
        case "nrf52840":
            return _NRF52840_LARGE if platform.name in _LARGE_EXTERNAL else _NRF52840
        case "rtl872x":
            return _RTL872X
        case _:
            return ()


def _external(sectors: int) -> Memory:
    text = f"@External Flash   /0x80000000/{sectors}*004Kg"
    return Memory(
        chip=Chip.EXTERNAL,
        text=text,
        protected_text=text[:-1] + "b",
        start=0x80000000,
        rows=((sectors, 4 * _KIB),),
    )


_SETTINGS: Final = Memory(
    chip=Chip.SETTINGS,
    text="@DCT Flash   /0x00000000/1*016Ke",
    protected_text="@DCT Flash   /0x00000000/1*016Kb",
    start=0,
    rows=((1, 16 * _KIB),),
    erases=False,
)
_STM32_FLASH: Final = "@Internal Flash   /0x08000000/03*016Ka,01*016Kg,01*064Kg,07*128Kg"
_STM32_SETTINGS: Final = "@DCT Flash   /0x00000000/01*016Kg"
_STM32: Final = (
    Memory(
        chip=Chip.INTERNAL,
        text=_STM32_FLASH,
        protected_text=_STM32_FLASH,
        start=0x08000000,
        rows=((4, 16 * _KIB), (1, 64 * _KIB), (7, 128 * _KIB)),
    ),
    Memory(
        chip=Chip.SETTINGS,
        text=_STM32_SETTINGS,
        protected_text=_STM32_SETTINGS,
        start=0,
        rows=((1, 16 * _KIB),),
        erases=False,
    ),
)
_NRF52840_INTERNAL: Final = Memory(
    chip=Chip.INTERNAL,
    text="@Internal Flash   /0x00000000/1*004Ka,47*004Kg,192*004Kg,4*004Kg,4*004Kg,8*004Ka",
    protected_text="@Internal Flash   /0x00000000/1*004Kb,47*004Kb,192*004Kb,4*004Kb,4*004Kb,8*004Kb",
    start=0,
    rows=((256, 4 * _KIB),),
)
_NRF52840: Final = (_NRF52840_INTERNAL, _SETTINGS, _external(1024))
_NRF52840_LARGE: Final = (_NRF52840_INTERNAL, _SETTINGS, _external(2048))
_RTL872X: Final = (
    Memory(
        chip=Chip.INTERNAL,
        text="@Internal Flash   /0x08000000/2048*004Kg",
        protected_text="@Internal Flash   /0x08000000/2048*004Kb",
        start=0x08000000,
        rows=((2048, 4 * _KIB),),
    ),
    _SETTINGS,
)
