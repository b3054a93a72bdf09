"""Calls about devices: lists, one device, ping, flash, lock, marks, groups (facts 5.3, 5.4, 5.6, 5.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from reconciler.emulator.artifact import Combined, Garbage, Payload, read_payload
from reconciler.emulator.device import Device
from reconciler.emulator.faults import STALE_SECONDS
from reconciler.emulator.listing import cut, listed
from reconciler.emulator.message import Answer, ApiError, as_bool, as_int, json_answer
from reconciler.emulator.products import Product
from reconciler.emulator.records import Moment, RequestKind
from reconciler.emulator.state import Call
from reconciler.emulator.world import SystemFlash
from reconciler.model.instant import Instant, iso_from_instant

_PAGE_SIZE: Final = 25
_PAGE_SIZE_MAX: Final = 1000
_NOT_CONNECTED: Final = "device not currently connected"


def device_record(device: Device, product: Product | None) -> dict[str, Any]:
    """A device as the API shows it; what was never reported is absent (facts 5.3)."""
    intention = product.intention(device) if product and not device.development else None
    record: dict[str, Any] = {
        "id": device.id,
        "name": device.name,
        "last_heard": _iso(device.last_heard_at),
        "last_handshake_at": _iso(device.last_handshake_at),
        "product_id": device.platform.id if device.product_id is None else device.product_id,
        "platform_id": device.platform.id,
        "online": device.online,
        "connected": device.online,
        "cellular": device.platform.connectivity == "cellular",
        "notes": device.notes,
        "system_firmware_version": device.reported_device_os,
        "current_build_target": device.reported_device_os,
        "firmware_product_id": device.reported_product_id,
        "firmware_version": device.reported_application,
    }
    record = {name: value for name, value in record.items() if value is not None}
    if device.last_handshake_at is not None:
        record |= {
            "status": device.mode.value,
            "functions": [],
            "variables": {},
            "firmware_updates_enabled": device.updates_enabled,
            "firmware_updates_forced": device.updates_forced,
        }
    if product is not None:
        record |= {
            "groups": list(device.groups),
            "development": device.development,
            "quarantined": False,
            "denied": False,
            "desired_firmware_version": device.locked,
        }
        if intention is not None:
            record["targeted_firmware_release_version"] = intention.version
    return record


def list_own(call: Call) -> Answer:
    """GET /v1/devices: a bare array, the last handshake first."""
    devices = sorted(call.state.devices.of(None), key=lambda device: (-(device.last_handshake_at or 0.0), device.id))
    return json_answer(_shown(call, devices, None))


def list_of_product(call: Call) -> Answer:
    """GET /v1/products/:p/devices: a page, filtered and sorted."""
    product = call.product
    assert product is not None
    query = call.request.query
    devices = listed(call.state.devices, product, query)
    size = min(max(as_int(query.get("perPage") or query.get("per_page") or _PAGE_SIZE), 1), _PAGE_SIZE_MAX)
    page = max(as_int(query.get("page", 1)), 1)
    downwards = query.get("sortDir") == "desc"
    on_page, total = cut(devices, (page - 1) * size, size, downwards=downwards, faults=call.state.faults)
    meta = {"total_pages": -(-total // size), "page": page, "per_page": size, "total": total}
    return json_answer({"devices": _shown(call, on_page, product), "customers": [], "meta": meta})


def get_device(call: Call) -> Answer:
    """GET /v1[/products/:p]/devices/:id."""
    device = call.device
    call.shows = (device.id,)
    if call.state.faults.strikes("stale-device", device.id):
        return json_answer(_record_then(device, call.product, Instant(call.now - STALE_SECONDS)))
    return json_answer(device_record(device, call.product))


def ping(call: Call) -> Answer:
    """PUT …/devices/:id/ping: a round trip to the device."""
    device = call.device
    if device.online:
        device.last_heard_at = call.now
    return json_answer({"online": device.online, "ok": True})


def note_attempt(call: Call) -> None:
    """Note for the log what a request attempts, before anything comes of it or goes wrong with it."""
    if call.request.method == "GET":
        call.kind = RequestKind.READ
        return
    try:
        body = call.body
        if body.files:
            call.kind = RequestKind.FLASH
            call.payload = read_payload(body.files[0])
            call.artifact = call.payload.note()
        elif "desired_firmware_version" in body.fields:
            call.kind = RequestKind.LOCK
            version = body.fields["desired_firmware_version"]
            call.lock_version = None if version in (None, "", "null") else as_int(version)
            call.flash_now = as_bool(body.fields.get("flash", False))
    except ApiError:
        # The call itself will say so.
        return


def put_device(call: Call) -> Answer:
    """PUT …/devices/:id: flash it, lock it, mark it, rename it; the body says which."""
    fields = call.body.fields
    device = call.device
    if call.payload is not None:
        return _flash(call, device, call.payload)
    if "desired_firmware_version" in fields:
        return _lock(call, device)
    if "development" in fields or "groups" in fields:
        return _mark(call, device, fields)
    if "firmware_updates_forced" in fields:
        device.updates_forced = as_bool(fields["firmware_updates_forced"])
        call.state.life.remember(device, Moment.MARKED, call.now, cause=call.ordinal)
        return json_answer({"id": device.id, "firmware_updates_forced": device.updates_forced})
    for name in ("name", "notes"):
        if name in fields:
            setattr(device, name, str(fields[name]))
            call.state.devices.changed()
            return _updated(call, device, {name: fields[name]})
    if "signal" in fields:
        return json_answer({"id": device.id, "connected": device.online, "signaling": str(fields["signal"]) == "1"})
    raise ApiError(400, "invalid_request", "Nothing to do: no file and no known field in the body")


def put_devices(call: Call) -> Answer:
    """PUT /v1/products/:p/devices: add and remove groups of many devices."""
    product = call.product
    assert product is not None
    fields = call.body.fields
    metadata = fields.get("metadata")
    ids = fields.get("devices")
    if fields.get("action") != "groups" or not isinstance(metadata, dict) or not isinstance(ids, list):
        raise ApiError(400, "invalid_request", "Only the action groups, with devices and metadata, is known")
    added, removed = _groups(metadata.get("add", [])), _groups(metadata.get("remove", []))
    for device_id in ids:
        device = call.state.devices.get(str(device_id))
        if device is not None and device.product_id == product.id:
            kept = [group for group in device.groups if group not in removed]
            device.groups = tuple(dict.fromkeys((*kept, *added)))
    call.state.devices.changed()
    product.groups.update(dict.fromkeys(added))
    return json_answer({"ok": True})


def _flash(call: Call, device: Device, payload: Payload) -> Answer:
    if not device.online:
        raise ApiError(404, _NOT_CONNECTED, "The device is not connected to the cloud")
    if device.transfer is not None:
        raise ApiError(409, "Firmware update in progress", "Another transfer to this device has not ended yet")
    if not _may_be_sent(call, device, payload):
        raise ApiError(400, "Firmware update refused", "Device OS comes with applications to this device of a product")
    error = call.state.life.start_transfer(device, payload, call.ordinal, call.now)
    if error is not None:
        raise ApiError(400, "Firmware update refused", str(error))
    return json_answer({"id": device.id, "status": "Update started"})


def _may_be_sent(call: Call, device: Device, payload: Payload) -> bool:
    """Whether this cloud takes a Device OS module for this device, as the world has it (facts 5.4, 8; ADR 0021)."""
    match call.state.direct_system_flash:
        case SystemFlash.ALLOWED:
            return True
        case SystemFlash.DEVELOPMENT_ONLY:
            taken = call.product is None or device.development
        case SystemFlash.REFUSED:
            taken = False
    parts = payload.parts if isinstance(payload, Combined) else (payload,)
    return taken or all(isinstance(part, Garbage) or part.is_application for part in parts)


def _lock(call: Call, device: Device) -> Answer:
    product = call.product
    if product is None:
        raise ApiError(400, "invalid_request", "Only devices of a product can be locked")
    version = call.body.fields["desired_firmware_version"]
    as_bool(call.body.fields.get("flash", False))
    if version not in (None, "", "null"):
        as_int(version)
    if call.lock_version is not None and call.lock_version not in product.firmware:
        raise ApiError(404, "Firmware not found", f"The product has no firmware version {call.lock_version}")
    device.locked = call.lock_version
    device.lock_cause = call.ordinal if call.lock_version is not None else None
    call.state.life.remember(device, Moment.MARKED, call.now, cause=call.ordinal, detail=f"locked to {device.locked}")
    if call.flash_now:
        call.state.life.deliver(device, call.now)
    return _updated(call, device, {"desired_firmware_version": device.locked})


def _mark(call: Call, device: Device, fields: Any) -> Answer:
    product = call.product
    if product is None:
        raise ApiError(400, "invalid_request", "Only devices of a product have groups or are for development")
    changed: dict[str, Any] = {}
    if "development" in fields:
        device.development = changed["development"] = as_bool(fields["development"])
    if "groups" in fields:
        groups = _groups(fields["groups"])
        product.groups.update(dict.fromkeys(groups))
        device.groups = tuple(groups)
        changed["groups"] = groups
    call.state.life.remember(device, Moment.MARKED, call.now, cause=call.ordinal)
    return _updated(call, device, changed)


def _groups(value: object) -> list[str]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ApiError(400, "invalid_request", "groups must be a list of names")
    return list(dict.fromkeys(names))


def _updated(call: Call, device: Device, changed: dict[str, Any]) -> Answer:
    return json_answer({"id": device.id, **changed, "updated_at": iso_from_instant(call.now)})


def _shown(call: Call, devices: Iterable[Device], product: Product | None) -> list[dict[str, Any]]:
    """The records of a list, and a note for the log of whom the list showed."""
    devices = list(devices)
    call.shows = tuple(device.id for device in devices)
    if call.state.faults.strikes("stale-list", None):
        return [_record_then(device, product, Instant(call.now - STALE_SECONDS)) for device in devices]
    return [device_record(device, product) for device in devices]


def _record_then(device: Device, product: Product | None, then: Instant) -> dict[str, Any]:
    """How the record looked a while ago: the last one that is old enough, else the oldest that there is."""
    past = device.past_records
    if not past:
        return device_record(device, product)
    return next((record for at, record in reversed(past) if at <= then), past[0][1])


def _iso(instant: Instant | None) -> str | None:
    return iso_from_instant(instant) if instant is not None else None
