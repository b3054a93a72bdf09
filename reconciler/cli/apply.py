"""`reconciler apply PATH…|PLANFILE`: bring the fleet to its desired state, a few devices at a time."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click

from reconciler import __version__
from reconciler.cli.carrying_out import Carried, Pace, agreement_on, carry_out, terminated_like_interrupted
from reconciler.cli.catalog_file import read_catalog
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.going_on import still_agreed
from reconciler.cli.inputs import Intent, catalog_option, journal_option, plan_on, read_intent, text_width
from reconciler.cli.options import cloud_access, cloud_options
from reconciler.cli.progress import Bars, Display, JsonLines, Lines, Silent
from reconciler.cli.saved_plan import PlanFile, is_plan_file, read_saved_plan
from reconciler.cli.saying import say
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.report import Ending, ending_of, holds_in_words, outcome_of
from reconciler.controller.run import Agreement
from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal, KeptPlan
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.lock import sole_run
from reconciler.journal.opening import open_journal
from reconciler.model.device import DeviceId
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.model.step import Step
from reconciler.render.outcome import outcome_document, outcome_text
from reconciler.render.plan_json import plan_document, plan_json
from reconciler.render.plan_reading import PlanExpiredError
from reconciler.render.plan_text import plan_text
from reconciler.sources import FolderShelf, ManifestSet
from reconciler.wiring import CloudConnection, CloudSettings

_INTERRUPTED = 130
"""The exit code that shells use for an end by Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """How the command speaks: `output` text or json, and the flags that every command takes."""

    output: str
    colour: bool
    quiet: bool
    verbose: bool

    def say(self, text: str) -> bool:
        """For people; standard output belongs to the machine when it asked for JSON. False: nobody listens."""
        return self.quiet or say(text, err=self.output == "json", nl=False)

    def display(self, agreement: Agreement, plan: Plan) -> Display:
        if self.output == "json":
            return JsonLines()
        if self.quiet:
            return Silent()
        if self.verbose or not sys.stderr.isatty():
            return Lines(verbose=self.verbose)
        planned = {
            fleet.fleet.name: sum(device in agreement.steps for route in fleet.routes for device in route.devices)
            for fleet in plan.fleets
        }
        return Bars({name: count for name, count in planned.items() if count}, colour=self.colour)


@click.command("apply")
@click.argument("paths", metavar="PATH…|PLANFILE", nargs=-1, required=True)
@catalog_option
@journal_option
@click.option("--auto-approve", is_flag=True, help="Do not ask before acting.")
@click.option(
    "--on-stale",
    type=click.Choice(["fail", "skip", "replan"]),
    default="fail",
    show_default=True,
    help="What to do when a device of a saved plan is not as it was planned on.",
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until everything is verified.")
@click.option("--poll-seconds", type=click.FloatRange(min=0.05), help="Between looks without news; default 15 or more.")
@click.option(
    "--firmware-cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder that keeps the Device OS modules that were downloaded. One folder for one cloud.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@cloud_options
@output_options("no_color", "quiet", "verbose")
def command(
    paths: tuple[str, ...],
    catalog: Path | None,
    journal: JournalPlace | None,
    auto_approve: bool,
    on_stale: str,
    wait: bool,
    poll_seconds: float | None,
    firmware_cache: Path | None,
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
    words = _Words(output=output, colour=wants_color(no_color=no_color), quiet=quiet, verbose=verbose)
    intent, saved = _intent(paths, catalog)
    access = cloud_access(api_url, token_file)
    settings = CloudSettings(api_url=access.api_url, token=access.token, firmware_cache=firmware_cache)
    try:
        with (
            terminated_like_interrupted(),
            open_journal(journal_location(journal, os.environ)) as kept,
            sole_run(kept.path, now=Instant(time.time())),
            CloudConnection(settings, intent.fleets, intent.manifests) as cloud,
        ):
            come_to = partial(_agreement, words, intent, saved, kept, on_stale=on_stale, auto_approve=auto_approve)
            code = _apply(words, cloud, kept, intent, Pace(poll_seconds=poll_seconds, until_done=wait), come_to)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted; nothing was sent that is not in the journal: run the same command again", err=True)
        code = _INTERRUPTED
    sys.exit(code)


def _apply(
    words: _Words,
    cloud: CloudConnection,
    kept: Journal,
    intent: Intent,
    pace: Pace,
    come_to: Callable[[Plan], Agreement],
) -> int:
    """Look, plan, come to an agreement, carry it out, report. Returns the exit code."""
    cloud.listen()
    cloud.recall(kept)
    plan = plan_on(intent, Knowledge(kept).added_to_all(cloud.observe()))
    agreement = come_to(plan)
    carried = carry_out(cloud, intent.catalog, kept, agreement, words.display(agreement, plan), pace)
    _report(words, carried, cloud)
    return _INTERRUPTED if carried.interrupted else ending_of(carried.run, carried.rest).value


def _agreement(
    words: _Words,
    intent: Intent,
    saved: PlanFile | None,
    kept: Journal,
    plan: Plan,
    *,
    on_stale: str,
    auto_approve: bool,
) -> Agreement:
    """Show the plan, ask, and keep what was agreed to."""
    document = plan_document(plan, tool_version=__version__)
    agreement = _agreed(words, plan, document["plan_id"], saved, on_stale)
    shown = words.say(plan_text(plan, plan_id=document["plan_id"], width=text_width(), colour=words.colour))
    agreement = _with_earlier(words, agreement, still_agreed(kept, plan, intent.catalog), saved)
    due = [action for fleet in plan.fleets for action in fleet.due_actions if agreement.allows(action)]
    if agreement.steps or due:
        _ask(auto_approve=auto_approve, shown=shown, devices=len(agreement.steps))
        kept.keep_plan(KeptPlan(plan_id=document["plan_id"], digest=document["digest"], text=plan_json(document)))
    return agreement


def _intent(paths: tuple[str, ...], catalog: Path | None) -> tuple[Intent, PlanFile | None]:
    if not any(is_plan_file(Path(path)) for path in paths):
        return read_intent(paths, catalog), None
    if len(paths) > 1:
        raise OperatorError("PFR6705", "a plan file stands alone", next_step="give one plan file, or manifests")
    releases = read_catalog(catalog)
    saved = _read_plan_file(Path(paths[0]), releases)
    # Applications that the manifests name as files are read from below the working directory, and from nowhere else.
    manifests = ManifestSet(texts={}, paths=(), problems=(), shelf=FolderShelf(roots=(Path.cwd(),)))
    return Intent(manifests=manifests, fleets=saved.fleets, catalog=releases), saved


def _read_plan_file(path: Path, catalog: Catalog) -> PlanFile:
    try:
        return read_saved_plan(path, catalog, now=Instant(time.time()))
    except PlanExpiredError as error:
        say(f"error: {error}", err=True)
        sys.exit(Ending.STALE.value)


def _agreed(words: _Words, plan: Plan, plan_id: str, saved: PlanFile | None, on_stale: str) -> Agreement:
    """What may be done: all of this plan, or what it has in common with the saved one, which is never widened."""
    fresh = agreement_on(plan_id, plan)
    if saved is None:
        return fresh
    steps = {device_id: route.steps for fleet in plan.fleets for route in fleet.routes for device_id in route.devices}
    stale = [
        device_id
        for device_id, route in saved.plan.by_device.items()
        if device_id in steps and not _is_suffix(steps[device_id], route.steps)
    ]
    if stale and on_stale == "fail":
        some = ", ".join(stale[:3])
        say(f"the plan is stale: {len(stale)} devices are not as they were planned on ({some})", err=True)
        say("nothing was sent; plan again, or choose --on-stale skip or replan", err=True)
        sys.exit(Ending.STALE.value)
    left_out: set[DeviceId] = set(stale) if on_stale == "skip" else set()
    if stale:
        words.say(f"{len(stale)} devices are not as they were planned on: {on_stale}\n")
    agreed = {d: s for d, s in fresh.steps.items() if d in saved.plan.by_device and d not in left_out}
    return Agreement(plan_id=plan_id, steps=agreed, actions=saved.plan.actions)


def _with_earlier(
    words: _Words, agreement: Agreement, going_on: Mapping[DeviceId, frozenset[Step]], saved: PlanFile | None
) -> Agreement:
    """With what an earlier run has under way; a saved plan is not widened by it."""
    added = {device: steps for device, steps in going_on.items() if saved is None or device in saved.plan.by_device}
    if added:
        noun = "device has" if len(added) == 1 else "devices have"
        words.say(f"{len(added)} waiting {noun} a step of an earlier run under way; it goes on as agreed to then\n")
    return replace(agreement, steps={**added, **agreement.steps})


def _is_suffix(steps: tuple[object, ...], planned: tuple[object, ...]) -> bool:
    return planned[len(planned) - len(steps) :] == steps


def _ask(*, auto_approve: bool, shown: bool, devices: int) -> None:
    if auto_approve:
        return
    if not shown or not sys.stdin.isatty():
        say("nobody can be asked here: give --auto-approve to act without asking", err=True)
        sys.exit(Ending.AWAITING_APPROVAL.value)
    noun = "device" if devices == 1 else "devices"
    if not click.confirm(f"Carry this out on {devices} {noun}?" if devices else "Carry this out?", err=True):
        say("not approved; nothing was sent", err=True)
        sys.exit(Ending.AWAITING_APPROVAL.value)


def _report(words: _Words, carried: Carried, cloud: CloudConnection) -> None:
    outcome = outcome_of(carried.run, cloud.api.wire.traffic(), interrupted=carried.interrupted)
    for left in carried.rest.left:
        say(f"error: {left.product or 'own devices'}: {left.error}", err=True)
    for line in holds_in_words(carried.run):
        words.say(f"{line}\n")
    if words.output == "json":
        say(json.dumps({"event": "outcome", **outcome_document(outcome)}, sort_keys=True))
    else:
        words.say(outcome_text(outcome, width=text_width(), colour=words.colour and sys.stdout.isatty()))
