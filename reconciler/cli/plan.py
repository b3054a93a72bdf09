"""`reconciler plan PATH…`: what would happen to which device, and why. Sends nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler import __version__
from reconciler.cli.inputs import (
    catalog_option,
    journal_option,
    observed_option,
    plan_on,
    read_intent,
    survey,
    text_width,
)
from reconciler.cli.options import cloud_options, output_options, wants_color
from reconciler.cli.saved_plan import write_saved_plan
from reconciler.render.plan_json import plan_document, plan_json
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
@click.option("--revision", metavar="TEXT", help="Where the manifests come from, such as main@sha1:3f9c1e0.")
@click.option("--show-current", is_flag=True, help="With --output json: list the devices that are as desired, too.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do.")
@cloud_options
@output_options
def command(
    paths: tuple[str, ...],
    observed: Path | None,
    catalog: Path | None,
    journal: Path | None,
    output: str,
    out: Path | None,
    revision: str | None,
    show_current: bool,
    detailed_exitcode: bool,
    api_url: str,
    token_file: Path | None,
    no_color: bool,
    quiet: bool,
    verbose: bool,  # noqa: ARG001  # every command takes the flag
) -> None:
    """Show what would happen to which device, in which order, at which cost, and what will not happen and why.

    Exit codes: 0 ok, 1 error; with --detailed-exitcode 0 nothing to do, 1 error, 2 something to do.
    """
    intent = read_intent(paths, catalog)
    observation = survey(intent, observed=observed, api_url=api_url, token_file=token_file, journal=journal)
    plan = plan_on(intent, observation, revision=revision)
    document = plan_document(plan, tool_version=__version__, show_current=show_current)
    if output == "json":
        click.echo(plan_json(document), nl=False)
    elif output == "markdown":
        click.echo(plan_markdown(plan, plan_id=document["plan_id"]), nl=False)
    else:
        colour = wants_color(no_color=no_color) and sys.stdout.isatty()
        click.echo(plan_text(plan, plan_id=document["plan_id"], width=text_width(), colour=colour), nl=False)
    if out is not None:
        write_saved_plan(out, document, intent)
        if not quiet:
            with_catalog = "" if catalog is None else f" --catalog {catalog}"
            click.echo(f"saved as {out}; carry it out with: reconciler apply {out}{with_catalog}", err=True)
    if detailed_exitcode and plan.summary.upgrade:
        sys.exit(_CHANGES)
