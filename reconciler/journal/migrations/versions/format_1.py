"""Format 1: attempts with their moves, reports, plans, halts, and what was seen in the console.

It was released before there were migrations. A file of it has most of these tables, of the later ones not always all.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN = sa.text("state IN ('intended', 'sent', 'unknown')")


def upgrade() -> None:
    """Make the tables that are not there."""
    _attempts()
    _single_tables()
    _console()
    _products()
    if op.get_bind().dialect.name == "sqlite":
        for table, verb in (
            ("attempts", "DELETE"),
            ("moves", "DELETE"),
            ("moves", "UPDATE"),
            ("console_changes", "DELETE"),
            ("console_changes", "UPDATE"),
            ("latches", "DELETE"),
            ("product_attempts", "DELETE"),
        ):
            op.execute(
                f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END"
            )


def _text(name: str, *, nullable: bool = False, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable, unique=unique)


def _time(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Float(), nullable=nullable)


def _number() -> sa.Column[int]:
    return sa.Column("number", _WHOLE, primary_key=True)


def _numbered(name: str, *columns: sa.Column[str] | sa.Column[float] | sa.Column[bool] | sa.Column[int]) -> None:
    op.create_table(name, _number(), *columns, if_not_exists=True, sqlite_autoincrement=True)


def _index(
    name: str,
    table: str,
    *columns: str,
    where: sa.ColumnElement[bool] | sa.TextClause | None = None,
    unique: bool = False,
) -> None:
    op.create_index(
        name, table, list(columns), unique=unique, if_not_exists=True, sqlite_where=where, postgresql_where=where
    )


def _attempts() -> None:
    _numbered(
        "attempts",
        _text("id", unique=True),
        *(_text(name) for name in ("device_id", "fleet", "plan_id", "kind", "step", "state")),
        _time("intended_at"),
        *(_time(name, nullable=True) for name in ("handshake_before", "sent_at", "ended_at")),
        _text("evidence", nullable=True),
        _text("failure", nullable=True),
        _text("detail"),
    )
    _index("one_open_attempt_per_device", "attempts", "device_id", where=_OPEN, unique=True)
    _index("attempts_of_a_device", "attempts", "device_id", "number")
    _index("attempts_of_a_fleet", "attempts", "fleet", "number")
    _numbered(
        "moves",
        sa.Column("attempt_id", sa.Text(), sa.ForeignKey("attempts.id"), nullable=False),
        _text("device_id"),
        _text("state"),
        _time("at", nullable=True),
        _text("detail"),
    )
    _index("ix_moves_attempt_id", "moves", "attempt_id")


def _single_tables() -> None:
    op.create_table(
        "reports",
        sa.Column("device_id", sa.Text(), primary_key=True),
        _text("modules"),
        _time("reported_at"),
        if_not_exists=True,
    )
    op.create_table(
        "plans", sa.Column("plan_id", sa.Text(), primary_key=True), _text("digest"), _text("text"), if_not_exists=True
    )
    _numbered("halts", _text("fleet"), _text("reason"), _time("at"), sa.Column("lifted", sa.Boolean(), nullable=False))


def _console() -> None:
    op.create_table(
        "console_states",
        sa.Column("device_id", sa.Text(), primary_key=True),
        _time("seen_at"),
        _text("fleet", nullable=True),
        _text("selection"),
        _text("groups"),
        sa.Column("lock", _WHOLE),
        sa.Column("release", _WHOLE),
        sa.Column("development", sa.Boolean(), nullable=False),
        sa.Column("updates_forced", sa.Boolean(), nullable=False),
        sa.Column("application", _WHOLE),
        _text("device_os", nullable=True),
        _text("arrived", nullable=True),
        if_not_exists=True,
        sqlite_with_rowid=False,
    )
    _numbered(
        "console_changes",
        *(_text(name) for name in ("device_id", "fleet", "intent", "kind")),
        _text("before", nullable=True),
        _text("after", nullable=True),
        _time("not_before"),
        _time("seen_at"),
        sa.Column("concerns_git", sa.Boolean(), nullable=False),
        _text("undid", nullable=True),
    )
    _index("ix_console_changes_device_id", "console_changes", "device_id")
    _index("ix_console_changes_fleet", "console_changes", "fleet")
    _numbered(
        "latches",
        *(_text(name) for name in ("device_id", "fleet", "intent", "why")),
        _time("at"),
        sa.Column("lifted", sa.Boolean(), nullable=False),
    )


def _products() -> None:
    _numbered(
        "refusals",
        sa.Column("product_id", _WHOLE, nullable=False),
        _time("at"),
        _text("words"),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
    )
    _index(
        "one_refusal_per_product", "refusals", "product_id", where=~sa.column("forgotten", sa.Boolean()), unique=True
    )
    _numbered(
        "product_attempts",
        _text("id", unique=True),
        *(_text(name) for name in ("product", "fleet", "plan_id", "action", "state")),
        _time("intended_at"),
        _time("sent_at", nullable=True),
        _time("ended_at", nullable=True),
        _text("failure", nullable=True),
        _text("detail"),
    )
    _index("one_open_attempt_per_product", "product_attempts", "product", where=_OPEN, unique=True)
