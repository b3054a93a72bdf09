"""`reconciler suspend FLEET --reason TEXT [--until TIME|DURATION]`: nothing starts for a while, by a person's word."""

from __future__ import annotations

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import force_option, journal_of_runs, moment, speaker_on, tell, word_output_option
from reconciler.controller.words.holding import suspend
from reconciler.journal.location import JournalPlace


@click.command("suspend")
@click.argument("fleet")
@click.option("--reason", required=True, help="Why; whoever wonders that nothing happens reads this.")
@click.option(
    "--until",
    metavar="TIME|DURATION",
    help="When it ends by itself: 2h, 3d, or a time (UTC unless it says another zone). Left out: at `resume`.",
)
@force_option
@by_option
@journal_option
@word_output_option
@output_options("quiet")
def command(
    fleet: str,
    reason: str,
    until: str | None,
    force: bool,
    by: str,
    journal: JournalPlace | None,
    output: str,
    quiet: bool,
) -> None:
    """Start nothing in FLEET until a time, also in a run that is going on. What is under way ends its step.

    For a while that is known beforehand: when something is wrong, `halt`. It takes the place of an earlier suspension.
    One that stands in a manifest is another one, and stays.

    Exit codes: 0 the fleet is suspended, 1 it is not, 2 usage.
    """
    with journal_of_runs(journal, create=force) as kept:
        try:
            told = suspend(speaker_on(kept, by), fleet, reason=reason, until=until, force=force)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--until") from None
        tell("suspend", [told], at=moment(kept), by=by, output=output, quiet=quiet)
