"""Format 4: what several workers share: whose turn each product is, and how many requests may leave."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the two tables. Nothing follows from their rows that the journal would not find out again."""
    op.create_table(
        "turns",
        sa.Column("product", sa.Text(), primary_key=True),
        sa.Column("holder", sa.Text()),
        sa.Column("turn", _WHOLE, nullable=False),
        sa.Column("under_way", sa.Boolean(), nullable=False),
        sa.Column("woken", _WHOLE, nullable=False),
        sa.Column("failures", _WHOLE, nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("earliest_at", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "allowances",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("filled", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
