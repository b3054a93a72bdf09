"""The tables of the journal, in SQLite and PostgreSQL alike. Format 4; `migrations/` makes them and says how they came.

`attempts` has one row an attempt, as it is now; `moves` one for every state that it entered; `writes` one for every
request that left to change something. `rollout_entries` has one row an entry of the life of a rollout, as JSON by
`entries.py`. `console_states` has one row a device, as it was last seen; `console_changes` and `latches` are only ever
added to. `slots` has the devices that hold a place among those of their fleet that may be changed at once; `epochs`
says who took the right to write for what, the newest of a scope counts. `intents` has one row for every time that the
manifests of a revision became what is desired; `bookmarks` is what a controller must not forget over a restart, by
name. `turns` and `allowances` are what several workers share (`postgres_turns.py`, `postgres_allowance.py`). Of these
three and of `slots` rows change and go. Triggers keep the journal append-only even
against statements that this room does not contain; the one exception are `compactions`, which stay as its record.
Times are seconds since the Unix epoch, UTC. Steps and modules are JSON by `encoding.py`.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    literal_column,
)

from reconciler.model.attempt import OPEN_STATES

SCHEMA_VERSION: Final = 4
"""The newest of `migrations/`. In an SQLite file it stands as `user_version`, too, where older programs look."""

APPLICATION_ID: Final = 0x50465231
"""Kept in the file as `application_id`: the letters PFR1. It tells a journal from any other SQLite database."""


class _WithoutNul(TypeDecorator[str]):
    """Text as PostgreSQL can hold it, which knows no NUL: it stands as SUB 0, and a SUB as SUB 1."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # its signature
        if value is None or ("\0" not in value and "\x1a" not in value):
            return value
        return value.replace("\x1a", "\x1a1").replace("\0", "\x1a0")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # its signature
        if value is None or "\x1a" not in value:
            return value
        return str(value).replace("\x1a0", "\0").replace("\x1a1", "\x1a")


_WORDS: Final = Text().with_variant(_WithoutNul(), "postgresql")
_WHOLE: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

attempts = Table(
    "attempts",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("id", _WORDS, nullable=False, unique=True),
    Column("device_id", _WORDS, nullable=False),
    Column("fleet", _WORDS, nullable=False),
    Column("plan_id", _WORDS, nullable=False),
    Column("kind", _WORDS, nullable=False),
    Column("step", _WORDS, nullable=False),
    Column("state", _WORDS, nullable=False),
    Column("intended_at", Float, nullable=False),
    Column("handshake_before", Float),
    Column("sent_at", Float),
    Column("ended_at", Float),
    Column("evidence", _WORDS),
    Column("failure", _WORDS),
    Column("detail", _WORDS, nullable=False),
    Column("well_before", Boolean),
    Column("bytes", _WHOLE),
    sqlite_autoincrement=True,
)

IS_OPEN: Final = attempts.c.state.in_([literal_column(f"'{state.value}'") for state in sorted(OPEN_STATES)])
"""Literals, not parameters: SQLite uses the partial index below only for a condition that reads the same."""

Index("one_open_attempt_per_device", attempts.c.device_id, unique=True, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
Index("attempts_of_a_device", attempts.c.device_id, attempts.c.number)
Index("attempts_of_a_fleet", attempts.c.fleet, attempts.c.number)
Index("attempts_in_time", attempts.c.fleet, attempts.c.intended_at)

moves = Table(
    "moves",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("attempt_id", _WORDS, ForeignKey("attempts.id"), nullable=False, index=True),
    Column("device_id", _WORDS, nullable=False),
    Column("state", _WORDS, nullable=False),
    Column("at", Float),
    Column("detail", _WORDS, nullable=False),
    sqlite_autoincrement=True,
)

reports = Table(
    "reports",
    metadata,
    Column("device_id", _WORDS, primary_key=True),
    Column("modules", _WORDS, nullable=False),
    Column("reported_at", Float, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", _WORDS, primary_key=True),
    Column("digest", _WORDS, nullable=False),
    Column("text", _WORDS, nullable=False),
)

rollout_entries = Table(
    "rollout_entries",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("fleet", _WORDS, nullable=False, index=True),
    Column("kind", _WORDS, nullable=False),
    Column("at", Float, nullable=False),
    Column("entry", _WORDS, nullable=False),
    sqlite_autoincrement=True,
)

console_states = Table(
    "console_states",
    metadata,
    Column("device_id", _WORDS, primary_key=True),
    Column("seen_at", Float, nullable=False),
    Column("fleet", _WORDS),
    Column("selection", _WORDS, nullable=False),
    Column("groups", _WORDS, nullable=False),
    Column("lock", _WHOLE),
    Column("release", _WHOLE),
    Column("development", Boolean, nullable=False),
    Column("updates_forced", Boolean, nullable=False),
    Column("application", _WHOLE),
    Column("device_os", _WORDS),
    Column("arrived", _WORDS),
    sqlite_with_rowid=False,
)

console_changes = Table(
    "console_changes",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("device_id", _WORDS, nullable=False, index=True),
    Column("fleet", _WORDS, nullable=False, index=True),
    Column("intent", _WORDS, nullable=False),
    Column("kind", _WORDS, nullable=False),
    Column("before", _WORDS),
    Column("after", _WORDS),
    Column("not_before", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("concerns_git", Boolean, nullable=False),
    Column("undid", _WORDS),
    sqlite_autoincrement=True,
)

latches = Table(
    "latches",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("device_id", _WORDS, nullable=False),
    Column("fleet", _WORDS, nullable=False),
    Column("intent", _WORDS, nullable=False),
    Column("why", _WORDS, nullable=False),
    Column("at", Float, nullable=False),
    Column("lifted", Boolean, nullable=False, default=False),
    sqlite_autoincrement=True,
)

refusals = Table(
    "refusals",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("product_id", _WHOLE, nullable=False),
    Column("at", Float, nullable=False),
    Column("words", _WORDS, nullable=False),
    Column("forgotten", Boolean, nullable=False, default=False),
    sqlite_autoincrement=True,
)

Index(
    "one_refusal_per_product",
    refusals.c.product_id,
    unique=True,
    sqlite_where=~refusals.c.forgotten,
    postgresql_where=~refusals.c.forgotten,
)

product_attempts = Table(
    "product_attempts",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("id", _WORDS, nullable=False, unique=True),
    Column("product", _WORDS, nullable=False),
    Column("fleet", _WORDS, nullable=False),
    Column("plan_id", _WORDS, nullable=False),
    Column("action", _WORDS, nullable=False),
    Column("state", _WORDS, nullable=False),
    Column("intended_at", Float, nullable=False),
    Column("sent_at", Float),
    Column("ended_at", Float),
    Column("failure", _WORDS),
    Column("detail", _WORDS, nullable=False),
    sqlite_autoincrement=True,
)

IS_OPEN_OF_PRODUCT: Final = product_attempts.c.state.in_(
    [literal_column(f"'{state.value}'") for state in sorted(OPEN_STATES)]
)

Index(
    "one_open_attempt_per_product",
    product_attempts.c.product,
    unique=True,
    sqlite_where=IS_OPEN_OF_PRODUCT,
    postgresql_where=IS_OPEN_OF_PRODUCT,
)

epochs = Table(
    "epochs",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("scope", _WORDS, nullable=False),
    Column("epoch", _WHOLE, nullable=False),
    Column("holder", _WORDS, nullable=False),
    Column("at", Float, nullable=False),
    sqlite_autoincrement=True,
)

Index("epochs_of_a_scope", epochs.c.scope, epochs.c.epoch, unique=True)

slots = Table(
    "slots",
    metadata,
    Column("fleet", _WORDS, primary_key=True),
    Column("device_id", _WORDS, primary_key=True),
    Column("taken_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

writes = Table(
    "writes",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("attempt_id", _WORDS, nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("method", _WORDS, nullable=False),
    Column("path", _WORDS, nullable=False),
    Column("status", _WHOLE),
    Column("answer", _WORDS, nullable=False),
    Column("seen_before", _WORDS, nullable=False),
    Column("seen_after", _WORDS),
    sqlite_autoincrement=True,
)

compactions = Table(
    "compactions",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("begun_at", Float, nullable=False),
    Column("ended_before", Float, nullable=False),
    Column("finished_at", Float),
    Column("attempts", _WHOLE, nullable=False),
    Column("moves", _WHOLE, nullable=False),
    Column("writes", _WHOLE, nullable=False),
    Column("plans", _WHOLE, nullable=False),
    sqlite_autoincrement=True,
)

intents = Table(
    "intents",
    metadata,
    Column("number", _WHOLE, primary_key=True),
    Column("source", _WORDS, nullable=False),
    Column("reference", _WORDS, nullable=False),
    Column("revision", _WORDS, nullable=False),
    Column("committed_at", Float, nullable=False),
    Column("signer", _WORDS),
    Column("digest", _WORDS, nullable=False),
    Column("fleets", _WORDS, nullable=False),
    Column("taken_at", Float, nullable=False),
    Column("taken_by", _WORDS),
    sqlite_autoincrement=True,
)

Index("intents_of_a_source", intents.c.source, intents.c.number)

bookmarks = Table(
    "bookmarks",
    metadata,
    Column("name", _WORDS, primary_key=True),
    Column("value", _WORDS, nullable=False),
    sqlite_with_rowid=False,
)

turns = Table(
    "turns",
    metadata,
    Column("product", _WORDS, primary_key=True),
    Column("holder", _WORDS),
    Column("turn", _WHOLE, nullable=False),
    Column("under_way", Boolean, nullable=False),
    Column("woken", _WHOLE, nullable=False),
    Column("failures", _WHOLE, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("earliest_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

allowances = Table(
    "allowances",
    metadata,
    Column("name", _WORDS, primary_key=True),
    Column("filled", Float, nullable=False),
    Column("at", Float, nullable=False),
    sqlite_with_rowid=False,
)
