"""Which address is which call, which scope a token needs for it, and what it is counted as."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from urllib.parse import unquote

from reconciler.emulator import (
    compile_calls,
    device_calls,
    device_lists,
    diagnostics_calls,
    event_calls,
    firmware_calls,
    group_calls,
    membership_calls,
    product_calls,
    release_calls,
    team_calls,
    token_calls,
)
from reconciler.emulator.limits import Kind
from reconciler.emulator.message import ApiError
from reconciler.emulator.state import Call, Handler


@dataclass(frozen=True, slots=True)
class Route:
    """One address.

    `scope` None: no token is needed; empty: any good token will do. In patterns `{name}` is one part of the path and
    `{name*}` is the rest.
    """

    method: str
    pattern: re.Pattern[str]
    scope: str | None
    handler: Handler
    shape: tuple[str, int] | None
    """What `_shape` makes of its paths; None: they are of any length."""
    kind: Kind = Kind.ORDINARY


def _route(method: str, path: str, scope: str | None, handler: Handler) -> Route:
    shape = None if "*" in path else _shape(path)
    pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", path)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    return Route(method, re.compile(pattern), scope, handler, shape)


def _shape(path: str) -> tuple[str, int]:
    """The word after the version, and how many parts there are: what a path is sorted by before patterns are tried."""
    parts = path.split("/")
    return (parts[2] if len(parts) > 2 else "", len(parts))  # noqa: PLR2004  # the empty part, the version, the word


_OWN = "/v1/devices"
_PRODUCT = "/v1/products/{product}"
_ORG = "/v1/orgs/{org}"


def _tokens() -> Iterator[Route]:
    calls = token_calls
    yield replace(_route("POST", "/oauth/token", None, calls.create_token), kind=Kind.TOKEN_CREATION)
    yield replace(_route("GET", "/v1/access_tokens", None, calls.list_tokens), kind=Kind.TOKEN_LISTING)
    yield _route("GET", "/v1/access_tokens/current", "", calls.show_current)
    yield _route("DELETE", "/v1/access_tokens/current", "", calls.revoke_current)
    yield _route("DELETE", "/v1/access_tokens", "", calls.revoke_all)
    yield replace(_route("DELETE", "/v1/access_tokens/{token}", None, calls.revoke_token), kind=Kind.TOKEN_DELETION)
    yield _route("GET", "/v1/user", "", calls.show_user)
    yield _route("GET", "/v1/orgs", "", calls.list_organisations)
    for place in (_PRODUCT, _ORG):
        yield _route("GET", place + "/team", "teams.users:list", team_calls.list_team)
        yield _route("POST", place + "/team", "teams.users:invite", team_calls.add_member)
        yield _route("PUT", place + "/team/{username}", "teams.users:update", team_calls.change_member)
        yield _route("DELETE", place + "/team/{username}", "teams.users:remove", team_calls.remove_member)


def _events() -> Iterator[Route]:
    own_device, product_device = _OWN + "/{device}", _PRODUCT + "/devices/{device}"
    org_places = (_ORG, f"{_ORG}/devices/{{device}}", f"{_ORG}/products/{{product}}")
    for place in ("/v1", _OWN, own_device, _PRODUCT, product_device, *org_places):
        for tail in ("/events", "/events/{prefix*}"):
            yield replace(_route("GET", place + tail, "events:get", event_calls.stream), kind=Kind.STREAM)
    for place in (_OWN, _PRODUCT):
        yield _route("POST", place + "/events", "events:send", event_calls.publish)


def _devices() -> Iterator[Route]:
    yield _route("GET", _OWN, "devices:list", device_lists.list_own)
    yield _route("POST", _OWN, "devices:claim", membership_calls.claim)
    yield _route("DELETE", _OWN + "/{device}", "devices:release", membership_calls.release)
    yield _route("GET", _PRODUCT + "/devices", "devices:list", device_lists.list_of_product)
    yield _route("POST", _PRODUCT + "/devices", "devices:import", membership_calls.add_to_product)
    yield _route("PUT", _PRODUCT + "/devices", "devices:update", group_calls.put_devices)
    yield _route("DELETE", _PRODUCT + "/devices/{device}", "devices:remove", membership_calls.remove_from_product)
    yield _route("DELETE", _PRODUCT + "/devices/{device}/owner", "devices:release", membership_calls.remove_owner)
    for device in (_OWN + "/{device}", _PRODUCT + "/devices/{device}", _ORG + "/devices/{device}"):
        yield _route("GET", device, "devices:get", device_calls.get_device)
        yield _route("PUT", device, "devices:update", device_calls.put_device)
        yield _route("PUT", device + "/ping", "devices:ping", device_calls.ping)
    find = _route("GET", "/v1/serial_numbers/{serial}", "", membership_calls.find_by_serial_number)
    yield replace(find, kind=Kind.SERIAL_NUMBER)
    for place in ("/v1", _PRODUCT):
        vitals, scope = place + "/diagnostics/{device}", "devices.diagnostics:get"
        yield _route("POST", vitals + "/update", "devices.diagnostics:update", diagnostics_calls.refresh)
        yield _route("GET", vitals + "/last", scope, diagnostics_calls.show_last)
        yield _route("GET", vitals, scope, diagnostics_calls.list_all)
        metadata = "devices.diagnostics.metadata:get"
        yield _route("GET", vitals + "/metadata", metadata, diagnostics_calls.show_metadata)


def _products() -> Iterator[Route]:
    for path in ("/v1/products", "/v1/user/products", _ORG + "/products"):
        yield _route("GET", path, "products:list", product_calls.list_products)
    yield _route("GET", _PRODUCT, "products:get", product_calls.get_product)
    firmware, version = _PRODUCT + "/firmware", _PRODUCT + "/firmware/{version}"
    yield _route("GET", firmware, "firmware:list", firmware_calls.list_firmware)
    yield _route("POST", firmware, "firmware:create", firmware_calls.upload_firmware)
    yield _route("PUT", firmware + "/release", "firmware:release", firmware_calls.release_firmware)
    yield _route("GET", version, "firmware:get", firmware_calls.get_firmware)
    yield _route("PUT", version, "firmware:update", firmware_calls.edit_firmware)
    yield _route("DELETE", version, "firmware:remove", firmware_calls.delete_firmware)
    yield _route("GET", version + "/binary", "firmware.binary:get", firmware_calls.get_binary)
    groups, group = _PRODUCT + "/groups", _PRODUCT + "/groups/{group}"
    yield _route("GET", groups, "groups:list", group_calls.list_groups)
    yield _route("POST", groups, "groups:create", group_calls.create_group)
    yield _route("GET", group, "groups:get", group_calls.get_group)
    yield _route("PUT", group, "groups:update", group_calls.edit_group)
    yield _route("DELETE", group, "groups:remove", group_calls.delete_group)
    yield _route("GET", _PRODUCT + "/impact", "groups.impact:get", group_calls.show_impact)


def _releases() -> Iterator[Route]:
    yield _route("GET", "/v1/build_targets", "", compile_calls.list_build_targets)
    yield _route("POST", "/v1/binaries", "", compile_calls.compile_code)
    yield _route("GET", "/v1/binaries/{binary}", "", compile_calls.get_compiled)
    yield _route("GET", "/v1/device-os/versions", "", release_calls.list_releases)
    yield _route("GET", "/v1/device-os/versions/{version}", "", release_calls.get_release)
    yield _route("GET", "/v1/firmware/device-os/v{version}/{filename}", None, release_calls.get_module)


# Events first: `/v1/devices/events` is no device that is called events.
ROUTES = (*_events(), *_devices(), *_products(), *_releases(), *_tokens())
_OF_ANY_LENGTH = tuple(route for route in ROUTES if route.shape is None)
_BY_SHAPE = {shape: [route for route in ROUTES if route.shape == shape] for shape in {route.shape for route in ROUTES}}


def find_route(call: Call) -> Route:
    """The route of a request; its parameters are put into the call. Raises ApiError 404 or 405."""
    path = call.request.path
    other_method = False
    for route in chain(_OF_ANY_LENGTH if "/events/" in path else (), _BY_SHAPE.get(_shape(path), ())):
        match = route.pattern.fullmatch(path)
        if match is None:
            continue
        if route.method != call.request.method:
            other_method = True
            continue
        call.parameters = {name: unquote(value) for name, value in match.groupdict().items()}
        device = call.parameters.get("device")
        call.device_id = device.lower() if device else None
        if call.parameters.get("org", call.state.organisation) != call.state.organisation:
            raise ApiError(404, "Organization not found", "No such organization")
        return route
    if other_method:
        raise ApiError(405, "Method Not Allowed", f"{call.request.method} is not possible here")
    raise ApiError(404, "Not Found", f"No such address: {path}")
