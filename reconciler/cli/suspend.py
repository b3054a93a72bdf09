"""`reconciler suspend FLEET --reason TEXT [--until TIME|DURATION]`: nothing starts for a while, by a person's word."""

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
    time_from_words,
    unknown_fleet,
    until_in_words,
    word_output_option,
)
from reconciler.journal.location import JournalPlace
from reconciler.journal.sql import SqlJournal
from reconciler.model.instant import Instant
from reconciler.model.rollout import story_of
from reconciler.model.rollout_entry import Suspended
from reconciler.render.word import Told


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
        at = moment(kept, fleet=fleet)
        end = None if until is None else time_from_words(until, now=at)
        if end is not None and end <= at:
            raise click.BadParameter(f"{until} is over", param_hint="--until")
        unknown = None if force else unknown_fleet(kept, fleet)
        told = not_known(unknown, fleet, "suspend") if unknown else _suspend(kept, fleet, reason, end, at=at, by=by)
        tell("suspend", [told], at=at, by=by, output=output, quiet=quiet)


def _suspend(kept: SqlJournal, fleet: str, reason: str, until: Instant | None, *, at: Instant, by: str) -> Told:
    kept.note([Suspended(fleet=fleet, at=at, reason=reason, until=until, by=by)])
    entries = [noted.entry for noted in kept.entries(fleet=fleet)]
    message = f"fleet {fleet} is suspended {until_in_words(until, now=at)}; {hearing_in_words(kept, fleet)}"
    before = story_of(fleet, entries[:-1])
    if before.suspended is not None and before.is_suspended(at):
        message += f". It was suspended {until_in_words(before.suspended.until, now=at)}: {before.suspended.reason}"
    if before.halted is not None:
        message += f". It is halted as well: {before.halted.reason}"
    return Told(done=True, fleet=fleet, message=message, next_step=f"to end it before: reconciler resume {fleet}")
