"""Format 2: the lives of rollouts as entries, slots and epochs, every external write, and compaction.

The halts of format 1 become entries. When a halt was lifted nobody wrote down then: the time of the halt stands for it.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_RUNNING_COMPACTION = "SELECT 1 FROM compactions WHERE compactions.finished_at IS NULL"


def upgrade() -> None:
    """Add what is new, and bring the halts over."""
    _rollout_entries()
    _halts_become_entries()
    op.add_column("attempts", sa.Column("well_before", sa.Boolean()))
    op.add_column("attempts", sa.Column("bytes", _WHOLE))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE attempts SET bytes = json_extract(step, '$.size') WHERE json_valid(step)")
    op.create_index("attempts_in_time", "attempts", ["fleet", "intended_at"])
    _permits()
    _writes()
    _compactions()
    _only_ever_added()


def _rollout_entries() -> None:
    # A file that an unreleased program of format 1 made may have it.
    op.create_table(
        "rollout_entries",
        sa.Column("number", _WHOLE, primary_key=True),
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        if_not_exists=True,
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rollout_entries_fleet", "rollout_entries", ["fleet"], if_not_exists=True)


def _halts_become_entries() -> None:
    halts = sa.table("halts", *map(sa.column, ("number", "fleet", "reason", "at", "lifted")))
    entries = sa.table("rollout_entries", *map(sa.column, ("fleet", "kind", "at", "entry")))
    rows = []
    for halt in op.get_bind().execute(sa.select(halts).order_by(halts.c.number)):
        said = {"by": None, "reason": halt.reason}
        rows.append({"fleet": halt.fleet, "kind": "halted", "at": halt.at, "entry": _json(said)})
        if halt.lifted:
            rows.append({"fleet": halt.fleet, "kind": "resumed", "at": halt.at, "entry": _json({"by": ""})})
    op.bulk_insert(entries, rows)
    op.drop_table("halts")


def _json(document: dict[str, str | None]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _permits() -> None:
    op.create_table(
        "epochs",
        sa.Column("number", _WHOLE, primary_key=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("epoch", _WHOLE, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("epochs_of_a_scope", "epochs", ["scope", "epoch"], unique=True)
    op.create_table(
        "slots",
        sa.Column("fleet", sa.Text(), primary_key=True),
        sa.Column("device_id", sa.Text(), primary_key=True),
        sa.Column("taken_at", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )


def _writes() -> None:
    op.create_table(
        "writes",
        sa.Column("number", _WHOLE, primary_key=True),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", _WHOLE),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("seen_before", sa.Text(), nullable=False),
        sa.Column("seen_after", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_writes_attempt_id", "writes", ["attempt_id"])


def _compactions() -> None:
    op.create_table(
        "compactions",
        sa.Column("number", _WHOLE, primary_key=True),
        sa.Column("begun_at", sa.Float(), nullable=False),
        sa.Column("ended_before", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float()),
        *(sa.Column(name, _WHOLE, nullable=False) for name in ("attempts", "moves", "writes", "plans")),
        sqlite_autoincrement=True,
    )


def _only_ever_added() -> None:
    """Triggers that hold also who comes with SQL of his own. Only a compaction that is running opens the way."""
    ended = f"{_RUNNING_COMPACTION} AND OLD.ended_at < compactions.ended_before"
    older = f"{_RUNNING_COMPACTION} AND OLD.at < compactions.ended_before"
    of_ended = (
        "SELECT 1 FROM compactions, attempts WHERE compactions.finished_at IS NULL AND "
        "attempts.id = OLD.attempt_id AND attempts.ended_at < compactions.ended_before"
    )
    unchanged = " AND ".join(
        f"OLD.{name} = NEW.{name}" for name in ("number", "attempt_id", "at", "method", "path", "answer", "seen_before")
    )
    same_status = "(OLD.status = NEW.status OR (OLD.status IS NULL AND NEW.status IS NULL))"
    _refuse("attempts", "DELETE", unless=f"EXISTS ({ended})")
    _refuse("moves", "DELETE", unless=f"EXISTS ({of_ended})")
    _refuse("moves", "UPDATE")
    _refuse("writes", "DELETE", unless=f"EXISTS ({older}) OR EXISTS ({of_ended})")
    _refuse("writes", "UPDATE", unless=f"OLD.seen_after IS NULL AND {unchanged} AND {same_status}")
    _refuse("compactions", "UPDATE", unless="OLD.finished_at IS NULL AND OLD.ended_before = NEW.ended_before")
    for table in ("rollout_entries", "console_changes", "epochs"):
        _refuse(table, "DELETE")
        _refuse(table, "UPDATE")
    for table in ("latches", "product_attempts", "compactions"):
        _refuse(table, "DELETE")


def _refuse(table: str, verb: str, *, unless: str | None = None) -> None:
    name = f"{table}_no_{verb.lower()}"
    words = "the journal is only ever added to"
    if op.get_bind().dialect.name == "sqlite":
        when = f"WHEN NOT ({unless}) " if unless else ""
        op.execute(f"DROP TRIGGER IF EXISTS {name}")
        op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} {when}BEGIN SELECT RAISE(ABORT, '{words}'); END")
        return
    body = f"RAISE EXCEPTION '{words}';"
    if unless:
        row = "OLD" if verb == "DELETE" else "NEW"
        body = f"IF NOT ({unless}) THEN {body} END IF; RETURN {row};"
    op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
    if verb == "DELETE":
        refusal = f"LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{words}'; END $$"
        op.execute(f"CREATE FUNCTION {table}_no_truncate() RETURNS trigger {refusal}")
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_no_truncate()"
        )
