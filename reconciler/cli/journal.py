"""`reconciler journal check|backup|compact`: what keeps a journal fit for years."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.inputs import journal_option
from reconciler.journal.backup import back_up, bytes_of, dump_command, findings
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.opening import open_journal
from reconciler.journal.tables import SCHEMA_VERSION
from reconciler.model.duration import seconds_of
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.render.ink import counted


@click.group("journal")
def command() -> None:
    """Check, back up and compact the journal."""


@command.command("check")
@journal_option
def check(journal: JournalPlace | None) -> None:
    """Say whether the journal is whole, its format, how much is in it, and what is under way.

    Exit codes: 0 nothing is wrong, 1 something is.
    """
    place = journal_location(journal, os.environ)
    with open_journal(place, create=False) as kept:
        counts, open_attempts = kept.counts(), kept.open_attempts()
    wrong = findings(place) if isinstance(place, Path) else []
    click.echo(f"{place}: format {SCHEMA_VERSION}")
    if isinstance(place, Path):
        click.echo(f"{bytes_of(place):,} bytes")
        click.echo("\n".join(wrong) if wrong else "nothing is wrong with the file")
    else:
        click.echo("whether the server's files are whole, only the server can tell: pg_amcheck")
    width = max(map(len, counts))
    click.echo("\n".join(f"{name:<{width}}  {count:>9,}" for name, count in sorted(counts.items())))
    if open_attempts:
        first = min(open_attempts, key=lambda each: each.began_at)
        since = f"the oldest of fleet {first.fleet} since {iso_from_instant(first.began_at)}"
        click.echo(f"{counted(len(open_attempts), 'step')} under way, {since}: reconciler status says more")
    if wrong:
        sys.exit(1)


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@journal_option
@output_options("quiet")
def backup(file: Path, journal: JournalPlace | None, quiet: bool) -> None:
    """Copy the journal to FILE, which must not exist, also while a run is at work; the copy is checked.

    Exit codes: 0 done, 1 an error, or the journal is on a server: then the command is shown that copies it.
    """
    place = journal_location(journal, os.environ)
    if not isinstance(place, Path):
        click.echo("the journal is on a server, which is backed up by its own tool:", err=True)
        click.echo(dump_command(place, file))
        sys.exit(1)
    open_journal(place, create=False).close()
    back_up(place, file)
    if not quiet:
        click.echo(f"{file} is a copy of {place}, {bytes_of(file):,} bytes, read back and whole")


@command.command("compact")
@click.option(
    "--keep", type=seconds_of, default="400d", show_default=True, metavar="DURATION", help="What ended later stays."
)
@journal_option
@output_options("quiet")
def compact(keep: float, journal: JournalPlace | None, quiet: bool) -> None:
    """Remove attempts that ended long ago, with their moves, requests and plans, where nothing follows from them.

    What devices have learnt, locks, halts, open attempts, rollouts that are not over and all entries of rollouts stay.
    The file does not get smaller; its space is used again.
    """
    now = Instant(time.time())
    ended_before = Instant(now - keep)
    with open_journal(journal_location(journal, os.environ), create=False) as kept:
        removed = kept.compact(ended_before=ended_before, at=now)
    if not quiet:
        what = f"{removed.attempts} attempts, {removed.moves} moves, {removed.writes} requests, {removed.plans} plans"
        click.echo(f"removed of what ended before {iso_from_instant(ended_before)}: {what}")
