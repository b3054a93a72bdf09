"""Lists of devices that come in pages, while devices come and go.

A page shows the list as it is at that moment: a device that leaves it lets another one slip in front of the next page,
unseen; one that joins pushes a device onto two pages. The first is seen only by counting, the second by its id. Either
leads to one more reading of all pages, which heals most of it; what is still missing then makes the list incomplete.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from reconciler.model.instant import Instant
from reconciler.particle.records import DeviceRecord, decode_devices

PAGES_MAX: Final = 100_000
"""Ten million devices; beyond it the cloud is counting wrongly."""

_READINGS_MAX: Final = 2


class PageMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What a page says of the whole. `total_pages` is documented, `total` only typed by the vendor's client."""

    total_pages: int | None = None
    total: int | None = None


class DevicePage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a product's devices (facts 5.3)."""

    devices: list[msgspec.Raw]
    meta: PageMeta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceListing:
    """Devices in the order of their ids, each once. `complete` False: some are known to be missing, or unreadable.

    `dated` is when the cloud says that it made the first page, by its own clock.
    """

    records: tuple[DeviceRecord, ...]
    dated: Instant | None = None
    findings: tuple[str, ...] = ()
    complete: bool = True

    @staticmethod
    def of_pages(pages: Iterable[tuple[tuple[DeviceRecord, ...], tuple[str, ...]]]) -> DeviceListing:
        """A listing of decoded pages: of a device that is there twice, the last one is kept, and it is a finding."""
        found: dict[str, DeviceRecord] = {}
        findings: list[str] = []
        twice: dict[str, None] = {}
        complete = True
        for records, problems in pages:
            for record in records:
                if record.id in found:
                    twice[record.id] = None
                found[record.id] = record
            findings += problems
            complete = complete and not any(" left out: " in problem for problem in problems)
        if twice:
            findings.append(f"{len(twice)} devices were listed twice, for example {next(iter(twice))}")
        return DeviceListing(
            records=tuple(found[device_id] for device_id in sorted(found)),
            findings=tuple(findings),
            complete=complete,
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    listing: DeviceListing
    expected: int | None
    unsteady: bool


class PageReader:
    """Reads all pages through a function that reads one (counted from 1)."""

    def __init__(self, read: Callable[[int], DevicePage]) -> None:
        self._read = read

    def read_all(self) -> DeviceListing:
        """All devices. Raises what reading a page raises; a list that shifts under us is no error."""
        reading = self._reading()
        records = {record.id: record for record in reading.listing.records}
        findings = list(reading.listing.findings)
        for _ in range(_READINGS_MAX - 1):
            if not reading.unsteady:
                break
            reading = self._reading()
            records |= {record.id: record for record in reading.listing.records}
            findings += [finding for finding in reading.listing.findings if finding not in findings]
        missing = max(0, (reading.expected or 0) - len(records))
        if missing and reading.listing.complete:
            findings.append(
                f"{missing} of {reading.expected} devices were on no page, though all pages were read twice"
            )
        return DeviceListing(
            records=tuple(records[device_id] for device_id in sorted(records)),
            findings=tuple(findings),
            complete=reading.listing.complete and not missing,
        )

    def _reading(self) -> _Reading:
        pages: list[tuple[tuple[DeviceRecord, ...], tuple[str, ...]]] = []
        seen: set[str] = set()
        twice = False
        expected: int | None = None
        for number in itertools.count(1):
            page = self._read(number)
            decoded = decode_devices(page.devices, f"page {number}")
            new = {record.id for record in decoded[0]} - seen
            last = self._was_last(page, number, anything_new=bool(new))
            probed = last and not new and number > 1
            if not probed:
                twice = twice or len(new) < len(decoded[0])
                pages.append(decoded)
            seen |= new
            if page.meta is not None and page.meta.total is not None:
                expected = page.meta.total
            if last:
                break
        listing = DeviceListing.of_pages(pages)
        left_out = any(" left out: " in finding for finding in listing.findings)
        missing = expected is not None and len(seen) < expected and not left_out
        return _Reading(listing, expected, unsteady=twice or missing)

    def _was_last(self, page: DevicePage, number: int, *, anything_new: bool) -> bool:
        if number >= PAGES_MAX or not page.devices:
            return True
        if page.meta is not None and page.meta.total_pages is not None:
            return number >= page.meta.total_pages
        # Without a count: a page that brings nobody new is the end. A short page is not, for the cloud may have a
        # smaller idea of a page than we asked for.
        return not anything_new
