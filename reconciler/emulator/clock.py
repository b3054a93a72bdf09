"""Virtual time, and what will happen in it.

Virtual time is the start, plus what was skipped by hand, plus the real time that passed multiplied by the speed. Real
time (seconds of any monotonic clock) is always an argument. Happenings of the same instant come in the order in which
they were put down, so that one seed gives one history.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from reconciler.model.instant import Instant

Happening = Callable[[Instant], None]
"""Something that happens at an instant, which it is told."""


class VirtualClock:
    """Maps real seconds to virtual instants; the speed may change at any time."""

    def __init__(self, *, start: Instant, speed: float, real_now: float) -> None:
        self._anchor_virtual = float(start)
        self._anchor_real = real_now
        self._speed = speed

    @property
    def speed(self) -> float:
        """Virtual seconds per real second; 0 stands still."""
        return self._speed

    def now(self, real_now: float) -> Instant:
        """The virtual instant at a real moment."""
        return Instant(self._anchor_virtual + (real_now - self._anchor_real) * self._speed)

    def set_speed(self, speed: float, real_now: float) -> None:
        """Go on at another speed from this moment."""
        self._anchor_virtual = float(self.now(real_now))
        self._anchor_real = real_now
        self._speed = speed

    def advance(self, seconds: float) -> None:
        """Skip virtual seconds."""
        self._anchor_virtual += seconds

    def real_seconds_until(self, instant: Instant, real_now: float) -> float | None:
        """How long to wait for a virtual instant (0 when it is past), or None when it never comes by itself."""
        missing = instant - self.now(real_now)
        if missing <= 0:
            return 0.0
        return missing / self._speed if self._speed > 0 else None


class Agenda:
    """What will happen, in order of time."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Happening]] = []
        self._ordinal = count()

    def at(self, instant: Instant, happening: Happening) -> None:
        """Let something happen at an instant."""
        heapq.heappush(self._heap, (instant, next(self._ordinal), happening))

    @property
    def next_at(self) -> Instant | None:
        """When the next thing happens, or None."""
        return self._heap[0][0] if self._heap else None

    def run_until(self, now: Instant) -> None:
        """Let everything happen that is due by `now`, each at its own instant; also what that brings about."""
        while self._heap and self._heap[0][0] <= now:
            instant, _, happening = heapq.heappop(self._heap)
            happening(instant)
