"""What happened, read from a journal for whoever asks: `reconciler history`, and HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler import __version__
from reconciler.controller.refused import refused_revisions
from reconciler.controller.words.speaker import unknown_fleet
from reconciler.journal.journal import Journal
from reconciler.model.device import DeviceId
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from reconciler.model.revision import TakenIntent
from reconciler.model.rollout import stories_of
from reconciler.render.history import Chapter, History, attempts_of, chapters_of, rollouts_of
from reconciler.render.history_json import history_document, move_document, write_document

READ_MAX: Final = 50_000
"""The latest attempts that are looked through, and the latest changes by others."""
_NAMED_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for; None: whatever there is. `rollout` may be the beginning of an id; `each_alone`: no groups."""

    fleet: str | None = None
    device_id: DeviceId | None = None
    rollout: str | None = None
    since: Instant | None = None
    each_alone: bool = False


def read_history(journal: Journal, asked: Asked) -> tuple[History, bool]:
    """What the journal has of it, and whether that is everything. Raises OperatorError PFR6706."""
    fleet, device_id = asked.fleet, asked.device_id
    unknown = None if fleet is None else unknown_fleet(journal, fleet)
    if unknown is not None:
        raise unknown
    attempts = journal.attempts(device_id=device_id, fleet=fleet, limit=READ_MAX)
    changes = journal.console_changes(device_id=device_id, fleet=fleet, limit=READ_MAX)
    is_all_read = max(len(attempts), len(changes)) < READ_MAX
    intents = tuple(reversed(journal.intents(limit=READ_MAX)))
    history = History(
        entries=tuple(noted.entry for noted in journal.entries(fleet=fleet)),
        attempts=tuple(reversed(attempts)),
        on_products=() if device_id else tuple(reversed(journal.product_attempts(fleet=fleet, limit=READ_MAX))),
        changes=tuple(reversed(changes)),
        intents=intents if fleet is None else _concerning(intents, fleet),
        refused=refused_revisions(journal),
        latches=tuple(
            latch
            for latch in journal.latches().values()
            if not latch.lifted and fleet in (None, latch.fleet) and device_id in (None, latch.device_id)
        ),
        refusals=journal.refusals(),
    )
    return history, is_all_read


def _concerning(intents: Sequence[TakenIntent], fleet: str) -> tuple[TakenIntent, ...]:
    """Those that ask for a fleet, and those with which it was gone."""
    had: dict[str, bool] = {}
    found = []
    for intent in intents:
        source = intent.revision.source
        before, had[source] = had.get(source, False), fleet in intent.fleets
        if before or had[source]:
            found.append(intent)
    return tuple(found)


def chapters_asked_for(history: History, asked: Asked) -> tuple[Chapter, ...]:
    """The chapters of what was read that are asked for. Raises OperatorError PFR6707."""
    chapters = chapters_of(history, device_id=asked.device_id, since=asked.since, each_alone=asked.each_alone)
    if asked.rollout is None:
        return chapters
    known = [rollout.id for rollout in rollouts_of(history.entries)]
    found = [each for each in known if each == asked.rollout] or [
        each for each in known if each.startswith(asked.rollout)
    ]
    if len(found) != 1:
        latest = ", ".join((found or known)[-_NAMED_MAX:]) or "none yet"
        message = f"{len(found) or 'no'} rollouts begin with {asked.rollout!r}; the latest are: {latest}"
        raise OperatorError("PFR6707", message, next_step="give the id as the headings of `reconciler history` have it")
    return tuple(each for each in chapters if each.rollout is not None and each.rollout.id == found[0])


def document_of(journal: Journal, history: History, chapters: Sequence[Chapter], now: Instant) -> dict[str, Any]:
    """These chapters as `schemas/history.v1.schema.json` has them, with the moves and requests of their attempts."""
    moves = {
        attempt_id: [move_document(move.state, move.at, move.detail) for move in journal.moves(attempt_id)]
        for attempt_id in attempts_of(chapters)
    }
    writes = {
        attempt_id: [write_document(each.write, each.before, each.after) for each in journal.writes(attempt_id)]
        for attempt_id in (*attempts_of(chapters), *(each.id for each in history.on_products))
    }
    stories = stories_of(history.entries).values()
    return history_document(
        chapters, moves, writes, history=history, stories=stories, now=now, tool_version=__version__
    )
