"""From device objects, as the API and snapshots have them, to observed devices, and back (facts 5.3, contracts 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant
from reconciler.particle.describe import entries_from_modules, modules_from_entries
from reconciler.particle.records import DeviceRecord

_MODES: Final = {
    # Facts 4.6: the status is safe_mode, else normal; a source that leaves it out says nothing against normal.
    None: DeviceMode.NORMAL,
    "normal": DeviceMode.NORMAL,
    "safe_mode": DeviceMode.SAFE_MODE,
}

UNKNOWN_STATUS: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """An observed device, and what could not be understood of it."""

    device: ObservedDevice
    findings: tuple[str, ...] = ()


def observed_device(record: DeviceRecord, observed_at: Instant) -> Converted:
    """What a device object says. A time that is no ISO date is None and a finding; an unknown status is mode None."""
    findings: list[str] = []

    def instant(field: str, text: str | None) -> Instant | None:
        if text is None:
            return None
        try:
            return instant_from_iso(text)
        except (ValueError, OverflowError):
            findings.append(f"device {record.id}: {field} is no date and time: {text[:40]!r}")
            return None

    device = ObservedDevice(
        id=DeviceId(record.id),
        name=record.name,
        platform_id=record.platform_id,
        product_id=record.product_id,
        device_os=record.system_firmware_version or None,
        application=record.firmware_version,
        # `connected` is the deprecated name of the same thing.
        online=bool(record.connected if record.online is None else record.online),
        mode=_MODES.get(record.status),
        last_heard_at=instant("last_heard", record.last_heard),
        last_handshake_at=instant("last_handshake_at", record.last_handshake_at),
        groups=record.groups or (),
        development=bool(record.development),
        quarantined=bool(record.quarantined),
        desired_application=record.desired_firmware_version,
        targeted_application=record.targeted_firmware_release_version,
        updates_enabled=record.firmware_updates_enabled,
        updates_forced=record.firmware_updates_forced,
        modules=None if record.modules is None else modules_from_entries(record.modules),
        observed_at=observed_at,
    )
    return Converted(device=device, findings=tuple(findings))


def device_object(device: ObservedDevice) -> dict[str, object]:
    """The device object that says the same, under the API's own field names. What we learnt ourselves is not in it."""
    return {
        "id": device.id,
        "name": device.name,
        "platform_id": device.platform_id,
        "product_id": device.product_id,
        "system_firmware_version": device.device_os,
        "firmware_version": device.application,
        "online": device.online,
        "status": UNKNOWN_STATUS if device.mode is None else device.mode.value,
        "last_heard": None if device.last_heard_at is None else iso_from_instant(device.last_heard_at),
        "last_handshake_at": (None if device.last_handshake_at is None else iso_from_instant(device.last_handshake_at)),
        "groups": list(device.groups),
        "development": device.development,
        "quarantined": device.quarantined,
        "desired_firmware_version": device.desired_application,
        "targeted_firmware_release_version": device.targeted_application,
        "firmware_updates_enabled": device.updates_enabled,
        "firmware_updates_forced": device.updates_forced,
        "modules": None if device.modules is None else entries_from_modules(device.modules),
    }
