"""Revisions that were refused, as the journal remembers them: one bookmark each, for whoever asks what happened.

Nothing follows from them, so they are no entries; and a revision that is refused at every look is written down once.
"""

from __future__ import annotations

import json
from typing import Final

from reconciler.journal.encoding import unreadable
from reconciler.journal.journal import Journal
from reconciler.model.instant import Instant
from reconciler.model.revision import RefusedRevision, Revision

REFUSED: Final = "refused/"

KEPT_MAX: Final = 100
"""Refused revisions of one source that are remembered; the oldest are forgotten first."""


def keep_refused(journal: Journal, refused: RefusedRevision) -> None:
    """Remember that a revision was refused, unless that is known: the last reason, and when it was found first."""
    revision = refused.revision
    mark = f"{REFUSED}{revision.source}/{revision.commit}"
    known = journal.bookmark(mark)
    before = None if known is None else _read(known)
    if before is None or (before.code, before.message) != (refused.code, refused.message):
        journal.set_bookmark(mark, _written(refused))
        outdated = _outdated(journal, revision.source)
        if outdated:
            journal.set_bookmarks(dict.fromkeys(outdated, None))


def refused_revisions(journal: Journal) -> tuple[RefusedRevision, ...]:
    """All that are remembered, in the order in which they were. Raises JournalError PFR5011."""
    found = map(_read, journal.bookmarks(REFUSED).values())
    return tuple(sorted(found, key=lambda each: (each.at, each.revision.commit)))


def _outdated(journal: Journal, source: str) -> list[str]:
    """The marks of a source's oldest ones, beyond those that are kept."""
    found = {name: _read(text) for name, text in journal.bookmarks(f"{REFUSED}{source}/").items()}
    # Another source's name may begin with this one's.
    ours = [name for name, each in found.items() if each.revision.source == source]
    return sorted(ours, key=lambda name: found[name].at)[:-KEPT_MAX]


def _written(refused: RefusedRevision) -> str:
    revision = refused.revision
    document = {
        "source": revision.source,
        "name": revision.name,
        "commit": revision.commit,
        "committed_at": revision.committed_at,
        "signer": revision.signer,
        "code": refused.code,
        "message": refused.message,
        "next_step": refused.next_step,
        "at": refused.at,
    }
    return json.dumps(document, sort_keys=True)


def _read(text: str) -> RefusedRevision:
    try:
        kept = json.loads(text)
        return RefusedRevision(
            revision=Revision(
                source=kept["source"],
                name=kept["name"],
                commit=kept["commit"],
                committed_at=Instant(kept["committed_at"]),
                signer=kept["signer"],
            ),
            code=kept["code"],
            message=kept["message"],
            next_step=kept["next_step"],
            at=Instant(kept["at"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise unreadable("a refused revision", text, error) from error
