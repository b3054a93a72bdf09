"""What became of revisions of the manifests, as sentences. Pure."""

from __future__ import annotations

from reconciler.model.revision import TakenIntent
from reconciler.render.ink import counted


def taken_in_words(revision: str, intent: TakenIntent) -> str:
    """That a revision became what is desired, who signed it, and whose word it needed."""
    word = f", by the word of {intent.by}" if intent.by else ""
    signer = f", signed by {intent.revision.signer}" if intent.revision.signer else ""
    return f"{revision} is desired now: {counted(len(intent.fleets), 'fleet')}{signer}{word}"


def refused_in_words(revision: str, message: str, code: str) -> str:
    """That a revision did not become what is desired, and why."""
    return f"{revision} is not taken: {message} ({code})"
