"""`reconciler usb bench`: bring whatever is plugged in to its desired state, and show who is done."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler.bench_wiring import BenchWork
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.inputs import journal_option
from reconciler.cli.saying import say
from reconciler.cli.usb.inputs import BenchOptions, bench_options, opened
from reconciler.cli.usb.showing import SerialLogs
from reconciler.cli.usb.working import bench_journal, display_of, exit_code, outcome, sole_bench, work
from reconciler.controller.bench_hall import Hall
from reconciler.journal.location import JournalPlace


@click.command("bench")
@bench_options
@journal_option
@click.option("--any-fleet", is_flag=True, help="Serve devices of fleets that are delivered over the cloud, too.")
@click.option("--once", is_flag=True, help="End when everything that is plugged in is at rest.")
@click.option("--sound", is_flag=True, help="Ring the bell: once for done, three times for trouble.")
@click.option(
    "--log",
    "log_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Add what happens to each device to FOLDER/<device id>.jsonl.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@output_options("no_color")
def bench_command(
    bench: BenchOptions,
    journal: JournalPlace | None,
    any_fleet: bool,
    once: bool,
    sound: bool,
    log_folder: Path | None,
    output: str,
    no_color: bool,
) -> None:
    """Bring whatever is plugged in to its desired state, any number at once, and show who is done. Ctrl-C ends it.

    Devices in no fleet are shown and never touched. A device that is unplugged in the middle goes on when it is plugged
    in again, here or at another bench with the same journal.

    Exit codes: 0 nothing failed, 1 error, 3 some devices failed or were left in the middle, 130 left during work.
    """
    with (
        opened(bench, writes=True) as here,
        bench_journal(journal, is_real=not bench.emulate) as kept,
        sole_bench(kept.path, is_real=not bench.emulate),
    ):
        if here.bundle_digest is not None:
            say(f"bundle {here.bundle_digest}", err=True)
        what = BenchWork(
            journal=kept,
            binaries=here.binaries,
            plan_id="usb-bench",
            is_shared=any_fleet or not isinstance(kept.path, Path),
        )
        display = display_of(output=output, colour=wants_color(no_color=no_color), sound=sound)
        seats, interrupted = work(
            here, what, display, SerialLogs(log_folder), is_over=lambda hall: once and _is_over(hall)
        )
    if output == "text":
        say(outcome(seats), err=True)
    sys.exit(exit_code(seats, interrupted=interrupted))


def _is_over(hall: Hall) -> bool:
    return hall.is_at_rest and all(seat.state.is_at_rest for seat in hall.seats())
