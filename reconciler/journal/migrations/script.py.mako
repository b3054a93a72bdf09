"""Format ${up_revision}: ${message}."""

from __future__ import annotations

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Called in the one transaction of the opening."""
    ${upgrades if upgrades else "raise NotImplementedError"}
