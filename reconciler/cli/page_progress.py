"""How `observe` shows that it reads: a bar on a terminal, a line every few seconds elsewhere, nothing with --quiet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from reconciler.cli.saying import say

LINE_SECONDS: Final = 5.0
"""Between two lines; a small product has none."""


class PageProgress(Protocol):
    """Hears of every page, and at the end that there is none any more."""

    def page(self, name: str, total_pages: int | None, devices: int) -> None:
        """Another page of what is called so has been read; `devices` are all of it so far."""

    def stop(self) -> None:
        """There is nothing more to show. Safe to call twice."""


class NoProgress:
    """Shows nothing."""

    def page(self, name: str, total_pages: int | None, devices: int) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class ProgressLines:
    """A line every few seconds. `clock` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said_at = clock()
        self._pages: dict[str, int] = {}

    def page(self, name: str, total_pages: int | None, devices: int) -> None:
        """Say it, if nothing was said for a while."""
        self._pages[name] = number = self._pages.get(name, 0) + 1
        if self._clock() - self._said_at >= LINE_SECONDS:
            self._said_at = self._clock()
            of = "" if total_pages is None else f" of {total_pages:,}"
            say(f"{name}: page {number:,}{of}, {devices:,} devices", err=True)

    def stop(self) -> None:
        """Nothing."""


class ProgressBars:
    """A bar for every product, on a terminal."""

    def __init__(self, *, colour: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description:24.24}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("pages, {task.fields[devices]:,} devices"),
            TimeRemainingColumn(),
            console=Console(stderr=True, no_color=not colour),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        with suppress(OSError):
            self._progress.start()

    def page(self, name: str, total_pages: int | None, devices: int) -> None:
        """Move its bar; the first page makes one."""
        with suppress(OSError):
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=total_pages, devices=0)
            self._progress.update(self._tasks[name], advance=1, total=total_pages, devices=devices)

    def stop(self) -> None:
        """Take the bars away."""
        with suppress(OSError):
            self._progress.stop()
