"""A journal that counts what is written to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.journal.journal import Journal
from reconciler.journal.memory import MemoryJournal

READING: Final = frozenset(
    {
        "attempts",
        "bookmark",
        "bookmarks",
        "close",
        "console_changes",
        "console_states",
        "entries",
        "fleets",
        "halts",
        "intents",
        "latches",
        "learnt",
        "locked",
        "moves",
        "open_attempts",
        "open_product_attempts",
        "plan",
        "product_attempts",
        "refusals",
        "reports",
        "slots",
        "writes",
    }
)
"""The methods of a journal that change nothing in it; all others count as writing."""


@dataclass
class CountedJournal:
    """Passes everything on. `written` has the names of the methods that write, and how often each was called."""

    journal: Journal = field(default_factory=MemoryJournal)
    written: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        if name not in READING:
            self.written[name] += 1
        return getattr(self.journal, name)
