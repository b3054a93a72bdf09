"""What every `usb` command takes: manifests or a bundle, records, modules, and the bus, real or pretended."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from reconciler.bench_wiring import BenchSettings, FileApplications, real_bench, register_of
from reconciler.cli.inputs import Intent, catalog_option, read_intent, read_snapshot
from reconciler.cli.options import TOKEN_VARIABLE, cloud_access, cloud_options
from reconciler.cli.saying import say
from reconciler.execution.binaries import BinaryStore, CloudBinaries, FolderBinaries
from reconciler.model.device import Observation
from reconciler.model.error import OperatorError
from reconciler.model.fleet import FleetSet
from reconciler.model.platform import platform_by_name
from reconciler.particle.connect import connect_api
from reconciler.particle.http import WirePatience
from reconciler.planning.provision import with_these_alone
from reconciler.sources import ManifestSet
from reconciler.sources.bundle import Bundle, read_bundle
from reconciler.sources.product_applications import (
    ProductApplications,
    application_file,
    held_by_products,
    with_product_applications,
)

_PATIENCE: Final = WirePatience(connect=5.0, read=15.0, read_total=15.0)
"""A bench that is off the network says so soon, and goes on with what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What a person gave. No paths and no bundle: nothing is desired, and every device is in no fleet."""

    paths: tuple[str, ...]
    bundle: Path | None
    bundle_digest: str | None
    catalog: Path | None
    observed: Path | None
    firmware: Path | None
    emulate: bool
    speed: float
    api_url: str
    token_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBench:
    """A bench that can be looked at and worked on.

    `bundle_digest` is that of the bundle that it goes by; `speed` how much faster than life it is.
    """

    intent: Intent
    settings: BenchSettings
    binaries: BinaryStore
    bundle_digest: str | None = None
    speed: float = 1.0


def bench_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds them; the command gets `bench`."""

    @click.argument("paths", metavar="[PATH…]", nargs=-1)
    @click.option(
        "--bundle",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Go by this bundle instead of PATHs; needs no network. See `bundle create`.",
    )
    @click.option("--bundle-digest", metavar="sha256:…", help="Refuse a bundle with another digest.")
    @catalog_option
    @click.option(
        "--observed",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A snapshot that says to which products and groups devices belong. See `observe`.",
    )
    @click.option(
        "--firmware",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Device OS modules: DIR/<platform>/<Device OS version>/*.bin. Without it they come from the cloud.",
    )
    @click.option("--emulate", is_flag=True, help="A pretend bench, with devices that the manifests name.")
    @click.option(
        "--speed",
        type=click.FloatRange(min=0.1, max=60),
        default=10.0,
        show_default=True,
        help="With --emulate: how much faster than life; too fast for this machine, and deadlines pass.",
    )
    @cloud_options
    @wraps(command)
    def with_bench(**options: Any) -> Any:
        given = {name: options.pop(name) for name in BenchOptions.__slots__}
        if given["bundle"] is not None and given["paths"]:
            raise click.UsageError("a bundle has its own manifests: give PATHs or --bundle")
        if given["bundle_digest"] is not None and given["bundle"] is None:
            raise click.UsageError("--bundle-digest is the digest of a bundle: give it with --bundle FILE")
        return command(bench=BenchOptions(**given), **options)

    return with_bench


@contextmanager
def opened(options: BenchOptions, *, writes: bool = False, plans: bool = True) -> Iterator[OpenBench]:
    """Read what is desired and what is known, and reach the bus.

    `writes`: modules will be asked for. `plans`: applications that only a product holds are asked for.
    """
    with ExitStack() as stack:
        digest, bundle = None, None
        speed = options.speed if options.emulate else 1.0
        paths, catalog, observed, firmware = options.paths, options.catalog, options.observed, options.firmware
        if options.bundle is not None:
            bundle = read_bundle(options.bundle, expected=options.bundle_digest)
            digest = bundle.digest
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bundle-")))
            bundle.unpack(folder)
            paths = (str(folder / "manifests"),)
            catalog = catalog or _if_there(folder / "catalog.json")
            observed = observed or _if_there(folder / "observed.json")
            firmware = firmware or folder / "firmware"
        intent = read_intent(paths, catalog) if paths else _nothing_desired(catalog)
        if bundle is not None:
            intent = replace(intent, catalog=with_these_alone(intent.catalog, _packed(bundle)))
        held = _held_applications(options, intent.fleets, bundle) if plans else None
        if held is not None:
            intent = replace(intent, fleets=held.fleets)
            for finding in held.findings:
                say(f"warning: {finding}", err=True)
        applications = FileApplications(intent.fleets, intent.manifests, () if held is None else held.contents.values())
        seen = None if observed is None else read_snapshot(observed)
        settings, binaries = _bench(options, intent, seen, applications)
        if firmware is not None:
            binaries = FolderBinaries(firmware, applications)
        elif binaries is None:
            binaries = _cloud_binaries(options, applications, stack) if writes else FolderBinaries(Path(), applications)
        yield OpenBench(intent=intent, settings=settings, binaries=binaries, bundle_digest=digest, speed=speed)


def _bench(
    options: BenchOptions, intent: Intent, seen: Observation | None, applications: FileApplications
) -> tuple[BenchSettings, BinaryStore | None]:
    register = register_of(seen, applications)
    if not options.emulate:
        return real_bench(intent.fleets, intent.catalog, register), None
    from reconciler.bench_pretended import pretended_bench  # imported here: a real bench needs no emulator

    return pretended_bench(intent.fleets, intent.catalog, register, applications, speed=options.speed)


def _held_applications(options: BenchOptions, fleets: FleetSet, bundle: Bundle | None) -> ProductApplications | None:
    """What only products hold, out of the bundle or from the cloud; None where nobody can be asked, or need be."""
    if not held_by_products(fleets):
        return None
    if bundle is not None:
        return with_product_applications(fleets, lambda *which: bundle.files.get(application_file(*which)))
    if options.emulate or not _has_token(options):
        return None
    access = cloud_access(options.api_url, options.token_file)
    api = connect_api(access.api_url, access.token, patience=_PATIENCE)
    try:
        return with_product_applications(fleets, api.product_firmware_binary)
    finally:
        api.wire.close()


def _has_token(options: BenchOptions) -> bool:
    return options.token_file is not None or bool(os.environ.get(TOKEN_VARIABLE))


def _cloud_binaries(options: BenchOptions, applications: FileApplications, stack: ExitStack) -> BinaryStore:
    if not _has_token(options):
        message = "nobody says where the Device OS modules are"
        next_step = f"give --firmware DIR or --bundle FILE, or a token in {TOKEN_VARIABLE} to get them from the cloud"
        raise OperatorError("PFR6846", message, next_step=next_step)
    access = cloud_access(options.api_url, options.token_file)
    api = connect_api(access.api_url, access.token)
    stack.callback(api.wire.close)
    return CloudBinaries(api, applications=applications)


def _nothing_desired(catalog: Path | None) -> Intent:
    from reconciler.cli.catalog_file import read_catalog
    from reconciler.sources import FolderShelf

    manifests = ManifestSet(texts={}, paths=(), problems=(), shelf=FolderShelf(roots=()))
    return Intent(manifests=manifests, fleets=FleetSet(fleets=()), catalog=read_catalog(catalog))


def _packed(bundle: Bundle) -> frozenset[tuple[int, str]]:
    named = ((platform_by_name(platform), release) for platform, release in bundle.releases)
    return frozenset((platform.id, release) for platform, release in named if platform is not None)


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None
