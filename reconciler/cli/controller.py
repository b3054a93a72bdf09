"""`reconciler controller`: watch a Git repository, and keep the fleets as its manifests say, until it is stopped."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import click

from reconciler.cli.controller_parts import Parts
from reconciler.cli.saying import say
from reconciler.cli.settings_file import check_settings, read_settings
from reconciler.cli.wanted import SETTINGS_VARIABLE, Wanted, signals
from reconciler.journal.location import journal_place
from reconciler.model.error import OperatorError, ReconcilerError
from reconciler.settings.settings import ControllerSettings
from reconciler.sources.process import end_what_runs

_GOES_ON: Final = "the controller goes on with the settings that it has"
_NOT_ENDED: Final = "something has not ended within the grace period; the next start finds out what became of it"


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
    run(settings)


def run(settings: Path, *, is_worker: bool = False) -> None:
    """Be a controller, or only a worker, until asked to end. Raises ReconcilerError."""
    read = partial(_read, settings, is_worker=is_worker)
    wanted = _Wanted(read)
    with signals(wanted):
        told = read()
        parts = Parts(told, is_worker=is_worker)
        while not wanted.end.is_set():
            with parts:
                is_at_rest = parts.run(wanted.is_anything)
                if not is_at_rest:
                    _leave(wanted)
            if wanted.settings is not None and not wanted.end.is_set():
                told, parts = _anew(told, wanted, is_worker=is_worker)


class _Wanted(Wanted):
    """What the process was asked for by signals. `settings`: others to go on with."""

    def __init__(self, read: Callable[[], ControllerSettings]) -> None:
        super().__init__()
        self.settings: ControllerSettings | None = None
        self._read = read

    def is_anything(self) -> bool:
        """Whether the controller has to stop what it does. Settings that have problems are told, and no reason to."""
        if self.reload.is_set():
            self.reload.clear()
            try:
                self.settings = self._read()
            except ReconcilerError as error:
                say(f"error: {error}\n{_GOES_ON}", err=True)
        return self.end.is_set() or self.settings is not None


def _read(path: Path, *, is_worker: bool) -> ControllerSettings:
    """The settings. Raises ReconcilerError: they have problems, or a worker would be alone with a file."""
    settings = read_settings(path, os.environ)
    if is_worker and isinstance(journal_place(settings.journal or ""), Path):
        raise OperatorError(
            "PFR6814",
            f"{path}: a worker works with others on a journal in PostgreSQL, and this one is a file",
            next_step="name a database: journal: postgresql://…; or run `reconciler controller`, which needs no other",
        )
    return settings


def _anew(told: ControllerSettings, wanted: _Wanted, *, is_worker: bool) -> tuple[ControllerSettings, Parts]:
    """Parts by the settings that are wanted; by those of before where no parts can be made of these."""
    new, wanted.settings = wanted.settings, None
    assert new is not None
    try:
        return new, Parts(new, is_worker=is_worker).made()
    except ReconcilerError as error:
        say(f"error: {error}\n{_GOES_ON}", err=True)
        return told, Parts(told, is_worker=is_worker)


def _leave(wanted: _Wanted) -> None:
    """End, or begin anew, without waiting for what does not end: whatever it was is open in the journal.

    Threads cannot be ended, so that the process has to be.
    """
    end_what_runs()
    if wanted.end.is_set():
        say(f"error: {_NOT_ENDED}", err=True)
        _flush()
        os._exit(0)
    say(f"error: {_NOT_ENDED}; the process begins anew", err=True)
    _flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # this very command once more


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
