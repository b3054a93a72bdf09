"""How a permit's limits are counted, and how it is refused. Pure.

The rules:
- A limit of a minute or a day holds in every interval of that length, wherever it begins: an attempt is counted with
  all that began less than that before or after it, since the looks that attempts are timed by come in any order.
- A slot once taken is kept until it is given back, by whoever saw that the device is done: not when an attempt ends.

Why here: counted before and reserved afterwards, two writers would both find room for the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reconciler.journal.journal import Permit
from reconciler.model.attempt import Attempt, AttemptState, FailureClass
from reconciler.model.error import JournalError
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.instant import Instant, iso_from_instant

UNKNOWN_STEP_BYTES: Final = 1_572_864
"""What a step of unknown size counts as: 1.5 MiB, more than any known module (the largest has 1,370,132 bytes)."""

MINUTE_SECONDS: Final = 60.0
DAY_SECONDS: Final = 86_400.0

REACHED_NO_DEVICE: Final = frozenset(kind for kind in FailureClass if not CONSEQUENCES[kind].reached_device)
"""Failures after which it is certain that not a byte was sent to the device."""


class FencedError(JournalError):
    """The writer's epoch is not the newest of its scope: somebody else has taken over (`newest`, 0: nobody has any)."""

    def __init__(self, permit: Permit, newest: int) -> None:
        super().__init__(
            "PFR5021",
            f"the right to write for {permit.scope} has passed on: from epoch {permit.epoch} to {newest}",
            next_step="another run took over while this one was paused; nothing was sent, end this one",
        )
        self.newest = newest


class NoSlotError(JournalError):
    """As many devices of the fleet as may be changed at once are being changed."""

    def __init__(self, fleet: str, concurrent_max: int) -> None:
        super().__init__(
            "PFR5022",
            f"fleet {fleet} has {concurrent_max} devices at work, and no more may be",
            next_step="wait until one of them is done; or raise `rollout.maxConcurrent`",
        )


class FleetHaltedError(JournalError):
    """Nothing may begin in the fleet: somebody has halted it, perhaps a moment ago."""

    def __init__(self, fleet: str) -> None:
        super().__init__(
            "PFR5027",
            f"fleet {fleet} is halted",
            next_step=f"`reconciler history {fleet}` says by whom and why; `reconciler resume {fleet}` lifts it",
        )


class RateError(JournalError):
    """The fleet's limit of a minute or a day is used up until then; None: for as long as it is that limit."""

    def __init__(self, fleet: str, limit: str, until: Instant | None) -> None:
        again = "it allows none" if until is None else f"again from {iso_from_instant(until)}"
        super().__init__(
            "PFR5023",
            f"fleet {fleet} has used up its limit of {limit}: {again}",
            next_step="wait, or raise the limit in the fleet's manifest",
        )
        self.until = until


def bytes_of(attempt: Attempt) -> int:
    """What an attempt counts against a limit of bytes."""
    if attempt.state is AttemptState.WITHDRAWN or attempt.failure in REACHED_NO_DEVICE:
        return 0
    return UNKNOWN_STEP_BYTES if attempt.step.size is None else attempt.step.size


def check_epoch(permit: Permit | None, newest: int) -> None:
    """Raise FencedError PFR5021 unless the permit's epoch is the newest of its scope. 0: nobody has taken any."""
    if permit is not None and permit.scope is not None and permit.epoch != newest:
        raise FencedError(permit, newest)


def check_slots(fleet: str, held_by_others: int, concurrent_max: int) -> None:
    """Raise NoSlotError PFR5022 unless one more may be taken."""
    if held_by_others >= concurrent_max:
        raise NoSlotError(fleet, concurrent_max)


def check_count(fleet: str, times: Sequence[Instant], count_max: int) -> None:
    """Raise RateError PFR5023 when more than `count_max` began within a minute, this one (the last) included."""
    *others, _ = times
    if len(times) > count_max:
        leaving = sorted(others)
        until = None if count_max == 0 else Instant(leaving[len(others) - count_max] + MINUTE_SECONDS)
        raise RateError(fleet, f"{count_max} attempts a minute", until)


def check_bytes(fleet: str, sent: Sequence[tuple[Instant, int]], bytes_max: int) -> None:
    """Raise RateError PFR5023 when more than `bytes_max` are sent within a day, by this one (the last) included."""
    *others, (_, wanted) = sent
    total = sum(count for _, count in sent)
    if total <= bytes_max:
        return
    until = None
    for at, count in sorted(others):
        total -= count
        if total <= bytes_max:
            until = Instant(at + DAY_SECONDS)
            break
    raise RateError(fleet, f"{bytes_max} bytes a day", until if wanted <= bytes_max else None)
