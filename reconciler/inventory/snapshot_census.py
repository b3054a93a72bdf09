"""A snapshot of any size read straight into a census: one pass over the file, and little more memory than the ids.

The array of devices is cut into pieces that are decoded one by one. A cut is tried where one device object may end and
the next begin, and proven by decoding: a piece that was cut in a string or inside an object is no valid JSON array. The
beginning of the array is proven the same way.

What is unusual (a device object that is not as documented, an id in another spelling or there twice) is left to the
reader of whole snapshots, which is tolerant where it may be and explains what is wrong: None is the answer then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import BinaryIO, Final

import msgspec

from reconciler.inventory.conversion import observed_device
from reconciler.inventory.snapshot import FORMAT_VERSION
from reconciler.model.census import Census, Kind
from reconciler.model.device import DeviceId, ObservedDevice, Product
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.particle.records import DeviceRecord
from reconciler.planning.census import kind_key

PIECE_BYTES: Final = 4 * 1024 * 1024
"""Large enough that cutting costs nothing, small enough that a piece's records do not count."""

_CUTS_TRIED_MAX: Final = 64
_ARRAY: Final = re.compile(rb'"devices"\s*:\s*\[')
_BARE_ARRAY: Final = re.compile(rb"\s*\[")
_IDS: Final = re.compile(r"(?:[0-9a-f]{24} )*", re.ASCII)

Marks = Callable[[DeviceId, str | None], int]
"""Which of the manifests' lists name a device, by its id and name: see `planning.naming`."""


class _Product(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    slug: str


class _Document(msgspec.Struct, kw_only=True):
    devices: list[DeviceRecord]
    format_version: str | None = None
    observed_at: str | None = None
    source: str | None = None
    complete: bool | None = None
    findings: tuple[str, ...] | None = None
    products: tuple[_Product, ...] | None = None


_DECODE_ARRAY: Final = msgspec.json.Decoder(list[DeviceRecord]).decode
_DECODE_DOCUMENT: Final = msgspec.json.Decoder(_Document).decode

_record_key = attrgetter(
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
"""What the fields of `planning.census.kind_key` are made from."""


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
        observed_at = read_at if around.observed_at is None else instant_from_iso(around.observed_at)
        kinds = tally.kinds(observed_at)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError, _UnusualError):
        return None
    return Census(
        observed_at=observed_at,
        source=around.source or "snapshot",
        kinds=kinds,
        complete=around.complete is not False,
        findings=around.findings or (),
        products=tuple(Product(id=product.id, slug=product.slug) for product in around.products or ()),
    )


class _Tally:
    """Devices counted by what their objects say."""

    def __init__(self, marks: Marks | None) -> None:
        self._marks = marks
        self._ids: dict[tuple[object, ...], list[str]] = {}
        self._records: dict[tuple[object, ...], tuple[DeviceRecord, int]] = {}

    def count(self, records: list[DeviceRecord]) -> None:
        marks = 0
        for record in records:
            key: tuple[object, ...] = _record_key(record)
            if self._marks is not None:
                marks = self._marks(DeviceId(record.id), record.name)
                key = (marks, key)
            if record.modules is not None:
                key = (msgspec.json.encode(record.modules), key)
            ids = self._ids.get(key)
            if ids is None:
                self._ids[key] = [record.id]
                self._records[key] = record, marks
            else:
                ids.append(record.id)

    def kinds(self, observed_at: Instant) -> tuple[Kind, ...]:
        """The kinds; objects that differ in their wording alone are one."""
        self._check_ids()
        members: dict[tuple[object, ...], tuple[ObservedDevice, int, list[str]]] = {}
        for key, (record, marks) in self._records.items():
            timeless = msgspec.structs.replace(record, last_heard=None, last_handshake_at=None)
            device = observed_device(timeless, observed_at).device
            members.setdefault((marks, *kind_key(device)), (device, marks, []))[2].extend(self._ids[key])
        return tuple(
            Kind(device=device, marks=marks, ids=sorted(map(DeviceId, ids))) for device, marks, ids in members.values()
        )

    def _check_ids(self) -> None:
        seen: set[str] = set()
        total = 0
        for ids in self._ids.values():
            if _IDS.fullmatch(" ".join([*ids, ""])) is None:
                raise _UnusualError
            seen.update(ids)
            total += len(ids)
        if len(seen) != total:
            raise _UnusualError


def _read(file: BinaryIO, count: Callable[[list[DeviceRecord]], None], piece_bytes: int) -> _Document:
    """Give every piece to `count`; what stands around the array, from before and behind it."""
    buffer = file.read(piece_bytes)
    before, start = _beginning(buffer)
    buffer = buffer[start:]
    while more := file.read(piece_bytes):
        for end, behind in _cuts(buffer):
            try:
                records = _DECODE_ARRAY(b"[" + buffer[:end] + b"]")
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                continue
            count(records)
            buffer = buffer[behind:]
            break
        buffer += more
    if before is None:
        count(_DECODE_ARRAY(b"[" + buffer))
        return _Document(devices=[])
    after = _DECODE_DOCUMENT(b'{"devices":[' + buffer)
    count(after.devices)
    for name in ("format_version", "observed_at", "source", "complete", "findings", "products"):
        if getattr(after, name) is None:
            setattr(after, name, getattr(before, name))
    if after.format_version is not None and after.format_version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise _UnusualError
    return after


def _beginning(buffer: bytes) -> tuple[_Document | None, int]:
    """What stands before the array (None: nothing, the document is the array), and where its first element begins."""
    bare = _BARE_ARRAY.match(buffer)
    if bare is not None:
        return None, bare.end()
    for start in _ARRAY.finditer(buffer):
        try:
            return _DECODE_DOCUMENT(buffer[: start.end()] + b"]}"), start.end()
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
        before = buffer[max(0, place - 64) : place].rstrip()
        if before.endswith(b",") and before[:-1].rstrip().endswith(b"}"):
            comma = buffer.rindex(b",", 0, place)
            yield buffer.rindex(b"}", 0, comma) + 1, place
