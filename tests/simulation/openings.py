"""When a fleet's windows are open, worked out for whole weeks at once, by other means than `rollout/window.py`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from reconciler.model.fleet import AllowWindow
from reconciler.model.instant import Instant

Opening = tuple[float, float]
"""From and until, as instants."""


def openings(windows: Iterable[AllowWindow], begin: float, end: float) -> list[Opening]:
    """Every opening that touches this time, earliest first.

    A local minute is looked for in real time: the first instant of the day at which the zone's clock shows it or, where
    the clock skips it, the later time by as much.
    """
    found = []
    for window in windows:
        zone = ZoneInfo(window.time_zone)
        day = datetime.fromtimestamp(begin, zone).date() - timedelta(days=8)
        while True:
            opens = _first_instant(day.year, day.month, day.day, window.start_minute, zone)
            day += timedelta(days=1)
            if opens > end:
                break
            weekday = (day - timedelta(days=1)).weekday()
            if weekday in window.days and opens + window.duration_seconds > begin:
                found.append((opens, opens + window.duration_seconds))
    return sorted(found)


def is_open(windows: tuple[AllowWindow, ...], at: float) -> bool:
    """Whether something may start."""
    return not windows or any(begin <= at < end for begin, end in openings(windows, at, at))


def next_opening(windows: tuple[AllowWindow, ...], at: float) -> Instant:
    """The next instant at which something may start: this one, or the beginning of the next opening."""
    if is_open(windows, at):
        return Instant(at)
    return Instant(next(begin for begin, _ in openings(windows, at, at + 9 * 86_400) if begin >= at))


def _first_instant(year: int, month: int, day: int, minute: int, zone: ZoneInfo) -> float:
    """Tries the offsets that the zone has around that day, the larger one (the earlier instant) first."""
    local = datetime(year, month, day, minute // 60, minute % 60, tzinfo=UTC)
    around = [(local + timedelta(hours=hours)).astimezone(zone).utcoffset() or timedelta() for hours in (-36, 36)]
    for offset in sorted(set(around), reverse=True):
        instant = (local - offset).timestamp()
        shown = datetime.fromtimestamp(instant, zone)
        if (shown.day, shown.hour, shown.minute) == (day, minute // 60, minute % 60):
            return instant
    # Skipped: as much later as the clock is moved, which is the offset from before.
    return (local - around[0]).timestamp()
