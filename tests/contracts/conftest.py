"""Every implementation of the journal's promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.journal.journal import Journal
from reconciler.journal.location import PostgresPlace
from reconciler.journal.memory import MemoryJournal
from reconciler.journal.postgres import PostgresJournal
from reconciler.journal.sqlite import SqliteJournal


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    with _opened(request, tmp_path) as opened:
        yield opened


def _opened(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    match request.param:
        case "memory":
            return MemoryJournal()
        case "sqlite":
            return SqliteJournal(tmp_path / "journal.sqlite")
        case _:
            return PostgresJournal(PostgresPlace(request.getfixturevalue("postgres_journal")))
