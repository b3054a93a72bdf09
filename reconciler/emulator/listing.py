"""Pages of a product's devices: who is on the list, in which order, and which of them are on a page (facts 5.3).

What a page costs does not depend on how many devices there are, as long as it is a page of all of them and the product
has no quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from reconciler.emulator.device import Device
from reconciler.emulator.faults import Faults
from reconciler.emulator.identity import serial_number
from reconciler.emulator.message import ApiError, as_bool
from reconciler.emulator.products import Product
from reconciler.emulator.register import Order, Register

_Test = Callable[[Device], bool]


def listed(register: Register, product: Product, query: Mapping[str, str]) -> tuple[Sequence[Device], bool]:
    """The devices that the filters of a request let through, upwards; and whether it wishes for them downwards.

    Without a wish they are by the last connection, downwards. Raises ApiError 400 for a wish that cannot be met.
    """
    order, downwards = _wish(query)
    asked = tuple((name, query[name]) for name in _FILTERS if query.get(name))
    tests = [_FILTERS[name](value) for name, value in asked]

    def chosen(device: Device) -> bool:
        return all(test(device) for test in tests)

    quarantined = as_bool(query["quarantined"]) if "quarantined" in query else None
    waiting = [] if quarantined is False else [device for key in product.quarantine if chosen(device := register[key])]
    if quarantined or waiting:
        members = () if quarantined else register.view(product.id, asked, chosen)
        return sorted([*members, *waiting], key=order.key if order else _id), downwards
    if not asked:
        return register.of(product.id) if order is None else register.ordered(product.id, order), downwards
    devices = register.view(product.id, asked, chosen)
    return devices if order is None else sorted(devices, key=order.key), downwards


def _wish(query: Mapping[str, str]) -> tuple[Order | None, bool]:
    attribute, direction = query.get("sortAttr"), query.get("sortDir")
    direction = direction or ("asc" if attribute else "desc")
    attribute = attribute or Order.LAST_CONNECTION.value
    if attribute not in _ORDERS or direction not in ("asc", "desc"):
        raise ApiError(400, "invalid_request", f"sortAttr is one of {', '.join(_ORDERS)}; sortDir is asc or desc")
    return _ORDERS[attribute], direction == "desc"


def cut(
    devices: Sequence[Device], begin: int, size: int, *, downwards: bool, faults: Faults
) -> tuple[Sequence[Device], int]:
    """A page and the length of the list. A later page of a list that changes meanwhile begins elsewhere."""
    total = shown_total = len(devices)
    if begin > 0 and faults.strikes("list-shifts", None):
        # Somebody in front of the page has left, or has joined.
        shift = 1 if faults.coin() else -1
        begin, shown_total = begin + shift, total - shift
    if downwards:
        on_page = devices[max(total - begin - size, 0) : max(total - begin, 0)][::-1]
    else:
        on_page = devices[begin : begin + size]
    if faults.strikes("list-unordered", None):
        on_page = sorted(on_page, key=lambda device: device.id[::-1])
    return on_page, shown_total


def _in_groups(value: str) -> _Test:
    names = frozenset(value.split(","))
    return lambda device: not names.isdisjoint(device.groups)


def _id(device: Device) -> str:
    return device.id


_FILTERS: Final[dict[str, Callable[[str], _Test]]] = {
    "deviceId": lambda value: lambda device: value.lower() in device.id,
    "deviceName": lambda value: lambda device: value.lower() in (device.name or "").lower(),
    "groups": _in_groups,
    "serialNumber": lambda value: lambda device: value.upper() in serial_number(device),
}
_ORDERS: Final[dict[str, Order | None]] = {"deviceId": None, **{order.value: order for order in Order}}
"""None: by id, as the register keeps them."""
