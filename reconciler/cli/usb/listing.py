"""`reconciler usb list`: what is plugged in, in which mode, with which modules. Touches nothing."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from reconciler.bench_wiring import eyes_of
from reconciler.cli.display_options import output_options
from reconciler.cli.usb.inputs import BenchOptions, OpenBench, bench_options, opened
from reconciler.inventory.usb import Plugged
from reconciler.model.device import BENCH, DeviceId, Observation
from reconciler.particle.usb_rules import udev_rules
from reconciler.planning.planner import plan_fleets
from reconciler.render.usb_list import listed_document, listed_text


@click.command("list")
@bench_options
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@output_options()
def list_command(bench: BenchOptions, output: str) -> None:
    """Show every device that is plugged in, with the fleet that it belongs to. Touches nothing.

    Exit codes: 0 listed, 1 error or a device that cannot be talked to.
    """
    with opened(bench, plans=False) as here:
        plugged = eyes_of(here.settings).plugged()
        fleets = _fleets(here, plugged)
    documents = [_document(one, fleets) for one in plugged]
    if output == "json":
        click.echo(json.dumps(listed_document(documents), indent=2, sort_keys=True))
    else:
        click.echo(listed_text(documents), nl=False)
    if any(one.trouble is not None for one in plugged):
        sys.exit(1)


@click.command("udev-rules")
def rules_command() -> None:
    """Print the udev rules that let you open Particle devices on Linux."""
    click.echo(udev_rules(), nl=False)


def _fleets(here: OpenBench, plugged: tuple[Plugged, ...]) -> dict[DeviceId, str]:
    devices = sorted((one.observed for one in plugged if one.observed is not None), key=lambda device: device.id)
    if not devices:
        return {}
    at = here.settings.wall()
    products = eyes_of(here.settings).products
    seen = Observation(observed_at=at, source=BENCH, devices=tuple(devices), products=products)
    plan = plan_fleets(here.intent.fleets, seen, here.intent.catalog, now=at)
    return {device_id: fleet.fleet.name for fleet in plan.fleets for device_id in fleet.devices}


def _document(one: Plugged, fleets: dict[DeviceId, str]) -> dict[str, Any]:
    seen = one.observed
    trouble = one.trouble
    return {
        "port": one.port,
        "id": one.device_id,
        "name": None if seen is None else seen.name,
        "platform": one.platform.name,
        "mode": one.mode.value if seen is None or one.mode.value == "dfu" or seen.mode is None else seen.mode.value,
        "device_os": None if seen is None else seen.device_os,
        "application": None if seen is None else seen.application,
        "modules": None
        if seen is None or seen.modules is None
        else {str(module.slot): module.version for module in seen.modules},
        "fleet": None if one.device_id is None else fleets.get(one.device_id),
        "trouble": None
        if trouble is None
        else {"code": trouble.code, "message": trouble.message, "next_step": trouble.next_step},
    }
