"""The command, and the order of the chapters."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from reconciler.cli.demo import chapters
from reconciler.cli.demo.stage import Stage, demo_manifests
from reconciler.cli.display_options import output_options
from reconciler.controller.report import Ending
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import demo_world

_NOT_AS_PROMISED = 1


@click.command("demo")
@click.option(
    "--speed", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Virtual seconds a second."
)
@click.option("--seed", type=int, default=7, show_default=True, help="One seed, one world.")
@click.option(
    "--firmware",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of real Device OS binaries; without it the pretend cloud serves synthetic ones.",
)
@click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), help="Keep the journal here.")
@output_options("no_color", "quiet", "verbose")
def command(
    speed: float,
    seed: int,
    firmware: Path | None,
    journal: Path | None,
    no_color: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Bring a pretend fleet of 300 devices up to date, and live through a bad release; about a minute.

    Exit codes: 0 everything as promised, 1 an error, drift, or a violation found by the referee, 3 devices failed.
    """
    manifests = demo_manifests()
    world = demo_world()
    with (
        tempfile.TemporaryDirectory(prefix="reconciler-demo-") as folder,
        EmulatorServer(world, speed=speed, seed=seed, firmware=firmware) as emulator,
        Stage(
            emulator=emulator,
            folder=Path(folder),
            manifests=manifests,
            token=world.tokens[0].token,
            journal=journal,
            no_color=no_color,
            quiet=quiet,
            verbose=verbose,
        ) as stage,
    ):
        sys.exit(_tour(stage, firmware))


def _tour(stage: Stage, firmware: Path | None) -> int:
    """Every chapter in its order; the exit code."""
    chapters.the_cloud(stage, firmware)
    ending = chapters.up_to_date(stage)
    halted = chapters.a_bad_release(stage)
    ended_well = chapters.the_fixed_release(stage)
    chapters.what_happened(stage)
    drifted = chapters.afterwards(stage)
    violations = chapters.the_referee(stage)
    chapters.what_next(stage)
    if ending != Ending.DONE.value:
        return ending
    return _NOT_AS_PROMISED if violations or drifted or not halted or not ended_well else 0
