"""Calls about one device: look, ping, flash, lock, mark, rename (facts 5.3, 5.4, 5.6, 5.7)."""

from __future__ import annotations

from typing import Any, Final

from reconciler.emulator.artifact import Combined, Garbage, Payload, read_payload
from reconciler.emulator.compile_calls import compile_failure
from reconciler.emulator.compiler import CompileError, compile_sources, is_source, known_application
from reconciler.emulator.device import Device
from reconciler.emulator.device_lists import device_record, record_then
from reconciler.emulator.group_calls import group_names
from reconciler.emulator.message import Answer, ApiError, as_bool, as_int, json_answer
from reconciler.emulator.products import Product
from reconciler.emulator.records import Moment, RequestKind
from reconciler.emulator.state import Call
from reconciler.emulator.world import SystemFlash
from reconciler.model.instant import iso_from_instant

_NOT_CONNECTED: Final = "device not currently connected"
_UNLOCKED: Final = (None, "", "null")
_FOR_PRODUCTS: Final = frozenset({"desired_firmware_version", "development", "groups"})
_MARKS: Final = frozenset({"development", "groups", "firmware_updates_forced"})


def get_device(call: Call) -> Answer:
    """GET /v1[/orgs/:org | /products/:p]/devices/:id; a product also shows what is in its quarantine."""
    product = call.product
    device_id = call.parameters["device"].lower()
    device = call.state.devices[device_id] if product and device_id in product.quarantine else call.device
    call.shows = (device.id,)
    if call.state.faults.strikes("stale-device", device.id):
        return json_answer(record_then(call, device, product))
    return json_answer(device_record(call.state, device, product))


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
        fields = call.body.fields
        call.payload = _payload(call)
        if call.payload is not None:
            call.kind = RequestKind.FLASH
            call.artifact = call.payload.note()
        elif "desired_firmware_version" in fields:
            call.kind = RequestKind.LOCK
            version = fields["desired_firmware_version"]
            call.lock_version = None if version in _UNLOCKED else as_int(version)
            call.flash_now = as_bool(fields.get("flash", False))
    except (ApiError, CompileError):
        # The call itself will say so.
        return


def put_device(call: Call) -> Answer:
    """PUT …/devices/:id: flash it, lock it, mark it, rename it; the body says which."""
    device = call.device
    fields = call.body.fields
    if call.body.files or "app_id" in fields:
        return _flash(call, device)
    wanted = _wanted(call, fields)
    if wanted:
        return _change(call, device, wanted)
    if "signal" in fields:
        return json_answer({"id": device.id, "connected": device.online, "signaling": str(fields["signal"]) == "1"})
    raise ApiError(400, "invalid_request", "Nothing to do: no file and no known field in the body")


def _payload(call: Call) -> Payload | None:
    """What a request would send to its device; None: nothing. Raises ApiError and CompileError."""
    body, binaries = call.body, call.state.binaries
    device = call.state.devices.get(call.parameters.get("device", "").lower())
    if device is None or not (body.files or "app_id" in body.fields):
        return None
    if "app_id" in body.fields:
        name = str(body.fields["app_id"])
        return read_payload(known_application(binaries, device.platform, name, device.reported_device_os))
    if is_source(body):
        return read_payload(compile_sources(binaries, device.platform, body, call.now).binary)
    return read_payload(body.files[0])


def _flash(call: Call, device: Device) -> Answer:
    try:
        payload = call.payload or _payload(call)
    except CompileError as error:
        return compile_failure(error)
    assert payload is not None
    if not device.online:
        raise ApiError(404, _NOT_CONNECTED, "The device is not connected to the cloud")
    if device.transfer is not None:
        raise ApiError(409, "Firmware update in progress", "Another transfer to this device has not ended yet")
    if not _may_be_sent(call, device, payload):
        raise ApiError(400, "Firmware update refused", "Device OS comes with applications to this device of a product")
    refusal = call.state.life.start_transfer(device, payload, call.ordinal, call.now)
    if refusal is not None:
        raise ApiError(400, "Firmware update refused", str(refusal))
    if is_source(call.body):
        return json_answer({"ok": True, "message": "Update started"})
    return json_answer({"id": device.id, "status": "Update started"})


def _may_be_sent(call: Call, device: Device, payload: Payload) -> bool:
    """Whether this cloud takes a Device OS module for this device, as the world has it (facts 5.4, 8; ADR 0021)."""
    match call.state.direct_system_flash:
        case SystemFlash.ALLOWED:
            return True
        case SystemFlash.DEVELOPMENT_ONLY:
            taken = device.product_id is None or device.development
        case SystemFlash.REFUSED:
            taken = False
    parts = payload.parts if isinstance(payload, Combined) else (payload,)
    return taken or all(isinstance(part, Garbage) or part.is_application for part in parts)


def _wanted(call: Call, fields: Any) -> dict[str, Any]:
    """What a body wants changed, every value checked. Raises ApiError."""
    product = call.product
    if product is None and _FOR_PRODUCTS & fields.keys():
        raise ApiError(400, "invalid_request", "Only devices of a product have locks, groups, or are for development")
    wanted: dict[str, Any] = {
        name: None if fields[name] is None else str(fields[name]) for name in ("name", "notes") if name in fields
    }
    wanted |= {name: as_bool(fields[name]) for name in ("development", "firmware_updates_forced") if name in fields}
    if "groups" in fields:
        wanted["groups"] = group_names(fields["groups"])
    if product is not None and "desired_firmware_version" in fields:
        as_bool(fields.get("flash", False))
        wanted["desired_firmware_version"] = _version(product, fields["desired_firmware_version"])
    return wanted


def _version(product: Product, value: object) -> int | None:
    version = None if value in _UNLOCKED else as_int(value)
    if version is not None and version not in product.firmware:
        raise ApiError(404, "Firmware not found", f"The product has no firmware version {version}")
    return version


def _change(call: Call, device: Device, wanted: dict[str, Any]) -> Answer:
    """Do what a body wants, and tell it in the answer."""
    device.name = wanted.get("name", device.name)
    device.notes = wanted.get("notes", device.notes)
    device.development = wanted.get("development", device.development)
    device.updates_forced = wanted.get("firmware_updates_forced", device.updates_forced)
    if "groups" in wanted:
        call.member_of.add_groups(wanted["groups"])
        device.groups = tuple(wanted["groups"])
    call.state.devices.changed()
    if _MARKS & wanted.keys():
        call.state.life.remember(device, Moment.MARKED, call.now, cause=call.ordinal)
    if "desired_firmware_version" in wanted:
        device.locked = wanted["desired_firmware_version"]
        device.lock_cause = call.ordinal if device.locked is not None else None
        words = f"locked to {device.locked}"
        call.state.life.remember(device, Moment.MARKED, call.now, cause=call.ordinal, detail=words)
        if call.flash_now:
            call.state.life.deliver(device, call.now)
    document = {"id": device.id, **wanted}
    if wanted.keys() != {"firmware_updates_forced"}:
        document["updated_at"] = iso_from_instant(call.now)
    return json_answer(document)
