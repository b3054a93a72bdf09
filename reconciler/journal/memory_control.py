"""The part of a journal in memory that a controller keeps, its numbered lines, and the lock around all of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import assert_never

from reconciler.journal.control_record import Line, Numbered, TakenMeanwhileError
from reconciler.journal.journal import Permit
from reconciler.journal.rules import closed_error, storable_intent, storable_words
from reconciler.model.console import ConsoleChange, Latch
from reconciler.model.revision import TakenIntent
from reconciler.model.rollout_entry import RolloutEntry


class MemoryControl:
    """Taken intents, and bookmarks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._entries: list[RolloutEntry] = []
        self._console_changes: list[ConsoleChange] = []
        self._all_latches: list[Latch] = []
        self._intents: list[TakenIntent] = []
        self._bookmarks: dict[str, str] = {}

    def keep_intent(self, intent: TakenIntent, *, only_after: str | None = None) -> None:
        """See `Journal.keep_intent`."""
        with self._exclusively():
            if only_after is not None:
                source = storable_words(intent.revision.source)
                of_source = [each.revision.commit for each in self._intents if each.revision.source == source]
                latest = of_source[-1] if of_source else ""
                if latest != only_after:
                    raise TakenMeanwhileError(source, latest)
            self._intents.append(storable_intent(intent))

    def intents(self, *, source: str | None = None, limit: int | None = None) -> tuple[TakenIntent, ...]:
        """See `Journal.intents`."""
        source = None if source is None else storable_words(source)
        with self._exclusively():
            return tuple(each for each in reversed(self._intents) if source in (None, each.revision.source))[:limit]

    def bookmark(self, name: str) -> str | None:
        """See `Journal.bookmark`."""
        with self._exclusively():
            return self._bookmarks.get(storable_words(name))

    def set_bookmark(self, name: str, value: str | None) -> None:
        """See `Journal.set_bookmark`."""
        self.set_bookmarks({name: value})

    def set_bookmarks(self, values: Mapping[str, str | None]) -> None:
        """See `Journal.set_bookmarks`."""
        with self._exclusively():
            for name, value in values.items():
                if value is None:
                    self._bookmarks.pop(storable_words(name), None)
                else:
                    self._bookmarks[storable_words(name)] = storable_words(value)

    def bookmarks(self, prefix: str) -> Mapping[str, str]:
        """See `Journal.bookmarks`."""
        with self._exclusively():
            return {name: value for name, value in sorted(self._bookmarks.items()) if name.startswith(prefix)}

    def line(self, line: Line, *, after: int, limit: int) -> tuple[Numbered, ...]:
        """See `Journal.line`."""
        with self._exclusively():
            found = enumerate(self._line(line)[after : after + limit], start=after + 1)
            return tuple(Numbered(number=number, what=what) for number, what in found)

    def last_number(self, line: Line) -> int:
        """See `Journal.last_number`."""
        with self._exclusively():
            return len(self._line(line))

    def _line(self, line: Line) -> Sequence[RolloutEntry | ConsoleChange | Latch | TakenIntent]:
        match line:
            case Line.ENTRIES:
                return self._entries
            case Line.CHANGES:
                return self._console_changes
            case Line.LATCHES:
                return self._all_latches
            case Line.INTENTS:
                return self._intents
            case _:
                assert_never(line)

    @contextmanager
    def _exclusively(self, permit: Permit | None = None) -> Iterator[None]:  # noqa: ARG002  # whoever extends it asks
        with self._lock:
            if self._closed:
                raise closed_error()
            yield
