"""The external writes of a journal in memory. Not for several threads by itself: the journal's lock is around it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count

from reconciler.journal.journal import KeptWrite
from reconciler.journal.rules import ending_of, storable_write
from reconciler.model.attempt import Attempt
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.instant import NEVER, Instant
from reconciler.model.product_attempt import ProductAttempt


class MemoryWrites:
    """What left, by attempt."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._kept: defaultdict[str, list[KeptWrite]] = defaultdict(list)

    def of(self, attempt_id: str) -> tuple[KeptWrite, ...]:
        """What left for an attempt, in its order."""
        return tuple(self._kept.get(attempt_id, ()))

    def keep(
        self,
        attempt: Attempt | ProductAttempt,
        writes: Sequence[ExternalWrite],
        before: Facts | None,
        after: Facts | None,
    ) -> None:
        """Keep what left for an attempt, and how it has ended, if it has."""
        for write in writes:
            number, kept = next(self._numbers), storable_write(attempt, write)
            facts = dict(before or {})
            self._kept[attempt.id].append(KeptWrite(number=number, attempt_id=attempt.id, write=kept, before=facts))
        if not attempt.is_open and attempt.id in self._kept:
            ended = ending_of(attempt, after)
            self._kept[attempt.id] = [
                replace(write, after=ended) if write.after is None else write for write in self._kept[attempt.id]
            ]

    def forget(self, ids: Collection[str]) -> int:
        """Forget all that left for some attempts. Returns how many requests it was."""
        return sum(len(self._kept.pop(name, ())) for name in ids)

    def forget_older(self, ids: Collection[str], than: Instant) -> int:
        """Forget what left before a time for some attempts. Returns how many requests it was."""
        removed = 0
        for name in ids:
            kept = self._kept.get(name, [])
            stays = [write for write in kept if (write.write.at or NEVER) >= than]
            removed += len(kept) - len(stays)
            if kept:
                self._kept[name] = stays
        return removed
