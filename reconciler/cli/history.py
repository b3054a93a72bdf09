"""`reconciler history [FLEET]`: what happened, as the journal remembers it. Reads only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from reconciler import __version__
from reconciler.cli.display_options import output_options, text_width, wants_color
from reconciler.cli.journal_options import journal_option
from reconciler.cli.word import moment, time_from_words
from reconciler.controller.words.speaker import unknown_fleet
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.opening import open_journal
from reconciler.model.device import DeviceId, is_device_id
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from reconciler.model.rollout import stories_of
from reconciler.render.history import Chapter, History, attempts_of, chapters_of, last_of, rollouts_of
from reconciler.render.history_json import history_document, move_document, write_document
from reconciler.render.history_text import history_text, in_force_text

READ_MAX: Final = 50_000
"""The latest attempts that are looked through, and the latest changes by others."""
_NAMED_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is asked for; None: whatever there is."""

    fleet: str | None
    device_id: DeviceId | None
    rollout: str | None
    since: Instant | None
    limit: int
    each_alone: bool


@click.command("history")
@click.argument("fleet", required=False)
@click.option("--fleet", "fleet_option", metavar="FLEET", help="The same as FLEET.")
@click.option("--rollout", metavar="ID", help="Only this rollout; the beginning of its id is enough.")
@click.option("--device", metavar="ID", help="Only what happened to this device.")
@click.option("--since", metavar="TIME|DURATION", help="Only from then on: 2h, 3d, or a time (UTC unless it says).")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most the last so many.")
@journal_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@output_options("no_color", "quiet", "verbose")
def command(
    fleet: str | None,
    fleet_option: str | None,
    rollout: str | None,
    device: str | None,
    since: str | None,
    limit: int,
    journal: JournalPlace | None,
    output: str,
    no_color: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Tell what happened, rollout by rollout, the oldest first, and what holds now.

    Like steps between two turns of a rollout are one line, with every failure spelt out; --verbose gives each its own.
    Exit codes: 0 told, 1 an error, 2 usage.
    """
    if device is not None and not is_device_id(device.lower()):
        raise click.BadParameter("the journal knows devices by their ids, 24 hexadecimal digits", param_hint="--device")
    if fleet is not None and fleet_option not in (None, fleet):
        raise click.UsageError("two fleets were given")
    with open_journal(journal_location(journal, os.environ), create=False) as kept:
        now = moment(kept)
        asked = _Asked(
            fleet=fleet or fleet_option,
            device_id=None if device is None else DeviceId(device.lower()),
            rollout=rollout,
            since=None if since is None else time_from_words(since, now=now, sign=-1),
            limit=limit,
            each_alone=verbose or device is not None or output == "json",
        )
        history, is_all_read = _read(kept, asked)
        chapters = _chapters(history, asked)
        last = last_of(chapters, limit)
        if output == "json":
            click.echo(json.dumps(_document(kept, history, last, now), indent=2, sort_keys=True))
        else:
            colour = wants_color(no_color=no_color) and sys.stdout.isatty()
            click.echo(_text(history, last, now, colour=colour), nl=False)
    if not quiet and (last != chapters or not is_all_read):
        click.echo(f"There is more before that; --limit {limit * 10} shows more.", err=True)


def _text(history: History, chapters: Sequence[Chapter], now: Instant, *, colour: bool) -> str:
    width = text_width()
    told = history_text(chapters, width=width, colour=colour) or "The journal remembers nothing of the kind.\n"
    stories = stories_of(history.entries).values()
    holds = in_force_text(history, stories, now=now, width=width, colour=colour)
    return told + ("\n" if holds else "") + holds


def _document(kept: Journal, history: History, chapters: Sequence[Chapter], now: Instant) -> dict[str, Any]:
    moves = {
        attempt_id: [move_document(move.state, move.at, move.detail) for move in kept.moves(attempt_id)]
        for attempt_id in attempts_of(chapters)
    }
    writes = {
        attempt_id: [write_document(each.write, each.before, each.after) for each in kept.writes(attempt_id)]
        for attempt_id in (*attempts_of(chapters), *(each.id for each in history.on_products))
    }
    stories = stories_of(history.entries).values()
    return history_document(
        chapters, moves, writes, history=history, stories=stories, now=now, tool_version=__version__
    )


def _read(kept: Journal, asked: _Asked) -> tuple[History, bool]:
    """What the journal has of it, and whether that is everything. Raises OperatorError PFR6706."""
    fleet, device_id = asked.fleet, asked.device_id
    unknown = None if fleet is None else unknown_fleet(kept, fleet)
    if unknown is not None:
        raise unknown
    attempts = kept.attempts(device_id=device_id, fleet=fleet, limit=READ_MAX)
    changes = kept.console_changes(device_id=device_id, fleet=fleet, limit=READ_MAX)
    is_all_read = max(len(attempts), len(changes)) < READ_MAX
    history = History(
        entries=tuple(noted.entry for noted in kept.entries(fleet=fleet)),
        attempts=tuple(reversed(attempts)),
        on_products=() if device_id else tuple(reversed(kept.product_attempts(fleet=fleet, limit=READ_MAX))),
        changes=tuple(reversed(changes)),
        latches=tuple(
            latch
            for latch in kept.latches().values()
            if not latch.lifted and fleet in (None, latch.fleet) and device_id in (None, latch.device_id)
        ),
        refusals=kept.refusals(),
    )
    return history, is_all_read


def _chapters(history: History, asked: _Asked) -> tuple[Chapter, ...]:
    """Raises OperatorError PFR6707."""
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
