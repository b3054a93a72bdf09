"""Calls about products: the products themselves, their firmware, releases and groups (facts 5.5, 5.7)."""

from __future__ import annotations

from typing import Any

from reconciler.emulator.artifact import Artifact, read_payload
from reconciler.emulator.message import Answer, ApiError, as_bool, as_int, json_answer
from reconciler.emulator.products import Intention, Product, ProductFirmware
from reconciler.emulator.state import Call, State
from reconciler.model.instant import iso_from_instant


def list_products(call: Call) -> Answer:
    """GET /v1/products."""
    return json_answer({"products": [_record(call.state, product) for product in call.state.products.values()]})


def get_product(call: Call) -> Answer:
    """GET /v1/products/:p."""
    return json_answer({"product": _record(call.state, _product(call))})


def list_firmware(call: Call) -> Answer:
    """GET /v1/products/:p/firmware: a bare array, the newest version first."""
    product = _product(call)
    versions = sorted(product.firmware, reverse=True)
    return json_answer([_firmware_record(call.state, product, product.firmware[version]) for version in versions])


def get_firmware(call: Call) -> Answer:
    """GET /v1/products/:p/firmware/:version."""
    product = _product(call)
    return json_answer(_firmware_record(call.state, product, _firmware(product, call.parameters["version"])))


def get_binary(call: Call) -> Answer:
    """GET /v1/products/:p/firmware/:version/binary."""
    firmware = _firmware(_product(call), call.parameters["version"])
    return Answer(status=200, body=firmware.binary, content_type="application/octet-stream")


def upload_firmware(call: Call) -> Answer:
    """POST /v1/products/:p/firmware: the binary must say of itself what the form says of it."""
    product = _product(call)
    body = call.body
    if not body.files or "version" not in body.fields:
        raise ApiError(400, "invalid_request", "A version and a binary are needed")
    version = as_int(body.fields["version"])
    artifact = read_payload(body.files[0])
    if not isinstance(artifact, Artifact) or not artifact.is_application:
        raise ApiError(400, "Invalid binary", "The file is no application binary")
    call.artifact = artifact.note()
    if artifact.platform_id != product.platform.id:
        raise ApiError(400, "Invalid binary", f"The binary is for platform {artifact.platform_id}")
    # Since Device OS 4.0 sources carry no product id; the platform's stands there instead.
    if artifact.product_id not in (product.id, product.platform.id):
        raise ApiError(400, "Invalid binary", f"The binary is of product {artifact.product_id}")
    if artifact.product_version != version:
        raise ApiError(400, "Invalid binary", f"The binary is version {artifact.product_version}, not {version}")
    if version in product.firmware:
        raise ApiError(400, "Version exists", f"The product has a firmware version {version} already")
    product.firmware[version] = ProductFirmware(
        version=version,
        title=str(body.fields.get("title", f"{product.slug} {version}")),
        description=str(body.fields.get("description", "")),
        binary=body.files[0],
        artifact=artifact,
        uploaded_at=call.now,
    )
    return json_answer(_firmware_record(call.state, product, product.firmware[version]), 201)


def release_firmware(call: Call) -> Answer:
    """PUT /v1/products/:p/firmware/release: to all, or to groups; `intelligent` delivers to who is online now."""
    product = _product(call)
    fields = call.body.fields
    firmware = _firmware(product, str(fields.get("version", "")))
    groups = fields.get("groups") or []
    if not isinstance(groups, list) or not set(groups) <= set(product.groups):
        raise ApiError(400, "invalid_request", "groups must be a list of groups of the product")
    intelligent = as_bool(fields.get("intelligent", False))
    intention = Intention(version=firmware.version, cause=call.ordinal, immediate=intelligent)
    if not _was_released(product, firmware.version) and not _runs_somewhere(call.state, product, firmware.version):
        raise ApiError(400, "Firmware not tested", "A version must run on a device of the product before its release")
    if as_bool(fields.get("product_default", False)):
        product.default = intention
    product.releases.update(dict.fromkeys(groups, intention))
    if intelligent:
        for device in call.state.devices.of(product.id):
            call.state.life.deliver(device, call.now)
    return json_answer({**_firmware_record(call.state, product, firmware), "updated_at": iso_from_instant(call.now)})


def list_groups(call: Call) -> Answer:
    """GET /v1/products/:p/groups."""
    product = _product(call)
    return json_answer({"groups": [_group_record(call.state, product, name) for name in product.groups]})


def get_group(call: Call) -> Answer:
    """GET /v1/products/:p/groups/:name."""
    product = _product(call)
    name = call.parameters["group"]
    if name not in product.groups:
        raise ApiError(404, "Group not found", f"No group {name}")
    return json_answer({"group": _group_record(call.state, product, name)})


def _product(call: Call) -> Product:
    product = call.product
    assert product is not None
    return product


def _firmware(product: Product, version: str) -> ProductFirmware:
    firmware = product.firmware.get(as_int(version))
    if firmware is None:
        raise ApiError(404, "Firmware not found", f"The product has no firmware version {version}")
    return firmware


def _was_released(product: Product, version: int) -> bool:
    return any(i is not None and i.version == version for i in (product.default, *product.releases.values()))


def _runs_somewhere(state: State, product: Product, version: int) -> bool:
    return any(device.reported_application == version for device in state.devices.of(product.id))


def _record(state: State, product: Product) -> dict[str, Any]:
    return {
        "id": product.id,
        "slug": product.slug,
        "name": product.name,
        "description": "",
        "platform_id": product.platform.id,
        "groups": list(product.groups),
        "device_count": len(state.devices.of(product.id)),
    }


def _firmware_record(state: State, product: Product, firmware: ProductFirmware) -> dict[str, Any]:
    version = firmware.version
    running = sum(device.reported_application == version for device in state.devices.of(product.id))
    return {
        "_id": f"{product.id:012x}{version:012x}",
        "version": version,
        "title": firmware.title,
        "description": firmware.description,
        "name": firmware.name,
        "size": len(firmware.binary),
        "product_default": product.default is not None and product.default.version == version,
        "groups": [group for group, intention in product.releases.items() if intention.version == version],
        "device_count": running,
        "mandatory": False,
        "intelligent": False,
        "uploaded_on": iso_from_instant(firmware.uploaded_at),
        "product_id": product.id,
        "uploaded_by": {"username": "operator"},
    }


def _group_record(state: State, product: Product, name: str) -> dict[str, Any]:
    released = product.releases.get(name)
    count = sum(name in device.groups for device in state.devices.of(product.id))
    return {
        "name": name,
        "description": "",
        "color": "#00aeef",
        "fw_version": released.version if released else None,
        "device_count": count,
    }
