"""`reconciler resume [FLEET] [--device ID] [--product NUMBER]`: lift what holds. Only a person does."""

from __future__ import annotations

import os
import sys
import time

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.inputs import by_option, journal_option
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.opening import open_journal
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant


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
@output_options("quiet")
def command(
    fleet: str | None,
    device_ids: tuple[str, ...],
    latched: bool,
    product: int | None,
    by: str,
    journal: JournalPlace | None,
    quiet: bool,
) -> None:
    """Lift the halt of FLEET, let go of devices, or forget a refusal. The next `apply` goes on where it was stopped.

    Exit codes: 0 done, 1 there was nothing to lift, 2 usage.
    """
    if fleet is None and not device_ids and product is None:
        raise click.UsageError("name a FLEET, a device with --device, or a product by its number with --product")
    if fleet is None and latched:
        raise click.UsageError("--latched needs a FLEET")
    with open_journal(journal_location(journal, os.environ), create=False) as kept:
        known = {latch.device_id: latch for latch in kept.latches().values() if not latch.lifted}
        wanted = [DeviceId(device_id.lower()) for device_id in device_ids]
        wanted += [device_id for device_id, latch in sorted(known.items()) if latched and latch.fleet == fleet]
        lifted = [_let_go(kept, device_id, quiet=quiet) for device_id in dict.fromkeys(wanted)]
        if fleet is not None and (not latched or fleet in {halt.fleet for halt in kept.halts()}):
            lifted.append(_lift(kept, fleet, by=by, quiet=quiet))
        if product is not None:
            lifted.append(_forget(kept, product, quiet=quiet))
    if not lifted:
        click.echo(f"fleet {fleet} is not halted, and none of its devices is held", err=True)
    if not lifted or not all(lifted):
        sys.exit(1)


def _forget(kept: Journal, product: int, *, quiet: bool) -> bool:
    refusals = kept.refusals()
    if kept.forget_refusal(product):
        if not quiet:
            click.echo(f"product {product} is tried again")
        return True
    known = ", ".join(str(refusal.product_id) for refusal in refusals) or "none"
    click.echo(f"no refusal is known for product {product}; products with one: {known}", err=True)
    return False


def _let_go(kept: Journal, device_id: DeviceId, *, quiet: bool) -> bool:
    lifted = kept.unlatch(device_id)
    if not lifted:
        click.echo(f"device {device_id} is not held", err=True)
    elif not quiet:
        click.echo(f"device {device_id} may go on")
    return lifted


def _lift(kept: Journal, fleet: str, *, by: str, quiet: bool) -> bool:
    halts = kept.halts()
    if kept.lift(fleet, Instant(time.time()), by=by):
        if not quiet:
            click.echo(f"fleet {fleet} may go on")
        return True
    known = ", ".join(halt.fleet for halt in halts)
    click.echo(f"fleet {fleet} is not halted; " + (f"halted are: {known}" if known else "no fleet is"), err=True)
    return False
