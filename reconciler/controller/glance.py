"""What is shown to whoever looks, however often they look: worked out anew for a small share of the time only.

With 100,000 devices a whole status takes seconds, and metrics, dashboards and people ask for it all the time. So one
that took a second is shown for nine more, unless somebody says that it is not true any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

SHOWN_TIMES: Final = 9.0
"""For how many times as long as it took. Looking takes a tenth of one processor at most."""

SHOWN_SECONDS_MAX: Final = 30.0

_Seen = TypeVar("_Seen")


class Glance(Generic[_Seen]):
    """Any thread may ask; those who ask while it is worked out wait for that."""

    def __init__(self, look: Callable[[], _Seen], monotonic: Callable[[], float]) -> None:
        self._look = look
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: _Seen | None = None
        self._until = 0.0
        self._is_over = True

    def __call__(self) -> _Seen:
        """What was seen not long ago."""
        with self._lock:
            began = self._monotonic()
            if self._seen is None or self._is_over or began >= self._until:
                self._is_over = False  # before the look: what happens meanwhile may not be in it
                self._seen = None
                self._seen = self._look()
                ended = self._monotonic()
                self._until = ended + min(SHOWN_TIMES * (ended - began), SHOWN_SECONDS_MAX)
            return self._seen

    def is_over(self) -> None:
        """Something has happened that whoever looks wants to see. Does not wait."""
        self._is_over = True
