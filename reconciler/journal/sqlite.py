"""A journal in one SQLite file: durable before it returns, shared by threads, and by processes on one machine."""

from __future__ import annotations

from pathlib import Path

from reconciler.journal.database import SqliteDatabase, create_database
from reconciler.journal.location import JournalPlace
from reconciler.journal.sql import SqlJournal
from reconciler.model.error import JournalError


class SqliteJournal(SqlJournal):
    """`Journal` in the SQLite file at `path`, which is made with its directories when `create` is set.

    `busy_seconds` is how long a write waits for another process before it raises PFR5009. A file of an older format is
    brought to this one.

    Raises JournalError: PFR5001 no such file (and not `create`); PFR5004 to PFR5010 a file that cannot be used, which
    stays as it is.
    """

    def __init__(self, path: Path, *, create: bool = True, busy_seconds: float = 10.0) -> None:
        if create:
            create_database(path)
        elif not path.exists():
            raise JournalError(
                "PFR5001",
                f"there is no journal at {path}",
                next_step="`apply` makes one; or name the file with --journal or RECONCILER_JOURNAL",
            )
        self.path: JournalPlace = path
        super().__init__(SqliteDatabase(path, busy_seconds))
