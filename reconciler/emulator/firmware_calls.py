"""Calls about the application versions of a product: upload, edit, delete, release (facts 5.5)."""

from __future__ import annotations

import json
from typing import Any

from reconciler.emulator.artifact import Artifact, read_payload
from reconciler.emulator.event_calls import announce
from reconciler.emulator.group_calls import group_names
from reconciler.emulator.message import Answer, ApiError, Body, as_bool, as_int, json_answer
from reconciler.emulator.products import Intention, Product, ProductFirmware
from reconciler.emulator.state import Call, State
from reconciler.model.instant import iso_from_instant


def list_firmware(call: Call) -> Answer:
    """GET /v1/products/:p/firmware: a bare array, the newest version first."""
    product = call.member_of
    versions = sorted(product.firmware, reverse=True)
    return json_answer([_record(call.state, product, product.firmware[version]) for version in versions])


def get_firmware(call: Call) -> Answer:
    """GET /v1/products/:p/firmware/:version."""
    return json_answer(_record(call.state, call.member_of, _firmware_of(call)))


def get_binary(call: Call) -> Answer:
    """GET /v1/products/:p/firmware/:version/binary."""
    return Answer(status=200, body=_firmware_of(call).binary, content_type="application/octet-stream")


def upload_firmware(call: Call) -> Answer:
    """POST /v1/products/:p/firmware: the binary must say of itself what the form says of it."""
    product = call.member_of
    body = call.body
    if not body.files or "version" not in body.fields:
        raise ApiError(400, "invalid_request", "A version and a binary are needed")
    version = as_int(body.fields["version"])
    firmware = ProductFirmware(
        version=version,
        title=str(body.fields.get("title", f"{product.slug} {version}")),
        description=str(body.fields.get("description", "")),
        mandatory=as_bool(body.fields.get("mandatory", False)),
        binary=body.files[0],
        artifact=_checked(call, product, body, version),
        uploaded_at=call.now,
        uploaded_by=_caller(call),
    )
    product.firmware[version] = firmware
    announce(call, "particle/firmware/create", json.dumps({"version": str(version)}))
    return json_answer(_record(call.state, product, firmware), 201)


def edit_firmware(call: Call) -> Answer:
    """PUT /v1/products/:p/firmware/:version: its title, description, whether it is mandatory."""
    firmware = _firmware_of(call)
    fields = call.body.fields
    mandatory = as_bool(fields.get("mandatory", firmware.mandatory))
    firmware.title = str(fields.get("title", firmware.title))
    firmware.description = str(fields.get("description", firmware.description))
    firmware.mandatory = mandatory
    return json_answer({**_record(call.state, call.member_of, firmware), "updated_at": iso_from_instant(call.now)})


def delete_firmware(call: Call) -> Answer:
    """DELETE /v1/products/:p/firmware/:version: only of a version that was never released."""
    firmware = _firmware_of(call)
    if firmware.ever_released:
        raise ApiError(400, "invalid_request", "A version that was released cannot be deleted")
    del call.member_of.firmware[firmware.version]
    return Answer(status=204)


def release_firmware(call: Call) -> Answer:
    """PUT /v1/products/:p/firmware/release: to all, or to groups; `intelligent` delivers to who is online now.

    Where a body names groups, these are all that the version is released to afterwards; `product_default` false takes
    it back from all the others. What a body does not name stays as it is.
    """
    product = call.member_of
    fields = call.body.fields
    firmware = _firmware(product, str(fields.get("version", "")))
    groups = group_names(fields["groups"]) if fields.get("groups") is not None else None
    if not set(groups or ()) <= product.groups.keys():
        raise ApiError(400, "invalid_request", "groups must be groups of the product")
    as_default, at_once = (as_bool(fields.get(name) or False) for name in ("product_default", "intelligent"))
    if not firmware.ever_released and not _runs_somewhere(call.state, product, firmware.version):
        raise ApiError(400, "Firmware not tested", "A version must run on a device of the product before its release")
    intention = Intention(version=firmware.version, cause=call.ordinal, immediate=at_once)
    if as_default:
        product.default = intention
    elif "product_default" in fields and product.default is not None and product.default.version == firmware.version:
        product.default = None
    if groups is not None:
        kept = {name: release for name, release in product.releases.items() if release.version != firmware.version}
        product.releases = kept | dict.fromkeys(groups, intention)
    firmware.ever_released = True
    firmware.intelligent = at_once
    announce(call, "particle/firmware/release", json.dumps({"immediate": at_once, "version": firmware.version}))
    if at_once:
        for device in call.state.members(product):
            call.state.life.deliver(device, call.now)
    return json_answer({**_record(call.state, product, firmware), "updated_at": iso_from_instant(call.now)})


def _checked(call: Call, product: Product, body: Body, version: int) -> Artifact:
    """What the file is. Raises ApiError 400 when the product cannot take it as this version."""
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
    return artifact


def _firmware_of(call: Call) -> ProductFirmware:
    return _firmware(call.member_of, call.parameters["version"])


def _firmware(product: Product, version: str) -> ProductFirmware:
    firmware = product.firmware.get(as_int(version))
    if firmware is None:
        raise ApiError(404, "Firmware not found", f"The product has no firmware version {version}")
    return firmware


def _runs_somewhere(state: State, product: Product, version: int) -> bool:
    return any(device.reported_application == version for device in state.members(product))


def _caller(call: Call) -> str:
    return call.token.holder if call.token else ""


def _record(state: State, product: Product, firmware: ProductFirmware) -> dict[str, Any]:
    version = firmware.version
    running = sum(device.reported_application == version for device in state.members(product))
    is_default = product.default is not None and product.default.version == version
    return {
        "_id": f"{product.id:012x}{version:012x}",
        "version": version,
        "title": firmware.title,
        "description": firmware.description,
        "name": firmware.name,
        "size": len(firmware.binary),
        "product_default": is_default,
        "current": is_default,
        "groups": [group for group, intention in product.releases.items() if intention.version == version],
        "device_count": running,
        "mandatory": firmware.mandatory,
        "intelligent": firmware.intelligent,
        "uploaded_on": iso_from_instant(firmware.uploaded_at),
        "product_id": product.id,
        "uploaded_by": {"username": firmware.uploaded_by or state.keyring.owner},
    }
