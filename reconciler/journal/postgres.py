"""A journal in PostgreSQL: the same promise as in a file, for runs on several machines. Needs the extra `postgres`.

The rules:
- One writer at a time, by an advisory lock that ends with the transaction: limits are counted and reserved without
  gaps, and the numbers of entries become visible in their order.
- A commit is on the server's disk when it returns: a server that would answer sooner is told not to.
- Readers see the journal as it was when they began.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import ArgumentError, DBAPIError

from reconciler.journal.location import JournalPlace, PostgresPlace
from reconciler.journal.migration import migrate
from reconciler.journal.sql import SqlJournal
from reconciler.journal.tables import SCHEMA_VERSION, metadata
from reconciler.model.error import JournalError

WRITER_LOCK: Final = 0x5046_5231
"""The advisory lock of the one writer: the letters PFR1. That of a whole run is the next number."""

RUN_LOCK: Final = WRITER_LOCK + 1

ENGINE_LOCK: Final = WRITER_LOCK + 2
"""Of who makes the engine's tables."""

TELLER_LOCK: Final = WRITER_LOCK + 3
"""Of the one controller that tells people."""


class PostgresJournal(SqlJournal):
    """`Journal` in the database at `place`; its tables are made when they are not there and `create` is set.

    `busy_seconds` is how long a write waits for another writer before it raises PFR5009.

    Raises JournalError: PFR5001 no journal there (and not `create`); PFR5004 to PFR5010, PFR5024 it cannot be used;
    PFR5025 the extra is missing.
    """

    def __init__(self, place: PostgresPlace, *, create: bool = True, busy_seconds: float = 10.0) -> None:
        self.path: JournalPlace = place
        super().__init__(PostgresDatabase(place, create=create, busy_seconds=busy_seconds))


class PostgresDatabase:
    """A journal's database on a server. See `store.Database`."""

    def __init__(self, place: PostgresPlace, *, create: bool, busy_seconds: float) -> None:
        self._place = place
        with translated_errors(place):
            self._engine = engine_on(place, busy_seconds)
            try:
                self._make_ready(create=create)
            except BaseException:
                self._engine.dispose()
                raise

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """See `Database.writing`."""
        with translated_errors(self._place), self._engine.begin() as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See `Database.reading`."""
        with translated_errors(self._place), self._engine.connect() as connection:
            snapshot = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with snapshot.begin():
                yield snapshot

    def insert(self, table: Table) -> Insert:
        """See `Database.insert`."""
        return insert(table)

    def close(self) -> None:
        """See `Database.close`."""
        self._engine.dispose()

    def _make_ready(self, *, create: bool) -> None:
        with self.reading() as connection:
            version = self._version(connection)
        if version == 0 and not create:
            raise JournalError(
                "PFR5001",
                f"there is no journal at {self._place}",
                next_step="`apply` makes one; or name another with --journal or RECONCILER_JOURNAL",
            )
        if version < SCHEMA_VERSION:
            with self.writing() as connection:
                # Looked at again: who waited for the lock finds what the other one made.
                if self._version(connection) < SCHEMA_VERSION:
                    migrate(connection)

    def _version(self, connection: Connection) -> int:
        """The journal's format; 0: there is none yet."""
        there = set(inspect(connection).get_table_names())
        if "alembic_version" not in there:
            if there & set(metadata.tables):
                raise _error("PFR5005", self._place, "its tables are those of another program")
            return 0
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        if len(found) != 1 or not found[0].isdecimal():
            raise _error("PFR5005", self._place, "its tables are those of another program")
        if int(found[0]) > SCHEMA_VERSION:
            reason = f"its format is {found[0]}, and this version knows formats up to {SCHEMA_VERSION}"
            raise _error("PFR5007", self._place, reason)
        return int(found[0])


def engine_on(place: PostgresPlace, busy_seconds: float) -> Engine:
    """Connections to a server. Raises JournalError PFR5024, PFR5025."""
    engine = create_engine(
        _url(place),
        # What waited for the lock has to see what the one before it wrote, whatever the server's own setting is.
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=-1,
        hide_parameters=True,
        connect_args={"connect_timeout": 10, "application_name": "reconciler"},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {round(busy_seconds * 1000)}")
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
        connection.commit()

    return engine


def _url(place: PostgresPlace) -> URL:
    try:
        import psycopg  # noqa: F401, PLC0415  # an extra, which may not be there
    except ImportError:
        raise JournalError(
            "PFR5025",
            "a journal in PostgreSQL needs a driver that is not installed",
            next_step="pip install 'particle-fleet-reconciler[postgres]'; or keep the journal in a file",
        ) from None
    try:
        return make_url(place.url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        # Its own words would show the address with the password.
        raise _error("PFR5024", place, "this is no address of a database") from None


@contextmanager
def translated_errors(place: PostgresPlace) -> Iterator[None]:
    """Turn what the driver raises into JournalError that names the place and the next step, and no password."""
    try:
        yield
    except DBAPIError as error:
        failure = _in_words(place, error)
    else:
        return
    raise failure


def _in_words(place: PostgresPlace, error: DBAPIError) -> JournalError:
    state = getattr(error.orig, "sqlstate", None) or ""
    code = next((code for prefix, code in _CODES if state.startswith(prefix)), "PFR5004")
    words = " ".join(str(error.orig).split())
    return _error("PFR5024" if not state else code, place, place.without_password(words))


_CODES: Final = (
    ("08", "PFR5024"),
    ("28", "PFR5024"),
    ("3D", "PFR5024"),
    ("57P", "PFR5024"),
    ("55P03", "PFR5009"),
    ("53", "PFR5010"),
    ("58", "PFR5010"),
    ("XX001", "PFR5006"),
    ("XX002", "PFR5006"),
)
"""What the beginnings of PostgreSQL's SQLSTATE mean to a person; everything else cannot be used, PFR5004."""

_WHAT_AND_NEXT: Final = {
    "PFR5004": ("cannot be read or written", "see that this user may create and use tables there"),
    "PFR5005": ("is no journal", "name another database with --journal; this one was left as it is"),
    "PFR5006": ("is damaged", "restore the database from a backup, or name another with --journal"),
    "PFR5007": ("was written by a newer version", "use that version, or name another database with --journal"),
    "PFR5009": ("is locked by another process", "wait until the other run has ended, then try again"),
    "PFR5010": ("could not be written", "give the server disk or memory, then run again: nothing recorded is lost"),
    "PFR5024": ("cannot be reached", "check the address, the server, the user and the password, then run again"),
}


def _error(code: str, place: PostgresPlace, reason: str) -> JournalError:
    what, next_step = _WHAT_AND_NEXT[code]
    return JournalError(code, f"the journal {place} {what}: {reason}", next_step=next_step)
