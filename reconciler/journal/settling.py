"""How far a fleet's attempts have come, as a journal has it now: what is begun later is told from it by its number."""

from __future__ import annotations

import math
from typing import TypedDict

from reconciler.journal.journal import Journal
from reconciler.model.device import DeviceId
from reconciler.model.instant import NEVER, Instant


class Settled(TypedDict):
    """What a person's word settles: see `Resumed`."""

    settled_before: Instant
    latest_attempt: int
    under_way: frozenset[str]


def latest_attempt(journal: Journal, *, fleet: str | None = None, device_id: DeviceId | None = None) -> int:
    """The number of the attempt that began last, of a fleet or of a device; 0: there was none."""
    latest = journal.attempts(fleet=fleet, device_id=device_id, limit=1)
    return latest[0].number or 0 if latest else 0


def settled(journal: Journal, *, fleet: str | None = None, device_id: DeviceId | None = None) -> Settled:
    """What there is of a fleet or of a device, to be said with the word of a person who has seen it.

    The time is for people, and for programs of before there were numbers.
    """
    latest = journal.attempts(fleet=fleet, device_id=device_id, limit=1)
    return Settled(
        settled_before=Instant(math.nextafter(latest[0].intended_at, math.inf)) if latest else NEVER,
        latest_attempt=latest_attempt(journal, fleet=fleet, device_id=device_id),
        under_way=frozenset(
            attempt.id
            for attempt in journal.open_attempts()
            if fleet in (None, attempt.fleet) and device_id in (None, attempt.device_id)
        ),
    )
