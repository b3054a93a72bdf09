"""Bringing a journal to the format of this program, by `migrations/`. Loads Alembic: only where there is need."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_ONE_AT_A_TIME: Final = threading.Lock()

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def migrate(connection: Connection, to: str = "head") -> None:
    """Make the journal behind a connection what `tables.py` says, from nothing or from any format before.

    `to` is the format to stop at, for tests that want an older one. All of it happens in the connection's own
    transaction, which is left open.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    # Alembic keeps what is under way in variables of its modules.
    with _ONE_AT_A_TIME:
        command.upgrade(config, to)
