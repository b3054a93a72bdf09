"""Which devices there are, by id, and of each product in the order of their ids.

Why: a list of a hundred thousand devices is read in a thousand pages, and no page may cost a walk over all devices.
Whoever moves a device to another product, or makes it another owner's, says so with `move`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from reconciler.emulator.device import Device

_VIEWS_KEPT: Final = 32


class Register(Mapping[str, Device]):
    """The devices of a world, in the order in which they came."""

    def __init__(self, devices: Iterable[Device]) -> None:
        self._by_id = {device.id: device for device in devices}
        self._of: dict[int | None, list[Device]] = {}
        self._views: dict[object, list[Device]] = {}
        for device in self._by_id.values():
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
        """The devices of a product by id; None: those of the token's owner."""
        return self._of.get(product_id, ())

    def view(self, product_id: int | None, key: object, chosen: Callable[[Device], bool]) -> Sequence[Device]:
        """Those of a product that are chosen, by id. `key` stands for the choice until somebody says `changed`."""
        found = self._views.get((product_id, key))
        if found is None:
            while len(self._views) >= _VIEWS_KEPT:
                del self._views[next(iter(self._views))]
            found = self._views[product_id, key] = [device for device in self.of(product_id) if chosen(device)]
        return found

    def changed(self) -> None:
        """Somebody's groups or name changed, so that no earlier choice holds."""
        self._views.clear()

    def add(self, device: Device) -> None:
        """Let a new device in."""
        assert device.id not in self._by_id
        self._by_id[device.id] = device
        self._enter(device)

    def remove(self, device: Device) -> None:
        """Let a device go for good."""
        del self._by_id[device.id]
        self._leave(device)

    def move(self, device: Device, product_id: int | None) -> None:
        """Let a device belong to another product; None: to the token's owner."""
        self._leave(device)
        device.product_id = product_id
        self._enter(device)

    def _enter(self, device: Device) -> None:
        insort(self._of.setdefault(device.product_id, []), device, key=_id)
        self.changed()

    def _leave(self, device: Device) -> None:
        self._of[device.product_id].remove(device)
        self.changed()


def _id(device: Device) -> str:
    return device.id
