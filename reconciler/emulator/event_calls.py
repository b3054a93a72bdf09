"""Calls about events (facts 5.8): streams of all, of a product, of a device, by prefix; and publishing."""

from __future__ import annotations

from reconciler.emulator.events import FROM_API, Event, Scope
from reconciler.emulator.message import Answer, ApiError, json_answer
from reconciler.emulator.state import Call


def stream(call: Call) -> Answer:
    """GET …/events[/:prefix]: a stream that stays open."""
    product = call.product
    prefix = call.parameters.get("prefix", "")
    if call.request.path in ("/v1/events", "/v1/events/"):
        raise ApiError(400, "event prefix filter is required")
    scope = Scope(
        product_id=product.id if product else None,
        device_id=call.device.id if "device" in call.parameters else None,
        prefix=prefix,
        any_product="org" in call.parameters and product is None,
    )
    return Answer(status=200, content_type="text/event-stream", listener=call.state.hub.listen(scope))


def publish(call: Call) -> Answer:
    """POST /v1[/products/:p]/…events: an event of the caller's own."""
    fields = call.body.fields
    name = str(fields.get("name", ""))
    if not name:
        raise ApiError(400, "invalid_request", "An event needs a name")
    announce(call, name, str(fields.get("data") or ""))
    return json_answer({"ok": True})


def announce(call: Call, name: str, data: str) -> None:
    """Let the cloud itself say something on the stream of the path's product, or of the owner."""
    product = call.product
    call.state.hub.publish(
        Event(
            name=name,
            data=data,
            device_id=FROM_API,
            product_id=product.id if product else None,
            version=0,
            at=call.now,
        )
    )
