"""`reconciler observe`: write what the cloud shows of the devices as a snapshot (contracts 2).

The pages go into FILE.partial as they come, and from there into the snapshot: memory holds ids, however many devices
there are.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.options import cloud_access, cloud_options
from reconciler.cli.page_progress import NoProgress, PageProgress, ProgressBars, ProgressLines
from reconciler.cli.unfinished import FRESH, unfinished_pages
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.conversion import observed_device
from reconciler.inventory.merge import merged
from reconciler.inventory.page_log import PageLog
from reconciler.inventory.snapshot import document_pieces
from reconciler.model.device import Observation, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.particle.api import ParticleApi
from reconciler.particle.connect import connect_api
from reconciler.particle.listing import Page

_FINDINGS_SHOWN = 20
_INTERRUPTED = 130
"""Exit code, as of every program that Ctrl-C ends."""


@click.command()
@click.option("--product", "products", multiple=True, metavar="P", help="Id or slug of a product; may be repeated.")
@click.option("--own", is_flag=True, help="The token's own devices as well. Without --product they are meant anyway.")
@click.option("--output", required=True, metavar="FILE", help="Where to write the snapshot; - is standard output.")
@click.option(
    "--resume",
    is_flag=True,
    help=f"Go on with the pages that an interrupted run left in FILE.partial, those not older than {FRESH}.",
)
@cloud_options
@output_options("no_color", "quiet", "verbose")
def command(
    products: tuple[str, ...],
    own: bool,
    output: str,
    resume: bool,
    api_url: str,
    token_file: Path | None,
    no_color: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write a snapshot of the devices, for `plan --observed FILE`.

    Without --product: the devices of the token's owner. Modules stand in it only where a device reports them itself.
    The snapshot is dated by its oldest page. What was read before an interruption stays in FILE.partial, which is no
    snapshot; with --resume only the rest is read.

    Exit codes: 0 written, 1 error, 130 interrupted.
    """
    if resume and output == "-":
        raise click.UsageError("--resume needs a FILE: what goes to standard output leaves nothing to go on with.")
    access = cloud_access(api_url, token_file)

    def say(text: str, *, matters: bool = True) -> None:
        if not quiet and (matters or verbose):
            click.echo(text, err=True)

    api = connect_api(access.api_url, access.token)
    scopes: list[str | None] = list(dict.fromkeys(products))
    if own or not scopes:
        scopes.append(None)
    progress = _progress(quiet=quiet, colour=wants_color(no_color=no_color))
    try:
        with unfinished_pages(output, api, resume=resume, say=say) as log:
            try:
                about = merged([_read(api, scope, log, progress, say) for scope in scopes], now=_wall_clock())
            finally:
                progress.stop()
            about = replace(about, findings=(*about.findings, *map(_twice, log.in_two_products())))
            written = _Written(about, log)
            _write(output, written.pieces())
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(_INTERRUPTED)
    finally:
        api.wire.close()
    _report(output, written, say)
    traffic = api.wire.traffic()
    say(f"{traffic.requests} requests, {traffic.bytes_received:,} bytes received", matters=False)


def _progress(*, quiet: bool, colour: bool) -> PageProgress:
    if quiet:
        return NoProgress()
    return ProgressBars(colour=colour) if sys.stderr.isatty() else ProgressLines(time.monotonic)


def _read(
    api: ParticleApi, scope: str | None, log: PageLog, progress: PageProgress, say: Callable[[str], None]
) -> Observation:
    """All pages of one product into the log; what the observation is besides its devices."""
    name = "the token's own devices" if scope is None else f"product {scope}"
    say(f"reading {name} ...")

    def take(page: Page) -> None:
        progress.page(name, page.total_pages, log.devices_of(scope))

    inventory = CloudInventory(api, product=scope, hearing=None, clock=_wall_clock, keep=log.keeper(scope))
    return inventory.read_into(take)


def _twice(device_id: str) -> str:
    return f"device {device_id} was seen in two products"


class _Written:
    """The snapshot of the pages in the log, and what has been written of it so far."""

    def __init__(self, about: Observation, log: PageLog) -> None:
        self.about = about
        self.findings = list(about.findings)
        self.devices = 0
        self.online = 0
        self._log = log

    def pieces(self) -> Iterator[bytes]:
        return document_pieces(self.about, self._devices(), self.findings)

    def _devices(self) -> Iterator[ObservedDevice]:
        for record in self._log.records():
            converted = observed_device(record, self.about.observed_at)
            self.findings += converted.findings
            self.devices += 1
            self.online += converted.device.online
            yield converted.device


def _write(output: str, pieces: Iterator[bytes]) -> None:
    """Write all or nothing: a snapshot that was cut off would look like a small fleet."""
    if output == "-":
        sys.stdout.buffer.writelines(pieces)
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _report(output: str, written: _Written, say: Callable[[str], None]) -> None:
    for finding in written.findings[:_FINDINGS_SHOWN]:
        say(f"finding: {finding}")
    if len(written.findings) > _FINDINGS_SHOWN:
        say(f"... and {len(written.findings) - _FINDINGS_SHOWN} more findings, all in the snapshot")
    whole = "" if written.about.complete else ", but not all could be read"
    place = "standard output" if output == "-" else output
    say(f"{written.devices} devices, {written.online} online, written to {place}{whole}")


def _wall_clock() -> Instant:
    return Instant(time.time())
