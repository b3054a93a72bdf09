"""The descriptors of a device on the bus: what it is, its configuration, and its texts (USB 2.0, 9.6; DFU 1.1, 4)."""

from __future__ import annotations

import struct
from typing import Final

from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.bench.dfu import ERROR_WORDS, TRANSFER_BYTES
from reconciler.emulator.bench.memory import memories
from reconciler.emulator.bench.records import BenchMode
from reconciler.emulator.bench.transfer import Failure, Outcome, Setup
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.usb_ids import ids_of

_GET_DESCRIPTOR: Final = 6
_GET_CONFIGURATION: Final = 8
_DEVICE, _CONFIGURATION, _STRING = 1, 2, 3
_LANGUAGES, _MANUFACTURER, _PRODUCT, _SERIAL, _CONFIGURATION_NAME, _INTERFACE_NAME = range(6)
_FIRST_ALTERNATE: Final = 6
_ENGLISH: Final = 0x0409
_TEXT_BYTES_MAX: Final = 254
_SAYS_PROTECTION_SINCE: Final = 3001
"""Bootloader of Device OS 6.1 (facts 7.4)."""
_DFU_FUNCTIONAL: Final = struct.pack("<BBBHHH", 9, 0x21, 0b1011, 255, TRANSFER_BYTES, 0x011A)


def product_id(device: BenchDevice) -> int:
    """The id that its mode gives it on the bus."""
    ids = ids_of(device.platform)
    assert ids is not None
    if device.mode is not BenchMode.DFU:
        return ids.product_id
    assert ids.dfu_product_id is not None
    return ids.dfu_product_id


def device_descriptor(device: BenchDevice) -> bytes:
    """The 18 bytes."""
    ids = ids_of(device.platform)
    assert ids is not None
    return struct.pack(
        "<BBHBBBBHHHBBBB",
        18,
        _DEVICE,
        0x0200,
        0,
        0,
        0,
        64,
        ids.vendor_id,
        product_id(device),
        0x0251,
        _MANUFACTURER,
        _PRODUCT,
        _SERIAL,
        1,
    )


def configuration_descriptor(device: BenchDevice) -> bytes:
    """The configuration with everything behind it: a serial port in normal mode, DFU's settings in DFU mode."""
    if device.mode is BenchMode.DFU:
        body = b"".join(
            bytes((9, 4, 0, number, 0, 0xFE, 0x01, 0x02, _FIRST_ALTERNATE + number))
            for number in range(len(memories(device.platform)))
        )
        body += _DFU_FUNCTIONAL
        interfaces = 1
    else:
        body = bytes((9, 4, 0, 0, 1, 0x02, 0x02, 0x01, _INTERFACE_NAME))
        body += bytes((5, 0x24, 0, 0x10, 0x01, 5, 0x24, 1, 0, 1, 4, 0x24, 2, 2, 5, 0x24, 6, 0, 1))
        body += bytes((7, 5, 0x82, 3, 8, 0, 16, 9, 4, 1, 0, 2, 0x0A, 0, 0, 0))
        body += bytes((7, 5, 0x01, 2, 64, 0, 0, 7, 5, 0x81, 2, 64, 0, 0))
        interfaces = 2
    head = struct.pack("<BBHBBBBB", 9, _CONFIGURATION, 9 + len(body), interfaces, 1, _CONFIGURATION_NAME, 0xC0, 0x32)
    return head + body


def standard_transfer(device: BenchDevice, setup: Setup) -> Outcome:
    """A transfer of standard type, but for SET_INTERFACE, which is the bootloader's."""
    if not setup.to_host:
        return b""
    if setup.request == _GET_CONFIGURATION:
        return b"\1"
    if setup.request != _GET_DESCRIPTOR:
        return Failure.STALL
    kind, number = setup.value >> 8, setup.value & 0xFF
    if kind == _DEVICE:
        return device_descriptor(device)[: setup.length]
    if kind == _CONFIGURATION and number == 0:
        return configuration_descriptor(device)[: setup.length]
    text = _text(device, number) if kind == _STRING else None
    return Failure.STALL if text is None else text[: setup.length]


def _text(device: BenchDevice, number: int) -> bytes | None:
    if number == _LANGUAGES:
        return struct.pack("<BBH", 4, _STRING, _ENGLISH)
    words = _words(device, number)
    if words is None:
        return None
    encoded = words.encode("utf-16-le")[: _TEXT_BYTES_MAX - 2]
    return bytes((len(encoded) + 2, _STRING)) + encoded


def _words(device: BenchDevice, number: int) -> str | None:
    in_dfu = device.mode is BenchMode.DFU
    offered = memories(device.platform) if in_dfu else ()
    if _FIRST_ALTERNATE <= number < _FIRST_ALTERNATE + len(offered):
        memory = offered[number - _FIRST_ALTERNATE]
        return memory.protected_text if device.is_closed else memory.text
    match number:
        case 1:
            return "Particle"
        case 2:
            return f"{device.platform.display_name} DFU Mode" if in_dfu else device.platform.display_name
        case 3:
            # The bootloader writes it large, the Device OS small.
            return device.id.upper() if in_dfu else device.id
        case 4:
            return "Default"
        case 5:
            return "Interface"
        case 11 if in_dfu:
            return ERROR_WORDS
        case 250 if in_dfu:
            return _protection(device)
        case _:
            return None


def _protection(device: BenchDevice) -> str | None:
    bootloader = device.holdings.held.get(ModuleSlot(ModuleFunction.BOOTLOADER, 0))
    if bootloader is None or bootloader.installed.module.version < _SAYS_PROTECTION_SINCE:
        return None
    if not device.protected:
        return "sm=o"
    return "sm=s" if device.service else "sm=p"
