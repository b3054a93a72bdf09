"""`reconciler reconcile [FLEET]`: look at once, instead of at the next interval."""

from __future__ import annotations

import secrets

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import force_option, journal_of_runs, moment, speaker_on, tell, word_output_option
from reconciler.controller.words.asking import reconcile
from reconciler.journal.location import JournalPlace


@click.command("reconcile")
@click.argument("fleet", required=False)
@force_option
@by_option
@journal_option
@word_output_option
@output_options("quiet")
def command(fleet: str | None, force: bool, by: str, journal: JournalPlace | None, output: str, quiet: bool) -> None:
    """Have the controller look at the source and at FLEET (without it: at every fleet) at once.

    It plans and carries out what it would have at the next interval; halts, windows and approvals hold as ever.

    Exit codes: 0 it was written down, 1 it was not, 2 usage.
    """
    with journal_of_runs(journal) as kept:
        told = reconcile(speaker_on(kept, by), fleet, token=secrets.token_hex(8), force=force)
        tell("reconcile", [told], at=moment(kept), by=by, output=output, quiet=quiet)
