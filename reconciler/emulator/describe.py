"""The system describe: what a device says of its modules, in JSON as the cloud passes it on (facts 4.6)."""

from __future__ import annotations

import json
from typing import Any, Final

from reconciler.emulator.device import Device, Installed
from reconciler.emulator.identity import iccid, imei, is_cellular
from reconciler.model.module import Module

_CHECKED: Final = 30
"""Integrity 2, dependencies 4, range 8, platform 16."""
_DEPENDENCIES: Final = 4


def describe(device: Device) -> str:
    """The describe of a device in safe mode: modules in the order of their slots, and no functions or variables."""
    document: dict[str, Any] = {
        "p": device.platform.id,
        "m": [_module(device, device.modules[slot]) for slot in sorted(device.modules)],
    }
    if is_cellular(device):
        document |= {"imei": imei(device), "iccid": iccid(device)}
    return json.dumps(document, separators=(",", ":"))


def _module(device: Device, installed: Installed) -> dict[str, Any]:
    module = installed.module
    bounds = device.platform.bounds.get(module.slot)
    document: dict[str, Any] = {
        "s": bounds.size_max if bounds else 0,
        "l": "m",
        "vc": _CHECKED,
        "vv": _CHECKED if _met(device, module) else _CHECKED - _DEPENDENCIES,
    }
    if installed.sha256 is not None:
        document["u"] = installed.sha256
    document |= {
        "f": module.slot.function.letter,
        "n": str(module.slot.index),
        "v": module.version,
        "d": [
            {"f": need.slot.function.letter, "n": str(need.slot.index), "v": need.version}
            for need in module.dependencies
        ],
    }
    return document


def _met(device: Device, module: Module) -> bool:
    versions = device.versions
    return all(versions.get(need.slot, 0) >= need.version for need in module.dependencies)
