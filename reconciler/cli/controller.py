"""`reconciler controller`: watch a Git repository, and keep the fleets as its manifests say, until it is stopped."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import click

from reconciler.cli.controller_parts import Parts
from reconciler.cli.saying import say
from reconciler.cli.settings_file import check_settings, read_settings
from reconciler.model.error import ReconcilerError
from reconciler.settings.settings import ControllerSettings

SETTINGS_VARIABLE: Final = "RECONCILER_SETTINGS"


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


class Wanted:
    """What the process was asked for by signals."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.reload = threading.Event()

    def is_anything(self) -> bool:
        """Whether the controller has to stop what it does."""
        return self.end.is_set() or self.reload.is_set()


@contextmanager
def signals(wanted: Wanted) -> Iterator[None]:
    """While it lasts, signals are wishes."""

    def ask(number: int, _frame: FrameType | None) -> None:
        (wanted.reload if number == signal.SIGHUP else wanted.end).set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reloaded(path: Path, told: ControllerSettings) -> ControllerSettings:
    """The settings as they are now; those of before where these have problems."""
    try:
        return read_settings(path, os.environ)
    except ReconcilerError as error:
        say(f"error: {error}\nthe controller goes on with the settings that it has", err=True)
        return told
