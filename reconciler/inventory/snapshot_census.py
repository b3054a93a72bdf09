"""A snapshot of any size read straight into a census: one pass over the file, and little more memory than the ids.

The array of devices is cut into pieces that are decoded one by one. A cut is tried where one device object may end and
the next begin, and proven by decoding: a piece that was cut in a string or inside an object is no valid JSON array. The
beginning of the array is proven the same way. Every device object is decoded twice: what planning looks at, as the key
of its kind, and the rest, to see that it can be read. What else stands in it is not kept.

What is unusual (a field of another type, an id in another spelling or there twice) is left to the reader of whole
snapshots, which is tolerant where it may be and explains what is wrong: None is the answer then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, BinaryIO, Final

import msgspec

from reconciler.inventory.conversion import observed_device
from reconciler.inventory.snapshot import SnapshotHead
from reconciler.model.census import Census, Kind
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.particle.records import DeviceRecord
from reconciler.planning.census import kind_key

PIECE_BYTES: Final = 4 * 1024 * 1024
"""Large enough that cutting costs nothing, small enough that a piece's records do not count."""

_CUTS_TRIED_MAX: Final = 64
_ARRAY: Final = re.compile(rb'"devices"\s*:\s*\[')
_SPACE: Final = b" \t\r\n"
"""What JSON takes for space, which is less than Python does."""

_REST: Final = "what is left of the array"
"""Stands for `devices` when the end of the document is read."""

_BARE_ARRAY: Final = re.compile(rb"[ \t\r\n]*\[")
_ID_AND_SPACE: Final = 25
_IDS: Final = re.compile(r"(?:[0-9a-f]{24} )*", re.ASCII)

Marks = Callable[[DeviceId, str | None], int]
"""Which of the manifests' lists name a device, by its id and name: see `planning.naming`."""


class _Said(msgspec.Struct, frozen=True, gc=False):
    """All that planning looks at of a device object, but the id."""

    platform_id: int | None = None
    product_id: int | None = None
    system_firmware_version: str | None = None
    firmware_version: int | None = None
    online: bool | None = None
    connected: bool | None = None
    status: str | None = None
    groups: tuple[str, ...] | None = None
    development: bool | None = None
    quarantined: bool | None = None
    desired_firmware_version: int | None = None
    firmware_updates_enabled: bool | None = None
    firmware_updates_forced: bool | None = None
    modules: Any = None


class _Who(msgspec.Struct, frozen=True, gc=False):
    """The id, and what planning does not look at: read all the same, because what cannot be read is a finding."""

    id: str
    name: str | None = None
    last_heard: datetime | None = None
    last_handshake_at: datetime | None = None
    targeted_firmware_release_version: int | None = None


class _Before(SnapshotHead, kw_only=True):
    devices: msgspec.Raw


class _After(SnapshotHead, kw_only=True):
    """`devices` is a second array of that name, which would take the place of the first."""

    rest: msgspec.Raw = msgspec.field(name=_REST)
    devices: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_Key = _Said | tuple[object, ...]

_SAID: Final = msgspec.json.Decoder(list[_Said]).decode
_WHO: Final = msgspec.json.Decoder(list[_Who]).decode
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
    """Devices counted by what their objects say."""

    def __init__(self, marks: Marks | None) -> None:
        self._marks = marks
        self._ids: dict[_Key, list[str]] = {}
        self._said: dict[_Key, tuple[_Said, int]] = {}

    def count(self, array: bytes) -> None:
        """Count the devices of this JSON array. Raises msgspec.DecodeError when it is none; then nothing is counted."""
        said = _SAID(array)
        if self._marks is None:
            for key, device in zip(said, _WHO(array), strict=True):
                try:
                    ids = self._ids.get(key)
                except TypeError:  # reported modules are a list, which is no key
                    self._add(_with_modules(key), key, 0, device.id)
                    continue
                if ids is None:
                    self._add(key, key, 0, device.id)
                else:
                    ids.append(device.id)
            return
        for each, named in zip(said, _WHO(array), strict=True):
            marks = self._marks(DeviceId(named.id), named.name)
            self._add((marks, _with_modules(each)), each, marks, named.id)

    def _add(self, key: _Key, said: _Said, marks: int, device_id: str) -> None:
        self._ids.setdefault(key, []).append(device_id)
        self._said.setdefault(key, (said, marks))

    def kinds(self, observed_at: Instant) -> tuple[Kind, ...]:
        """The kinds; objects that differ in their wording alone are one."""
        self._check_ids()
        members: dict[tuple[object, ...], tuple[ObservedDevice, int, list[str]]] = {}
        for key, (said, marks) in self._said.items():
            ids = self._ids[key]
            record = DeviceRecord(id=ids[0], **{field: getattr(said, field) for field in _Said.__struct_fields__})
            device = observed_device(record, observed_at).device
            members.setdefault((marks, *kind_key(device)), (device, marks, []))[2].extend(ids)
        kinds = (
            Kind(device=device, marks=marks, ids=sorted(map(DeviceId, ids))) for device, marks, ids in members.values()
        )
        return tuple(sorted(kinds, key=lambda kind: kind.ids[0]))

    def _check_ids(self) -> None:
        seen: set[str] = set()
        total = 0
        for ids in self._ids.values():
            text = " ".join([*ids, ""])
            if len(text) != _ID_AND_SPACE * len(ids) or _IDS.fullmatch(text) is None:
                raise _UnusualError
            seen.update(ids)
            total += len(ids)
        if len(seen) != total:
            raise _UnusualError


def _with_modules(said: _Said) -> _Key:
    """A key in which reported modules are their own JSON."""
    if said.modules is None:
        return said
    return msgspec.json.encode(said.modules), msgspec.structs.replace(said, modules=None)


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
