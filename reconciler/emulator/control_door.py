"""The control door under `/_emulator/`, for tests and demonstrations; no part of the pretend API (contracts section 6).

It needs no token, is not in the log, and no fault touches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from reconciler.emulator.console import Act
from reconciler.emulator.device import Device
from reconciler.emulator.evidence import Violation
from reconciler.emulator.faults import FAULTS, FaultOrder
from reconciler.emulator.house_rules import HouseRules
from reconciler.emulator.message import Answer, ApiError, Request, json_answer, read_body
from reconciler.emulator.records import RequestRecord, versions_document
from reconciler.emulator.state import State
from reconciler.emulator.world import WorldError, load_rules
from reconciler.model.instant import Instant, iso_from_instant

PREFIX: Final = "/_emulator/"


class AdjustableClock(Protocol):
    """The server's virtual clock."""

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""

    def now(self) -> Instant:
        """What time it is."""

    def set_speed(self, speed: float) -> None:
        """Go on at another speed."""

    def advance(self, seconds: float) -> None:
        """Skip virtual seconds."""


class Book(Protocol):
    """What the door shows and does besides the state."""

    state: State
    rules: HouseRules

    @property
    def requests(self) -> Sequence[RequestRecord]:
        """Every request so far."""

    @property
    def acts(self) -> Sequence[Act]:
        """What people did in the console."""

    def violations(self) -> tuple[Violation, ...]:
        """What the referee finds."""

    def order_fault(self, order: FaultOrder, now: Instant) -> None:
        """Put a fault in place."""

    def run_until(self, now: Instant) -> None:
        """Let everything happen that is due."""


def answer_at_door(request: Request, book: Book, clock: AdjustableClock | None, now: Instant) -> Answer:
    """Answer a call to the control door."""
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "devices":
            return json_answer([_true_state(device) for device in _chosen(request, book)])
        case "POST", "devices":
            return _change_device(request, book, now)
        case "GET", "faults":
            return json_answer({"faults": dict(FAULTS), "active": book.state.faults.document()})
        case "POST", "faults":
            book.order_fault(_fault_order(read_body(request).fields), now)
            return json_answer({"ok": True, "active": book.state.faults.document()})
        case "GET" | "POST", "clock":
            return _clock(request, book, clock)
        case "GET", "requests":
            return json_answer([record.document() for record in book.requests])
        case "GET", "acts":
            return json_answer([act.document() for act in book.acts])
        case "POST", "rules":
            book.rules = _rules(read_body(request).fields)
            return json_answer({"ok": True})
        case "GET", "referee":
            return json_answer([violation.document() for violation in book.violations()])
    raise ApiError(404, "Not Found", f"The control door has no {request.method} {request.path}")


def _chosen(request: Request, book: Book) -> list[Device]:
    wanted = request.query.get("id")
    if wanted is None:
        return list(book.state.devices.values())
    return [_device(book, wanted)]


def _device(book: Book, device_id: str) -> Device:
    device = book.state.devices.get(device_id)
    if device is None:
        raise ApiError(404, "Device not found", f"No device {device_id}")
    return device


def _true_state(device: Device) -> dict[str, Any]:
    return {
        "id": device.id,
        "name": device.name,
        "platform": device.platform.name,
        "product_id": device.product_id,
        "modules": versions_document(device.versions),
        "application": device.application_version,
        "device_os": device.reported_device_os,
        "mode": device.mode.value,
        "online": device.online,
        "gone": device.gone,
        "crashing": device.crashing,
        "receiving": device.transfer is not None,
        "asleep": device.sleep is not None and not device.online and not device.gone,
        "protected": device.protected,
        "partial": device.partial.received if device.partial is not None else 0,
        "updates_enabled": device.updates_enabled,
        "locked": device.locked,
        "groups": list(device.groups),
        "transfers": device.transfers,
        "bytes_received": device.bytes_received,
        "restarts": device.restarts,
        "history": [entry.document() for entry in device.history],
    }


def _change_device(request: Request, book: Book, now: Instant) -> Answer:
    """Let a device come or go, or its application allow or refuse updates: `{"id": …, "online": true|false}`."""
    fields = read_body(request).fields
    changes = {"online": book.state.life.set_online, "updates_enabled": book.state.life.set_updates_enabled}
    asked = {name: fields[name] for name in changes if name in fields}
    if not asked or not all(isinstance(value, bool) for value in asked.values()):
        raise ApiError(400, "invalid_request", "online or updates_enabled must be true or false")
    device = _device(book, str(fields.get("id")))
    for name, value in asked.items():
        changes[name](device, value, now)
    return json_answer(_true_state(device))


def _fault_order(fields: Any) -> FaultOrder:
    name, device = fields.get("fault"), fields.get("device", "*")
    rate, count, application = fields.get("rate", 1.0), fields.get("count"), fields.get("application")
    if name not in FAULTS:
        raise ApiError(400, "invalid_request", f"No fault is called {name}; GET lists them")
    right_numbers = all(
        number is None or (isinstance(number, int) and not isinstance(number, bool) and number >= least)
        for number, least in ((count, 1), (application, 0))
    )
    right_rate = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate <= 1
    if not right_rate or not right_numbers or not isinstance(device, str):
        words = "rate must be 0 to 1, count and application whole numbers, device an id or *"
        raise ApiError(400, "invalid_request", words)
    return FaultOrder(fault=name, device=device, rate=float(rate), count=count, application=application)


def _rules(fields: Any) -> HouseRules:
    try:
        return load_rules(fields)
    except WorldError as error:
        raise ApiError(400, "invalid_request", error.message) from error


def _clock(request: Request, book: Book, clock: AdjustableClock | None) -> Answer:
    if clock is None:
        raise ApiError(404, "Not Found", "This cloud is driven by hand and has no clock")
    if request.method == "POST":
        fields = read_body(request).fields
        speed, seconds = fields.get("speed"), fields.get("advance_seconds")
        for value in (speed, seconds):
            if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or value < 0):
                raise ApiError(400, "invalid_request", "speed and advance_seconds must be numbers, not negative")
        if speed is not None:
            clock.set_speed(float(speed))
        if seconds is not None:
            clock.advance(float(seconds))
            book.run_until(clock.now())
    return json_answer({"now": iso_from_instant(clock.now()), "speed": clock.speed})
