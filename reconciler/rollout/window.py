"""Windows: when something may start. A deny wins over every allow; without an allow everything is allowed.

An opening begins at a local time of its zone and lasts its duration in elapsed time, so a night in which the clock
changes moves its local end, never its length. A start that the clock skips begins as much later as the clock is moved;
of one that comes twice the first counts.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from reconciler.model.fleet import AllowWindow, DenyWindow
from reconciler.model.instant import Instant


def is_open(allow: tuple[AllowWindow, ...], deny: tuple[DenyWindow, ...], now: Instant) -> bool:
    """Whether something may start now."""
    if any(window.from_instant <= now < window.until_instant for window in deny):
        return False
    return not allow or any(_is_in(window, now) for window in allow)


def _is_in(window: AllowWindow, now: Instant) -> bool:
    zone = ZoneInfo(window.time_zone)
    moment = datetime.fromtimestamp(now, tz=UTC)
    today = moment.astimezone(zone).date()
    longest_days = int(window.duration_seconds // 86_400) + 1
    start_time = time(*divmod(window.start_minute, 60))
    for days_ago in range(longest_days + 1):
        day = today - timedelta(days=days_ago)
        if day.weekday() not in window.days:
            continue
        opens = datetime.combine(day, start_time, tzinfo=zone).timestamp()
        if opens <= now < opens + window.duration_seconds:
            return True
    return False
