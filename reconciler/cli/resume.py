"""`reconciler resume FLEET`: lift a halt. Only a person does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.inputs import journal_option
from reconciler.journal.location import journal_location
from reconciler.journal.sqlite import SqliteJournal


@click.command("resume")
@click.argument("fleet")
@journal_option
@output_options("quiet")
def command(fleet: str, journal: Path | None, quiet: bool) -> None:
    """Lift the halt of FLEET. The next `apply` goes on where it was stopped."""
    with SqliteJournal(journal_location(journal, os.environ), create=False) as kept:
        halts = kept.halts()
        if kept.lift(fleet):
            if not quiet:
                click.echo(f"fleet {fleet} may go on")
            return
    known = ", ".join(halt.fleet for halt in halts)
    click.echo(f"fleet {fleet} is not halted; " + (f"halted are: {known}" if known else "no fleet is"), err=True)
    sys.exit(1)
