"""`reconciler apply PATH…|PLANFILE`: bring the fleet to its desired state, a few devices at a time."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli.agreeing import Proposal, Words
from reconciler.cli.agreement_terms import Terms, agreement_options
from reconciler.cli.carrying_out import Carried, Pace, carry_out, terminated_like_interrupted
from reconciler.cli.catalog_file import read_catalog
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.inputs import Intent, catalog_option, journal_option, plan_on, read_intent, text_width
from reconciler.cli.options import cloud_access, cloud_options
from reconciler.cli.plan_check import check_same_manifests
from reconciler.cli.saved_plan import PlanFile, is_plan_file, read_saved_plan
from reconciler.cli.saying import say
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.report import Ending, ending_of, holds_in_words, outcome_of
from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.lock import sole_run
from reconciler.journal.opening import open_journal
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from reconciler.render.outcome import outcome_document, outcome_text
from reconciler.render.plan_reading import PlanExpiredError
from reconciler.sources import FolderShelf, ManifestSet
from reconciler.wiring import CloudConnection, CloudSettings

_INTERRUPTED = 130
"""The exit code that shells use for an end by Ctrl-C."""


_firmware_cache_option = click.option(
    "--firmware-cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder that keeps the Device OS modules that were downloaded. One folder for one cloud.",
)
_allow_commands_option = click.option(
    "--allow-commands",
    is_flag=True,
    envvar="RECONCILER_ALLOW_COMMANDS",
    show_envvar=True,
    help="Run the programs that manifests name as health checks.",
)


@click.command("apply")
@click.argument("paths", metavar="PATH…|PLANFILE", nargs=-1, required=True)
@catalog_option
@journal_option
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until everything is verified.")
@click.option("--poll-seconds", type=click.FloatRange(min=0.05), help="Between looks without news; default 15 or more.")
@_firmware_cache_option
@_allow_commands_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@cloud_options
@output_options("no_color", "quiet", "verbose")
@agreement_options
def command(
    paths: tuple[str, ...],
    catalog: Path | None,
    journal: JournalPlace | None,
    terms: Terms,
    wait: bool,
    poll_seconds: float | None,
    firmware_cache: Path | None,
    allow_commands: bool,
    output: str,
    api_url: str,
    token_file: Path | None,
    no_color: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Show the plan, ask, and carry it out with every step verified by observation. Run it again to go on.

    Exit codes: 0 done, 1 error, 3 some devices failed, 4 plan stale, 5 awaiting approval, 6 outside window,
    130 interrupted.
    """
    words = Words(output=output, colour=wants_color(no_color=no_color), quiet=quiet, verbose=verbose)
    intent, saved = _intent(paths, catalog, terms.beside)
    terms = replace(terms, saved=saved, journal_given=journal)
    access = cloud_access(api_url, token_file)
    settings = CloudSettings(api_url=access.api_url, token=access.token, firmware_cache=firmware_cache)
    try:
        with (
            terminated_like_interrupted(),
            open_journal(journal_location(journal, os.environ)) as kept,
            sole_run(kept.path, now=Instant(time.time())),
            CloudConnection(settings, intent.fleets, intent.manifests) as cloud,
        ):
            pace = Pace(poll_seconds=poll_seconds, until_done=wait, allow_commands=allow_commands)
            code = _apply(words, cloud, kept, intent, pace, terms)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted; nothing was sent that is not in the journal: run the same command again", err=True)
        code = _INTERRUPTED
    sys.exit(code)


def _apply(words: Words, cloud: CloudConnection, kept: Journal, intent: Intent, pace: Pace, terms: Terms) -> int:
    """Look, plan, come to an agreement, carry it out, report. Returns the exit code."""
    cloud.listen()
    cloud.recall(kept)
    plan = plan_on(intent, Knowledge(kept).added_to_all(cloud.observe()))
    proposal = Proposal.of(plan, intent, kept, terms)
    agreement = proposal.agreed(words)
    carried = carry_out(cloud, intent.catalog, kept, agreement, words.display(agreement, plan), pace)
    _report(words, carried, cloud)
    ending = ending_of(carried.run, carried.rest)
    if ending in (Ending.AWAITING_APPROVAL, Ending.STALE):
        proposal.say_how_to_approve(carried.run)
    if ending in (Ending.DONE, Ending.AWAITING_APPROVAL, Ending.OUTSIDE_WINDOW) and proposal.has_left_out:
        ending = Ending.STALE
    return _INTERRUPTED if carried.interrupted else ending.value


def _intent(paths: tuple[str, ...], catalog: Path | None, beside: tuple[str, ...]) -> tuple[Intent, PlanFile | None]:
    if not any(is_plan_file(Path(path)) for path in paths):
        if beside:
            raise click.UsageError("--manifests goes with a plan file")
        return read_intent(paths, catalog), None
    if len(paths) > 1:
        next_step = "give one plan file (manifests to hold it against go into --manifests), or manifests"
        raise OperatorError("PFR6705", "a plan file stands alone", next_step=next_step)
    releases = read_catalog(catalog)
    saved = _read_plan_file(Path(paths[0]), releases)
    fleets = saved.fleets
    if beside:
        given = read_intent(beside, catalog).fleets
        check_same_manifests(saved.plan, given)
        fleets = replace(fleets, approvals=given.approvals)
    # Applications that the manifests name as files are read from below the working directory, and from nowhere else.
    manifests = ManifestSet(texts={}, paths=(), problems=(), shelf=FolderShelf(roots=(Path.cwd(),)))
    return Intent(manifests=manifests, fleets=fleets, catalog=releases), saved


def _read_plan_file(path: Path, catalog: Catalog) -> PlanFile:
    try:
        return read_saved_plan(path, catalog, now=Instant(time.time()))
    except PlanExpiredError as error:
        say(f"error: {error}", err=True)
        sys.exit(Ending.STALE.value)


def _report(words: Words, carried: Carried, cloud: CloudConnection) -> None:
    outcome = outcome_of(carried.run, cloud.api.wire.traffic(), interrupted=carried.interrupted)
    for left in carried.rest.left:
        say(f"error: {left.product or 'own devices'}: {left.error}", err=True)
    for line in holds_in_words(carried.run):
        words.say(f"{line}\n")
    if words.output == "json":
        say(json.dumps({"event": "outcome", **outcome_document(outcome)}, sort_keys=True))
    else:
        words.say(outcome_text(outcome, width=text_width(), colour=words.colour and sys.stdout.isatty()))
