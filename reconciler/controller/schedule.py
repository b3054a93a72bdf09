"""When each product has its next pass: due times, back-off, and turns. Times are seconds of a clock that only rises.

- A product has one pass at a time. Whoever has been due for longest comes first, so that none starves another.
- News make a product due, but no sooner than its last look allows; a person's word makes it due at once.
- A product whose pass failed waits longer every time, whatever news there are; the others do not notice.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from reconciler.controller.pace import Pause

BACK_OFF_SECONDS: Final = 15.0
"""After the first failure of a pass; twice as long after each further one."""

BACK_OFF_SECONDS_MAX: Final = 900.0
"""A cloud that was away for a night is noticed to be back within a quarter of an hour."""

JITTER: Final = 0.1
"""Of every interval: products that began together do not stay together."""


@dataclass(slots=True)
class _Turn:
    due: float
    earliest: float = -math.inf
    failures: int = 0
    under_way: bool = False
    woken: bool = False
    told: bool = False


@dataclass(slots=True)
class Schedule:
    """The turns of products, by their name (None: the token's own devices)."""

    dice: Random
    _turns: dict[str | None, _Turn] = field(default_factory=dict)

    def follow(self, products: Iterable[str | None], *, now: float) -> None:
        """From now on these are the products: each is due, for what is asked of it may be another; others are gone."""
        for product in (wanted := set(products)):
            self._turns.setdefault(product, _Turn(due=now))
            self.wake(product, now=now, by_word=True)
        for product in self._turns.keys() - wanted:
            del self._turns[product]

    def forget(self, product: str | None) -> None:
        """This product is not looked at any more."""
        self._turns.pop(product, None)

    def due(self, *, now: float) -> list[str | None]:
        """The products whose pass may begin, the longest due first."""
        ready = [(turn.due, str(product), product) for product, turn in self._turns.items() if _is_due(turn, now)]
        return [product for *_, product in sorted(ready, key=lambda each: each[:2])]

    def next_due(self) -> float:
        """When the next product is due that has no pass now; infinity: none."""
        return min((turn.due for turn in self._turns.values() if not turn.under_way), default=math.inf)

    @property
    def under_way(self) -> Collection[str | None]:
        """The products that have a pass now."""
        return [product for product, turn in self._turns.items() if turn.under_way]

    def begin(self, product: str | None) -> None:
        """Its pass begins."""
        turn = self._turns[product]
        turn.under_way, turn.woken, turn.told = True, False, False

    def end(self, product: str | None, pause: Pause, *, now: float) -> None:
        """Its pass has ended well, and the next one is worth its requests after a pause."""
        turn = self._turns.get(product)
        if turn is None:
            return
        turn.under_way, turn.failures = False, 0
        turn.earliest = now + pause.at_least
        turn.due = now if turn.told else turn.earliest if turn.woken else max(turn.earliest, now + pause.at_most)

    def fail(self, product: str | None, *, silence_seconds: float = 0.0, now: float) -> float:
        """Its pass has failed, and the cloud wants silence for so many seconds. Returns how long it waits."""
        turn = self._turns.get(product)
        if turn is None:
            return 0.0
        wait = max(silence_seconds, self.back_off(turn.failures))
        turn.under_way, turn.failures = False, turn.failures + 1
        turn.due = turn.earliest = now if turn.told else now + wait
        return wait

    def wake(self, product: str | None, *, now: float, by_word: bool = False) -> None:
        """There is news of a product; `by_word`: a person, or a new commit, wants it looked at, whatever it costs."""
        turn = self._turns.get(product)
        if turn is None:
            return
        turn.woken, turn.told = True, turn.told or by_word
        if not turn.under_way:
            turn.due = min(turn.due, now if by_word else max(now, turn.earliest))

    def back_off(self, failures: int) -> float:
        """How long to wait after a failure that came after so many others."""
        return self.jittered(min(BACK_OFF_SECONDS * 2.0 ** min(failures, 16), BACK_OFF_SECONDS_MAX))

    def jittered(self, seconds: float) -> float:
        """About so many seconds."""
        return seconds * (1.0 + JITTER * self.dice.uniform(-1.0, 1.0))


def _is_due(turn: _Turn, now: float) -> bool:
    return not turn.under_way and turn.due <= now
