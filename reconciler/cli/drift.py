"""`reconciler drift PATH…`: where the fleet differs from the manifests, and who changed it. Reads only."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler import __version__
from reconciler.cli.console_look import look_at_console
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.inputs import (
    catalog_option,
    journal_option,
    no_search_for_cycles,
    observed_option,
    plan_on,
    read_intent,
    survey,
    text_width,
)
from reconciler.cli.options import cloud_options
from reconciler.journal.location import JournalPlace
from reconciler.model.console import ConsoleChange
from reconciler.model.device import Observation
from reconciler.render.console_json import console_change_document
from reconciler.render.drift_text import drift_text, has_drift
from reconciler.render.plan_json import plan_document, plan_json_pieces

_DRIFT = 2
"""Exit code (contracts section 5)."""


@click.command("drift")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True)
@observed_option
@catalog_option
@journal_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@cloud_options
@output_options("no_color")
@no_search_for_cycles()
def command(
    paths: tuple[str, ...],
    observed: Path | None,
    catalog: Path | None,
    journal: JournalPlace | None,
    output: str,
    api_url: str,
    token_file: Path | None,
    no_color: bool,
) -> None:
    """Say where the fleet differs from the manifests in PATH, and what others changed in the console.

    Devices that wait or are refused are listed apart: nothing can be done for them now. Changes in the console are told
    by what `apply` saw before, which the journal remembers; with --observed there are none.

    Exit codes: 0 no drift, 1 error, 2 drift.
    """
    intent = read_intent(paths, catalog)
    observation = survey(intent, observed=observed, api_url=api_url, token_file=token_file, journal=journal)
    plan = plan_on(intent, observation)
    changes: tuple[ConsoleChange, ...] = ()
    if observed is None and isinstance(observation, Observation):
        changes = look_at_console(intent, plan, observation, journal=journal)
    if output == "json":
        document = plan_document(plan, tool_version=__version__)
        document["console_changes"] = [console_change_document(change) for change in changes]
        sys.stdout.buffer.writelines(plan_json_pieces(document))
        sys.stdout.buffer.flush()
    else:
        colour = wants_color(no_color=no_color) and sys.stdout.isatty()
        click.echo(drift_text(plan, changes, width=text_width(), colour=colour), nl=False)
    if has_drift(plan, changes):
        sys.exit(_DRIFT)
