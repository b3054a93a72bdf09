"""`reconciler accept COMMIT`: a person has a revision taken that the controller refuses."""

from __future__ import annotations

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import journal_of_runs, moment, speaker_on, tell, word_output_option
from reconciler.controller.words.asking import accept
from reconciler.journal.location import JournalPlace


@click.command("accept")
@click.argument("commit")
@click.option("--source", metavar="NAME", help="The source of the commit. Default: the one of the latest intent.")
@by_option
@journal_option
@word_output_option
@output_options("quiet")
def command(commit: str, source: str | None, by: str, journal: JournalPlace | None, output: str, quiet: bool) -> None:
    """Take COMMIT (its id, or 12 digits of it or more) although it does not follow from what is desired now.

    For a forced push that is meant so, and for a commit that takes away more fleets than the guards allow. It holds for
    this commit alone. A signature that lacks, or manifests with problems, are accepted by nobody's word.

    Exit codes: 0 it was written down, 1 it was not, 2 usage.
    """
    with journal_of_runs(journal) as kept:
        try:
            told = accept(speaker_on(kept, by), commit, source=source)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="COMMIT") from None
        tell("accept", [told], at=moment(kept), by=by, output=output, quiet=quiet)
