"""Durations, sizes, shares and points in time, from text that the schema has found well formed."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from reconciler.model.fleet import Share
from reconciler.model.instant import Instant, instant_from_iso

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_BYTES: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def bytes_of(size: int | str) -> int:
    """`2MiB` -> 2097152, `500KB` -> 500000, a number as it is; ValueError for anything else."""
    if isinstance(size, int):
        return size
    found = re.fullmatch(r"([0-9]{1,9})([KMG]i?B|B)", size, re.ASCII)
    if found is None:
        raise ValueError(size)
    return int(found[1]) * _BYTES[found[2]]


def share_of(share: int | str) -> Share:
    """`5` -> five devices, `"10%"` -> a tenth of them; ValueError for anything else."""
    if isinstance(share, int):
        return Share(share)
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?%", share, re.ASCII):
        raise ValueError(share)
    return Share(float(share[:-1]), percent=True)


def minute_of(time_of_day: str) -> int:
    """`02:30` -> 150 minutes after midnight; ValueError for anything else."""
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)


def date_of(text: str) -> date | None:
    """`2026-12-20` as a date, None where a time stands beside it; ValueError where there is no such day."""
    return date.fromisoformat(text) if _DATE.fullmatch(text) else None


def instant_of(text: str) -> Instant:
    """A date (its beginning in UTC) or a date and time with offset; ValueError where there is no such moment."""
    try:
        return instant_from_iso(text)
    except OverflowError as error:
        raise ValueError(text) from error
