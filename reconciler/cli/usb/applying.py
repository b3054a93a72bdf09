"""`reconciler usb apply`: show the plan for what is plugged in, ask, carry it out, and end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from reconciler import __version__
from reconciler.bench_wiring import BenchWork, eyes_of
from reconciler.cli.carrying_out import agreement_on
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.inputs import journal_option, plan_on, text_width
from reconciler.cli.saying import say
from reconciler.cli.usb.inputs import BenchOptions, bench_options, opened
from reconciler.cli.usb.showing import SerialLogs
from reconciler.cli.usb.working import display_of, exit_code, sole_bench, work
from reconciler.controller.approvals import keep
from reconciler.controller.report import Ending
from reconciler.controller.seat import Seat, SeatState
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.opening import open_journal
from reconciler.model.device import DeviceId
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.render.plan_json import plan_document
from reconciler.render.plan_text import plan_text


@click.command("apply")
@bench_options
@journal_option
@click.option("--any-fleet", is_flag=True, help="Serve devices of fleets that are delivered over the cloud, too.")
@click.option("--auto-approve", is_flag=True, help="Do not ask before acting.")
@click.option(
    "--log",
    "log_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Add what happens to each device to FOLDER/<device id>.jsonl.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@output_options("no_color")
def apply_command(
    bench: BenchOptions,
    journal: JournalPlace | None,
    any_fleet: bool,
    auto_approve: bool,
    log_folder: Path | None,
    output: str,
    no_color: bool,
) -> None:
    """Show the plan for what is plugged in now, ask, and carry it out. Run it again to go on.

    Exit codes: 0 done, 1 error, 3 some devices failed, 5 awaiting approval, 130 interrupted.
    """
    place = journal_location(journal, os.environ)
    colour = wants_color(no_color=no_color)
    with opened(bench, writes=True) as here, open_journal(place) as kept, sole_bench(kept.path):
        plan = plan_on(here.intent, eyes_of(here.settings, kept).observe(), now=here.settings.wall())
        document = plan_document(plan, tool_version=__version__)
        agreement = agreement_on(document["plan_id"], plan)
        text = plan_text(plan, plan_id=document["plan_id"], width=text_width(), colour=colour and sys.stdout.isatty())
        say(text, err=output == "json", nl=False)
        if agreement.steps:
            keep(kept, document)
            _ask(len(agreement.steps), auto_approve=auto_approve)
        agreed = {device_id: frozenset(map(_aim, steps)) for device_id, steps in agreement.steps.items()}

        def may(device_id: DeviceId, step: Step) -> bool:
            return _aim(step) in agreed.get(device_id, frozenset())

        what = BenchWork(
            journal=kept,
            binaries=here.binaries,
            plan_id=document["plan_id"],
            may=may,
            is_shared=any_fleet or not isinstance(kept.path, Path),
            only=frozenset(agreed),
        )
        display = display_of(output=output, colour=colour, sound=False)
        seats, interrupted = work(
            here,
            what,
            display,
            SerialLogs(log_folder),
            is_over=lambda hall: agreed.keys() <= _at_rest(hall.of().values()),
        )
    done = sum(seat.state is SeatState.DONE for seat in seats)
    if output == "json":
        say(json.dumps({"event": "outcome", "devices_planned": len(agreed), "devices_done": done}, sort_keys=True))
    else:
        say(f"{done} of {len(agreed)} devices are done", err=True)
    sys.exit(exit_code(seats, interrupted=interrupted))


def _aim(step: Step) -> object:
    """What a step brings. In the middle of a visit to DFU mode the same step boots into another mode, perhaps."""
    match step:
        case FlashModule():
            return step.device_os, step.module
        case FlashApplication() | LockApplication():
            return step.application


def _at_rest(seats: Iterable[Seat]) -> frozenset[DeviceId]:
    return frozenset(seat.device_id for seat in seats if seat.device_id is not None and seat.state.is_at_rest)


def _ask(devices: int, *, auto_approve: bool) -> None:
    if auto_approve:
        return
    if not sys.stdin.isatty():
        say("nobody can be asked here: give --auto-approve to act without asking", err=True)
        sys.exit(Ending.AWAITING_APPROVAL.value)
    if not click.confirm(f"Carry this out on {devices} {'device' if devices == 1 else 'devices'}?", err=True):
        say("not approved; nothing was sent", err=True)
        sys.exit(Ending.AWAITING_APPROVAL.value)
