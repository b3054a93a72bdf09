"""`reconciler halt FLEET`: a person's word, durable in the journal before anything else happens."""

from __future__ import annotations

import os
import time

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.inputs import by_option, journal_option
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.opening import open_journal
from reconciler.model.instant import Instant


@click.command("halt")
@click.argument("fleet")
@click.option("--reason", default="a person halted it", show_default=True)
@by_option
@journal_option
@output_options("quiet")
def command(fleet: str, reason: str, by: str, journal: JournalPlace | None, quiet: bool) -> None:
    """Start nothing more in FLEET until `resume`, also in a run that is going on. What is under way ends its step."""
    with open_journal(journal_location(journal, os.environ)) as kept:
        kept.halt(fleet, reason, Instant(time.time()), by=by)
    if not quiet:
        click.echo(f"fleet {fleet} is halted; lift it with: reconciler resume {fleet}")
