"""Somebody keeps undoing what we do: when is that a fight, which only a person can end? Pure.

A round is one attempt of ours that was undone. Three rounds over one device within a week, towards one intent and since
the last fight over it was settled, and the device is latched. A week, because what sets things back may run nightly.
A fleet of which a tenth is latched has an opponent that is not about single devices: then the whole fleet is halted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from reconciler.model.console import ConsoleChange, Latch
from reconciler.model.instant import Instant

ROUNDS_MAX: Final = 3
FIGHT_SECONDS: Final = 7 * 24 * 3600.0
_LATCHED_DEVICES_MIN: Final = 5
_LATCHED_SHARE: Final = 0.1


def latch_of(changes: Sequence[ConsoleChange], last: Latch | None, *, now: Instant) -> Latch | None:
    """The latch that these changes of one device, in the order in which they were made, bring about; None: none yet.

    `last` is the device's last latch, lifted or not.
    """
    latest = changes[-1]
    rounds: dict[str, ConsoleChange] = {}
    for change in changes:
        counts = change.intent == latest.intent and now - change.seen_at <= FIGHT_SECONDS
        if change.undid is not None and counts and (last is None or change.seen_at > last.at):
            rounds.setdefault(change.undid, change)
    if len(rounds) < ROUNDS_MAX:
        return None
    undone = list(rounds.values())[-1]
    why = (
        f"somebody undid what we did {len(rounds)} times, the last time {undone.kind.value} "
        f"{undone.before} -> {undone.after or 'none'}: a person must settle it, then `reconciler resume --device ID`"
    )
    return Latch(device_id=latest.device_id, fleet=latest.fleet, intent=latest.intent, why=why, at=latest.seen_at)


def latches_that_halt(devices: int) -> int:
    """The number of latched devices at which a fleet of so many is halted."""
    return max(_LATCHED_DEVICES_MIN, math.ceil(devices * _LATCHED_SHARE))
