"""How the API shows devices: one record, own devices, and pages of a product's (facts 5.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from reconciler.emulator.device import Device
from reconciler.emulator.faults import STALE_SECONDS
from reconciler.emulator.identity import iccid, imei, ip_address, is_cellular, mobile_secret, serial_number
from reconciler.emulator.listing import cut, listed
from reconciler.emulator.message import Answer, as_int, json_answer
from reconciler.emulator.products import Product
from reconciler.emulator.state import Call, State
from reconciler.model.instant import Instant, iso_from_instant

_PAGE_SIZE: Final = 25
_PAGE_SIZE_MAX: Final = 1000
_NOT_OF_QUARANTINE: Final = frozenset(
    (
        "name",
        "notes",
        "functions",
        "variables",
        "firmware_version",
        "firmware_updates_enabled",
        "firmware_updates_forced",
    )
)


def device_record(state: State, device: Device, product: Product | None) -> dict[str, Any]:
    """A device as the API shows it; what was never reported is absent (facts 5.3).

    `product`: the product in whose name it is shown. A device in its quarantine is shown with fewer fields.
    """
    own = _own_fields(device)
    if product is None:
        return own
    if device.id in state.claimed:
        own["owner"] = state.keyring.owner
    if device.id in product.quarantine:
        own = {name: value for name, value in own.items() if name not in _NOT_OF_QUARANTINE}
        return own | {"development": False, "quarantined": True, "denied": product.quarantine[device.id]}
    own |= {
        "groups": list(device.groups),
        "development": device.development,
        "quarantined": False,
        "denied": False,
        "desired_firmware_version": device.locked,
    }
    intention = product.intention(device) if not device.development else None
    if intention is not None:
        own["targeted_firmware_release_version"] = intention.version
    return own


def list_own(call: Call) -> Answer:
    """GET /v1/devices: a bare array of what the token's owner has claimed, the last handshake first."""
    devices = [call.state.devices[device_id] for device_id in call.state.claimed]
    devices.sort(key=lambda device: (-(device.last_handshake_at or 0.0), device.id))
    return json_answer(_shown(call, devices, None))


def list_of_product(call: Call) -> Answer:
    """GET /v1/products/:p/devices: a page, filtered and sorted; without a wish the last connection first.

    Devices in quarantine are on it too; `quarantined=true` shows them alone, `quarantined=false` leaves them out.
    """
    product = call.member_of
    query = call.request.query
    devices, downwards = listed(call.state.devices, product, query)
    size = min(max(as_int(query.get("perPage") or query.get("per_page") or _PAGE_SIZE), 1), _PAGE_SIZE_MAX)
    page = max(as_int(query.get("page", 1)), 1)
    on_page, total = cut(devices, (page - 1) * size, size, downwards=downwards, faults=call.state.faults)
    meta = {"total_pages": -(-total // size), "page": page, "per_page": size, "total": total}
    return json_answer({"devices": _shown(call, on_page, product), "customers": [], "meta": meta})


def record_then(call: Call, device: Device, product: Product | None) -> dict[str, Any]:
    """How the record looked a while ago: the last one that is old enough, else the oldest that there is.

    Records are kept as the device's own product shows it; who sees it otherwise sees it as it is now.
    """
    past = device.past_records
    if not past or device.product_id != (product.id if product else None):
        return device_record(call.state, device, product)
    then = call.now - STALE_SECONDS
    return next((record for at, record in reversed(past) if at <= then), past[0][1])


def _own_fields(device: Device) -> dict[str, Any]:
    """What is shown of a device wherever it is shown."""
    cellular = is_cellular(device)
    record: dict[str, Any] = {
        "id": device.id,
        "name": device.name,
        "last_heard": _iso(device.last_heard_at),
        "last_handshake_at": _iso(device.last_handshake_at),
        "product_id": device.platform.id if device.product_id is None else device.product_id,
        "platform_id": device.platform.id,
        "online": device.online,
        "connected": device.online,
        "cellular": cellular,
        "notes": device.notes,
        "system_firmware_version": device.reported_device_os,
        "current_build_target": device.reported_device_os,
        "firmware_product_id": device.reported_product_id,
        "firmware_version": device.reported_application,
    }
    record = {name: value for name, value in record.items() if value is not None}
    if device.last_handshake_at is None:
        return record
    if cellular:
        record |= {"imei": imei(device), "iccid": iccid(device), "last_iccid": iccid(device)}
    return record | {
        "serial_number": serial_number(device),
        "mobile_secret": mobile_secret(device),
        "last_ip_address": ip_address(device),
        "status": device.mode.value,
        "functions": [],
        "variables": {},
        "firmware_updates_enabled": device.updates_enabled,
        "firmware_updates_forced": device.updates_forced,
    }


def _shown(call: Call, devices: Iterable[Device], product: Product | None) -> list[dict[str, Any]]:
    """The records of a list, and a note for the log of whom the list showed."""
    devices = list(devices)
    call.shows = tuple(device.id for device in devices)
    if call.state.faults.strikes("stale-list", None):
        return [record_then(call, device, product) for device in devices]
    return [device_record(call.state, device, product) for device in devices]


def _iso(instant: Instant | None) -> str | None:
    return iso_from_instant(instant) if instant is not None else None
