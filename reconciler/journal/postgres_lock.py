"""One run at a time on a journal in PostgreSQL: an advisory lock of a connection that is kept for the run.

The server frees it when the connection ends, however it ends. The connection's name says who holds it. A run that
broke off leaves no trace of itself. Workers, which share the work, share the lock: any number of them, or one `apply`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres import RUN_LOCK, TELLER_LOCK, engine_on, translated_errors
from reconciler.journal.run_under_way import under_way
from reconciler.model.error import JournalError
from reconciler.model.instant import Instant, iso_from_instant

_HOST_CHARACTERS: Final = 11
"""PostgreSQL cuts the name of a connection at 63."""


_HELD: Final = """
FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = :lock AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

_HOLDER: Final = text(f"SELECT application_name {_HELD}")
_CUT: Final = text(f"SELECT pg_terminate_backend(pid) {_HELD}")
_CUT_SILENT: Final = text(
    f"SELECT pg_terminate_backend(pid) {_HELD} AND clock_timestamp() - state_change > make_interval(secs => :silent)"
)


@contextmanager
def held_run_lock(place: PostgresPlace, *, now: Instant) -> Iterator[str | None]:
    """Hold the lock for as long as the context lasts: None. Or, when another one has it, who. Raises JournalError."""
    with _connected(place) as connection:
        with translated_errors(place):
            mine = connection.execute(text(f"SELECT pg_try_advisory_lock({RUN_LOCK})")).scalar_one()
            holder = None if mine else _holder(connection) or "nobody can tell which"
            if mine:
                _name(connection, f"process {os.getpid()} on {_host()}, started at {iso_from_instant(now)}")
        yield holder


class _KeptLock:
    """A lock of a connection that is kept. `statement` takes it or answers false; `words` name the connection."""

    def __init__(self, place: PostgresPlace, statement: str, *, words: str) -> None:
        self._place = place
        self._statement = text(statement)
        self._words = words
        self._engine = engine_on(place, busy_seconds=5.0)
        self._connection: Connection | None = None

    @property
    def is_held(self) -> bool:
        """Whether it was held when it was asked for last."""
        return self._connection is not None

    def take(self) -> bool:
        """Hold it, unless it is held still; the server may have ended the connection. Raises JournalError."""
        try:
            with translated_errors(self._place):
                if self._connection is not None:
                    self._connection.execute(text("SELECT 1"))
                else:
                    self._connection = self._taken()
        except JournalError:
            self.let_go()
            raise
        return self.is_held

    def let_go(self) -> None:
        """Let go of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.detach()  # closed, not kept for another use: the lock is the connection's
            with contextlib.suppress(SQLAlchemyError):
                connection.close()

    def close(self) -> None:
        """Let go of it for good."""
        self.let_go()
        self._engine.dispose()

    def _taken(self) -> Connection | None:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.execute(self._statement).scalar_one():
            _name(connection, self._words)
            return connection
        connection.close()
        return None


class SharedRun(_KeptLock):
    """The lock of a run as one of several workers that share it. `words` says which."""

    def __init__(self, place: PostgresPlace, *, words: str) -> None:
        super().__init__(place, f"SELECT pg_try_advisory_lock_shared({RUN_LOCK})", words=words)

    def hold(self) -> None:
        """Hold it. Raises JournalError: the server cannot be reached, or (PFR5012) somebody has the lock alone."""
        if not self.take():
            raise under_way(self._place, holder_words(self._place) or "")


class Lead(_KeptLock):
    """Being, of several processes, the one that hears people and tells them.

    Who leads asks for it again and again; who has not for `lost_seconds` sleeps, and is relieved of it by the others.
    """

    def __init__(self, place: PostgresPlace, *, words: str, lost_seconds: float) -> None:
        super().__init__(place, f"SELECT pg_try_advisory_lock({TELLER_LOCK})", words=words)
        self._lost_seconds = lost_seconds

    def hold(self) -> bool:
        """Whether this process leads now. Raises JournalError."""
        if self.take():
            return True
        with translated_errors(self._place), self._engine.connect() as connection:
            connection.execute(_CUT_SILENT, {"lock": TELLER_LOCK, "silent": self._lost_seconds})
        return False


def _name(connection: Connection, words: str) -> None:
    connection.execute(text("SELECT set_config('application_name', :name, false)"), {"name": words})


def _host() -> str:
    return socket.gethostname()[:_HOST_CHARACTERS]


@contextmanager
def one_that_tells(place: PostgresPlace) -> Iterator[bool]:
    """Whether, of all controllers, this is the one that tells people, for as long as the context lasts."""
    with _connected(place) as connection:
        with translated_errors(place):
            is_first = connection.execute(text(f"SELECT pg_try_advisory_lock({TELLER_LOCK})")).scalar_one()
        yield bool(is_first)


def holder_words(place: PostgresPlace) -> str | None:
    """Who holds the lock; None: nobody. Raises JournalError."""
    with _connected(place) as connection, translated_errors(place):
        return _holder(connection)


def cut_off(place: PostgresPlace) -> bool:
    """End the connection that holds the lock, which frees it; False: there is none that this user may end.

    The run behind it may live on, and is fenced as soon as the right to write has passed on. Raises JournalError.
    """
    with _connected(place) as connection, translated_errors(place):
        return bool(connection.execute(_CUT, {"lock": RUN_LOCK}).scalars().first())


def _holder(connection: Connection) -> str | None:
    return connection.execute(_HOLDER, {"lock": RUN_LOCK}).scalars().first()


@contextmanager
def _connected(place: PostgresPlace) -> Iterator[Connection]:
    engine = engine_on(place, busy_seconds=10.0)
    try:
        with translated_errors(place):
            connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            yield connection
    finally:
        engine.dispose()
