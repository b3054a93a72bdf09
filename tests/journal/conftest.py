"""What several tests of the journal begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journal.old_journal import lay_out


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal as a program of format 1 left it."""
    path = tmp_path / "journal.sqlite"
    lay_out(path)
    return path
