"""Pages of a product's devices: who is on the list, in which order, and which of them are on a page (facts 5.3).

What a page costs does not depend on how many devices there are, as long as the list is in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from reconciler.emulator.device import Device
from reconciler.emulator.faults import Faults
from reconciler.emulator.message import as_bool
from reconciler.emulator.products import Product
from reconciler.emulator.register import Register

_Test = Callable[[Device], bool]


def chosen(register: Register, product: Product, query: Mapping[str, str]) -> Sequence[Device]:
    """The devices that the filters of a request let through, by id."""
    asked = tuple((name, query[name]) for name in _FILTERS if query.get(name))
    if not asked:
        return register.of(product.id)
    tests = [_FILTERS[name](value) for name, value in asked]
    return register.view(product.id, asked, lambda device: all(test(device) for test in tests))


def in_order(devices: Sequence[Device], query: Mapping[str, str]) -> Sequence[Device]:
    """The devices in the order that a request wishes for; without a wish by id."""
    key, descending = _SORTS.get(query.get("sortAttr", "")), query.get("sortDir") == "desc"
    if key is not None:
        return sorted(devices, key=key, reverse=descending)
    return devices[::-1] if descending else devices


def cut(devices: Sequence[Device], begin: int, size: int, faults: Faults) -> tuple[Sequence[Device], int]:
    """A page and the length of the list. A later page of a list that changes meanwhile begins elsewhere."""
    total = len(devices)
    if begin > 0 and faults.strikes("list-shifts", None):
        # Somebody in front of the page has left, or has joined.
        shift = 1 if faults.coin() else -1
        begin, total = begin + shift, total - shift
    on_page = devices[begin : begin + size]
    if faults.strikes("list-unordered", None):
        on_page = sorted(on_page, key=lambda device: device.id[::-1])
    return on_page, total


def _in_groups(value: str) -> _Test:
    names = frozenset(value.split(","))
    return lambda device: not names.isdisjoint(device.groups)


def _in_quarantine(value: str) -> _Test:
    """No device of a product is in its quarantine."""
    return (lambda _: False) if as_bool(value) else (lambda _: True)


_FILTERS: Final[dict[str, Callable[[str], _Test]]] = {
    "deviceId": lambda value: lambda device: value.lower() in device.id,
    "deviceName": lambda value: lambda device: value.lower() in (device.name or "").lower(),
    "groups": _in_groups,
    "quarantined": _in_quarantine,
}
_SORTS: Final[dict[str, Callable[[Device], Any]]] = {
    "firmwareVersion": lambda device: (device.reported_application or 0, device.id),
    "lastConnection": lambda device: (device.last_handshake_at or 0.0, device.id),
}
