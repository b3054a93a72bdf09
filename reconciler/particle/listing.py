"""Lists of devices that come in pages, while devices come and go.

A page shows the list as it is at that moment: a device that leaves it lets another one slip in front of the next page,
unseen; one that joins pushes a device onto two pages. The first is seen only by counting, the second by its id. So is a
count that changes, and an empty page in front of others. Any of these leads to one more reading of all pages, which
heals most of it; what is still missing then makes the list incomplete.

The cloud's counts are hints: one that is missing, of another type or contradicts the page counts as not said.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import msgspec

from reconciler.model.instant import Instant
from reconciler.particle.records import DeviceRecord, decode_devices

PAGES_MAX: Final = 100_000
"""Ten million devices; beyond it the cloud is counting wrongly."""

_EMPTY_PAGES_MAX: Final = 2
"""Empty pages in a row that end a reading, whatever the cloud counts."""

_SHOWN_MAX: Final = 40


class DevicePage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a product's devices as the cloud answers it (facts 5.3)."""

    devices: list[msgspec.Raw]
    meta: msgspec.Raw = msgspec.Raw(b"null")


class Page(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page, decoded.

    `total_pages` and `total` are the cloud's counts, None where it gives none that can be believed: the first is
    documented, the second only typed by the vendor's client. `left_out` is how many objects of the page are no device
    of this list, `findings` say which. `dated` is when the cloud says that it made the page.
    """

    records: tuple[DeviceRecord, ...]
    total_pages: int | None = None
    total: int | None = None
    left_out: int = 0
    findings: tuple[str, ...] = ()
    dated: Instant | None = None


def page_from(answer: DevicePage, dated: Instant | None, *, place: str) -> Page:
    """Decode a page; what cannot be read of it is a finding, which calls the page by `place`."""
    records, findings = decode_devices(answer.devices, place)
    counts, problems = _counts(answer.meta, place)
    return Page(
        records=records,
        total_pages=counts.get("total_pages"),
        total=counts.get("total"),
        left_out=len(answer.devices) - len(records),
        findings=(*findings, *problems),
        dated=dated,
    )


def _counts(meta: msgspec.Raw, place: str) -> tuple[dict[str, int], list[str]]:
    try:
        members = msgspec.json.decode(meta, type=dict[str, msgspec.Raw] | None) or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}, [f"{place}: meta cannot be read: {_shown(meta)}"]
    counts: dict[str, int] = {}
    problems = []
    for name in ("total_pages", "total"):
        try:
            count = msgspec.json.decode(members.get(name, b"null"), type=int | None)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            count = -1
        if count is not None and count >= 0:
            counts[name] = count
        elif count is not None:
            problems.append(f"{place}: meta.{name} is no count: {_shown(members[name])}")
    return counts, problems


def _shown(raw: msgspec.Raw) -> str:
    return bytes(raw)[:_SHOWN_MAX].decode("utf-8", errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What all pages together say. `complete` False: some devices are known to be missing, or unreadable.

    `dated` is when the cloud says that it made the oldest page, by its own clock.
    """

    dated: Instant | None = None
    findings: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceListing(Ending):
    """Devices in the order of their ids, each once, and how their pages ended."""

    records: tuple[DeviceRecord, ...]


@dataclass(slots=True)
class _Reading:
    """One reading of all pages, while it goes on."""

    seen: set[str] = field(default_factory=set)
    twice: dict[str, None] = field(default_factory=dict)
    counts: set[tuple[int | None, int | None]] = field(default_factory=set)
    findings: list[str] = field(default_factory=list)
    dates: list[Instant] = field(default_factory=list)
    left_out: int = 0
    total: int | None = None
    gaps: list[str] = field(default_factory=list)

    @property
    def missing(self) -> bool:
        return self.total is not None and len(self.seen) < self.total and not self.left_out

    @property
    def unsteady(self) -> bool:
        return bool(self.twice or self.gaps or self.missing or len(self.counts) > 1)


class PageReader:
    """Reads all pages through a function that reads one (counted from 1), several `at_once` where they are counted.

    The function may then be called on other threads. `page_size` is how many devices a page was asked to have; None: a
    full page cannot be told from others.
    """

    def __init__(self, read: Callable[[int], Page], *, page_size: int | None = None, at_once: int = 1) -> None:
        self._read = read
        self._page_size = page_size
        self._at_once = at_once

    def read_all(self) -> DeviceListing:
        """All devices. Raises what reading a page raises; a list that shifts under us is no error."""
        found: dict[str, DeviceRecord] = {}
        ending = self.read_into(lambda page: found.update((record.id, record) for record in page.records))
        return DeviceListing(
            records=tuple(found[device_id] for device_id in sorted(found)),
            dated=ending.dated,
            findings=ending.findings,
            complete=ending.complete,
        )

    def read_into(self, take: Callable[[Page], None]) -> Ending:
        """Give every page to `take`, on this thread; of a device that comes twice the last one counts."""
        last = self._reading(take)
        readings = [last]
        if last.unsteady:
            last = self._reading(take)
            readings.append(last)
        findings = dict.fromkeys(finding for reading in readings for finding in reading.findings)
        twice = dict.fromkeys(device_id for reading in readings for device_id in reading.twice)
        if twice:
            findings[f"{len(twice)} devices were listed twice, for example {next(iter(twice))}"] = None
        seen = len(set().union(*(reading.seen for reading in readings)))
        missing = 0 if last.left_out else max(0, (last.total or 0) - seen)
        if missing:
            findings[f"{missing} of {last.total} devices were on no page, though all pages were read twice"] = None
        findings |= dict.fromkeys(last.gaps)
        if len(last.counts) > 1:
            findings["the list changed while its pages were read, twice: a device may have slipped through"] = None
        return Ending(
            dated=min((date for reading in readings for date in reading.dates), default=None),
            findings=tuple(findings),
            complete=not (last.left_out or missing or last.gaps),
        )

    def _reading(self, take: Callable[[Page], None]) -> _Reading:
        reading = _Reading()
        empty = 0
        for number, page in self._pages():
            ids = [record.id for record in page.records]
            new = set(ids) - reading.seen
            empty = 0 if ids or page.left_out else empty + 1
            last = self._is_last(page, number, empty=empty, anything_new=bool(new))
            if empty and number < (page.total_pages or 0):
                reading.gaps.append(f"page {number} of {page.total_pages} was empty")
            if new or not ids or number <= max(1, page.total_pages or 0):
                # Otherwise it repeats what was there, behind the last page that the cloud counts.
                reading.twice |= dict.fromkeys(_repeated(ids, reading.seen))
                reading.counts.add((page.total_pages, page.total))
                reading.findings += page.findings
                reading.left_out += page.left_out
                take(page)
            reading.seen |= new
            reading.dates += [] if page.dated is None else [page.dated]
            reading.total = reading.total if page.total is None else page.total
            if last:
                break
        return reading

    def _is_last(self, page: Page, number: int, *, empty: int, anything_new: bool) -> bool:
        if number >= PAGES_MAX or empty >= _EMPTY_PAGES_MAX:
            return True
        if page.total_pages and number < page.total_pages:
            return False
        if empty or not anything_new:
            return True
        if page.total_pages:
            # A full page may not be the last one, unless the devices are counted as well.
            size = len(page.records) + page.left_out
            return page.total is not None or self._page_size is None or size < self._page_size
        # Without a count: a page that brings nobody new is the end. A short page is not, for the cloud may have a
        # smaller idea of a page than we asked for.
        return False

    def _pages(self) -> Iterator[tuple[int, Page]]:
        """Every page with its number, until the caller has enough; those that the first one counts are read ahead."""
        first = self._read(1)
        yield 1, first
        counted = min(first.total_pages or 0, PAGES_MAX)
        if self._at_once == 1 or counted <= 2:  # noqa: PLR2004  # one more page needs no second thread
            for number in itertools.count(2):
                yield number, self._read(number)
        ahead: deque[Future[Page]] = deque()
        to_ask = iter(range(2, counted + 1))
        for number in itertools.count(2):
            ahead += [self._asked(wanted) for wanted in itertools.islice(to_ask, self._at_once - len(ahead))]
            yield number, ahead.popleft().result() if ahead else self._read(number)

    def _asked(self, number: int) -> Future[Page]:
        """A page that is on its way. Its thread holds up nobody who does not want it any more, not even an exit."""
        coming: Future[Page] = Future()

        def read() -> None:
            try:
                coming.set_result(self._read(number))
            except BaseException as error:  # noqa: BLE001  # whoever waits for the page gets it
                coming.set_exception(error)

        threading.Thread(target=read, name=f"page-{number}", daemon=True).start()
        return coming


def _repeated(ids: list[str], seen: set[str]) -> Iterator[str]:
    here: set[str] = set()
    for device_id in ids:
        if device_id in seen or device_id in here:
            yield device_id
        here.add(device_id)
