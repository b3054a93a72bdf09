"""Which devices there are, by id, and of each product in the order of their ids.

Why: a list of a hundred thousand devices is read in a thousand pages, and no page may cost a walk over all devices.
`touched` is told of every moment in the life of a device, and notices when it belongs to another product or has another
place in an order; `changed` is told when something changed that lists are filtered by.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from reconciler.emulator.device import Device

_VIEWS_KEPT: Final = 32
_FEW: Final = 0.02
"""Of all devices: up to so many are moved to their new places one by one, more are sorted together."""


class Order(StrEnum):
    """What a list may be ordered by, besides ids."""

    FIRMWARE_VERSION = "firmwareVersion"
    LAST_CONNECTION = "lastConnection"

    def key(self, device: Device) -> tuple[float, str]:
        """Where a device stands; who is equal, by id."""
        value = device.reported_application if self is Order.FIRMWARE_VERSION else device.last_handshake_at
        return (value or 0.0, device.id)


class Register(Mapping[str, Device]):
    """The devices of a world, in the order in which they came."""

    def __init__(self, devices: Iterable[Device]) -> None:
        self._by_id = {device.id: device for device in devices}
        self._of: dict[int | None, list[Device]] = {}
        self._views: dict[object, list[Device]] = {}
        self._orders: dict[tuple[int | None, Order], _Ordered] = {}
        for device in self._by_id.values():
            device.listed_in = device.product_id
            self._of.setdefault(device.product_id, []).append(device)
        for members in self._of.values():
            members.sort(key=_id)

    def __getitem__(self, device_id: str) -> Device:
        return self._by_id[device_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def of(self, product_id: int | None) -> Sequence[Device]:
        """The devices of a product by id; None: those of no product."""
        return self._of.get(product_id, ())

    def view(self, product_id: int | None, key: object, chosen: Callable[[Device], bool]) -> Sequence[Device]:
        """Those of a product that are chosen, by id. `key` stands for the choice until somebody says `changed`."""
        found = self._views.get((product_id, key))
        if found is None:
            while len(self._views) >= _VIEWS_KEPT:
                del self._views[next(iter(self._views))]
            found = self._views[product_id, key] = [device for device in self.of(product_id) if chosen(device)]
        return found

    def ordered(self, product_id: int | None, order: Order) -> Sequence[Device]:
        """The devices of a product in another order than that of their ids."""
        found = self._orders.get((product_id, order))
        if found is None:
            found = self._orders[product_id, order] = _Ordered(order, self.of(product_id))
        return found.devices()

    def touched(self, device: Device) -> None:
        """Something happened to a device, so that it may belong elsewhere, or have another place in an order."""
        if device.product_id != device.listed_in:
            self._leave(device)
            self._enter(device)
        for (product_id, _), ordered in self._orders.items():
            if product_id == device.product_id:
                ordered.touched(device)

    def changed(self) -> None:
        """Somebody's groups or name changed, so that no earlier choice holds."""
        self._views.clear()

    def _enter(self, device: Device) -> None:
        device.listed_in = device.product_id
        insort(self._of.setdefault(device.product_id, []), device, key=_id)
        self._forget_choices(device.product_id)

    def _leave(self, device: Device) -> None:
        members = self._of[device.listed_in]
        del members[bisect_left(members, device.id, key=_id)]
        self._forget_choices(device.listed_in)

    def _forget_choices(self, product_id: int | None) -> None:
        self.changed()
        for order in Order:
            self._orders.pop((product_id, order), None)


class _Ordered:
    """The devices of a product in an order that changes with them."""

    def __init__(self, order: Order, devices: Iterable[Device]) -> None:
        self._order = order
        self._keys = {device: order.key(device) for device in devices}
        self._devices = sorted(self._keys, key=self._keys.__getitem__)
        self._touched: dict[Device, None] = {}

    def touched(self, device: Device) -> None:
        self._touched[device] = None

    def devices(self) -> Sequence[Device]:
        moved = {device: key for device in self._touched if (key := self._order.key(device)) != self._keys[device]}
        self._touched.clear()
        if len(moved) > _FEW * len(self._devices):
            self._keys |= moved
            self._devices.sort(key=self._keys.__getitem__)
            return self._devices
        for device, key in moved.items():
            del self._devices[bisect_left(self._devices, self._keys[device], key=self._keys.__getitem__)]
            self._devices.insert(bisect_left(self._devices, key, key=self._keys.__getitem__), device)
            self._keys[device] = key
        return self._devices


def _id(device: Device) -> str:
    return device.id
