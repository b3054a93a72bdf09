"""`reconciler observe`: write what the cloud shows of the devices as a snapshot (contracts 2)."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.options import cloud_access, cloud_options
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.merge import merged
from reconciler.inventory.snapshot import document_from_observation
from reconciler.model.device import Observation
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from reconciler.particle.api import ParticleApi
from reconciler.particle.connect import connect_api

_FINDINGS_SHOWN = 20


@click.command()
@click.option("--product", "products", multiple=True, metavar="P", help="Id or slug of a product; may be repeated.")
@click.option("--own", is_flag=True, help="The token's own devices as well. Without --product they are meant anyway.")
@click.option("--output", required=True, metavar="FILE", help="Where to write the snapshot; - is standard output.")
@cloud_options
@output_options("quiet", "verbose")
def command(
    products: tuple[str, ...],
    own: bool,
    output: str,
    api_url: str,
    token_file: Path | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write a snapshot of the devices, for `plan --observed FILE`.

    Without --product: the devices of the token's owner. Modules stand in it only where a device reports them itself.
    """
    access = cloud_access(api_url, token_file)

    def say(text: str, *, matters: bool = True) -> None:
        if not quiet and (matters or verbose):
            click.echo(text, err=True)

    api = connect_api(access.api_url, access.token)
    try:
        scopes: list[str | None] = list(dict.fromkeys(products))
        if own or not scopes:
            scopes.append(None)
        observation = merged([_observed(api, scope, say) for scope in scopes], now=Instant(time.time()))
    finally:
        api.wire.close()
    _write(output, document_from_observation(observation))
    for finding in observation.findings[:_FINDINGS_SHOWN]:
        say(f"finding: {finding}")
    if len(observation.findings) > _FINDINGS_SHOWN:
        say(f"... and {len(observation.findings) - _FINDINGS_SHOWN} more findings, all in the snapshot")
    traffic = api.wire.traffic()
    say(f"{traffic.requests} requests, {traffic.bytes_received:,} bytes received", matters=False)
    whole = "" if observation.complete else ", but not all could be read"
    place = "standard output" if output == "-" else output
    say(f"{len(observation.devices)} devices written to {place}{whole}")


def _observed(api: ParticleApi, scope: str | None, say: Callable[[str], None]) -> Observation:
    name = "the token's own devices" if scope is None else f"product {scope}"
    say(f"reading {name} ...")
    inventory = CloudInventory(api, product=scope, hearing=None, clock=lambda: Instant(time.time()))
    observation = inventory.observe()
    say(f"{name}: {len(observation.devices)} devices, {sum(d.online for d in observation.devices)} online")
    return observation


def _write(output: str, content: bytes) -> None:
    """Write all or nothing: a snapshot that was cut off would look like a small fleet."""
    if output == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    unfinished = ""
    try:
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except OSError as error:
        if unfinished:
            Path(unfinished).unlink(missing_ok=True)
        raise OperatorError(
            "PFR6307",
            f"{output} cannot be written: {error.strerror or type(error).__name__}",
            next_step="check the folder and its permissions",
        ) from None
