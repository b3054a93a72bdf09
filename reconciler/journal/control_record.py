"""The part of the journal's promise that a long-running controller needs: intents, bookmarks, and what is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from reconciler.model.console import ConsoleChange, Latch
from reconciler.model.error import JournalError
from reconciler.model.revision import TakenIntent
from reconciler.model.rollout_entry import RolloutEntry


class Line(StrEnum):
    """What a journal only ever adds to and numbers upwards, each line for itself."""

    ENTRIES = "entries"
    CHANGES = "changes"
    LATCHES = "latches"
    INTENTS = "intents"


class TakenMeanwhileError(JournalError):
    """Another process has taken another revision of the source, and this one was not judged after that."""

    def __init__(self, source: str, latest: str) -> None:
        super().__init__(
            "PFR5029",
            f"another revision of {source} was taken meanwhile: {latest or 'none'} is the latest",
            next_step="none: the next look at the source goes on from that",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """One of a line."""

    number: int
    what: RolloutEntry | ConsoleChange | Latch | TakenIntent


class ControlRecord(Protocol):
    """See `Journal`, which this is a part of."""

    def keep_intent(self, intent: TakenIntent, *, only_after: str | None = None) -> None:
        """Write down that the manifests of a revision became what is desired. It is never altered nor deleted.

        `only_after` is the commit of the source's latest intent, as the writer knows it, "" where there is none; None:
        it holds whatever was taken. Raises TakenMeanwhileError PFR5029 when another one is the latest.
        """
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

    def set_bookmarks(self, values: Mapping[str, str | None]) -> None:
        """As `set_bookmark`, for several names: all of them or none."""
        ...

    def bookmarks(self, prefix: str) -> Mapping[str, str]:
        """What is kept under all names that begin with a prefix, by whole names, in their order."""
        ...

    def line(self, line: Line, *, after: int, limit: int) -> tuple[Numbered, ...]:
        """The first `limit` of a line with numbers above `after`, in their order; latches as they are now."""
        ...

    def last_number(self, line: Line) -> int:
        """The highest number of a line; 0: there is none yet."""
        ...
