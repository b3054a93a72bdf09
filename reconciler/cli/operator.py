"""`reconciler operator`: keep the fleets of a Kubernetes cluster as its resources say, until it is stopped."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from reconciler.cli.settings_file import check_settings, read_settings
from reconciler.cli.wanted import SETTINGS_VARIABLE, Wanted, signals


@click.command("operator")
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
    """Watch the resources of a cluster, observe the devices, plan, roll out, and write statuses, day and night.

    Every namespace is a tenant with its own access token, from the Secret that kubernetes.tokenSecret names. SIGTERM
    and Ctrl-C end it: what is being sent is finished and written down, the rest is in the journal. SIGHUP does, too:
    whoever keeps it running begins it anew, with the settings that are there then.

    Exit codes: 0 it was asked to end (with --check: nothing is wrong), 1 an error.
    """
    if check:
        checked = check_settings(settings, os.environ)
        click.echo(checked.as_text() or f"{settings}: nothing is wrong with it", err=checked.settings is None)
        sys.exit(1 if checked.settings is None else 0)
    wanted = Wanted()
    with signals(wanted):
        told = read_settings(settings, os.environ)
        from reconciler.cli.operator_parts import OperatorParts

        with OperatorParts(told) as parts:
            parts.run(wanted.is_anything)
