"""How `apply` shows what happens: bars on a terminal, lines elsewhere, JSON lines for machines.

A display that cannot write any more is silent for the rest of the run; the run goes on.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from reconciler.cli.saying import say
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.event import AttemptMoved, DeviceArrived, Event
from reconciler.render.event_json import event_document
from reconciler.render.event_text import event_line

FORMAT_VERSION: Final = "1.0"


class Display(Protocol):
    """Hears every event, on any thread. A context manager for the time in which it shows."""

    def tell(self, event: Event) -> None:
        """Show an event."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class _Plain:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class Silent(_Plain):
    """Shows nothing."""

    def tell(self, event: Event) -> None:
        """Nothing."""


class JsonLines(_Plain):
    """One JSON object a line on standard output."""

    def tell(self, event: Event) -> None:
        """Print the event."""
        say(json.dumps({"format_version": FORMAT_VERSION, **event_document(event)}, sort_keys=True))


class Lines(_Plain):
    """One line for every event that a person should know of, on standard error; with `verbose` for every step."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose

    def tell(self, event: Event) -> None:
        """Print the event, if it is one to know of."""
        line = event_line(event, verbose=self._verbose)
        if line:
            say(line, err=True)


class Bars:
    """A bar for every fleet, on a terminal."""

    def __init__(self, planned: Mapping[str, int], *, colour: bool) -> None:
        console = Console(stderr=True, no_color=not colour)
        self._progress = Progress(
            TextColumn("{task.description:24.24}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[doing]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks = {name: self._progress.add_task(name, total=count, doing="") for name, count in planned.items()}
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def tell(self, event: Event) -> None:
        """Move the bars; what a person should know of stands above them."""
        with self._lock, suppress(OSError):
            match event:
                case DeviceArrived(fleet=fleet) if fleet in self._tasks:
                    self._progress.advance(self._tasks[fleet])
                case AttemptMoved(attempt=attempt):
                    self._count(attempt)
                case _:
                    line = event_line(event, verbose=False)
                    if line:
                        self._progress.console.print(line, markup=False, highlight=False)

    def _count(self, attempt: Attempt) -> None:
        if attempt.state is AttemptState.INTENDED:
            self._open[attempt.fleet] += 1
        elif not attempt.is_open:
            self._open[attempt.fleet] -= 1
        if attempt.state is AttemptState.FAILED:
            self._failed[attempt.fleet] += 1
        if attempt.fleet in self._tasks:
            failed = f", {self._failed[attempt.fleet]} steps failed" if self._failed[attempt.fleet] else ""
            doing = f"{max(0, self._open[attempt.fleet])} under way{failed}"
            self._progress.update(self._tasks[attempt.fleet], doing=doing)

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._progress.stop()
