"""`reconciler usb plan`: what would happen to which device on the bench, and why. Touches nothing."""

from __future__ import annotations

import os
import sys

import click

from reconciler import __version__
from reconciler.bench_wiring import eyes_of
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.inputs import journal_option, plan_on, text_width
from reconciler.cli.usb.inputs import BenchOptions, bench_options, opened
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.opening import open_if_there
from reconciler.render.plan_json import plan_document, plan_json_pieces
from reconciler.render.plan_markdown import plan_markdown
from reconciler.render.plan_text import plan_text

_CHANGES = 2


@click.command("plan")
@bench_options
@journal_option
@click.option(
    "--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True, help="For whom."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do.")
@output_options("no_color")
def plan_command(
    bench: BenchOptions, journal: JournalPlace | None, output: str, detailed_exitcode: bool, no_color: bool
) -> None:
    """Show what would happen to every device that is plugged in. Touches nothing.

    Exit codes: 0 ok, 1 error; with --detailed-exitcode 0 nothing to do, 1 error, 2 something to do.
    """
    knows_nothing = bench.emulate and journal is None  # as in `bench_journal`
    found = None if knows_nothing else open_if_there(journal_location(journal, os.environ))
    with opened(bench) as here:
        if found is None:
            seen = eyes_of(here.settings).observe()
        else:
            with found as kept:
                seen = eyes_of(here.settings, kept).observe()
        plan = plan_on(here.intent, seen, now=here.settings.wall())
    document = plan_document(plan, tool_version=__version__)
    if output == "json":
        sys.stdout.buffer.writelines(plan_json_pieces(document))
        sys.stdout.buffer.flush()
    elif output == "markdown":
        click.echo(plan_markdown(plan, plan_id=document["plan_id"], at_bench=True), nl=False)
    else:
        colour = wants_color(no_color=no_color) and sys.stdout.isatty()
        text = plan_text(plan, plan_id=document["plan_id"], width=text_width(), colour=colour, at_bench=True)
        click.echo(text, nl=False)
    if detailed_exitcode and plan.summary.upgrade:
        sys.exit(_CHANGES)
