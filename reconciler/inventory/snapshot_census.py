"""A snapshot of any size read straight into a census: one pass over the file, and little more memory than the ids.

The array of devices is cut into pieces that are decoded one by one. A cut is tried where one device object may end and
the next begin, and proven by decoding: a piece that was cut in a string or inside an object is no valid JSON array. The
beginning of the array is proven the same way. Of a device object all fields that we know are decoded, to see that they
can be read; what planning looks at is the key of its kind, and nothing else is kept but the id.

What is unusual (a field of another type, an id in another spelling or there twice) is left to the reader of whole
snapshots, which is tolerant where it may be and explains what is wrong: None is the answer then.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, BinaryIO, Final

import msgspec

from reconciler.inventory.conversion import observed_device
from reconciler.inventory.snapshot import SnapshotHead
from reconciler.model.census import Census, Kind
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.particle.describe import modules_from_entries
from reconciler.particle.records import DeviceRecord
from reconciler.planning.census import kind_key

PIECE_BYTES: Final = 512 * 1024
"""Large enough that cutting costs nothing, small enough that a piece and its records stay near the processor."""

_CUTS_TRIED_MAX: Final = 64
_ARRAY: Final = re.compile(rb'"devices"\s*:\s*\[')
_SPACE: Final = b" \t\r\n"
"""What JSON takes for space, which is less than Python does."""

_REST: Final = "what is left of the array"
"""Stands for `devices` when the end of the document is read."""

_BARE_ARRAY: Final = re.compile(rb"[ \t\r\n]*\[")
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
    "firmware_updates_enabled",
    "firmware_updates_forced",
)
"""All that planning looks at of a device object, but for its modules."""

_REPORTS_KEPT: Final = 4096
_ID_AND_SPACE: Final = 25
_IDS: Final = re.compile(r"(?:[0-9a-f]{24} )*", re.ASCII)

Marks = Callable[[DeviceId, str | None], int]
"""Which of the manifests' lists name a device, by its id and name: see `planning.naming`."""


class _Device(msgspec.Struct, frozen=True, gc=False):
    """A device object. What planning does not look at is read all the same: what cannot be read is a finding."""

    id: str
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
    modules: msgspec.Raw = msgspec.Raw(b"null")


class _Before(SnapshotHead, kw_only=True):
    devices: msgspec.Raw


class _After(SnapshotHead, kw_only=True):
    """`devices` is a second array of that name, which would take the place of the first."""

    rest: msgspec.Raw = msgspec.field(name=_REST)
    devices: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_looked_at: Final = attrgetter(*_LOOKED_AT)
_DEVICES: Final = msgspec.json.Decoder(list[_Device]).decode
_BEFORE: Final = msgspec.json.Decoder(_Before).decode
_AFTER: Final = msgspec.json.Decoder(_After).decode


class _UnusualError(Exception):
    """The document is to be read as a whole."""


def census_from_snapshot(
    file: BinaryIO, marks: Marks | None, *, read_at: Instant, piece_bytes: int = PIECE_BYTES
) -> Census | None:
    """The census of a snapshot, or None when it has to be read as a whole.

    `marks` None: no manifest names a device. `read_at` is the time of the observation where the document says none.
    """
    tally = _Tally(marks)
    try:
        around = _read(file, tally.count, piece_bytes)
        observed_at = around.time_of_observation(read_at)
        kinds = tally.kinds(observed_at)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError, _UnusualError):
        return None
    return Census(observed_at=observed_at, kinds=kinds, **around.about())


class _Tally:
    """Devices counted by the manifests' marks and by what their objects say: what is looked at, and modules as JSON."""

    def __init__(self, marks: Marks | None) -> None:
        self._marks = marks
        self._ids: defaultdict[int, dict[tuple[Any, ...], list[str]]] = defaultdict(dict)

    def count(self, array: bytes) -> None:
        """Count the devices of this JSON array. Raises msgspec.DecodeError when it is none; then nothing is counted."""
        marks_of, ids_by_key = self._marks, self._ids[0]
        for device in _DEVICES(array):
            key = (*_looked_at(device), None if device.modules == _NO_MODULES else bytes(device.modules))
            if marks_of is not None:
                ids_by_key = self._ids[marks_of(DeviceId(device.id), device.name)]
            ids = ids_by_key.get(key)
            if ids is None:
                ids_by_key[key] = [device.id]
            else:
                ids.append(device.id)

    def kinds(self, observed_at: Instant) -> tuple[Kind, ...]:
        """The kinds; objects that differ in their wording alone are one."""
        self._check_ids()
        members: dict[tuple[object, ...], tuple[ObservedDevice, int, list[str]]] = {}
        for marks, ids_by_key in self._ids.items():
            for said, ids in ids_by_key.items():
                device = _device(said, ids[0], observed_at)
                members.setdefault((marks, *kind_key(device)), (device, marks, []))[2].extend(ids)
        kinds = (
            Kind(device=device, marks=marks, ids=sorted(map(DeviceId, ids))) for device, marks, ids in members.values()
        )
        return tuple(sorted(kinds, key=lambda kind: kind.ids[0]))

    def _check_ids(self) -> None:
        seen: set[str] = set()
        total = 0
        for ids in chain.from_iterable(ids_by_key.values() for ids_by_key in self._ids.values()):
            text = " ".join([*ids, ""])
            if len(text) != _ID_AND_SPACE * len(ids) or _IDS.fullmatch(text) is None:
                raise _UnusualError
            seen.update(ids)
            total += len(ids)
        if len(seen) != total:
            raise _UnusualError


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


def _read(file: BinaryIO, count: Callable[[bytes], None], piece_bytes: int) -> SnapshotHead:
    """Give every piece to `count`; what stands around the array, from before and behind it."""
    buffer = file.read(piece_bytes)
    before, start = _beginning(buffer)
    buffer = buffer[start:]
    while more := file.read(piece_bytes):
        for end, behind in _cuts(buffer):
            try:
                count(b"[" + buffer[:end] + b"]")
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                continue
            buffer = buffer[behind:]
            break
        buffer += more
    if before is None:
        count(b"[" + buffer)
        return SnapshotHead()
    after = _AFTER(b'{"%s":[' % _REST.encode() + buffer)
    if after.devices is not msgspec.UNSET:
        raise _UnusualError
    count(bytes(after.rest))
    for name in SnapshotHead.__struct_fields__:
        if getattr(after, name) is msgspec.UNSET:
            setattr(after, name, getattr(before, name))
    if not after.is_readable():
        raise _UnusualError
    return after


def _beginning(buffer: bytes) -> tuple[SnapshotHead | None, int]:
    """What stands before the array (None: nothing, the document is the array), and where its first element begins."""
    bare = _BARE_ARRAY.match(buffer)
    if bare is not None:
        return None, bare.end()
    for start in _ARRAY.finditer(buffer):
        try:
            return _BEFORE(buffer[: start.end()] + b"]}"), start.end()
        except msgspec.DecodeError:
            continue
    raise _UnusualError


def _cuts(buffer: bytes) -> Iterator[tuple[int, int]]:
    """Where a device object may end and the next one begin, the last such place first."""
    place = len(buffer)
    for _ in range(_CUTS_TRIED_MAX):
        place = buffer.rfind(b"{", 0, place)
        if place < 0:
            return
        before = buffer[max(0, place - 64) : place].rstrip(_SPACE)
        if before.endswith(b",") and before[:-1].rstrip(_SPACE).endswith(b"}"):
            comma = buffer.rindex(b",", 0, place)
            yield buffer.rindex(b"}", 0, comma) + 1, place
