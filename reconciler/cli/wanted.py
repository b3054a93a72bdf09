"""What a process that runs for long is asked for by signals."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SETTINGS_VARIABLE: Final = "RECONCILER_SETTINGS"


class Wanted:
    """What the process was asked for by signals."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.reload = threading.Event()

    def is_anything(self) -> bool:
        """Whether the controller has to stop what it does."""
        return self.end.is_set() or self.reload.is_set()


@contextmanager
def signals(wanted: Wanted) -> Iterator[None]:
    """While it lasts, signals are wishes."""

    def ask(number: int, _frame: FrameType | None) -> None:
        (wanted.reload if number == signal.SIGHUP else wanted.end).set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
