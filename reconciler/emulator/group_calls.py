"""Calls about the groups of a product (facts 5.7): make, edit, delete, fill, and what a release to them would do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from reconciler.emulator.message import Answer, ApiError, as_bool, as_int, json_answer
from reconciler.emulator.products import Group, Intention, Product
from reconciler.emulator.records import Moment
from reconciler.emulator.state import Call, State

_NAME: Final = re.compile(r"[a-z0-9_-]+")


def list_groups(call: Call) -> Answer:
    """GET /v1/products/:p/groups[?name=part]."""
    product = call.member_of
    part = call.request.query.get("name", "")
    return json_answer({"groups": [_record(call.state, product, name) for name in product.groups if part in name]})


def get_group(call: Call) -> Answer:
    """GET /v1/products/:p/groups/:name."""
    return json_answer({"group": _record(call.state, call.member_of, _name_of(call))})


def create_group(call: Call) -> Answer:
    """POST /v1/products/:p/groups."""
    product = call.member_of
    fields = call.body.fields
    name = _right_name(fields.get("name"))
    if name in product.groups:
        raise ApiError(400, "invalid_request", f"The product has a group {name} already")
    product.groups[name] = _changed(Group(), fields)
    return json_answer({"group": _record(call.state, product, name)}, 201)


def edit_group(call: Call) -> Answer:
    """PUT /v1/products/:p/groups/:name: another name, colour or description; devices and releases go along."""
    product = call.member_of
    old = _name_of(call)
    fields = call.body.fields
    if not {"name", "color", "description"} & fields.keys():
        raise ApiError(400, "invalid_request", "One of name, color, description is needed")
    new = _right_name(fields.get("name", old))
    if new != old and new in product.groups:
        raise ApiError(400, "invalid_request", f"The product has a group {new} already")
    group = _changed(product.groups[old], fields)
    # Rebuilt rather than moved, so that the group keeps its place in lists.
    product.groups = {new if name == old else name: kept for name, kept in product.groups.items()}
    product.groups[new] = group
    product.releases = {new if name == old else name: release for name, release in product.releases.items()}
    for device in call.state.members(product):
        if old in device.groups:
            device.groups = tuple(new if name == old else name for name in device.groups)
    call.state.devices.changed()
    return json_answer({"group": _record(call.state, product, new)})


def delete_group(call: Call) -> Answer:
    """DELETE /v1/products/:p/groups/:name: its devices merely lose it."""
    product = call.member_of
    name = _name_of(call)
    del product.groups[name]
    product.releases.pop(name, None)
    for device in call.state.members(product):
        if name in device.groups:
            device.groups = tuple(kept for kept in device.groups if kept != name)
    call.state.devices.changed()
    return Answer(status=204)


def put_devices(call: Call) -> Answer:
    """PUT /v1/products/:p/devices: add and remove groups of many devices."""
    product = call.member_of
    fields = call.body.fields
    metadata = fields.get("metadata")
    ids = fields.get("devices")
    if fields.get("action") != "groups" or not isinstance(metadata, dict) or not isinstance(ids, list):
        raise ApiError(400, "invalid_request", "Only the action groups, with devices and metadata, is known")
    added, removed = group_names(metadata.get("add", [])), group_names(metadata.get("remove", []))
    for device_id in ids:
        device = call.state.devices.get(str(device_id))
        if device is not None and device.product_id == product.id:
            kept = [group for group in device.groups if group not in removed]
            device.groups = tuple(dict.fromkeys((*kept, *added)))
            call.state.life.remember(device, Moment.MARKED, call.now, cause=call.ordinal)
    product.add_groups(added)
    return json_answer({"ok": True})


def show_impact(call: Call) -> Answer:
    """GET /v1/products/:p/impact: which devices a release of a version to these groups alone would make update.

    Groups that have the version now and are not named would lose it; so would everybody, with `product_default=false`.
    """
    product = call.member_of
    query = call.request.query
    if query.get("action") != "edit_groups_for_firmware":
        raise ApiError(400, "invalid_request", "The only action is edit_groups_for_firmware")
    version = as_int(query.get("firmware_version"))
    if version not in product.firmware:
        raise ApiError(404, "Firmware not found", f"The product has no firmware version {version}")
    named = [name for name in query.get("groups", "").split(",") if name]
    if not set(named) <= product.groups.keys():
        raise ApiError(400, "invalid_request", "groups must be groups of the product")
    wanted = Intention(version=version, cause=None)
    kept = {name: release for name, release in product.releases.items() if release.version != version}
    default = product.default
    if "product_default" in query:
        if as_bool(query["product_default"]):
            default = wanted
        elif default is not None and default.version == version:
            default = None
    after = replace(product, releases=kept | dict.fromkeys(named, wanted), default=default)
    by_version = _updates(call.state, product, after)
    counts = [{"version": version, "total": total} for version, total in sorted(by_version.items())]
    return json_answer({"devices": {"firmware_update": {"total": sum(by_version.values()), "by_version": counts}}})


def group_names(value: object) -> list[str]:
    """Names of groups as a list, or as a text with commas. Raises ApiError 400."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ApiError(400, "invalid_request", "groups must be a list of names")
    return list(dict.fromkeys(names))


def _updates(state: State, before: Product, after: Product) -> dict[int, int]:
    """How many devices would be sent which version because of the difference."""
    found: dict[int, int] = {}
    for device in state.members(before):
        if device.development:
            continue
        new, old = after.intention(device), before.intention(device)
        if new is None or device.reported_application == new.version:
            continue
        if old is None or old.version != new.version:
            found[new.version] = found.get(new.version, 0) + 1
    return found


def _name_of(call: Call) -> str:
    name = call.parameters["group"]
    if name not in call.member_of.groups:
        raise ApiError(404, "Group not found", f"No group {name}")
    return name


def _right_name(value: object) -> str:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise ApiError(400, "invalid_request", "A group's name has lower case letters, digits, - and _")
    return value


def _changed(group: Group, fields: Any) -> Group:
    return Group(
        description=str(fields.get("description", group.description)), color=str(fields.get("color", group.color))
    )


def _record(state: State, product: Product, name: str) -> dict[str, Any]:
    released = product.releases.get(name)
    count = sum(name in device.groups for device in state.members(product))
    return {
        "name": name,
        "description": product.groups[name].description,
        "color": product.groups[name].color,
        "fw_version": released.version if released else None,
        "device_count": count,
    }
