"""Time for work on a device: a clock that tests replace, and deadlines that end every wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.particle.usb_error import UsbTimeoutError


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbClock:
    """`now` never runs backwards and counts seconds; `sleep` lets that many pass."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


MACHINE_CLOCK: Final = UsbClock(now=time.monotonic, sleep=time.sleep)


class Deadline:
    """The moment at which one piece of work must have ended, and what it is, for the message."""

    def __init__(self, clock: UsbClock, seconds: float, work: str) -> None:
        self._clock = clock
        self._ends_at = clock.now() + seconds
        self._seconds = seconds
        self._work = work

    def seconds_left(self) -> float:
        """How long there is still. Raises UsbTimeoutError when it is over."""
        left = self._ends_at - self._clock.now()
        if left <= 0:
            raise UsbTimeoutError(f"{self._work} was not done within {self._seconds:g} s")
        return left

    def pause(self, seconds: float) -> None:
        """Let time pass, up to the deadline."""
        self._clock.sleep(min(seconds, self.seconds_left()))

    def another(self, seconds: float, work: str) -> Deadline:
        """A deadline of its own for what must still be done when this one is over."""
        return Deadline(self._clock, seconds, work)
