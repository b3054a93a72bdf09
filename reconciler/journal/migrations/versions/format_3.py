"""Format 3: what a controller keeps that runs for long: the intents that it took, and bookmarks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the two tables; intents are only ever added to."""
    op.create_table(
        "intents",
        sa.Column("number", _WHOLE, primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("source", "reference", "revision")),
        sa.Column("committed_at", sa.Float(), nullable=False),
        sa.Column("signer", sa.Text()),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("fleets", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.Float(), nullable=False),
        sa.Column("taken_by", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("intents_of_a_source", "intents", ["source", "number"])
    op.create_table(
        "bookmarks",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    for verb in ("DELETE", "UPDATE"):
        _refuse("intents", verb)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER intents_no_truncate BEFORE TRUNCATE ON intents "
            "FOR EACH STATEMENT EXECUTE FUNCTION intents_no_delete()"
        )


def _refuse(table: str, verb: str) -> None:
    name = f"{table}_no_{verb.lower()}"
    words = "the journal is only ever added to"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{words}'); END")
        return
    body = f"LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{words}'; END $$"
    op.execute(f"CREATE FUNCTION {name}() RETURNS trigger {body}")
    op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
