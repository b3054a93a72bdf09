"""Where Alembic begins: on the connection, and in the transaction, that it is given."""

from __future__ import annotations

from alembic import context

from reconciler.journal.tables import metadata

# The transaction is whoever's connection this is: nothing is committed here.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
