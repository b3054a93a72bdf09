"""`reconciler resume FLEET|--product NUMBER`: lift a halt, or forget a refusal. Only a person does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.inputs import journal_option
from reconciler.journal.location import journal_location
from reconciler.journal.sqlite import SqliteJournal


@click.command("resume")
@click.argument("fleet", required=False)
@click.option("--product", type=int, metavar="NUMBER", help="Forget that the cloud refused Device OS modules there.")
@journal_option
@output_options("quiet")
def command(fleet: str | None, product: int | None, journal: Path | None, quiet: bool) -> None:
    """Lift the halt of FLEET, or forget what the cloud refused for a product: the next `apply` tries it again."""
    if (fleet is None) == (product is None):
        raise click.UsageError("name a fleet, or a product by its number with --product")
    with SqliteJournal(journal_location(journal, os.environ), create=False) as kept:
        halts, refusals = kept.halts(), kept.refusals()
        done = kept.lift(fleet) if fleet is not None else product is not None and kept.forget_refusal(product)
    if done:
        if not quiet:
            what = f"fleet {fleet} may go on" if fleet is not None else f"product {product} is tried again"
            click.echo(what)
        return
    if fleet is None:
        known = ", ".join(str(refusal.product_id) for refusal in refusals) or "none"
        click.echo(f"no refusal is known for product {product}; products with one: {known}", err=True)
        sys.exit(1)
    known = ", ".join(halt.fleet for halt in halts)
    click.echo(f"fleet {fleet} is not halted; " + (f"halted are: {known}" if known else "no fleet is"), err=True)
    sys.exit(1)
