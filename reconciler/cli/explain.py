"""`reconciler explain DEVICE PATH…`: one device, its situation, and its route with the rule behind every step."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler.cli.console_look import look_at_console
from reconciler.cli.display_options import output_options, wants_color
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
from reconciler.journal.location import JournalPlace
from reconciler.model.console import ConsoleChange
from reconciler.model.device import DeviceId, Observation, ObservedDevice
from reconciler.model.error import OperatorError
from reconciler.model.fleet import Fleet
from reconciler.model.plan import Plan, Refused, Route, Waiting
from reconciler.render.explain_text import explain_text


@click.command("explain")
@click.argument("device")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True)
@observed_option
@catalog_option
@journal_option
@cloud_options
@output_options("no_color")
def command(
    device: str,
    paths: tuple[str, ...],
    observed: Path | None,
    catalog: Path | None,
    journal: JournalPlace | None,
    api_url: str,
    token_file: Path | None,
    no_color: bool,
) -> None:
    """Say what is planned for DEVICE (its id or name) under the manifests in PATH, and why."""
    intent = read_intent(paths, catalog)
    observation = observe(intent, observed=observed, api_url=api_url, token_file=token_file, journal=journal)
    found = _find(observation, device)
    plan = plan_on(intent, observation)
    fleet, placed = _place(plan, found.id)
    changes: tuple[ConsoleChange, ...] = ()
    if observed is None:
        changes = look_at_console(intent, plan, observation, journal=journal)
    of_device = [change for change in changes if change.device_id == found.id]
    colour = wants_color(no_color=no_color) and sys.stdout.isatty()
    text = explain_text(found, fleet, placed, intent.catalog, of_device, width=text_width(), colour=colour)
    click.echo(text, nl=False)


def _find(observation: Observation, name: str) -> ObservedDevice:
    # An id wins: a device may be named like another's id.
    found = [device for device in observation.devices if device.id == name.lower()]
    found = found or [device for device in observation.devices if device.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(device.id for device in found)
        raise OperatorError("PFR6704", f"{len(found)} devices are called {name!r}: {ids}", next_step="give the id")
    raise OperatorError(
        "PFR6703",
        f"no device is called {name!r} among the {len(observation.devices)} observed",
        next_step="give its 24-digit id or its exact name; devices outside the manifests' products are not looked at",
    )


def _place(plan: Plan, device_id: DeviceId) -> tuple[Fleet | None, Route | Refused | Waiting | None]:
    for fleet in plan.fleets:
        if device_id in fleet.current:
            return fleet.fleet, None
        places: tuple[Route | Refused | Waiting, ...] = (*fleet.routes, *fleet.refused, *fleet.waiting)
        for place in places:
            if device_id in place.devices:
                return fleet.fleet, place
    return None, None
