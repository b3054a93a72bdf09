"""The platforms, one row each: id, name, and where its modules sit.

Source: facts section 3 and `facts/platforms.json`; a test compares every row with that file. To add a platform, add a
row and a case folder. A platform without a layout is one whose modules we do not know: nothing is planned for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from reconciler.model.module import ModuleFunction, ModuleSlot


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleBounds:
    """Where the modules of one slot may lie in flash.

    `start_addresses` are the addresses of file offset 0 that releases used (empty: the start varies and
    `end_address` is fixed). `prefix_offset` and `size_max` are bytes; `size_max` 0 means that no source gives one.
    """

    slot: ModuleSlot
    start_addresses: tuple[int, ...]
    size_max: int
    prefix_offset: int
    end_address: int | None = None
    encrypted: bool = False


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One kind of device, by the id that devices and modules carry.

    `connectivity` is what the vendor bills: `wifi`, `cellular`, or something that is no Device OS device.
    """

    id: int
    name: str
    display_name: str
    generation: int
    mcu: str
    connectivity: str
    layout: tuple[ModuleBounds, ...]
    aliases: tuple[str, ...]

    def __hash__(self) -> int:
        return self.id

    @cached_property
    def system_parts(self) -> tuple[ModuleSlot, ...]:
        """The slots that together are the Device OS, ascending by index."""
        return tuple(sorted({b.slot for b in self.layout if b.slot.function is ModuleFunction.SYSTEM_PART}))

    @cached_property
    def shown_part(self) -> ModuleSlot | None:
        """The system part that applications depend on: its version is the one that the cloud shows (facts 4.1, 6.2)."""
        return next((slot for slot in self.system_parts if slot.index == (2 if self.generation == _GEN_2 else 1)), None)

    @cached_property
    def bounds(self) -> Mapping[ModuleSlot, ModuleBounds]:
        """The layout by slot."""
        return MappingProxyType({bounds.slot: bounds for bounds in self.layout})

    def __str__(self) -> str:
        return self.name


def _bounds(
    function: ModuleFunction,
    index: int,
    starts: tuple[int, ...],
    size_max: int,
    prefix_offset: int = 0,
    *,
    end_address: int | None = None,
    encrypted: bool = False,
) -> ModuleBounds:
    return ModuleBounds(
        slot=ModuleSlot(function, index),
        start_addresses=starts,
        size_max=size_max,
        prefix_offset=prefix_offset,
        end_address=end_address,
        encrypted=encrypted,
    )


_BOOTLOADER: Final = ModuleFunction.BOOTLOADER
_SYSTEM: Final = ModuleFunction.SYSTEM_PART
_USER: Final = ModuleFunction.USER_PART
_KIB: Final = 1024
_GEN_2: Final = 2

_NONE: Final[tuple[ModuleBounds, ...]] = ()

_PHOTON: Final = (
    _bounds(_BOOTLOADER, 0, (0x08000000,), 16 * _KIB, 0x184),
    _bounds(_SYSTEM, 1, (0x08020000,), 256 * _KIB, 0x184),
    _bounds(_SYSTEM, 2, (0x08060000,), 256 * _KIB, 0x184),
    _bounds(_USER, 1, (0x080A0000,), 128 * _KIB),
)

_ELECTRON: Final = (
    _bounds(_BOOTLOADER, 0, (0x08000000,), 16 * _KIB, 0x184),
    _bounds(_SYSTEM, 1, (0x08020000,), 128 * _KIB, 0x184),
    _bounds(_SYSTEM, 2, (0x08040000,), 128 * _KIB, 0x184),
    _bounds(_SYSTEM, 3, (0x08060000,), 128 * _KIB),
    _bounds(_USER, 1, (0x08080000,), 128 * _KIB),
)

_NRF52840: Final = (
    _bounds(_BOOTLOADER, 0, (0x000F4000,), 48 * _KIB, 0x200),
    # The system part moved with 6.2.0, whose limit is 0x8C000; the older and larger limit is kept here.
    _bounds(_SYSTEM, 1, (0x00030000, 0x00028000), 0xA4000, 0x200),
    _bounds(_USER, 2, (0x000B4000,), 256 * _KIB),
    _bounds(_USER, 1, (0x000D4000,), 128 * _KIB),
    _bounds(ModuleFunction.RADIO_STACK, 0, (0x00001000,), 0),
)

_NRF52840_NCP: Final = (*_NRF52840, _bounds(ModuleFunction.NCP_FIRMWARE, 0, (0,), 1500 * _KIB))

_REALTEK: Final = (
    _bounds(_BOOTLOADER, 1, (0x08000000,), 8 * _KIB, 0x20, encrypted=True),
    _bounds(_BOOTLOADER, 0, (0x08004000,), 64 * _KIB, 0x20),
    _bounds(_BOOTLOADER, 2, (0x08014000,), 0x4A000),
    _bounds(_SYSTEM, 1, (0x08060000,), 1536 * _KIB),
    _bounds(_USER, 1, (), 1536 * _KIB, end_address=0x085FFFFC),
)


def _platform(
    platform_id: int,
    name: str,
    display_name: str,
    generation: int,
    mcu: str,
    connectivity: str,
    layout: tuple[ModuleBounds, ...],
    *aliases: str,
) -> Platform:
    return Platform(
        id=platform_id,
        name=name,
        display_name=display_name,
        generation=generation,
        mcu=mcu,
        connectivity=connectivity,
        layout=layout,
        aliases=aliases,
    )


PLATFORMS: Final = (
    _platform(0, "core", "Core", 1, "stm32f1xx", "wifi", _NONE, "c"),
    _platform(3, "gcc", "GCC", -1, "gcc", "wifi", _NONE),
    _platform(6, "photon", "Photon", 2, "stm32f2xx", "wifi", _PHOTON, "p"),
    _platform(8, "p1", "P1", 2, "stm32f2xx", "wifi", _PHOTON),
    _platform(10, "electron", "Electron", 2, "stm32f2xx", "cellular", _ELECTRON, "e"),
    _platform(11, "esp32", "ESP32", -1, "esp32xx", "wifi", _NONE),
    _platform(12, "argon", "Argon", 3, "nrf52840", "wifi", _NRF52840_NCP, "a"),
    _platform(13, "boron", "Boron", 3, "nrf52840", "cellular", _NRF52840, "b"),
    _platform(14, "xenon", "Xenon", 3, "nrf52840", "wifi", _NRF52840, "x"),
    _platform(15, "esomx", "E-SoM-X", 3, "nrf52840", "cellular", _NRF52840),
    _platform(22, "asom", "A-SoM", 3, "nrf52840", "wifi", _NRF52840_NCP),
    _platform(23, "bsom", "B-SoM", 3, "nrf52840", "cellular", _NRF52840),
    _platform(24, "xsom", "X-SoM", 3, "nrf52840", "wifi", _NRF52840),
    _platform(25, "b5som", "B5-SoM", 3, "nrf52840", "cellular", _NRF52840),
    _platform(26, "tracker", "Asset Tracker / Monitor One", 3, "nrf52840", "cellular", _NRF52840_NCP, "assettracker"),
    _platform(28, "trackerm", "Tracker-M", 3, "rtl872x", "cellular", _REALTEK),
    _platform(31, "raspi", "Raspberry Pi", -1, "raspi", "wifi", _NONE),
    _platform(32, "p2", "Photon 2 / P2", 4, "rtl872x", "wifi", _REALTEK, "photon2"),
    _platform(35, "msom", "M-SoM", 4, "rtl872x", "cellular", _REALTEK, "muon"),
    _platform(37, "electron2", "Electron 2", 3, "nrf52840", "cellular", _NRF52840),
    _platform(38, "sulu", "Sulu", 4, "rtl872x", "cellular", _REALTEK),
    _platform(42, "tachyon", "Tachyon", -1, "qcm6490", "cellular", _NONE),
    _platform(43, "linux", "Linux", -1, "unknown", "wifi", _NONE),
    _platform(82, "oak", "Oak", -1, "esp8266", "wifi", _NONE),
    _platform(88, "duo", "Duo", -1, "stm32f2xx", "wifi", _NONE),
    _platform(103, "bluz", "Bluz", -1, "stm32f2xx", "wifi", _NONE),
)

_BY_ID: Final = {platform.id: platform for platform in PLATFORMS}
_BY_NAME: Final = {name: platform for platform in PLATFORMS for name in (platform.name, *platform.aliases)}


def platform_by_id(platform_id: int) -> Platform | None:
    """The platform with this id, or None."""
    return _BY_ID.get(platform_id)


def platform_by_name(name: str) -> Platform | None:
    """The platform with this name or alias (`boron`, `b`, `photon2`), or None."""
    return _BY_NAME.get(name)
