"""`reconciler resume [FLEET] [--device ID] [--product NUMBER]`: lift what holds. Only a person does."""

from __future__ import annotations

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import (
    journal_of_runs,
    moment,
    tell,
    unknown_fleet,
    until_in_words,
    word_output_option,
)
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace
from reconciler.journal.settling import settled
from reconciler.model.device import DeviceId
from reconciler.model.rollout import story_of
from reconciler.model.rollout_entry import Resumed
from reconciler.render.step_words import time_in_words
from reconciler.render.word import Told


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
        known = {latch.device_id: latch for latch in kept.latches().values() if not latch.lifted}
        wanted = [DeviceId(device_id.lower()) for device_id in device_ids]
        wanted += [device_id for device_id, latch in sorted(known.items()) if latched and latch.fleet == fleet]
        told = [_let_go(kept, device_id) for device_id in dict.fromkeys(wanted)]
        if fleet is not None:
            lifted = _lift(kept, fleet, by=by)
            # Of a fleet all of whose devices are let go, nobody said that it is halted.
            if lifted.done or not (latched and told):
                told.append(lifted)
        if product is not None:
            told.append(_forget(kept, product))
        tell("resume", told, at=moment(kept), by=by, output=output, quiet=quiet)


def _forget(kept: Journal, product: int) -> Told:
    refusals = kept.refusals()
    if kept.forget_refusal(product):
        return Told(done=True, product_id=product, message=f"product {product} is tried again")
    known = ", ".join(str(refusal.product_id) for refusal in refusals) or "none"
    message = f"no refusal is known for product {product}; products with one: {known}"
    return Told(done=False, product_id=product, message=message)


def _let_go(kept: Journal, device_id: DeviceId) -> Told:
    if kept.unlatch(device_id):
        return Told(done=True, device_id=device_id, message=f"device {device_id} may go on")
    return Told(
        done=False,
        device_id=device_id,
        message=f"device {device_id} is not held because of somebody who undid what we did",
        next_step=f"if a step failed on it: reconciler retry {device_id}",
    )


def _lift(kept: Journal, fleet: str, *, by: str) -> Told:
    at = moment(kept, fleet=fleet)
    story = story_of(fleet, (noted.entry for noted in kept.entries(fleet=fleet)))
    stood = []
    if story.halted is not None:
        who = "by itself" if story.halted.by is None else f"by {story.halted.by}"
        stood.append(f"halted {who} at {time_in_words(story.halted.at)}: {story.halted.reason}")
    if story.suspended is not None and story.is_suspended(at):
        who = f"by {story.suspended.by} " if story.suspended.by else ""
        stood.append(f"suspended {who}{until_in_words(story.suspended.until, now=at)}: {story.suspended.reason}")
    if not stood:
        return _nothing_to_lift(kept, fleet)
    kept.note([Resumed(fleet=fleet, at=at, by=by, **settled(kept, fleet=fleet))])
    message = f"fleet {fleet} may go on, failures are counted anew. It was {'; and it was '.join(stood)}"
    next_step = f"`apply` goes on where it was stopped; devices that are held: reconciler retry --fleet {fleet} --all"
    return Told(done=True, fleet=fleet, message=message, next_step=next_step)


def _nothing_to_lift(kept: Journal, fleet: str) -> Told:
    unknown = unknown_fleet(kept, fleet)
    known = ", ".join(halt.fleet for halt in kept.halts())
    halted = f"halted are: {known}" if known else "no fleet is halted"
    if unknown is not None:
        return Told(done=False, fleet=fleet, message=f"{unknown.message}; {halted} ({unknown.code})")
    return Told(
        done=False,
        fleet=fleet,
        message=f"fleet {fleet} is neither halted nor suspended in the journal; {halted}",
        next_step=f"`reconciler status PATH` says what holds it; a suspension in its manifest is lifted in Git; "
        f"devices that somebody kept setting back: reconciler resume {fleet} --latched",
    )
