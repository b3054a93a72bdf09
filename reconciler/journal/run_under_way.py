"""The error of a run that finds another one at work on its journal."""

from __future__ import annotations

from reconciler.journal.location import JournalPlace
from reconciler.model.error import JournalError


class RunUnderWayError(JournalError):
    """Another run holds this journal. PFR5012."""


def under_way(journal: JournalPlace, holder: str) -> RunUnderWayError:
    """The error of a run that finds another one, which is `holder` in words, empty where nobody can tell."""
    message = f"another `apply`, or a controller, is at work on {journal}" + (f": {holder}" if holder else "")
    next_step = (
        "wait until it has ended, or end it with Ctrl-C; it can be run again and goes on where it was. A "
        "controller does what Git says: commit there"
    )
    return RunUnderWayError("PFR5012", message, next_step=next_step)
