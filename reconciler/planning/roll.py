"""Devices in the order of their ids, that come and go: put in order when they are asked for."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from itertools import filterfalse
from typing import Final

from reconciler.model.device import DeviceId

_ONE_BY_ONE_MAX: Final = 100
"""So many devices are put in their places one by one; of more, sorting them among the others is as quick."""


@dataclass(slots=True)
class Roll:
    """`devices` are those as they were put in order last, `joined` and `left` those that came and went since."""

    devices: tuple[DeviceId, ...] = ()
    joined: set[DeviceId] = field(default_factory=set)
    left: set[DeviceId] = field(default_factory=set)

    def join(self, device_id: DeviceId) -> None:
        """A device that was not on it comes."""
        if device_id in self.left:
            self.left.discard(device_id)
        else:
            self.joined.add(device_id)

    def leave(self, device_id: DeviceId) -> None:
        """A device that was on it goes."""
        if device_id in self.joined:
            self.joined.discard(device_id)
        else:
            self.left.add(device_id)

    def put_in_order(self) -> bool:
        """Whether anything came or went since the last time."""
        if not self.joined and not self.left:
            return False
        self.devices = _after(self.devices, self.left, self.joined)
        self.joined, self.left = set(), set()
        return True


def _after(devices: tuple[DeviceId, ...], left: set[DeviceId], joined: set[DeviceId]) -> tuple[DeviceId, ...]:
    """The devices without those that left and with those that joined, ascending."""
    if len(left) + len(joined) > _ONE_BY_ONE_MAX:
        return tuple(sorted([*filterfalse(left.__contains__, devices), *sorted(joined)]))
    found = list(devices)
    for device_id in left:
        del found[bisect_left(found, device_id)]
    for device_id in joined:
        insort(found, device_id)
    return tuple(found)
