"""`reconciler bundle create|show`: all that a bench without network needs, in one file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from reconciler import __version__
from reconciler.cli.display_options import output_options
from reconciler.cli.inputs import Intent, catalog_option, read_intent, read_snapshot
from reconciler.cli.options import cloud_access, cloud_options
from reconciler.execution.binaries import BinaryStore, CloudBinaries, FolderBinaries
from reconciler.model.device import Observation
from reconciler.model.error import FirmwareError, OperatorError
from reconciler.model.fleet import Desired, Fleet
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.platform import Platform, platform_by_id, platform_by_name
from reconciler.particle.api import ParticleApi
from reconciler.particle.connect import connect_api
from reconciler.planning.provision import releases_for_bench, steps_of
from reconciler.sources.bundle import packed, read_bundle
from reconciler.sources.product_applications import held_by_products, with_product_applications

_MISSING_SHOWN = 10


@click.group("bundle")
def command() -> None:
    """Make and check bundles for a bench without network."""


@command.command("create")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True)
@click.option("--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The bundle's file.")
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
@click.option("--platform", "named", multiple=True, help="A platform of the devices; default: those of the manifests.")
@catalog_option
@cloud_options
@output_options("quiet")
def create(
    paths: tuple[str, ...],
    output: Path,
    observed: Path | None,
    firmware: Path | None,
    named: tuple[str, ...],
    catalog: Path | None,
    api_url: str,
    token_file: Path | None,
    quiet: bool,
) -> None:
    """Pack manifests, applications, catalog, records and every module that a bench may need; say the digest.

    Exit codes: 0 written, 1 error.
    """
    intent = read_intent(paths, catalog)
    seen = None if observed is None else read_snapshot(observed)
    files = _manifest_files(intent)
    if catalog is not None:
        files["catalog.json"] = catalog.read_bytes()
    if observed is not None:
        files["observed.json"] = observed.read_bytes()
    files.update(_product_applications(intent, api_url, token_file))
    missing: list[str] = []
    with _store(firmware, api_url, token_file) as store:
        for fleet in intent.fleets.fleets:
            for platform in _platforms(fleet, named, seen):
                for desired in (fleet.desired, *_pins(intent)):
                    missing += _add_modules(files, store, platform, desired, intent)
    created_at = iso_from_instant(Instant(time.time()))
    content = packed(files, created_at=created_at, tool_version=__version__, missing=tuple(sorted(set(missing))))
    try:
        output.write_bytes(content)
    except OSError as error:
        raise OperatorError("PFR6702", f"{output} cannot be written: {error.strerror or error}") from None
    bundle = read_bundle(output)
    click.echo(bundle.digest)
    if not quiet:
        modules = sum(name.startswith("firmware/") for name in files)
        click.echo(f"{output}: {len(content):,} bytes, {modules} Device OS modules", err=True)
        _say_missing(bundle.missing)


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@output_options()
def show(file: Path) -> None:
    """Check a bundle, and say its digest and what is in it.

    Exit codes: 0 it is whole, 1 it is not.
    """
    bundle = read_bundle(file)
    click.echo(bundle.digest)
    click.echo(f"made at {bundle.created_at}, {len(bundle.files)} files")
    for name in sorted(bundle.files):
        if not name.startswith("firmware/"):
            click.echo(f"  {name}")
    releases = sorted({"/".join(name.split("/")[1:3]) for name in bundle.files if name.startswith("firmware/")})
    click.echo("\n".join(f"  {release}" for release in releases))
    _say_missing(bundle.missing)


def _say_missing(missing: Sequence[str]) -> None:
    if missing:
        click.echo(f"{len(missing)} releases on the way could not be had whole, and are left out:", err=True)
        for line in missing[:_MISSING_SHOWN]:
            click.echo(f"  {line}", err=True)


def _manifest_files(intent: Intent) -> dict[str, bytes]:
    """Manifests, rosters and applications below `manifests/`, as they lie to one another."""
    content = {name: text.encode() for name, text in intent.manifests.texts.items()}
    for name in intent.fleets.files:
        if name not in content:
            content[name] = (intent.manifests.roster(name) or "").encode()
    for desired in (*(fleet.desired for fleet in intent.fleets.fleets), *_pins(intent)):
        for binary in () if desired.application is None else desired.application.binaries:
            if binary.file is not None:
                content[binary.file] = intent.manifests.binary(binary.file)
    places = {name: os.path.abspath(name) for name in content}  # noqa: PTH100  # links stay what they are
    root = os.path.commonpath([os.path.dirname(place) for place in places.values()])  # noqa: PTH120  # as above
    return {f"manifests/{Path(os.path.relpath(places[name], root)).as_posix()}": text for name, text in content.items()}


def _pins(intent: Intent) -> list[Desired]:
    return [override.pin for override in intent.fleets.overrides if override.pin is not None]


def _platforms(fleet: Fleet, named: Sequence[str], seen: Observation | None) -> list[Platform]:
    words = set(named) or set(fleet.select.platforms or ())
    found = [platform_by_name(word) for word in sorted(words)]
    if not words and seen is not None:
        ids = sorted({device.platform_id for device in seen.devices if device.platform_id is not None})
        found = [platform_by_id(number) for number in ids]
    platforms = [platform for platform in found if platform is not None and platform.system_parts]
    if not platforms:
        next_step = "give --platform, or --observed FILE, or select.platforms in the manifest"
        raise OperatorError("PFR6844", f"of fleet {fleet.name} no platform is known", next_step=next_step)
    return platforms


def _add_modules(
    files: dict[str, bytes], store: BinaryStore, platform: Platform, desired: Desired, intent: Intent
) -> list[str]:
    """Add releases whole. What of others than the desired one could not be had: those are left out."""
    missing = []
    for release in releases_for_bench(platform, desired, intent.catalog):
        modules: dict[str, bytes] = {}
        try:
            for step in steps_of(platform, release):
                slot = step.module.slot
                name = f"{slot.function.label}-{slot.index}-{step.module.version}.bin"
                place = f"firmware/{platform.name}/{release.version}/{name}"
                modules[place] = files[place] if place in files else store.module(platform, step)
        except FirmwareError as error:
            if release.version == desired.device_os or error.code != "PFR4402":
                raise
            missing.append(f"{platform} {release.version}: {error.message}")
        else:
            files.update(modules)
    return missing


def _product_applications(intent: Intent, api_url: str, token_file: Path | None) -> Mapping[str, bytes]:
    """The applications that only products hold. A bench without network has nobody else to ask: all, or no bundle."""
    if not held_by_products(intent.fleets):
        return {}
    with _cloud(api_url, token_file) as api:
        held = with_product_applications(intent.fleets, api.product_firmware_binary)
    if held.findings:
        next_step = "upload it, or name a file of it in its ApplicationRelease"
        raise OperatorError("PFR6847", "; ".join(held.findings), next_step=next_step)
    return held.contents


@contextmanager
def _cloud(api_url: str, token_file: Path | None) -> Iterator[ParticleApi]:
    access = cloud_access(api_url, token_file)
    api = connect_api(access.api_url, access.token)
    try:
        yield api
    finally:
        api.wire.close()


@contextmanager
def _store(firmware: Path | None, api_url: str, token_file: Path | None) -> Iterator[BinaryStore]:
    if firmware is not None:
        yield FolderBinaries(firmware)
        return
    with _cloud(api_url, token_file) as api:
        yield CloudBinaries(api)
