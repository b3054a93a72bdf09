"""Device objects counted as the kinds that planning tells apart.

Of a device object all fields that we know are decoded, to see that they can be read; what planning looks at is the key
of its kind, and nothing else is kept but the id.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Final, cast

import msgspec

from reconciler.inventory.conversion import observed_device
from reconciler.model.census import Kind
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.particle.describe import modules_from_entries
from reconciler.particle.records import DeviceRecord
from reconciler.planning.census import kind_key

Marks = Callable[[DeviceId, str | None], int]
"""Which of the manifests' lists name a device, by its id and name: see `planning.naming`."""

Counted = tuple[int, tuple[Any, ...], str]
"""Devices that say the same: their marks, what they say, and their ids with spaces between them."""

_NO_MODULES: Final = msgspec.Raw(b"null")
_LOOKED_AT: Final = (
    "platform_id",
    "product_id",
    "system_firmware_version",
    "firmware_version",
    "online",
    "connected",
    "status",
    "groups",
    "development",
    "quarantined",
    "desired_firmware_version",
    "targeted_firmware_release_version",
    "firmware_updates_enabled",
    "firmware_updates_forced",
)
"""All that planning looks at of a device object, but for its modules."""

_REPORTS_KEPT: Final = 4096
_ID_AND_SPACE: Final = 25
_IDS: Final = re.compile(r"(?:[0-9a-f]{24} )*", re.ASCII)


class UnusualError(Exception):
    """The document is to be read as a whole."""


class _Device(msgspec.Struct, frozen=True, gc=False):
    """A device object. What planning does not look at is read all the same: what cannot be read is a finding."""

    id: DeviceId
    name: str | None = None
    platform_id: int | None = None
    product_id: int | None = None
    system_firmware_version: str | None = None
    firmware_version: int | None = None
    online: bool | None = None
    connected: bool | None = None
    status: str | None = None
    last_heard: datetime | None = None
    last_handshake_at: datetime | None = None
    groups: tuple[str, ...] | None = None
    development: bool | None = None
    quarantined: bool | None = None
    desired_firmware_version: int | None = None
    targeted_firmware_release_version: int | None = None
    firmware_updates_enabled: bool | None = None
    firmware_updates_forced: bool | None = None
    modules: msgspec.Raw = _NO_MODULES


_looked_at: Final = attrgetter(*_LOOKED_AT)
_DEVICES: Final = msgspec.json.Decoder(list[_Device]).decode


def are_devices(array: bytes) -> None:
    """Raises msgspec.ValidationError for JSON of another kind, msgspec.DecodeError for what is no JSON array."""
    _DEVICES(array)


class Tally:
    """Devices counted by the manifests' marks and by what their objects say: what is looked at, and modules as JSON."""

    def __init__(self, marks: Marks | None) -> None:
        self._marks = marks
        self._ids: defaultdict[int, dict[tuple[Any, ...], list[DeviceId]]] = defaultdict(dict)

    def count(self, array: bytes) -> None:
        """Count the devices of this JSON array. Raises msgspec.DecodeError when it is none; then nothing is counted."""
        marks_of, ids_by_key = self._marks, self._ids[0]
        for device in _DEVICES(array):
            key = (*_looked_at(device), None if device.modules == _NO_MODULES else bytes(device.modules))
            if marks_of is not None:
                ids_by_key = self._ids[marks_of(device.id, device.name)]
            ids = ids_by_key.get(key)
            if ids is None:
                ids_by_key[key] = [device.id]
            else:
                ids.append(device.id)

    def counted(self) -> list[Counted]:
        """All that was counted, as another tally adds it. Raises UnusualError for strange ids."""
        self._everyone()
        return [
            (marks, said, " ".join(ids)) for marks, ids_by_key in self._ids.items() for said, ids in ids_by_key.items()
        ]

    def add(self, counted: Iterable[Counted]) -> None:
        """Add what another one counted."""
        for marks, said, ids in counted:
            self._ids[marks].setdefault(said, []).extend(cast("list[DeviceId]", ids.split(" ")))

    def kinds(self, observed_at: Instant) -> tuple[Kind, ...]:
        """The kinds; objects that differ in their wording alone are one. Raises UnusualError for strange ids."""
        everyone = self._everyone()
        if len(set(everyone)) != len(everyone):
            raise UnusualError
        members: dict[tuple[object, ...], tuple[ObservedDevice, int, list[DeviceId]]] = {}
        for marks, ids_by_key in self._ids.items():
            for said, ids in ids_by_key.items():
                device = _device(said, ids[0], observed_at)
                members.setdefault((marks, *kind_key(device)), (device, marks, []))[2].extend(ids)
        kinds = (Kind(device=device, marks=marks, ids=sorted(ids)) for device, marks, ids in members.values())
        return tuple(sorted(kinds, key=lambda kind: kind.ids[0]))

    def _everyone(self) -> list[DeviceId]:
        """All ids. Raises UnusualError for strange ones."""
        ids = [*chain.from_iterable(chain.from_iterable(by_key.values() for by_key in self._ids.values()))]
        text = " ".join([*ids, ""])
        if len(text) != _ID_AND_SPACE * len(ids) or _IDS.fullmatch(text) is None:
            raise UnusualError
        return ids


def _device(said: tuple[Any, ...], device_id: str, observed_at: Instant) -> ObservedDevice:
    *fields, modules = said
    record = DeviceRecord(id=device_id, **dict(zip(_LOOKED_AT, fields, strict=True)))
    device = observed_device(record, observed_at).device
    return device if modules is None else replace(device, modules=_modules(modules))


@lru_cache(maxsize=_REPORTS_KEPT)
def _modules(json: bytes) -> tuple[Module, ...] | None:
    """What a device reported. A fleet's devices report few different things."""
    entries = msgspec.json.decode(json)
    return None if entries is None else modules_from_entries(entries)
