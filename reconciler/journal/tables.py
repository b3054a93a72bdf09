"""The tables of the SQLite journal. Version 1.

`attempts` has one row an attempt, as it is now; `moves` has one row for every state that it entered. Triggers keep the
file append-only even against statements that this room does not contain: no attempt is deleted, no move is deleted or
altered. `rollout_entries` has one row an entry of the life of a rollout, as JSON by `entries.py`.
`console_states` has one row a device, as it was last seen; `console_changes` and `latches` are only ever added to.
Times are seconds since the Unix epoch, UTC. Steps and modules are JSON by `encoding.py`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text, event, literal_column
from sqlalchemy.schema import DDL

from reconciler.model.attempt import OPEN_STATES

SCHEMA_VERSION: Final = 1
"""Kept in the file as `user_version`. A change of the tables raises it and brings the way from the version before."""

APPLICATION_ID: Final = 0x50465231
"""Kept in the file as `application_id`: the letters PFR1. It tells a journal from any other SQLite database."""

metadata = MetaData()

attempts = Table(
    "attempts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("device_id", Text, nullable=False),
    Column("fleet", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("intended_at", Float, nullable=False),
    Column("handshake_before", Float),
    Column("sent_at", Float),
    Column("ended_at", Float),
    Column("evidence", Text),
    Column("failure", Text),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)

IS_OPEN: Final = attempts.c.state.in_([literal_column(f"'{state.value}'") for state in sorted(OPEN_STATES)])
"""Literals, not parameters: SQLite uses the partial index below only for a condition that reads the same."""

Index("one_open_attempt_per_device", attempts.c.device_id, unique=True, sqlite_where=IS_OPEN)
Index("attempts_of_a_device", attempts.c.device_id, attempts.c.number)
Index("attempts_of_a_fleet", attempts.c.fleet, attempts.c.number)

moves = Table(
    "moves",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("attempt_id", Text, ForeignKey("attempts.id"), nullable=False, index=True),
    Column("device_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", Float),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)

reports = Table(
    "reports",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("modules", Text, nullable=False),
    Column("reported_at", Float, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("text", Text, nullable=False),
)

rollout_entries = Table(
    "rollout_entries",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("fleet", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("entry", Text, nullable=False),
    sqlite_autoincrement=True,
)

console_states = Table(
    "console_states",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("seen_at", Float, nullable=False),
    Column("fleet", Text),
    Column("selection", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("lock", Integer),
    Column("release", Integer),
    Column("development", Boolean, nullable=False),
    Column("updates_forced", Boolean, nullable=False),
    Column("application", Integer),
    Column("device_os", Text),
    Column("arrived", Text),
    sqlite_with_rowid=False,
)

console_changes = Table(
    "console_changes",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("device_id", Text, nullable=False, index=True),
    Column("fleet", Text, nullable=False, index=True),
    Column("intent", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("not_before", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("concerns_git", Boolean, nullable=False),
    Column("undid", Text),
    sqlite_autoincrement=True,
)

latches = Table(
    "latches",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("device_id", Text, nullable=False),
    Column("fleet", Text, nullable=False),
    Column("intent", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("lifted", Boolean, nullable=False, default=False),
    sqlite_autoincrement=True,
)

refusals = Table(
    "refusals",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("product_id", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("words", Text, nullable=False),
    Column("forgotten", Boolean, nullable=False, default=False),
    sqlite_autoincrement=True,
)

Index("one_refusal_per_product", refusals.c.product_id, unique=True, sqlite_where=~refusals.c.forgotten)

product_attempts = Table(
    "product_attempts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("product", Text, nullable=False),
    Column("fleet", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("intended_at", Float, nullable=False),
    Column("sent_at", Float),
    Column("ended_at", Float),
    Column("failure", Text),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)

IS_OPEN_OF_PRODUCT: Final = product_attempts.c.state.in_(
    [literal_column(f"'{state.value}'") for state in sorted(OPEN_STATES)]
)

Index("one_open_attempt_per_product", product_attempts.c.product, unique=True, sqlite_where=IS_OPEN_OF_PRODUCT)

ADDED_LATER: Final = (console_states, console_changes, latches, refusals, product_attempts, rollout_entries)
"""Tables that a journal of version 1 may lack: made when it is opened. A program that does not know them reads and
writes the others as before, so the number stays."""


def _only_ever_added(table: Table, *verbs: str) -> None:
    for verb in verbs:
        trigger = (
            f"CREATE TRIGGER {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name} "
            f"BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END"
        )
        event.listen(table, "after_create", DDL(trigger))  # type: ignore[no-untyped-call]  # DDL is untyped there


_only_ever_added(attempts, "DELETE")
_only_ever_added(moves, "DELETE", "UPDATE")
_only_ever_added(rollout_entries, "DELETE", "UPDATE")
_only_ever_added(console_changes, "DELETE", "UPDATE")
_only_ever_added(latches, "DELETE")
_only_ever_added(product_attempts, "DELETE")
