"""Which address is which call, and which scope a token needs for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from reconciler.emulator import device_calls, product_calls, release_calls
from reconciler.emulator.events import Scope
from reconciler.emulator.message import Answer, ApiError
from reconciler.emulator.state import Call, Handler


@dataclass(frozen=True, slots=True)
class Route:
    """One address. `scope` None: no token is needed. In patterns `{name}` is one part and `{name*}` is the rest."""

    method: str
    pattern: re.Pattern[str]
    scope: str | None
    handler: Handler


def events(call: Call) -> Answer:
    """GET …/events[/:prefix]: an event stream (facts 5.8)."""
    product = call.product
    prefix = call.parameters.get("prefix", "")
    if call.request.path == "/v1/events":
        raise ApiError(400, "event prefix filter is required")
    device_id = call.device.id if "device" in call.parameters else None
    scope = Scope(product_id=product.id if product else None, device_id=device_id, prefix=prefix)
    return Answer(status=200, content_type="text/event-stream", listener=call.state.hub.listen(scope))


def _route(method: str, path: str, scope: str | None, handler: Handler) -> Route:
    pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", path)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    return Route(method, re.compile(pattern), scope, handler)


_OWN = "/v1/devices"
_PRODUCT = "/v1/products/{product}"

ROUTES = (
    _route("GET", _OWN, "devices:list", device_calls.list_own),
    _route("GET", _OWN + "/events", "events:get", events),
    _route("GET", _OWN + "/events/{prefix*}", "events:get", events),
    _route("GET", "/v1/events", "events:get", events),
    _route("GET", "/v1/events/{prefix*}", "events:get", events),
    _route("GET", _PRODUCT + "/events", "events:get", events),
    _route("GET", _PRODUCT + "/events/{prefix*}", "events:get", events),
    *(
        route
        for device in (_OWN + "/{device}", _PRODUCT + "/devices/{device}")
        for route in (
            _route("GET", device, "devices:get", device_calls.get_device),
            _route("PUT", device, "devices:update", device_calls.put_device),
            _route("PUT", device + "/ping", "devices:ping", device_calls.ping),
            _route("GET", device + "/events", "events:get", events),
            _route("GET", device + "/events/{prefix*}", "events:get", events),
        )
    ),
    _route("GET", "/v1/products", "products:list", product_calls.list_products),
    _route("GET", _PRODUCT, "products:list", product_calls.get_product),
    _route("GET", _PRODUCT + "/devices", "devices:list", device_calls.list_of_product),
    _route("PUT", _PRODUCT + "/devices", "devices:update", device_calls.put_devices),
    _route("GET", _PRODUCT + "/firmware", "firmware:list", product_calls.list_firmware),
    _route("POST", _PRODUCT + "/firmware", "firmware:create", product_calls.upload_firmware),
    _route("PUT", _PRODUCT + "/firmware/release", "firmware:release", product_calls.release_firmware),
    _route("GET", _PRODUCT + "/firmware/{version}", "firmware:get", product_calls.get_firmware),
    _route("GET", _PRODUCT + "/firmware/{version}/binary", "firmware.binary:get", product_calls.get_binary),
    _route("GET", _PRODUCT + "/groups", "groups:list", product_calls.list_groups),
    _route("GET", _PRODUCT + "/groups/{group}", "groups:list", product_calls.get_group),
    _route("GET", "/v1/device-os/versions", "device-os:list", release_calls.list_releases),
    _route("GET", "/v1/device-os/versions/{version}", "device-os:get", release_calls.get_release),
    _route("GET", "/v1/firmware/device-os/v{version}/{filename}", None, release_calls.get_module),
    _route("GET", "/v1/access_tokens/current", "", release_calls.current_token),
)


def find_route(call: Call) -> Route:
    """The route of a request; its parameters are put into the call. Raises ApiError 404 or 405."""
    path = call.request.path
    other_method = False
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if match is None:
            continue
        if route.method != call.request.method:
            other_method = True
            continue
        call.parameters = {name: unquote(value) for name, value in match.groupdict().items()}
        device = call.parameters.get("device")
        call.device_id = device.lower() if device else None
        return route
    if other_method:
        raise ApiError(405, "Method Not Allowed", f"{call.request.method} is not possible here")
    raise ApiError(404, "Not Found", f"No such address: {path}")
