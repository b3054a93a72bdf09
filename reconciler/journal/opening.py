"""Opening a journal wherever it is. Loads the database that it is in, and no other."""

from __future__ import annotations

from pathlib import Path

from reconciler.journal.location import JournalPlace
from reconciler.journal.sql import SqlJournal
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.error import JournalError


def open_journal(place: JournalPlace, *, create: bool = True) -> SqlJournal:
    """The journal at a place, which is made there unless it is or `create` is not set. Raises JournalError."""
    if isinstance(place, Path):
        return SqliteJournal(place, create=create)
    from reconciler.journal.postgres import PostgresJournal  # noqa: PLC0415  # needs an extra

    return PostgresJournal(place, create=create)


def open_if_there(place: JournalPlace) -> SqlJournal | None:
    """The journal at a place; None: there is none, and none is made. Raises JournalError."""
    try:
        return open_journal(place, create=False)
    except JournalError as error:
        if error.code == "PFR5001":
            return None
        raise
