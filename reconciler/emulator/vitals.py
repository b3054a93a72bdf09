"""Vitals: how a device says that it is doing, and what the cloud keeps of that for 30 days (facts 5.9)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reconciler.emulator.device import Device
from reconciler.emulator.dice import Dice
from reconciler.emulator.identity import is_cellular
from reconciler.model.instant import Instant, iso_from_instant

KEPT_SECONDS: Final = 30 * 86_400.0
_KEPT_MAX: Final = 200
_MEMORY: Final = {"stm32f2xx": 82_944, "nrf52840": 162_696, "rtl872x": 3_145_728}
"""Bytes of RAM that an application and the system share, roughly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """One report of one device."""

    device_id: str
    at: Instant
    payload: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"updated_at": iso_from_instant(self.at), "deviceID": self.device_id, "payload": self.payload}


@dataclass(slots=True)
class VitalsBook:
    """The reports that the cloud has, oldest first."""

    _by_device: dict[str, deque[Vitals]] = field(default_factory=dict)

    def add(self, vitals: Vitals) -> None:
        """Keep a report."""
        self._by_device.setdefault(vitals.device_id, deque(maxlen=_KEPT_MAX)).append(vitals)

    def of(self, device_id: str, now: Instant) -> list[Vitals]:
        """What is not too old yet."""
        return [vitals for vitals in self._by_device.get(device_id, ()) if now - vitals.at <= KEPT_SECONDS]


def measure(device: Device, now: Instant, dice: Dice) -> Vitals:
    """What a device that is online would report."""
    total = _MEMORY.get(device.platform.mcu, 131_072)
    document: dict[str, Any] = {
        "network": {"signal": _signal(device, dice), "connection": {"status": "connected", "error": 0, "attempts": 1}},
        "cloud": {
            "connection": {"status": "connected", "error": 0, "attempts": 1, "disconnect_reason": "none"},
            "disconnects": device.restarts,
            "coap": {"transmit": 20 + dice.below(1980), "retransmit": dice.below(20), "unack": 0},
            "publish": {"rate_limited": 0},
        },
        "system": {
            "uptime": int(now - (device.last_handshake_at or now)),
            "memory": {"used": int(total * dice.uniform(0.3, 0.7)), "total": total},
        },
    }
    if is_cellular(device):
        document["power"] = {
            "battery": {"charge": round(dice.uniform(15, 100), 2), "state": "discharging"},
            "source": "VIN",
        }
    service = {
        "device": {"status": "ok"},
        "cloud": {"uptime": int(now - (device.last_handshake_at or now)), "publish": {"sent": dice.below(2000)}},
        "coap": {"round_trip": 200 + dice.below(2300)},
    }
    return Vitals(device_id=device.id, at=now, payload={"device": document, "service": service})


def exhausted(vitals: Vitals) -> Vitals:
    """The same of a device that is at its end: hardly any battery, hardly any memory."""
    device = vitals.payload["device"]
    memory = device["system"]["memory"]
    worse = {**device, "system": {**device["system"], "memory": {**memory, "used": int(memory["total"] * 0.99)}}}
    if "power" in device:
        battery = {**device["power"]["battery"], "charge": 3.0}
        worse["power"] = {**device["power"], "battery": battery}
    return replace(vitals, payload={**vitals.payload, "device": worse})


def metadata(device: Device) -> dict[str, Any]:
    """How the numbers of `measure` are to be read, with the vendor's limits of what is healthy."""
    document: dict[str, Any] = {
        "system": {
            "memory": {
                "used": {
                    "title": "RAM used",
                    "type": "number",
                    "ranges": {
                        "type": "ratio_above",
                        "ratio": 0.9,
                        "param1": "device.system.memory.used",
                        "param2": "device.system.memory.total",
                    },
                }
            }
        },
        "network": {
            "signal": {
                "strength": {
                    "title": "signal strength",
                    "type": "number",
                    "units": {"title": "percent"},
                    "ranges": {"type": "below", "warning": 20},
                }
            }
        },
    }
    if is_cellular(device):
        document["power"] = {
            "battery": {
                "charge": {
                    "title": "battery charge",
                    "type": "number",
                    "units": {"title": "percent"},
                    "ranges": {"type": "below", "warning": 20},
                }
            }
        }
    return {"device": document, "service": {"coap": {"round_trip": {"title": "round-trip time", "type": "number"}}}}


def _signal(device: Device, dice: Dice) -> dict[str, Any]:
    strength = round(dice.uniform(10, 100), 2)
    technology, kind = ("LTE Cat-M1", "RSRP") if is_cellular(device) else ("Wi-Fi", "RSSI")
    return {
        "at": technology,
        "strength": strength,
        "strength_units": "%",
        "strengthv": round(strength * 0.8 - 130, 1),
        "strengthv_units": "dBm",
        "strengthv_type": kind,
        "quality": round(dice.uniform(20, 100), 2),
        "quality_units": "%",
    }
