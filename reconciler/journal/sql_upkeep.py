"""The part of a journal in a database that keeps it small, and tells how large it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from sqlalchemy import Column, Connection, Table, delete, func, insert, select, update

from reconciler.journal import rows, tables
from reconciler.journal.compaction import live_since, plans_named, removable
from reconciler.journal.journal import Compacted
from reconciler.journal.store import SqlStore
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import RolloutEntry

_AT_ONCE: Final = 500
"""Ids in one statement: below every database's limit of parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """The right to write for a scope, as it was taken last: by whom (a plan's id, or a person's words), and when."""

    scope: str
    epoch: int
    holder: str
    at: Instant


class SqlUpkeep(SqlStore):
    """Compaction, counts, and who may write."""

    def compact(self, *, ended_before: Instant, at: Instant) -> Compacted:
        """See `Journal.compact`. One transaction; the triggers let go of what is older, for as long as it lasts."""
        columns = tables.compactions.c
        counts = dict.fromkeys(("attempts", "moves", "writes", "plans"), 0)
        begun = insert(tables.compactions).values(begun_at=at, ended_before=ended_before, **counts)
        with self._writing() as connection:
            number = connection.execute(begun.returning(columns.number)).scalar_one()
            ids = list(_removable(connection, ended_before))
            of_attempts, plans = tables.attempts.c.id, _plans_of(connection, ids)
            counts["moves"] = _remove(connection, tables.moves, tables.moves.c.attempt_id, ids)
            counts["writes"] = _remove(connection, tables.writes, tables.writes.c.attempt_id, ids)
            counts["writes"] += _remove_writes_on_products(connection, ended_before)
            counts["attempts"] = _remove(connection, tables.attempts, of_attempts, ids)
            counts["plans"] = _remove(
                connection, tables.plans, tables.plans.c.plan_id, _no_longer_named(connection, plans)
            )
            finished = update(tables.compactions).where(columns.number == number).values(finished_at=at, **counts)
            connection.execute(finished)
        return Compacted(**counts)

    def counts(self) -> Mapping[str, int]:
        """How many rows each table has, by its name."""
        with self._reading() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in tables.metadata.sorted_tables
            }

    def rights(self) -> tuple[Right, ...]:
        """Who has the right to write for every scope that was ever taken, in the order of their names."""
        newest = select(func.max(tables.epochs.c.number)).group_by(tables.epochs.c.scope)
        found = self._all(select(tables.epochs).where(tables.epochs.c.number.in_(newest)))
        rights = (Right(scope=row.scope, epoch=row.epoch, holder=row.holder, at=Instant(row.at)) for row in found)
        return tuple(sorted(rights, key=lambda right: right.scope))


def _removable(connection: Connection, ended_before: Instant) -> Iterator[str]:
    """The ids of all attempts that nothing follows from any more, device by device: never all attempts in memory."""
    columns = tables.attempts.c
    since = live_since(_entries(connection))
    in_order = select(tables.attempts).order_by(columns.device_id, columns.number)
    every = connection.execute(in_order.execution_options(yield_per=1000))
    for _, found in groupby(every, key=lambda row: row.device_id):
        yield from removable(list(map(rows.attempt_from, found)), ended_before, since)


def _entries(connection: Connection) -> list[RolloutEntry]:
    found = connection.execute(select(tables.rollout_entries).order_by(tables.rollout_entries.c.number))
    return [rows.noted_from(row).entry for row in found]


def _remove(connection: Connection, table: Table, column: Column[str], ids: Sequence[str]) -> int:
    return sum(
        connection.execute(delete(table).where(column.in_(ids[start : start + _AT_ONCE]))).rowcount
        for start in range(0, len(ids), _AT_ONCE)
    )


def _remove_writes_on_products(connection: Connection, ended_before: Instant) -> int:
    """Attempts on products are few and stay; what left for those that ended goes with its time."""
    attempts, writes = tables.product_attempts.c, tables.writes.c
    ended = select(attempts.id).where(attempts.ended_at < ended_before)
    old = delete(tables.writes).where(writes.at < ended_before, writes.attempt_id.in_(ended))
    return connection.execute(old).rowcount


def _plans_of(connection: Connection, ids: Sequence[str]) -> set[str]:
    columns = tables.attempts.c
    return {
        plan_id
        for start in range(0, len(ids), _AT_ONCE)
        for (plan_id,) in connection.execute(
            select(columns.plan_id).where(columns.id.in_(ids[start : start + _AT_ONCE])).distinct()
        )
    }


def _no_longer_named(connection: Connection, plans: set[str]) -> list[str]:
    """Those of some plans that no attempt and no entry names any more."""
    named = plans_named(_entries(connection))
    for table in (tables.attempts, tables.product_attempts):
        named |= set(connection.execute(select(table.c.plan_id).distinct()).scalars())
    return sorted(plans - named)
