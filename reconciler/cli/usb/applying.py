"""`reconciler usb apply`: show the plan for what is plugged in, ask, carry it out, and end."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from reconciler import __version__
from reconciler.bench_wiring import BenchWork, eyes_of
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.inputs import journal_option, plan_on, text_width
from reconciler.cli.saying import say
from reconciler.cli.usb.inputs import BenchOptions, bench_options, opened
from reconciler.cli.usb.showing import SerialLogs
from reconciler.cli.usb.working import bench_journal, counted, display_of, exit_code, sole_bench, work
from reconciler.controller.agreement import agreement_on
from reconciler.controller.approvals import keep
from reconciler.controller.bench_hall import Hall
from reconciler.controller.report import Ending
from reconciler.controller.seat import SeatState
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace
from reconciler.model.device import DeviceId
from reconciler.model.plan import Plan
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
    words = _Words(output=output, colour=wants_color(no_color=no_color))
    with (
        opened(bench, writes=True) as here,
        bench_journal(journal, is_real=not bench.emulate) as kept,
        sole_bench(kept.path, is_real=not bench.emulate),
    ):
        plan = plan_on(here.intent, eyes_of(here.settings, kept).observe(), now=here.settings.wall())
        agreed = _agreed(plan, kept, words, auto_approve=auto_approve)
        what = BenchWork(
            journal=kept,
            binaries=here.binaries,
            plan_id=agreed.plan_id,
            may=lambda device_id, step: _aim(step) in agreed.aims.get(device_id, frozenset()),
            is_shared=any_fleet or not isinstance(kept.path, Path),
            only=frozenset(agreed.aims),
        )
        display = display_of(output=output, colour=words.colour, sound=False)
        logs = SerialLogs(log_folder)
        seats, interrupted = work(here, what, display, logs, is_over=lambda hall: agreed.aims.keys() <= _at_rest(hall))
    done = sum(seat.state is SeatState.DONE for seat in seats)
    if output == "json":
        say(json.dumps({"event": "outcome", "devices_planned": len(agreed.aims), "devices_done": done}, sort_keys=True))
    else:
        say(counted(done, len(agreed.aims)), err=True)
    sys.exit(exit_code(seats, interrupted=interrupted))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """How the command speaks."""

    output: str
    colour: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Agreed:
    """What may be done to which device, under the id of the plan that showed it."""

    plan_id: str
    aims: Mapping[DeviceId, frozenset[object]]


def _agreed(plan: Plan, kept: Journal, words: _Words, *, auto_approve: bool) -> _Agreed:
    """Show the plan, keep it, and ask. Ends the process where nobody agrees."""
    document = plan_document(plan, tool_version=__version__)
    colour = words.colour and sys.stdout.isatty()
    text = plan_text(plan, plan_id=document["plan_id"], width=text_width(), colour=colour, at_bench=True)
    say(text, err=words.output == "json", nl=False)
    steps = agreement_on(document["plan_id"], plan).steps
    if steps:
        keep(kept, document)
        _ask(len(steps), auto_approve=auto_approve)
    aims = {device_id: frozenset(map(_aim, of_device)) for device_id, of_device in steps.items()}
    return _Agreed(plan_id=document["plan_id"], aims=aims)


def _aim(step: Step) -> object:
    """What a step brings. In the middle of a visit to DFU mode the same step boots into another mode, perhaps."""
    match step:
        case FlashModule():
            return step.device_os, step.module
        case FlashApplication() | LockApplication():
            return step.application


def _at_rest(hall: Hall) -> frozenset[DeviceId]:
    return frozenset(device_id for device_id, seat in hall.of().items() if seat.state.is_at_rest)


def _ask(devices: int, *, auto_approve: bool) -> None:
    if auto_approve:
        return
    if not sys.stdin.isatty():
        say("nobody can be asked here: give --auto-approve to act without asking", err=True)
        sys.exit(Ending.AWAITING_APPROVAL.value)
    if not click.confirm(f"Carry this out on {devices} {'device' if devices == 1 else 'devices'}?", err=True):
        say("not approved; nothing was sent", err=True)
        sys.exit(Ending.AWAITING_APPROVAL.value)
