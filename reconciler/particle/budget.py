"""The request budget of one address: how fast requests leave, in which order, and silence when the cloud asks for it.

The rules:
- In no window of 5 minutes leave more requests than the allowance (`model/allowance.py`): some at once, then evenly.
- Who waits is served in this order: a write before a read, but after seven writes in a row a waiting read; among these
  the product that was served longest ago; within a product first come, first served. So no product's long list holds up
  another product, no read waits for ever, and who is alone may use everything.
- When the cloud asks for silence (429), nothing is let go until it ends, whoever asks. It ends with one request, then
  the pace: those who waited do not rush out together.
- Opening an event stream has a limit of its own, and is a request as well.

The vendor's limits are by address, so all tokens of a process are to share one budget. Another process has its own and
knows nothing of this one; the allowance leaves room for it. Workers of one journal have one bucket together, in its
database: there turns are those of each process, and the pace and silences are everybody's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

from reconciler.model.allowance import REQUESTS, STREAM_OPENINGS, Allowance

WRITES_IN_A_ROW_MAX: Final = 7
"""Writes that may overtake a waiting read, so that reads have at least an eighth of the pace."""

_PAUSE_SECONDS_MIN: Final = 0.001
_NEARLY_NOTHING: Final = 1e-9
"""Part of a request that rounding may cost; a pause of that length would not move a clock."""


class Bucket(Protocol):
    """How many requests may leave, and silence. Times are those of the budget's clock.

    `silent_until`: as far as is known, nothing may leave before.
    """

    silent_until: float

    def pause(self, now: float) -> float:
        """Seconds until the next request may leave, if nobody else takes it; 0: now."""

    def take(self, now: float) -> float:
        """As `pause`; where it is 0 a request leaves."""

    def be_silent(self, until: float) -> None:
        """Let nothing go until then, and afterwards one request and the pace."""


class _Bucket:
    """Refilled at the allowance's pace up to what may leave at once. `_at` is ahead of the clock during a silence."""

    def __init__(self, allowance: Allowance, now: float) -> None:
        self.allowance = allowance
        self._at = now
        self._filled = float(allowance.at_once)
        self.silent_until = now

    def pause(self, now: float) -> float:
        """See `Bucket.pause`."""
        self._refill(now)
        missing = 1.0 - self._filled
        pause = self._at - now + (missing / self.allowance.per_second if missing > _NEARLY_NOTHING else 0.0)
        return max(pause, _PAUSE_SECONDS_MIN) if pause > 0 else 0.0

    def take(self, now: float) -> float:
        """See `Bucket.take`."""
        pause = self.pause(now)
        self._filled -= 0.0 if pause else 1.0
        return pause

    def be_silent(self, until: float) -> None:
        """See `Bucket.be_silent`."""
        self.silent_until = max(self.silent_until, until)
        self._refill(until)
        self._filled = min(self._filled, 1.0)

    def _refill(self, now: float) -> None:
        if now > self._at:
            gained = (now - self._at) * self.allowance.per_second
            self._filled = min(self._filled + gained, float(self.allowance.at_once))
            self._at = now


@dataclass(slots=True, eq=False, kw_only=True)
class Asking:
    """Somebody who waits for a slot."""

    product: str
    write: bool


class WaitingLine:
    """Who waits, and who of them is next. Not for several threads at a time."""

    def __init__(self) -> None:
        self.asking: list[Asking] = []
        self._served = 0
        self._served_last: dict[str, int] = {}
        self._writes_in_a_row = 0

    def next(self) -> Asking:
        """Whose turn it is, by the order above."""
        writes = [each for each in self.asking if each.write]
        reads = [each for each in self.asking if not each.write]
        turn = writes if writes and (not reads or self._writes_in_a_row < WRITES_IN_A_ROW_MAX) else reads
        return min(turn, key=lambda each: self._served_last.get(each.product, 0))

    def serve(self, asking: Asking) -> None:
        """It had its turn."""
        self.asking.remove(asking)
        self._served += 1
        self._served_last[asking.product] = self._served
        read_waits = any(not each.write for each in self.asking)
        self._writes_in_a_row = self._writes_in_a_row + 1 if asking.write and read_waits else 0


class RequestBudget:
    """Who wants to send takes a slot first. For any number of threads.

    `clock` is monotonic, in seconds; `sleep` pauses the calling thread for so many seconds. `shared` is a bucket that
    others take from, too, in the place of one of its own.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        requests: Allowance = REQUESTS,
        openings: Allowance = STREAM_OPENINGS,
        shared: Bucket | None = None,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._turn = threading.Condition()
        self._requests: Bucket = shared or _Bucket(requests, clock())
        self._openings = _Bucket(openings, clock())
        self._line = WaitingLine()

    def take(self, *, product: str = "", write: bool = False, silence_seconds_max: float = inf) -> float:
        """Take one slot, and wait for it if need be; 0.0.

        Where the cloud's silence would last for more than `silence_seconds_max` from now, nothing is taken, and the
        answer is for how many seconds it still lasts. `product` is whose request it is; empty: no product's.
        """
        asking = Asking(product=product, write=write)
        latest = self._clock() + silence_seconds_max
        with self._turn:
            self._line.asking.append(asking)
            try:
                while True:
                    now = self._clock()
                    is_silent = self._requests.silent_until > max(now, latest)
                    is_next = not is_silent and self._line.next() is asking
                    pause = self._requests.take(now) if is_next else None
                    if pause == 0:
                        self._line.serve(asking)
                        return 0.0
                    if self._requests.silent_until > max(now, latest):
                        return self._requests.silent_until - now
                    self._wait(pause)
            finally:
                if asking in self._line.asking:
                    self._line.asking.remove(asking)
                self._turn.notify_all()

    def take_opening(self) -> float:
        """Take a slot for opening an event stream, if there is one: 0.0. Else when to ask again, in seconds."""
        with self._turn:
            now = self._clock()
            return self._openings.pause(now) or self._requests.take(now) or self._openings.take(now)

    def be_silent(self, seconds: float) -> None:
        """The cloud turned a request away as too many, and asked for so many seconds of silence, from now."""
        with self._turn:
            until = self._clock() + seconds
            self._requests.be_silent(until)
            self._openings.be_silent(until)
            self._turn.notify_all()

    def open_none(self, seconds: float) -> None:
        """The cloud turned the opening of a stream away as too many: no other is opened for so many seconds."""
        with self._turn:
            self._openings.be_silent(self._clock() + seconds)

    @property
    def asking(self) -> int:
        """How many threads wait for a slot."""
        with self._turn:
            return len(self._line.asking)

    def _wait(self, seconds: float | None) -> None:
        """Wait for so many seconds, or until somebody was served. Others go on meanwhile."""
        if seconds is None:
            self._turn.wait()
            return
        self._turn.release()
        try:
            self._sleep(seconds)
        finally:
            self._turn.acquire()
