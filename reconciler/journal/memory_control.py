"""The part of a journal in memory that a controller keeps, and the lock around all of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from reconciler.journal.journal import Permit
from reconciler.journal.rules import closed_error, storable_intent, storable_words
from reconciler.model.revision import TakenIntent


class MemoryControl:
    """Taken intents, and bookmarks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._intents: list[TakenIntent] = []
        self._bookmarks: dict[str, str] = {}

    def keep_intent(self, intent: TakenIntent) -> None:
        """See `Journal.keep_intent`."""
        with self._exclusively():
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
        with self._exclusively():
            if value is None:
                self._bookmarks.pop(storable_words(name), None)
            else:
                self._bookmarks[storable_words(name)] = storable_words(value)

    def bookmarks(self, prefix: str) -> Mapping[str, str]:
        """See `Journal.bookmarks`."""
        with self._exclusively():
            return {name: value for name, value in sorted(self._bookmarks.items()) if name.startswith(prefix)}

    @contextmanager
    def _exclusively(self, permit: Permit | None = None) -> Iterator[None]:  # noqa: ARG002  # whoever extends it asks
        with self._lock:
            if self._closed:
                raise closed_error()
            yield
