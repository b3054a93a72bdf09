"""Windows: when something may start, until when, and when next. Pure.

- Without an allow everything is allowed. A deny wins over every allow. What touches or overlaps is one opening.
- An opening begins at a local time of its zone and lasts its duration in elapsed time, so a night in which the clock
  changes moves its local end, never its length.
- A start that the clock skips begins as much later as the clock is moved; of one that comes twice the first counts. A
  day that the zone skipped as a whole has no opening.
- A day of a freeze begins with its first moment in the zone.
- What starts must be expected to end in the same opening: too little time left is as good as closed.
- Where a window goes by the device's own zone and that is not known, nothing opens.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from reconciler.model.fleet import AllowWindow, DenyDays, DenyWindow
from reconciler.model.instant import Instant, first_moment

HORIZON_DAYS: Final = 400
"""How far ahead an opening is looked for: a year, and a freeze that comes every year."""

_FIRST_ZONE_SECONDS: Final = 14 * 3600
_LAST_ZONE_SECONDS: Final = 12 * 3600
"""How much earlier than in UTC a day begins in the first zone of the world, and how much later in the last one."""

_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Opening:
    """From `begins` to before `ends` things may start, as far as one looks ahead."""

    begins: Instant
    ends: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class IsOpen:
    """It may start now; `until` is when the opening ends, None: there is no end in sight."""

    until: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpensAt:
    """Not now; `at` begins the next opening that is long enough. `ending`: it is open, with too little time left."""

    at: Instant
    ending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverOpens:
    """No opening within the horizon is long enough. `ending`: it is open now, with too little time left."""

    ending: bool


WindowVerdict = IsOpen | OpensAt | NeverOpens


def window_verdict(
    allow: Sequence[AllowWindow],
    deny: Sequence[DenyWindow | DenyDays],
    zone: str | None,
    *,
    now: Instant,
    needed_seconds: float = 0.0,
) -> WindowVerdict:
    """Whether something that takes `needed_seconds` may start now on a device of this zone, and when next if not."""
    ending = False
    for opening in openings(allow, deny, zone, after=now):
        begun = opening.begins <= now
        if opening.ends - max(opening.begins, now) >= needed_seconds:
            if not begun:
                return OpensAt(at=opening.begins, ending=ending)
            return IsOpen(until=opening.ends if opening.ends < _horizon(now) else None)
        ending = ending or begun
    return NeverOpens(ending=ending)


def openings(
    allow: Sequence[AllowWindow], deny: Sequence[DenyWindow | DenyDays], zone: str | None, *, after: Instant
) -> Iterator[Opening]:
    """The openings that end after an instant, in order and apart from each other, as far as the horizon."""
    denied = sorted((_denied(window, zone) for window in deny), key=lambda span: span.begins)
    allowed = _joined(_allowed(allow, zone, after)) if allow else iter([Opening(after, _horizon(after))])
    for opening in allowed:
        for left in _without(opening, denied):
            if left.ends > after:
                yield left


def _horizon(now: Instant) -> Instant:
    return Instant(now + HORIZON_DAYS * 86_400)


def _allowed(allow: Sequence[AllowWindow], zone: str | None, after: Instant) -> Iterator[Opening]:
    """Every opening of every allow that may still be open after an instant, by its beginning."""
    zoned = ((window, window.time_zone or zone) for window in allow)
    return heapq.merge(
        *(_of_window(window, ZoneInfo(name), after) for window, name in zoned if name is not None),
        key=lambda span: span.begins,
    )


def _of_window(window: AllowWindow, zone: ZoneInfo, after: Instant) -> Iterator[Opening]:
    today = datetime.fromtimestamp(after, tz=UTC).astimezone(zone).date()
    # One day more than it lasts: a start that is moved, or a day that is skipped, in between.
    earliest = -int(window.duration_seconds // 86_400) - 2
    start = time(*divmod(window.start_minute, 60))
    for ahead in range(earliest, HORIZON_DAYS + 2):
        day = today + timedelta(days=ahead)
        if day.weekday() not in window.days or first_moment(day, zone) == first_moment(day + timedelta(days=1), zone):
            continue
        begins = datetime.combine(day, start, tzinfo=zone).timestamp()
        if begins + window.duration_seconds > after:
            yield Opening(Instant(begins), Instant(begins + window.duration_seconds))


def _joined(spans: Iterator[Opening]) -> Iterator[Opening]:
    """Spans by their beginning, those that touch or overlap as one."""
    whole = next(spans, None)
    for span in spans:
        assert whole is not None
        if span.begins <= whole.ends:
            whole = Opening(whole.begins, max(whole.ends, span.ends))
        else:
            yield whole
            whole = span
    if whole is not None:
        yield whole


def _denied(window: DenyWindow | DenyDays, zone: str | None) -> Opening:
    match window:
        case DenyWindow():
            return Opening(window.from_instant, window.until_instant)
        case DenyDays() if zone is None:  # it is that day somewhere
            begins, ends = first_moment(window.from_day, _UTC), first_moment(window.until_day, _UTC)
            return Opening(Instant(begins - _FIRST_ZONE_SECONDS), Instant(ends + _LAST_ZONE_SECONDS))
        case DenyDays():
            there = ZoneInfo(zone)
            return Opening(first_moment(window.from_day, there), first_moment(window.until_day, there))
        case _:
            assert_never(window)


def _without(opening: Opening, denied: Sequence[Opening]) -> Iterator[Opening]:
    """What denied spans, by their beginning, leave of an opening."""
    begins = opening.begins
    for span in denied:
        if span.begins >= opening.ends:
            break
        if span.begins > begins:
            yield Opening(begins, span.begins)
        begins = max(begins, span.ends)
    if begins < opening.ends:
        yield Opening(begins, opening.ends)
