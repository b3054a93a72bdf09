"""`reconciler controller`: watch a Git repository, and keep the fleets as its manifests say, until it is stopped."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from reconciler.cli.controller_parts import Parts
from reconciler.cli.saying import say
from reconciler.cli.settings_file import check_settings, read_settings
from reconciler.cli.wanted import SETTINGS_VARIABLE, Wanted, signals
from reconciler.model.error import ReconcilerError
from reconciler.settings.settings import ControllerSettings


@click.command("controller")
@click.option(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    envvar=SETTINGS_VARIABLE,
    show_envvar=True,
    help="The settings file; RECONCILER_… variables stand above what is in it.",
)
@click.option("--check", is_flag=True, help="Say everything that is wrong with the settings, and end.")
def command(settings: Path, check: bool) -> None:
    """Fetch the manifests, observe the devices, plan, roll out and report, day and night.

    SIGTERM and Ctrl-C end it: what is being sent is finished and written down, the rest is in the journal. SIGHUP has
    it read its settings anew; where they have problems it says so and goes on with those it has.

    Exit codes: 0 it was asked to end (with --check: nothing is wrong), 1 an error.
    """
    if check:
        checked = check_settings(settings, os.environ)
        click.echo(checked.as_text() or f"{settings}: nothing is wrong with it", err=checked.settings is None)
        sys.exit(1 if checked.settings is None else 0)
    wanted = Wanted()
    with signals(wanted):
        told = read_settings(settings, os.environ)
        while not wanted.end.is_set():
            wanted.reload.clear()
            with Parts(told) as parts:
                parts.run(wanted.is_anything)
            if wanted.reload.is_set() and not wanted.end.is_set():
                told = _reloaded(settings, told)


def _reloaded(path: Path, told: ControllerSettings) -> ControllerSettings:
    """The settings as they are now; those of before where these have problems."""
    try:
        return read_settings(path, os.environ)
    except ReconcilerError as error:
        say(f"error: {error}\nthe controller goes on with the settings that it has", err=True)
        return told
