"""Pages of devices in a file while they are read, so that an interrupted observation can go on where it was.

The file has a line that says what it is, then for every page one line about it and one for each of its devices. It is
no snapshot, and no reader of snapshots takes it for a small fleet. A page counts once all of its lines are there: what
a crash has cut off is read again. Of the devices only ids and places in the file are in memory.

Pages age: one that is older than `PAGES_FRESH_SECONDS` is read again, so that no snapshot shows a fleet of two days.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeVar

import msgspec

from reconciler.inventory.cloud import Keep
from reconciler.model.instant import Instant
from reconciler.particle.listing import Page
from reconciler.particle.records import DeviceRecord

PAGES_FRESH_SECONDS: Final = 1800.0
"""Half an hour: a million devices take 6 minutes at the vendor's limit, so who goes on at once reads nothing twice."""

_VERSION: Final = "1.0"


class _Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the pages are of: they are of no use for another cloud, or beside pages of another size."""

    unfinished_observation: str = _VERSION
    api_url: str
    page_size: int


class _PageHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page without its devices, of which so many lines follow. `scope`: a product, None: own devices.

    `read_at` is by this machine's clock, which alone says how old the page is.
    """

    scope: str | None
    number: int
    read_at: Instant
    devices: int
    page: Page


Line = TypeVar("Line", bound=msgspec.Struct)
_Kept = tuple[_PageHead, list[int]]


class PageLog:
    """An open file of pages, for many threads. `clock` is this machine's wall time. All methods may raise OSError.

    `resumed`: pages of an earlier run that need not be read again; `stale`: those that are too old for that; `pages`:
    all that would be there for a later run.
    """

    def __init__(self, file: BinaryIO, clock: Callable[[], Instant]) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.RLock()
        self._kept: dict[tuple[str | None, int], _Kept] = {}
        self._places: dict[str | None, dict[bytes, int]] = {}
        self.resumed = 0
        self.stale = 0
        self.pages = 0

    @classmethod
    def begin(cls, path: Path, *, api_url: str, page_size: int, clock: Callable[[], Instant]) -> Self:
        """A new file, in the place of one that may be there."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        log = cls(path.open("r+b"), clock)
        log._write([_Head(api_url=api_url, page_size=page_size)])
        return log

    @classmethod
    def resume(cls, path: Path, *, api_url: str, page_size: int, clock: Callable[[], Instant]) -> Self | None:
        """Go on with a file; None when there is none, or it is of another cloud or of pages of another size."""
        try:
            file = path.open("r+b")
        except FileNotFoundError:
            return None
        log = cls(file, clock)
        if _decoded(file.readline(), _Head) != _Head(api_url=api_url, page_size=page_size):
            file.close()
            return None
        log._recall()
        return log

    def close(self) -> None:
        """Nothing is kept after this."""
        with self._lock:
            self._file.close()

    def keeper(self, scope: str | None) -> Keep:
        """What stands before the reading of a product's pages: every page goes into the file, or comes from there."""
        self._places.setdefault(scope, {})

        def keep(number: int, read: Callable[[], Page]) -> Page:
            with self._lock:
                kept = self._kept.pop((scope, number), None)
                if kept is not None:
                    return self._page(kept)
            page = read()
            head = _PageHead(
                scope=scope,
                number=number,
                read_at=self._clock(),
                devices=len(page.records),
                page=msgspec.structs.replace(page, records=()),
            )
            with self._lock:
                _, *places = self._write([head, *page.records])
                self._note(scope, page, places)
                self.pages += 1
            return page

        return keep

    def devices_of(self, scope: str | None) -> int:
        """How many devices there are so far."""
        return len(self._places[scope])

    def in_two_products(self) -> list[str]:
        """The devices that two products show, each as its own."""
        seen: dict[bytes, int] = {}
        found: list[str] = []
        for places in self._places.values():
            found += [
                key.hex()
                for key in seen.keys() & places.keys()
                if self._record(seen[key]).product_id != self._record(places[key]).product_id
            ]
            seen |= places
        return sorted(found)

    def records(self) -> Iterator[DeviceRecord]:
        """Every device once, in the order of their ids, as it was shown last."""
        places: dict[bytes, int] = {}
        with self._lock:
            for of_scope in self._places.values():
                places |= of_scope
        for key in sorted(places):
            yield self._record(places[key])

    def _recall(self) -> None:
        """Read what an earlier run left, and cut off what it did not finish."""
        while True:
            beginning = self._file.tell()
            head = _decoded(self._file.readline(), _PageHead)
            places: list[int] = []
            for _ in range(0 if head is None else head.devices):
                places.append(self._file.tell())
                if _decoded(self._file.readline(), DeviceRecord) is None:
                    head = None
                    break
            if head is None:
                self._file.seek(beginning)
                self._file.truncate()
                break
            if abs(self._clock() - head.read_at) > PAGES_FRESH_SECONDS:
                self.stale += 1
            else:
                self._kept[head.scope, head.number] = (head, places)
        self.resumed = self.pages = len(self._kept)

    def _page(self, kept: _Kept) -> Page:
        head, places = kept
        page = msgspec.structs.replace(
            head.page,
            records=tuple(self._record(place) for place in places),
            # Without a date of the cloud's the page must not seem to be of this run.
            dated=head.read_at if head.page.dated is None else head.page.dated,
        )
        self._note(head.scope, page, places)
        return page

    def _note(self, scope: str | None, page: Page, places: list[int]) -> None:
        ids = (bytes.fromhex(record.id) for record in page.records)
        self._places.setdefault(scope, {}).update(zip(ids, places, strict=True))

    def _write(self, lines: list[msgspec.Struct]) -> list[int]:
        """Append lines, all at once; where each of them begins."""
        place = self._file.seek(0, 2)
        places = []
        content = bytearray()
        for line in lines:
            places.append(place + len(content))
            content += msgspec.json.encode(line) + b"\n"
        self._file.write(content)
        self._file.flush()
        return places

    def _record(self, place: int) -> DeviceRecord:
        with self._lock:
            # A page that nobody waits for any more may still come in.
            self._file.seek(place)
            line = self._file.readline()
        return msgspec.json.decode(line, type=DeviceRecord)


def _decoded(line: bytes, shape: type[Line]) -> Line | None:
    try:
        return msgspec.json.decode(line, type=shape) if line.endswith(b"\n") else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
