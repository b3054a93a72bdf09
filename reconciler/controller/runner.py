"""Who begins the passes of products, and when: this process alone, or one of several workers.

`Runner` is the promise. `InProcess` keeps it with a schedule in memory, and `reconciler/engine/` with Procrastinate on
PostgreSQL. What a pass is neither of them knows: both have it done by the same `Work`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from reconciler.controller.pace import Pause
from reconciler.controller.schedule import Schedule

Product = str | None
"""A product by its name; None: the token's own devices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a pass ended: well, and the next one is worth its requests after `pause`; None: it failed.

    `silence_seconds`: the cloud wants silence for so long. `fenced`: somebody else took the right to write meanwhile.
    """

    pause: Pause | None
    silence_seconds: float = 0.0
    fenced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """How it goes with what wakes several workers: whether this process takes part, and in words what waits."""

    ok: bool
    message: str


class Work(Protocol):
    """The passes as a runner needs them. Any thread may ask."""

    def admit(self, product: Product) -> bool:
        """Whether a pass of the product may begin here, now. True: it is under way until `run` or `dismiss` has."""

    def dismiss(self, product: Product) -> None:
        """After `admit`, in the place of `run`: no pass begins after all."""

    def run(self, product: Product, *, goes_on: bool) -> Ended:
        """One pass, after `admit`. `goes_on`: nobody else has had the product since the last one here. Never raises."""


class Runner(Protocol):
    """See the module. Any thread may call; nothing waits for the cloud or for a database.

    `shares`: other processes run passes, too, so that who is overtaken has only been too slow.
    """

    shares: bool

    def follow(self, products: Collection[Product]) -> None:
        """From now on these are the products. Each is due: what is asked of it may be another."""

    def forget(self, product: Product) -> None:
        """This product is not looked at any more."""

    def wake(self, product: Product, *, by_word: bool = False) -> None:
        """There is news of a product; `by_word`: somebody wants it looked at, whatever it costs."""

    def holds(self, product: Product) -> bool:
        """Whether the product's last pass was here, as far as is known."""

    def begin_due(self) -> None:
        """Let the passes begin that are due."""

    def next_due(self) -> float:
        """When `begin_due` has something to do, by the monotonic clock; infinity: it has not."""

    def queue(self) -> Queue | None:
        """What is shared with other processes; None: nothing is."""

    def end(self) -> None:
        """The loop ends: no pass begins here any more, and others may have its products."""


class InProcess:
    """All products are this process's own. `launch` does work elsewhere or at once; times are those of `monotonic`."""

    shares = False

    def __init__(
        self,
        work: Work,
        schedule: Schedule,
        *,
        launch: Callable[[Callable[[], None]], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._work = work
        self._schedule = schedule
        self._launch = launch
        self._monotonic = monotonic
        self._lock = threading.Lock()

    def follow(self, products: Collection[Product]) -> None:
        """See `Runner.follow`."""
        with self._lock:
            self._schedule.follow(products, now=self._monotonic())

    def wake(self, product: Product, *, by_word: bool = False) -> None:
        """See `Runner.wake`."""
        with self._lock:
            self._schedule.wake(product, now=self._monotonic(), by_word=by_word)

    def forget(self, product: Product) -> None:
        """See `Runner.forget`."""
        with self._lock:
            self._schedule.forget(product)

    def holds(self, product: Product) -> bool:  # noqa: ARG002  # all of them are
        """See `Runner.holds`."""
        return True

    def begin_due(self) -> None:
        """See `Runner.begin_due`."""
        with self._lock:
            due = [product for product in self._schedule.due(now=self._monotonic()) if self._work.admit(product)]
            for product in due:
                self._schedule.begin(product)
        for product in due:
            self._launch(partial(self._run, product))

    def next_due(self) -> float:
        """See `Runner.next_due`."""
        with self._lock:
            return self._schedule.next_due()

    def queue(self) -> Queue | None:
        """See `Runner.queue`."""
        return None

    def end(self) -> None:
        """Nobody else is there; and a loop that ends begins nothing."""

    def _run(self, product: Product) -> None:
        ended = self._work.run(product, goes_on=True)
        # Who took the right to write from the only process that runs here was a person: it is theirs.
        silence = math.inf if ended.fenced else ended.silence_seconds
        now = self._monotonic()
        with self._lock:
            if ended.pause is None:
                self._schedule.fail(product, silence_seconds=silence, now=now)
            else:
                self._schedule.end(product, ended.pause, now=now)
