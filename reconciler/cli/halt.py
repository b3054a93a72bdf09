"""`reconciler halt FLEET…|--all`: a person's word, durable in the journal before anything else happens."""

from __future__ import annotations

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import (
    force_option,
    hearing_in_words,
    journal_of_runs,
    moment,
    not_known,
    tell,
    unknown_fleet,
    word_output_option,
)
from reconciler.journal.location import JournalPlace
from reconciler.journal.sql import SqlJournal
from reconciler.render.step_words import time_in_words
from reconciler.render.word import Told


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
        wanted = kept.fleets() if everything else tuple(dict.fromkeys(fleets))
        told = [_halt(kept, fleet, reason, by, force=force or everything) for fleet in wanted]
        if not told:
            told = [Told(done=False, message="the journal knows no fleet yet, so nothing was halted")]
        tell("halt", told, at=moment(kept), by=by, output=output, quiet=quiet)


def _halt(kept: SqlJournal, fleet: str, reason: str, by: str, *, force: bool) -> Told:
    unknown = None if force else unknown_fleet(kept, fleet)
    if unknown is not None:
        return not_known(unknown, fleet, "halt")
    at = moment(kept, fleet=fleet)
    kept.halt(fleet, reason, at, by=by)
    # What stands now, not what was asked for: it may have been halted before, by a person or by itself.
    standing = next(halt for halt in kept.halts() if halt.fleet == fleet)
    if standing.at != at:
        who = "by itself" if standing.by is None else f"by {standing.by}"
        message = f"fleet {fleet} was halted already, {who} at {time_in_words(standing.at)}: {standing.reason}"
    else:
        message = f"fleet {fleet} is halted; {hearing_in_words(kept, fleet)}"
    return Told(done=True, fleet=fleet, message=message, next_step=f"lift it with: reconciler resume {fleet}")
