"""`reconciler force-unlock`: take the right to write away from a run that hangs, or whose machine is gone.

A lock here ends with its process, and a record of attempts never locks anything. So there is only one thing that can be
stuck: a run that lives and does not go on. What is safe to do to it is to fence it: from then on the journal refuses
all that it writes, and as nothing is sent before it is written, it sends nothing more.
"""

from __future__ import annotations

import os
import sys

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import moment
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.lock import Holder, freed_by_force, holder_of
from reconciler.journal.opening import open_journal
from reconciler.journal.sql import SqlJournal
from reconciler.model.instant import iso_from_instant
from reconciler.render.ink import counted


@click.command("force-unlock")
@click.option("--yes", is_flag=True, help="Do not ask.")
@by_option
@journal_option
@output_options("quiet")
def command(yes: bool, by: str, journal: JournalPlace | None, quiet: bool) -> None:
    """Show who works on the journal, and take the right to write away from them.

    For a run that hangs. It writes nothing more and sends nothing more; what it has sent already, the next run finds
    out. It is never needed after a crash: locks end with their process. A run on this journal that is well ends, too.

    Exit codes: 0 done, or nobody was at work; 1 a process still holds the lock, or nobody agreed; 2 usage.
    """
    place = journal_location(journal, os.environ)
    with open_journal(place, create=False) as kept:
        holder = holder_of(place)
        click.echo("\n".join(_found(kept, holder)), err=not yes)
        if not yes and not _is_agreed():
            click.echo("nothing was changed", err=True)
            sys.exit(1)
        rights, at = kept.rights(), moment(kept)
        for right in rights:
            kept.take_epoch(right.scope, holder=f"force-unlock by {by}", at=at)
    if not quiet:
        scopes = counted(len(rights), "right to write was", "rights to write were")
        click.echo(f"{scopes} taken: who worked on this journal until now writes nothing more and sends nothing more")
    _free(place, holder, quiet=quiet)


def _found(kept: SqlJournal, holder: Holder | None) -> list[str]:
    """Who holds what since when, for a person to judge."""
    match holder:
        case None:
            lines = [f"{kept.path}: nobody is at work on it"]
        case Holder(alive=True):
            lines = [f"{kept.path}: {holder.words}, is at work on it"]
        case _:
            lines = [f"{kept.path}: {holder.words}, has ended without saying so; its lock ended with it"]
    for right in kept.rights():
        lines.append(f"  {right.scope}: taken at {iso_from_instant(right.at)} by {right.holder}, epoch {right.epoch}")
    under_way = len(kept.open_attempts()) + len(kept.open_product_attempts())
    return [*lines, f"  under way: {under_way}; what became of them, the next run finds out by looking"]


def _is_agreed() -> bool:
    try:
        return click.confirm("take the right to write away?", err=True)
    except click.Abort:  # nobody is there to say
        return False


def _free(place: JournalPlace, holder: Holder | None, *, quiet: bool) -> None:
    """Free the lock where that can be done, else say whose it is. Ends with 1 when it is still held."""
    if holder is None or not holder.alive:
        return
    if freed_by_force(place):
        if not quiet:
            click.echo(f"{holder.words}: its connection was ended, the lock is free")
        return
    click.echo(f"the lock of {place} is held until this process has ended: {holder.words}", err=True)
    sys.exit(1)
