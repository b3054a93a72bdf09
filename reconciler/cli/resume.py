"""`reconciler resume [FLEET] [--device ID] [--product NUMBER]`: lift what holds. Only a person does."""

from __future__ import annotations

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import journal_of_runs, moment, speaker_on, tell, word_output_option
from reconciler.controller.words.holding import resume
from reconciler.journal.location import JournalPlace


@click.command("resume")
@click.argument("fleet", required=False)
@click.option(
    "--device",
    "device_ids",
    metavar="ID",
    multiple=True,
    help="Let go of a device that is held because somebody kept undoing what we did. May be given several times.",
)
@click.option("--latched", is_flag=True, help="Let go of all such devices of FLEET.")
@click.option("--product", type=int, metavar="NUMBER", help="Forget that the cloud refused Device OS modules there.")
@by_option
@journal_option
@word_output_option
@output_options("quiet")
def command(
    fleet: str | None,
    device_ids: tuple[str, ...],
    latched: bool,
    product: int | None,
    by: str,
    journal: JournalPlace | None,
    output: str,
    quiet: bool,
) -> None:
    """Lift the halt and the suspension of FLEET, let go of devices, or forget a refusal.

    Who resumes a fleet has seen what failed in it: from now on failures are counted anew. Devices that are held because
    their steps kept failing stay held until their time: `retry` tries them at once. A suspension that stands in a
    manifest is lifted in Git.

    Exit codes: 0 done, 1 there was nothing to lift, 2 usage.
    """
    if fleet is None and not device_ids and product is None:
        raise click.UsageError("name a FLEET, a device with --device, or a product by its number with --product")
    if fleet is None and latched:
        raise click.UsageError("--latched needs a FLEET")
    with journal_of_runs(journal) as kept:
        told = resume(speaker_on(kept, by), fleet, device_ids=device_ids, latched=latched, product=product)
        tell("resume", told, at=moment(kept), by=by, output=output, quiet=quiet)
