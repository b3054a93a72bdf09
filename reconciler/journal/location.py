"""Where the journal is when nobody says so. Loads no database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

JOURNAL_VARIABLE: Final = "RECONCILER_JOURNAL"
"""The environment variable that names the journal's file."""

DEFAULT_JOURNAL: Final = Path(".reconciler") / "journal.sqlite"
"""Below the working directory, beside the manifests that it is about."""


def journal_location(given: Path | None, environment: Mapping[str, str]) -> Path:
    """The journal's file: what a person gave, else `RECONCILER_JOURNAL`, else `./.reconciler/journal.sqlite`."""
    if given is not None:
        return given
    named = environment.get(JOURNAL_VARIABLE)
    return Path(named) if named else DEFAULT_JOURNAL
