"""Instants: seconds since the Unix epoch, UTC. The clock is always an argument.

The same few are read and written again and again: every look at a fleet shows mostly what the one before it showed.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from typing import Final, NewType

Instant = NewType("Instant", float)
"""Seconds since the Unix epoch, UTC."""

NEVER: Final = Instant(0.0)
"""Before anything was observed."""


@lru_cache(maxsize=4096)
def instant_from_iso(text: str) -> Instant:
    """Read an ISO 8601 date and time; one without an offset is UTC. Raises ValueError."""
    # RFC 3339 has a small z, too; Python does not.
    moment = datetime.fromisoformat(text.removesuffix("z") + "Z" if text.endswith("z") else text)
    return Instant((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


@lru_cache(maxsize=4096)
def iso_from_instant(instant: Instant) -> str:
    """Write an instant as `2026-11-22T09:00:00Z`, with milliseconds only where there are any."""
    moment = datetime.fromtimestamp(round(instant, 3), tz=UTC)
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def first_moment(day: date, zone: tzinfo) -> Instant:
    """When a day begins in a zone; where midnight is skipped, that is when the clock is moved."""
    return Instant(datetime.combine(day, time(), tzinfo=zone).timestamp())
