"""The journal's file: made whole or not at all, opened only when it is what it should be, and its errors in words.

The rules:
- A new journal is made beside its place and linked to it when it is complete; who comes second finds the first one's.
- A file that is there is never written to before it has been seen to be a whole journal of this format or an older.
- Write-ahead logging and `synchronous=FULL`: a commit is on the disk when it returns. `NORMAL` could lose the last
  intents with the power, and with them the only trace of a request.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from reconciler.journal.tables import APPLICATION_ID, SCHEMA_VERSION
from reconciler.model.error import JournalError

WRITING: Final = "reconciler_writing"
"""The execution option of a connection whose transaction takes the write lock at once."""

_PRIMARY_CODE: Final = 0xFF  # the low byte of SQLite's extended result codes


def create_database(path: Path) -> None:
    """Make an empty journal at `path`, and its directories, unless something is there already.

    Raises JournalError PFR5004 when the place cannot be written.
    """
    with translated_errors(path):
        if path.exists():
            return
        made = [parent for parent in path.absolute().parents if not parent.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".journal-", dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            _build(unfinished)
            try:
                os.link(unfinished, path)
            except FileExistsError:
                return
        for parent in (path.absolute().parent, *(parent.parent for parent in made)):
            sync_directory(parent)


class SqliteDatabase:
    """An existing journal, after a look at what the file is, brought to the format of this program.

    Raises JournalError: PFR5004 unreadable, PFR5005 no journal, PFR5006 damaged, PFR5007 newer, PFR5008 of a format
    that never was, PFR5009 locked.
    """

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self._path = path
        with translated_errors(path):
            if path.is_dir():
                raise IsADirectoryError(path)
            with closing(connect(path, busy_seconds)) as connection:
                version = check_whole(path, connection)
            self._engine = _engine(path, busy_seconds)
            if version < SCHEMA_VERSION:
                try:
                    _migrate(self._engine)
                except BaseException:
                    self._engine.dispose()
                    raise

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """See `Database.writing`."""
        with (
            translated_errors(self._path),
            self._engine.connect().execution_options(**{WRITING: True}) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See `Database.reading`."""
        with translated_errors(self._path), self._engine.connect() as connection, connection.begin():
            yield connection

    def insert(self, table: Table) -> Insert:
        """See `Database.insert`."""
        return insert(table)

    def close(self) -> None:
        """See `Database.close`."""
        self._engine.dispose()


def _migrate(engine: Engine) -> None:
    # Loads Alembic, which an opening that has nothing to do does without.
    from reconciler.journal.migration import migrate  # noqa: PLC0415  # see the line above

    with engine.connect().execution_options(**{WRITING: True}) as writer, writer.begin():
        migrate(writer)
        writer.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        writer.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn what the database and the file system raise into JournalError that names the file and the next step."""
    try:
        yield
    except DBAPIError as error:
        raise _in_words(path, error.orig or error) from error
    except (sqlite3.Error, OSError) as error:
        raise _in_words(path, error) from error


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection to a file that is there."""
    # mode=rw: a file that vanished is an error, not an empty journal. Transactions are begun by hand: see _engine.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _engine(path: Path, busy_seconds: float) -> Engine:
    # The pool may grow with the number of threads that read at once; writers wait for one another in SqlStore.
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: connect(path, busy_seconds),
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=-1,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock at once: a transaction that reads first and writes later could be refused.
        writing = connection.get_execution_options().get(WRITING, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _build(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise _error("PFR5004", path, f"its file system does not allow write-ahead logging, only {mode}")
    engine = _engine(path, busy_seconds=0)
    try:
        _migrate(engine)
    finally:
        engine.dispose()  # the last connection to leave brings the log into the file


def check_whole(path: Path, connection: sqlite3.Connection) -> int:
    """The file's format, if it is a whole journal that this program knows."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise _error("PFR5005", path, "it is no journal")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise _error("PFR5007", path, f"its format is {version}, and this version knows formats up to {SCHEMA_VERSION}")
    if version < 1:
        raise _error("PFR5008", path, f"its format is {version}, which this version no longer reads")
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise _error("PFR5006", path, finding)
    return int(version)


def sync_directory(path: Path) -> None:
    """Wait until a directory's entries are on the disk."""
    # A new file is there after a loss of power only when its directory's entry is on the disk.
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_CODES: Final = {
    sqlite3.SQLITE_BUSY: "PFR5009",
    sqlite3.SQLITE_LOCKED: "PFR5009",
    sqlite3.SQLITE_CORRUPT: "PFR5006",
    sqlite3.SQLITE_NOTADB: "PFR5005",
    sqlite3.SQLITE_FULL: "PFR5010",
    sqlite3.SQLITE_IOERR: "PFR5010",
}
"""What SQLite's results mean to a person; everything else is a file that cannot be used, PFR5004."""

_WHAT_AND_NEXT: Final = {
    "PFR5004": (
        "cannot be opened or written",
        "make the file and its directory writable, or name another with --journal",
    ),
    "PFR5005": ("is no journal", "name another file with --journal; this one was left as it is"),
    "PFR5006": ("is damaged", "keep the file, and put back a copy from before, or name a new file with --journal"),
    "PFR5007": ("was written by a newer version", "use that version, or name another file with --journal"),
    "PFR5008": ("was written by an older version", "use that version, or name another file with --journal"),
    "PFR5009": ("is locked by another process", "wait until the other run has ended, then try again"),
    "PFR5010": (
        "could not be written to its disk",
        "free space or repair the disk, then run again: nothing recorded is lost",
    ),
}


def _in_words(path: Path, error: BaseException) -> JournalError:
    result: Any = getattr(error, "sqlite_errorcode", None)
    code = "PFR5004" if result is None else _CODES.get(result & _PRIMARY_CODE, "PFR5004")
    return _error(code, path, str(error))


def _error(code: str, path: Path, reason: str) -> JournalError:
    what, next_step = _WHAT_AND_NEXT[code]
    return JournalError(code, f"the journal {path} {what}: {reason}", next_step=next_step)
