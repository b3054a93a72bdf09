"""Numbers that a device was made with, which follow from its id."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from reconciler.emulator.device import Device

_CODE_LENGTH: Final = 15


def serial_number(device: Device) -> str:
    """What is printed on the device."""
    family = "E" if is_cellular(device) else "P"
    return f"{family}{device.platform.id:02d}EMU{_number(device) % 10**9:09d}"


def mobile_secret(device: Device) -> str:
    """The code beside the serial number that the vendor's telephone application reads."""
    return _code(device.id)


@lru_cache(maxsize=4096)
def _code(device_id: str) -> str:
    return hashlib.sha256(device_id.encode()).hexdigest()[:_CODE_LENGTH].upper()


def imei(device: Device) -> str:
    """The number of its modem."""
    return "3527530900" + f"{_number(device) % 100000:05d}"


def iccid(device: Device) -> str:
    """The number of its SIM card."""
    return "893407110000" + f"{_number(device) % 10000000:07d}"


def ip_address(device: Device) -> str:
    """Where it connects from: an address of the block that RFC 2544 keeps for tests."""
    return f"198.18.{_number(device) >> 8 & 255}.{_number(device) & 255}"


def is_cellular(device: Device) -> bool:
    """Whether it has a modem."""
    return device.platform.connectivity == "cellular"


def _number(device: Device) -> int:
    return int(device.id[-8:], 16)
