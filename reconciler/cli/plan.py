"""`reconciler plan PATH…`: what would happen to which device, and why. Sends nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from reconciler import __version__
from reconciler.cli.comparison import Base, Look, change_against, look_for_both, read_base, revision_of
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.inputs import (
    Intent,
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
from reconciler.model.change import Change
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.render.change_text import change_lines
from reconciler.render.plan_json import plan_document, plan_json_pieces
from reconciler.render.plan_markdown import plan_markdown
from reconciler.render.plan_text import plan_text

_CHANGES = 2
"""Exit code with --detailed-exitcode (contracts section 5)."""


@click.command("plan")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True)
@observed_option
@catalog_option
@journal_option
@click.option(
    "--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True, help="For whom."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan; `apply FILE` accepts it.")
@click.option("--revision", metavar="TEXT", help="Where the manifests come from. Default: what Git says.")
@click.option("--base", metavar="REV", help="Show what changes against these PATHs in a Git revision.")
@click.option("--show-current", is_flag=True, help="With --output json: list the devices that are as desired, too.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do.")
@cloud_options
@output_options("no_color", "quiet")
@no_search_for_cycles()
def command(
    paths: tuple[str, ...],
    observed: Path | None,
    catalog: Path | None,
    journal: JournalPlace | None,
    output: str,
    out: Path | None,
    revision: str | None,
    base: str | None,
    show_current: bool,
    detailed_exitcode: bool,
    api_url: str,
    token_file: Path | None,
    no_color: bool,
    quiet: bool,
) -> None:
    """Show what would happen to which device, in which order, at which cost, and what will not happen and why.

    Exit codes: 0 ok, 1 error; with --detailed-exitcode 0 nothing to do, 1 error, 2 something to do.
    """
    intent = read_intent(paths, catalog)
    look = partial(survey, observed=observed, api_url=api_url, token_file=token_file, journal=journal)
    against = None if base is None else read_base(base, paths, intent)
    named = revision_of(paths, intent) if revision is None else revision
    plan, change = _planned(intent, against, look, snapshot=observed, revision=named)
    document = plan_document(plan, tool_version=__version__, show_current=show_current, change=change)
    compared = [] if change is None else change_lines(change)
    if output == "json":
        sys.stdout.buffer.writelines(plan_json_pieces(document))
        sys.stdout.buffer.flush()
    elif output == "markdown":
        click.echo(plan_markdown(plan, plan_id=document["plan_id"], compared=compared), nl=False)
    else:
        colour = wants_color(no_color=no_color) and sys.stdout.isatty()
        text = plan_text(plan, plan_id=document["plan_id"], width=text_width(), colour=colour, compared=compared)
        click.echo(text, nl=False)
    if out is not None:
        _save(out, document, intent)
        if not quiet:
            with_catalog = "" if catalog is None else f" --catalog {catalog}"
            click.echo(f"saved as {out}; carry it out with: reconciler apply {out}{with_catalog}", err=True)
    if detailed_exitcode and (plan.summary.upgrade or any(fleet.due_actions for fleet in plan.fleets)):
        sys.exit(_CHANGES)


def _save(out: Path, document: Mapping[str, Any], intent: Intent) -> None:
    # Imported here: most plans are not saved, and what reads them again is large.
    from reconciler.cli.saved_plan import write_saved_plan

    write_saved_plan(out, document, intent)


def _planned(
    intent: Intent, base: Base | None, look: Look, *, snapshot: Path | None, revision: str | None
) -> tuple[Plan, Change | None]:
    now = Instant(time.time())
    if base is None:
        return plan_on(intent, look(intent), revision=revision, now=now), None
    observation, as_base_sees_it = look_for_both(intent, base, look, snapshot=snapshot)
    plan = plan_on(intent, observation, revision=revision, now=now)
    return plan, change_against(base, plan, as_base_sees_it, now=now)
