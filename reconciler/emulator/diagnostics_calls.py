"""Calls about vitals (facts 5.9): ask a device for them, and read what it has sent."""

from __future__ import annotations

import csv
import io
import json
from typing import Final

from reconciler.emulator.device import Device
from reconciler.emulator.events import Event
from reconciler.emulator.message import Answer, ApiError, json_answer
from reconciler.emulator.state import Call, State
from reconciler.emulator.vitals import KEPT_SECONDS, exhausted, measure, metadata
from reconciler.model.device import DeviceMode
from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant

_ANSWER_SECONDS: Final = 2.0
"""From the request until the device has reported."""


def refresh(call: Call) -> Answer:
    """POST …/diagnostics/:id/update: 202; the report comes later, as an event, if the device is still there."""
    device, state = call.device, call.state
    if not device.online:
        raise ApiError(404, "device not currently connected", "The device is not connected to the cloud")
    at = Instant(call.now + _ANSWER_SECONDS)
    state.agenda.at(at, lambda now: _report(state, device, now))
    return json_answer({"ok": True}, 202)


def show_last(call: Call) -> Answer:
    """GET …/diagnostics/:id/last."""
    kept = call.state.vitals.of(call.device.id, call.now)
    if not kept:
        raise ApiError(404, "Not Found", "The device has reported no vitals")
    return json_answer({"diagnostics": kept[-1].document()})


def list_all(call: Call) -> Answer:
    """GET …/diagnostics/:id[?start_date=&end_date=]: what is kept, oldest first; as CSV for who accepts that."""
    query = call.request.query
    start, end = (_instant(query[name]) if name in query else None for name in ("start_date", "end_date"))
    if start is not None and call.now - start > KEPT_SECONDS:
        raise ApiError(400, "bad_request", "start_date must not be more than 30 days ago")
    kept = [
        vitals
        for vitals in call.state.vitals.of(call.device.id, call.now)
        if (start is None or vitals.at >= start) and (end is None or vitals.at < end)
    ]
    if call.request.headers.get("accept") == "text/csv":
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(("updated_at", "deviceID", "payload"))
        rows.writerows((iso_from_instant(one.at), one.device_id, json.dumps(one.payload)) for one in kept)
        return Answer(status=200, body=text.getvalue().encode(), content_type="text/csv")
    return json_answer({"diagnostics": [vitals.document() for vitals in kept]})


def show_metadata(call: Call) -> Answer:
    """GET …/diagnostics/:id/metadata: how the numbers are to be read."""
    return json_answer({"diagnostics_metadata": metadata(call.device)})


def _report(state: State, device: Device, now: Instant) -> None:
    if not device.online:
        return
    vitals = measure(device, now, state.faults.dice(f"vitals {now}", device.id))
    if state.faults.strikes("vitals-low", device.id):
        vitals = exhausted(vitals)
    state.vitals.add(vitals)
    version = device.application_version if device.mode is DeviceMode.NORMAL else 0
    state.hub.publish(
        Event(
            name="spark/device/diagnostics/update",
            data=json.dumps(vitals.payload, separators=(",", ":")),
            device_id=device.id,
            product_id=device.product_id,
            version=version or 0,
            at=now,
        )
    )


def _instant(text: str) -> Instant:
    try:
        return instant_from_iso(text)
    except ValueError as error:
        raise ApiError(400, "bad_request", "start_date and end_date must be ISO8601 formatted") from error
