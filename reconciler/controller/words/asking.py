"""`reconcile` and `accept`: what a person asks of a controller that runs for long. They are bookmarks in the journal.

A bookmark and no entry: they are about no rollout. That a revision was taken by somebody's word stands in the history
of intents; that somebody wanted a look changes nothing that was not due anyway.
"""

from __future__ import annotations

import json
import re
from typing import Final

from reconciler.controller.words.speaker import Speaker, not_known, unknown_fleet
from reconciler.journal.journal import Journal
from reconciler.model.instant import iso_from_instant
from reconciler.render.word import Told

RECONCILE: Final = "reconcile/"
"""Before the name of a fleet, or `*` for all: a bookmark whose value is another one with every word."""

EVERY_FLEET: Final = "*"

ACCEPT: Final = "accept/"
"""Before the name of a source: a bookmark with the commit that is accepted, by whom and when, as JSON."""

_COMMIT: Final = re.compile(r"(?:sha1:|sha256:)?([0-9a-f]{12,64})")
"""Twelve digits are as many as a refusal shows, and enough that no other commit is meant."""


def reconcile(speaker: Speaker, fleet: str | None, *, token: str, force: bool = False) -> Told:
    """Look at a fleet's product (None: at all) and at the source at once. `token` is unlike that of any other word."""
    unknown = None if fleet is None or force else unknown_fleet(speaker.journal, fleet)
    if fleet is not None and unknown is not None:
        return not_known(unknown, fleet, "reconcile")
    speaker.journal.set_bookmark(f"{RECONCILE}{fleet or EVERY_FLEET}", token)
    what = "every fleet" if fleet is None else f"fleet {fleet}"
    if speaker.is_heard():
        return Told(done=True, fleet=fleet, message=f"{what} is looked at at once")
    return Told(done=True, fleet=fleet, message=f"no run is going on; the next one begins with a look at {what}")


def accept(speaker: Speaker, commit: str, *, source: str | None = None) -> Told:
    """Have a revision taken that the controller refuses: after a forced push, or with too many fleets gone.

    `commit` is its id, or the first twelve digits of it or more. `source` is the source's name, None: the one that the
    latest intent came from. A signature that lacks, or manifests with problems, are not accepted by anybody's word.

    Raises ValueError when `commit` is no such id.
    """
    found = _COMMIT.fullmatch(commit.strip().lower())
    if found is None:
        raise ValueError(f"{commit!r} is no commit's id, nor the first 12 digits of one or more")
    digits = found.group(1)
    latest = speaker.journal.intents(source=source, limit=1)
    name = source if source is not None else latest[0].revision.source if latest else None
    if name is None:
        message = "no revision was ever taken, so the journal does not know of which source the commit is"
        next_step = "name it as the log of the controller does: reconciler accept COMMIT --source NAME"
        return Told(done=False, message=message, next_step=next_step)
    if latest and _digits(latest[0].revision.commit).startswith(digits):
        return Told(done=False, message=f"{latest[0].revision.text} of {name} is desired already")
    earlier = _accepted(speaker.journal, name)
    word = {"commit": digits, "by": speaker.by, "at": iso_from_instant(speaker.clock())}
    speaker.journal.set_bookmark(f"{ACCEPT}{name}", json.dumps(word, sort_keys=True))
    hearing = "at the next look" if speaker.is_heard() else "by the next run; none is going on"
    message = f"commit {digits} of {name} may be taken, and is {hearing}"
    if earlier is not None and earlier["commit"] != digits:
        message += f". It takes the place of the word of {earlier['by']} for {earlier['commit']}"
    return Told(done=True, message=message, next_step="only this commit is accepted, whatever is pushed after it")


def _accepted(journal: Journal, source: str) -> dict[str, str] | None:
    said = journal.bookmark(f"{ACCEPT}{source}")
    return None if said is None else json.loads(said)


def _digits(commit: str) -> str:
    return commit.rpartition(":")[2]
