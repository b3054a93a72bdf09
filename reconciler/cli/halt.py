"""`reconciler halt FLEET…|--all`: a person's word, durable in the journal before anything else happens."""

from __future__ import annotations

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import force_option, journal_of_runs, moment, speaker_on, tell, word_output_option
from reconciler.controller.words.holding import halt, halt_all
from reconciler.journal.location import JournalPlace


@click.command("halt")
@click.argument("fleets", metavar="FLEET…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every fleet that the journal knows.")
@click.option("--reason", default="a person halted it", show_default=True, help="Why; whoever resumes it reads this.")
@force_option
@by_option
@journal_option
@word_output_option
@output_options("quiet")
def command(
    fleets: tuple[str, ...],
    everything: bool,
    reason: str,
    force: bool,
    by: str,
    journal: JournalPlace | None,
    output: str,
    quiet: bool,
) -> None:
    """Start nothing more in FLEET until `resume`, also in a run that is going on. What is under way ends its step.

    Needs neither manifests nor the cloud. A name that the journal does not know is not halted without --force: a slip
    of the pen must not pass for a halt.

    Exit codes: 0 all of them are halted, 1 one of them is not, 2 usage.
    """
    if bool(fleets) == everything:
        raise click.UsageError("name one FLEET or more, or give --all")
    with journal_of_runs(journal, create=force) as kept:
        speaker = speaker_on(kept, by)
        told = halt_all(speaker, reason=reason) if everything else halt(speaker, fleets, reason=reason, force=force)
        tell("halt", told, at=moment(kept), by=by, output=output, quiet=quiet)
