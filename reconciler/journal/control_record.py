"""The part of the journal's promise that a controller needs which runs for long: taken intents, and bookmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from reconciler.model.revision import TakenIntent


class ControlRecord(Protocol):
    """See `Journal`, which this is a part of."""

    def keep_intent(self, intent: TakenIntent) -> None:
        """Write down that the manifests of a revision became what is desired. It is never altered nor deleted."""
        ...

    def intents(self, *, source: str | None = None, limit: int | None = None) -> tuple[TakenIntent, ...]:
        """Taken intents, the latest first; of one source, and at most `limit` (0 or more), where given."""
        ...

    def bookmark(self, name: str) -> str | None:
        """What was last kept under a name; None: nothing is."""
        ...

    def set_bookmark(self, name: str, value: str | None) -> None:
        """Keep a value under a name in the place of the one before; None forgets it. Durable as all of the journal."""
        ...

    def bookmarks(self, prefix: str) -> Mapping[str, str]:
        """What is kept under all names that begin with a prefix, by whole names, in their order."""
        ...
