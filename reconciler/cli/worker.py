"""`reconciler worker`: run passes beside other controllers and workers of one journal in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.controller import run
from reconciler.cli.wanted import SETTINGS_VARIABLE


@click.command("worker")
@click.option(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    envvar=SETTINGS_VARIABLE,
    show_envvar=True,
    help="The settings file of the controllers that it works with; its journal has to be in PostgreSQL.",
)
def command(settings: Path) -> None:
    """As `controller`, without HTTP and without telling people: for more hands, on as many machines as you like.

    Each product is looked after by one worker at a time. When one dies, the others take over what it had.

    Exit codes: 0 it was asked to end, 1 an error.
    """
    run(settings, is_worker=True)
