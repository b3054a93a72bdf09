"""`reconciler approve PLANFILE|PLAN_ID`: a person agrees to a plan, by its digest."""

from __future__ import annotations

import os
from pathlib import Path

import click

from reconciler.cli.catalog_file import read_catalog
from reconciler.cli.display_options import output_options
from reconciler.cli.inputs import by_option, catalog_option, journal_option
from reconciler.cli.saved_plan import is_plan_file, read_saved_plan
from reconciler.cli.word import speaker_on, wall_clock
from reconciler.controller.words.approving import approve, kept_plan
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.opening import open_journal


@click.command("approve")
@click.argument("plan", metavar="PLANFILE|PLAN_ID")
@click.option(
    "--fleet", "fleets", metavar="FLEET", multiple=True, help="Only for this fleet. May be given several times."
)
@click.option(
    "--wave",
    "waves",
    metavar="WAVE",
    multiple=True,
    help="For this wave, and not for the fleet as a whole. May be given several times.",
)
@by_option
@catalog_option
@journal_option
@output_options("quiet")
def command(
    plan: str,
    fleets: tuple[str, ...],
    waves: tuple[str, ...],
    by: str,
    catalog: Path | None,
    journal: JournalPlace | None,
    quiet: bool,
) -> None:
    """Agree to a plan that was saved with `plan --out`, or that `apply` has proposed and the journal keeps.

    What was approved is that plan and no other: `apply` starts a device only where its steps are those of the plan.

    Exit codes: 0 approved, now or before; 1 error; 2 usage.
    """
    now = wall_clock()
    releases = read_catalog(catalog)
    from_file = is_plan_file(Path(plan))
    with open_journal(journal_location(journal, os.environ), create=from_file) as kept:
        if from_file:
            file = read_saved_plan(Path(plan), releases, now=now)
            saved, document = file.plan, file.document
        else:
            saved, document = kept_plan(kept, plan, releases, now)
        told = approve(speaker_on(kept, by), saved, document, fleets=fleets, waves=waves)
    for each in told if not quiet else ():
        click.echo(each.message)
