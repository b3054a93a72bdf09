"""`reconciler history [FLEET]`: what happened, as the journal remembers it. Reads only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click

from reconciler.cli.display_options import output_options, text_width, wants_color
from reconciler.cli.journal_options import journal_option
from reconciler.cli.word import moment, time_from_words
from reconciler.controller.history import Asked, chapters_asked_for, document_of, read_history
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.opening import open_journal
from reconciler.model.device import DeviceId, is_device_id
from reconciler.model.instant import Instant
from reconciler.model.rollout import stories_of
from reconciler.render.history import Chapter, History, last_of
from reconciler.render.history_text import history_text, in_force_text


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
        asked = Asked(
            fleet=fleet or fleet_option,
            device_id=None if device is None else DeviceId(device.lower()),
            rollout=rollout,
            since=None if since is None else time_from_words(since, now=now, sign=-1),
            each_alone=verbose or device is not None or output == "json",
        )
        history, is_all_read = read_history(kept, asked)
        chapters = chapters_asked_for(history, asked)
        last = last_of(chapters, limit)
        if output == "json":
            click.echo(json.dumps(document_of(kept, history, last, now), indent=2, sort_keys=True))
        else:
            colour = wants_color(no_color=no_color) and sys.stdout.isatty()
            click.echo(_text(history, last, now, colour=colour), nl=False)
    if not quiet and (last != chapters or not is_all_read):
        click.echo(f"There is more before that; --limit {limit * 10} shows more.", err=True)


def text_of_last(kept: Journal, *, limit: int) -> str:
    """The last chapters of the journal and what holds now, as the command prints them without options."""
    asked = Asked()
    history, _ = read_history(kept, asked)
    return _text(history, last_of(chapters_asked_for(history, asked), limit), moment(kept), colour=False)


def _text(history: History, chapters: Sequence[Chapter], now: Instant, *, colour: bool) -> str:
    width = text_width()
    told = history_text(chapters, width=width, colour=colour) or "The journal remembers nothing of the kind.\n"
    stories = stories_of(history.entries).values()
    holds = in_force_text(history, stories, now=now, width=width, colour=colour)
    return told + ("\n" if holds else "") + holds
