"""What the words of a person share as commands: which journal hears them, by whose clock, and how it is told.

No manifests, no cloud and no network: a word must be possible when all of them are down. What a word does is in
`reconciler.controller.words`; it is durable when the command says so; a run on the same journal hears it in its next
pass.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from reconciler import __version__
from reconciler.cli.display_options import text_width
from reconciler.controller.words import speaker
from reconciler.controller.words.speaker import Speaker
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.lock import holder_of
from reconciler.journal.opening import open_if_there, open_journal
from reconciler.journal.sql import SqlJournal
from reconciler.model.error import JournalError
from reconciler.model.instant import Instant
from reconciler.render.word import Told, told_text, word_document

Command = TypeVar("Command", bound=Callable[..., Any])


def word_output_option(command: Command) -> Command:
    """Adds `--output`; the command gets `output`."""
    return click.option(
        "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom."
    )(command)


def force_option(command: Command) -> Command:
    """Adds `--force`; the command gets `force`."""
    return click.option("--force", is_flag=True, help="Also where the journal knows no fleet of this name.")(command)


def journal_of_runs(journal: JournalPlace | None, *, create: bool = False) -> SqlJournal:
    """The journal that runs here work on. Raises JournalError PFR5001 when there is none, unless `create` is set."""
    place = journal_location(journal, os.environ)
    kept = open_journal(place) if create else open_if_there(place)
    if kept is not None:
        return kept
    raise JournalError(
        "PFR5001",
        f"there is no journal at {place}, so no run here would hear it",
        next_step="name the journal of the run with --journal or RECONCILER_JOURNAL; before the first run, `halt` and "
        "`suspend` make it with --force",
    )


def speaker_on(kept: SqlJournal, by: str) -> Speaker:
    """A person at this machine, who speaks to whatever run is at work on the journal."""
    return Speaker(journal=kept, by=by, clock=wall_clock, is_heard=lambda: _is_run_going_on(kept.path))


def _is_run_going_on(place: JournalPlace) -> bool:
    holder = holder_of(place)
    return holder is not None and holder.alive


def wall_clock() -> Instant:
    """Now by this machine."""
    return Instant(time.time())


def moment(kept: Journal) -> Instant:
    """Now by this machine's clock, and later than what was last seen of attempts: see `speaker.moment`."""
    return speaker.moment(kept, wall_clock())


def time_from_words(text: str, *, now: Instant, sign: int = 1) -> Instant:
    """See `speaker.time_from_words`. Raises click.BadParameter."""
    try:
        return speaker.time_from_words(text, now=now, sign=sign)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def tell(verb: str, told: Sequence[Told], *, at: Instant, by: str, output: str, quiet: bool) -> None:
    """Say what came of it, on standard error what did not, and end with 1 unless all of it was done."""
    if output == "json":
        document = word_document(verb, told, at=at, by=by, tool_version=__version__)
        click.echo(json.dumps(document, indent=2, sort_keys=True))
    else:
        for each in told:
            if not (each.done and quiet):
                click.echo(told_text(each, width=text_width()), err=not each.done)
    if not all(each.done for each in told):
        sys.exit(1)
