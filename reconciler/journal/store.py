"""What every part of a journal in a database shares: its transactions, and the one place where the databases differ."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from sqlalchemy import CompoundSelect, Connection, Row, Select, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from reconciler.journal import tables
from reconciler.journal.entries import HALTING_KINDS
from reconciler.journal.journal import Permit
from reconciler.journal.permits import check_epoch
from reconciler.journal.rules import closed_error

Upsert = sqlite.Insert | postgresql.Insert
"""An insert that can say what is to happen where a row is in the way."""


class Database(Protocol):
    """A journal's database. Whatever it raises is a JournalError in a person's words."""

    def writing(self) -> AbstractContextManager[Connection]:
        """One transaction, the only writing one of all processes, committed when the block ends well."""

    def reading(self) -> AbstractContextManager[Connection]:
        """One transaction that sees the journal as it is at its beginning."""

    def insert(self, table: Table) -> Upsert:
        """An insert in this database's dialect."""

    def close(self) -> None:
        """Let go of all connections."""


class SqlStore:
    """A journal's database, and how its parts use it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing_lock = threading.Lock()
        self._closed = False

    @contextmanager
    def _writing(self, permit: Permit | None = None) -> Iterator[Connection]:
        """One writing transaction, under a permit whose epoch is the newest. Raises FencedError PFR5021."""
        with self._writing_lock:
            if self._closed:
                raise closed_error()
            with self._database.writing() as connection:
                if permit is not None and permit.scope is not None:
                    check_epoch(permit, newest_epoch(connection, permit.scope))
                yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._closed:
            raise closed_error()
        with self._database.reading() as connection:
            yield connection

    def _added(self, connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
        """Add a row unless another is in its way by one of the table's unique indexes."""
        adding = self._database.insert(table).values(**row).on_conflict_do_nothing().inline()
        return connection.execute(adding, execution_options={"preserve_rowcount": True}).rowcount > 0

    def _all(self, query: Select[Any] | CompoundSelect[Any]) -> list[Row[Any]]:
        with self._reading() as connection:
            return list(connection.execute(query))


def is_halted(connection: Connection, fleet: str) -> bool:
    """Whether the last word on a fleet is that it is halted."""
    columns = tables.rollout_entries.c
    words = select(columns.kind).where(columns.fleet == fleet, columns.kind.in_(HALTING_KINDS))
    return connection.execute(words.order_by(columns.number.desc()).limit(1)).scalar_one_or_none() == HALTING_KINDS[0]


def newest_epoch(connection: Connection, scope: str) -> int:
    """The newest epoch of a scope; 0: nobody has taken any."""
    columns = tables.epochs.c
    newest = connection.execute(select(func.max(columns.epoch)).where(columns.scope == scope)).scalar_one()
    return 0 if newest is None else int(newest)
