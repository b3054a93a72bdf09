"""The request budget: stay below the vendor's limit, and be silent when the cloud asks for it.

Vendor's limit: 10,000 requests in 5 minutes for each address (facts 5.12). The default is 80 % of it, because consoles
and other tools behind the same address share it. The window slides, so no five minutes ever hold more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from pyrate_limiter import InMemoryBucket, Rate, RateItem

REQUESTS_PER_WINDOW: Final = 8_000
WINDOW_SECONDS: Final = 300.0

_MILLISECONDS: Final = 1_000


class RequestBudget:
    """Who wants to send takes a slot first. One budget is shared by all threads and by reads and writes.

    `clock` is monotonic, in seconds; `sleep` pauses the calling thread for so many seconds.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        requests: int = REQUESTS_PER_WINDOW,
        window_seconds: float = WINDOW_SECONDS,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._silent_until = clock()
        # The bucket is asked directly, without pyrate's Limiter: that one sleeps and reads clocks of its own.
        self._bucket = InMemoryBucket([Rate(requests, int(window_seconds * _MILLISECONDS))])

    def take(self) -> None:
        """Take one slot, and wait for it if need be. The cloud's own wish for silence is not waited for here."""
        while (pause := self._try()) > 0:
            self._sleep(pause)

    def silence(self, seconds: float) -> None:
        """The cloud asked for so many seconds of silence (429): it holds for everybody."""
        with self._lock:
            self._silent_until = max(self._silent_until, self._clock() + seconds)

    @property
    def silence_seconds(self) -> float:
        """How long the cloud's wish for silence still lasts; 0 when there is none."""
        with self._lock:
            return max(0.0, self._silent_until - self._clock())

    def _try(self) -> float:
        with self._lock:
            now = int(self._clock() * _MILLISECONDS)
            self._bucket.leak(now)
            item = RateItem("request", now)
            if self._bucket.put(item):
                return 0.0
            wait = self._bucket.waiting(item)
            assert isinstance(wait, int)  # an in-memory bucket is never awaited
            return max(wait, 1) / _MILLISECONDS
