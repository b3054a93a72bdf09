"""Pages of a product's devices: who is on the list, in which order, and which of them are on a page (facts 5.3).

What a page costs does not depend on how many devices there are, as long as it is a page of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from reconciler.emulator.device import Device
from reconciler.emulator.faults import Faults
from reconciler.emulator.message import as_bool
from reconciler.emulator.products import Product
from reconciler.emulator.register import Order, Register

_Test = Callable[[Device], bool]


def listed(register: Register, product: Product, query: Mapping[str, str]) -> Sequence[Device]:
    """The devices that the filters of a request let through, in the order that it wishes for; without a wish by id.

    They are always upwards; `cut` turns a page around.
    """
    asked = tuple((name, query[name]) for name in _FILTERS if query.get(name))
    order = _ORDERS.get(query.get("sortAttr", ""))
    devices: Sequence[Device]
    if not asked:
        devices = register.of(product.id) if order is None else register.ordered(product.id, order)
    else:
        tests = [_FILTERS[name](value) for name, value in asked]
        devices = register.view(product.id, asked, lambda device: all(test(device) for test in tests))
        devices = devices if order is None else sorted(devices, key=order.key)
    return devices


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


def _in_quarantine(value: str) -> _Test:
    """No device of a product is in its quarantine."""
    return (lambda _: False) if as_bool(value) else (lambda _: True)


_FILTERS: Final[dict[str, Callable[[str], _Test]]] = {
    "deviceId": lambda value: lambda device: value.lower() in device.id,
    "deviceName": lambda value: lambda device: value.lower() in (device.name or "").lower(),
    "groups": _in_groups,
    "quarantined": _in_quarantine,
}
_ORDERS: Final = {order.value: order for order in Order}
