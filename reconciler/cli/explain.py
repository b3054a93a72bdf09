"""`reconciler explain DEVICE PATH…`: one device, its situation, and its route with the rule behind every step."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from reconciler import __version__
from reconciler.cli.console_look import look_at_console
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.found_device import find_device
from reconciler.cli.inputs import (
    catalog_option,
    journal_option,
    observe,
    observed_option,
    plan_on,
    read_intent,
    text_width,
)
from reconciler.cli.options import cloud_options
from reconciler.journal.location import JournalPlace, journal_is_there, journal_location
from reconciler.model.console import ConsoleChange
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Plan, Refused, Route, Waiting
from reconciler.model.rollout import story_of
from reconciler.render.device_progress import DeviceProgress
from reconciler.render.explain_json import explain_document
from reconciler.render.explain_text import explain_text


@click.command("explain")
@click.argument("device")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True)
@observed_option
@catalog_option
@journal_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@cloud_options
@output_options("no_color")
def command(
    device: str,
    paths: tuple[str, ...],
    observed: Path | None,
    catalog: Path | None,
    journal: JournalPlace | None,
    output: str,
    api_url: str,
    token_file: Path | None,
    no_color: bool,
) -> None:
    """Say what is planned for DEVICE (its id or name) under the manifests in PATH, why, and why not now.

    With a journal also where it is in its fleet's rollout, what failed on it, and until when it is held.
    Exit codes: 0 told, 1 an error, 2 usage.
    """
    intent = read_intent(paths, catalog)
    observation = observe(intent, observed=observed, api_url=api_url, token_file=token_file, journal=journal)
    found = find_device(observation, device)
    plan = plan_on(intent, observation)
    fleet_plan, placed = _place(plan, found.id)
    changes: tuple[ConsoleChange, ...] = ()
    if observed is None:
        changes = look_at_console(intent, plan, observation, journal=journal)
    of_device = [change for change in changes if change.device_id == found.id]
    progress = None if fleet_plan is None else _progress(fleet_plan, found.id, journal, now=plan.source.observed_at)
    fleet = None if fleet_plan is None else fleet_plan.fleet
    if output == "json":
        document = explain_document(found, fleet, placed, of_device, progress, tool_version=__version__)
        click.echo(json.dumps(document, indent=2, sort_keys=True))
        return
    colour = wants_color(no_color=no_color) and sys.stdout.isatty()
    width = text_width()
    text = explain_text(found, fleet, placed, intent.catalog, of_device, progress, width=width, colour=colour)
    click.echo(text, nl=False)


def _progress(
    plan: FleetPlan, device_id: DeviceId, journal: JournalPlace | None, *, now: Instant
) -> DeviceProgress | None:
    """Its place in the rollout, by the journal; None: there is none."""
    place = journal_location(journal, os.environ)
    if not journal_is_there(place):
        return None
    # Imported here: without a journal there is no need of a database.
    from reconciler.controller.progress import ledger_of_look, progress_of_device
    from reconciler.journal.opening import open_if_there

    fleet, found = plan.fleet.name, open_if_there(place)
    if found is None:
        return None
    with found as kept:
        story = story_of(fleet, (noted.entry for noted in kept.entries(fleet=fleet)))
        ledger = ledger_of_look(plan, story, kept.attempts(fleet=fleet), kept.open_attempts(), now)
    return progress_of_device(plan, ledger, device_id, now)


def _place(plan: Plan, device_id: DeviceId) -> tuple[FleetPlan | None, Route | Refused | Waiting | None]:
    for fleet in plan.fleets:
        if device_id in fleet.current:
            return fleet, None
        places: tuple[Route | Refused | Waiting, ...] = (*fleet.routes, *fleet.refused, *fleet.waiting)
        for place in places:
            if device_id in place.devices:
                return fleet, place
    return None, None
