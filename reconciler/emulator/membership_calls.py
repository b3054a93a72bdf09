"""Calls about where a device belongs: to a product or its quarantine, to the token's owner, to nobody (facts 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.emulator.device import Device
from reconciler.emulator.identity import iccid, imei, is_cellular, serial_number
from reconciler.emulator.message import Answer, ApiError, as_bool, json_answer
from reconciler.emulator.products import Product
from reconciler.emulator.records import Moment
from reconciler.emulator.state import Call


def add_to_product(call: Call) -> Answer:
    """POST /v1/products/:p/devices: by `id`, or by a file of ids, serial numbers, IMEIs or ICCIDs, one a line.

    It also lets a device out of quarantine. What is of another platform, unknown, or in another product comes back
    among the invalid ones. An added device may be sent the product's release at once.
    """
    product = call.member_of
    names = _names(call)
    known: Mapping[str, Device] = call.state.devices
    if not all(name in known for name in names):
        known = {**known, **_by_number(known.values())}
    updated, existing, invalid = [], [], []
    for name in names:
        device = known.get(name)
        if device is not None and device.product_id == product.id:
            existing.append(device.id)
        elif device is None or device.platform is not product.platform or device.product_id is not None:
            invalid.append(name)
        else:
            _join(call, product, device)
            updated.append(device.id)
    return json_answer(
        {
            "updated": len(updated),
            "updatedDeviceIds": updated,
            "existingDeviceIds": existing,
            "nonmemberDeviceIds": [],
            "invalidDeviceIds": invalid,
        }
    )


def remove_from_product(call: Call) -> Answer:
    """DELETE /v1/products/:p/devices/:id: out of the product; with `deny` a device in quarantine stays out for good."""
    product = call.member_of
    device_id = call.parameters["device"].lower()
    if as_bool(call.body.fields.get("deny", False)):
        if device_id not in product.quarantine:
            raise ApiError(404, "Device not found", "No such device in quarantine")
        product.quarantine[device_id] = True
        return Answer(status=204)
    if product.quarantine.pop(device_id, None) is not None:
        return Answer(status=204)
    device = call.device
    call.state.move(device, None)
    device.groups, device.development = (), False
    device.locked, device.lock_cause, device.locked_by_person = None, None, False
    call.state.life.remember(device, Moment.MARKED, call.now, cause=call.ordinal)
    return Answer(status=204)


def remove_owner(call: Call) -> Answer:
    """DELETE /v1/products/:p/devices/:id/owner: it stays in the product and is nobody's own."""
    call.state.claimed.pop(call.device.id, None)
    return json_answer({"ok": True})


def claim(call: Call) -> Answer:
    """POST /v1/devices: make a device that is nobody's the token owner's own."""
    device_id = str(call.body.fields.get("id", "")).lower()
    if device_id not in call.state.devices:
        raise ApiError(404, "Device not found", "No such device")
    call.state.claimed[device_id] = None
    return json_answer({"ok": True, "id": device_id, "deviceID": device_id, "claimed": True})


def release(call: Call) -> Answer:
    """DELETE /v1/devices/:id: it is nobody's own any more."""
    del call.state.claimed[call.device.id]
    return json_answer({"ok": True})


def find_by_serial_number(call: Call) -> Answer:
    """GET /v1/serial_numbers/:serial."""
    device = _by_number(call.state.devices.values()).get(call.parameters["serial"].upper())
    if device is None:
        raise ApiError(404, "Not Found", "No device has this serial number")
    document = {"ok": True, "deviceID": device.id, "device_id": device.id, "platform_id": device.platform.id}
    if is_cellular(device):
        document["iccid"] = iccid(device)
    return json_answer(document | {"serial_number": serial_number(device)})


def _names(call: Call) -> list[str]:
    body = call.body
    if body.files:
        text = body.files[0].decode(errors="replace")
    else:
        given = body.fields.get("id")
        text = "\n".join(map(str, given)) if isinstance(given, list) else str(given or "")
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise ApiError(400, "invalid_request", "You must pass an id for a device, or a file of them")
    return [name.lower() if len(name) == 24 else name for name in dict.fromkeys(names)]  # noqa: PLR2004  # device id


def _by_number(devices: Iterable[Device]) -> dict[str, Device]:
    return {
        number: device
        for device in devices
        for number in (serial_number(device), *((imei(device), iccid(device)) if is_cellular(device) else ()))
    }


def _join(call: Call, product: Product, device: Device) -> None:
    product.quarantine.pop(device.id, None)
    call.state.move(device, product)
    call.state.life.remember(device, Moment.MARKED, call.now, cause=call.ordinal)
    call.state.life.deliver(device, call.now)
