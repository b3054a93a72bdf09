"""A copy of a journal's file while others write to it, and a look at whether a file is whole.

The rules:
- The copy is SQLite's own, of one moment; it is read back and checked before it gets its name, and replaces nothing.
- A database on a server is not copied by us: `pg_dump` does, and here only its command is made, without the password.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from contextlib import closing
from pathlib import Path

from reconciler.journal.database import check_whole, connect, sync_directory, translated_errors
from reconciler.journal.location import PostgresPlace
from reconciler.model.error import JournalError


def back_up(journal: Path, to: Path) -> None:
    """Copy the journal's file, which may be in use, to a new file. Raises JournalError; PFR5026: something is there."""
    if to.exists():
        raise _in_the_way(to)
    with translated_errors(to), tempfile.TemporaryDirectory(prefix=".journal-", dir=to.absolute().parent) as folder:
        unfinished = Path(folder) / to.name
        unfinished.touch()
        with closing(connect(journal, busy_seconds=10.0)) as source, closing(connect(unfinished, 0.0)) as target:
            source.backup(target)
        with closing(connect(unfinished, 0.0)) as copy:
            check_whole(unfinished, copy)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        try:
            os.link(unfinished, to)
        except FileExistsError:
            raise _in_the_way(to) from None
        sync_directory(to.absolute().parent)


def findings(journal: Path) -> list[str]:
    """What SQLite finds wrong in a journal's file, after a look at all of it; empty: nothing."""
    with translated_errors(journal), closing(connect(journal, busy_seconds=10.0)) as connection:
        damage = [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
        strays = connection.execute("PRAGMA foreign_key_check").fetchall()
        return [
            *damage,
            *(f"a row of {table} refers to one of {parent} that is missing" for table, _, parent, _ in strays),
        ]


def bytes_of(journal: Path) -> int:
    """What a journal's file takes on the disk, with its log."""
    files = (journal, journal.with_name(f"{journal.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def dump_command(journal: PostgresPlace, to: Path) -> str:
    """The command that backs up a journal on a server. The password is left to `~/.pgpass` or `PGPASSWORD`."""
    return f"pg_dump --format=custom --file={shlex.quote(str(to))} {shlex.quote(str(journal))}"


def _in_the_way(to: Path) -> JournalError:
    return JournalError("PFR5026", f"there is something at {to} already", next_step="name a new file for the backup")
