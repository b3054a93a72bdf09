"""Time for everybody: the cloud, a calendar of what comes from outside, and several clients that take turns.

Only one of them is at work at any moment, so that one seed gives one history. Time moves where a client waits or asks;
then whoever is next in time has a turn.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from reconciler.emulator.message import Request
from reconciler.model.instant import Instant
from tests.simulation.virtual import VirtualCloud
from tests.simulation.worlds import World

LATENCY_SECONDS = 0.15
"""What a request takes on its way, and an answer on its way back."""


class KilledError(BaseException):
    """The process is gone. Nothing of ours catches it."""


@dataclass(eq=False)
class Actor:
    """Somebody who runs one client after another. `dies` says whether the client dies at a point that it reaches."""

    name: str
    run: int = -1
    dies: Callable[[str, tuple[Any, ...]], bool] | None = None
    is_dead: bool = False
    is_stopping: bool = False
    baton: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def begins(self, run: int, dies: Callable[[str, tuple[Any, ...]], bool] | None) -> None:
        """A new process."""
        self.run, self.dies, self.is_dead, self.is_stopping = run, dies, False, False

    def reach(self, point: str, given: tuple[Any, ...]) -> None:
        """The client comes by a point at which it may die. Who is dead does nothing more."""
        if self.is_dead or (self.dies is not None and self.dies(point, given)):
            self.is_dead = True
            raise KilledError(point)


class Theatre(VirtualCloud):
    """A virtual cloud with a calendar and with turns. A client's wall clock is `wall_offset` seconds off."""

    def __init__(self, world: World) -> None:
        super().__init__(world.cloud(), seed=world.seed, start=world.begins_at, page_size=100)
        self.wall_offset = 0.0
        self.acting = Actor("first")
        self._calendar: list[tuple[float, int, Callable[[], None]]] = []
        self._waiting: list[tuple[float, int, Actor]] = []
        self._ordinals = count()

    def clock(self) -> Instant:
        """What the clients' machine says."""
        return Instant(self.now + self.wall_offset)

    def at(self, instant: float, happens: Callable[[], None]) -> None:
        """Let something happen at an instant."""
        heapq.heappush(self._calendar, (instant, next(self._ordinals), happens))

    def sleep(self, seconds: float) -> None:
        """The acting client waits; everybody else has a turn in the meantime."""
        me = self.acting
        heapq.heappush(self._waiting, (self.now + seconds, next(self._ordinals), me))
        self._next_turn()
        if self.acting is not me:
            self.acting.baton.release()
            me.baton.acquire()

    def joined_by(self, other: Actor, work: Callable[[], None]) -> threading.Thread:
        """Another actor, whose first turn comes when the acting one waits."""
        heapq.heappush(self._waiting, (self.now, next(self._ordinals), other))

        def live() -> None:
            other.baton.acquire()
            try:
                work()
            finally:
                self.leave()

        thread = threading.Thread(target=live, name=other.name, daemon=True)
        thread.start()
        return thread

    def leave(self) -> None:
        """The acting one has nothing more to do; somebody else goes on, if there is anybody."""
        if self._waiting:
            self._next_turn()
            self.acting.baton.release()

    def takes_over(self, me: Actor) -> None:
        """The others have left: one who waited outside of time acts again."""
        self.acting = me

    def before_request(self, request: Request) -> None:
        """A request travels, and its client may be gone before it arrives."""
        self.acting.reach("before request", (request,))
        self.sleep(LATENCY_SECONDS)

    def after_request(self, request: Request) -> None:
        """The cloud has done it, and the client may be gone before it knows."""
        self.acting.reach("after request", (request,))

    def whole_seconds_of_quiet(self) -> float:
        """As long as neither the cloud nor anybody else does anything."""
        others = [entry[0][0] - self.now for entry in (self._calendar, self._waiting) if entry]
        return max(1.0, min(super().whole_seconds_of_quiet(), *others)) if others else super().whole_seconds_of_quiet()

    def _next_turn(self) -> None:
        instant, _, self.acting = heapq.heappop(self._waiting)
        while self._calendar and self._calendar[0][0] <= instant:
            at, _, happens = heapq.heappop(self._calendar)
            self._move_to(max(at, self.now))
            happens()
        self._move_to(max(instant, self.now))

    def _move_to(self, instant: float) -> None:
        self.now = Instant(instant)
        self.cloud.run_until(self.now)
        for hear in tuple(self.ears):
            hear()
