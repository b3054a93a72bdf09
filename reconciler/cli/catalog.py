"""`reconciler catalog`: build, show and check the release catalog."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from reconciler.cli.catalog_file import binaries_below, read_binary, read_catalog, read_catalog_alone
from reconciler.cli.display_options import output_options, wants_color
from reconciler.firmware.assembly import catalog_from_modules, seen_modules
from reconciler.firmware.catalog import Catalog
from reconciler.firmware.document import VIAS
from reconciler.model.error import OperatorError
from reconciler.model.platform import PLATFORMS, Platform, platform_by_id, platform_by_name
from reconciler.model.release import Release
from reconciler.model.version import DeviceOsVersion

_WIDTH_OF_FILES: Final = 240
"""Columns when the output is no terminal: wide enough that nothing is ever folded."""
_TO_STANDARD_OUTPUT: Final = "-"


@click.group("catalog")
def command() -> None:
    """Build, show and check the release catalog."""


@command.command("build")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.option("--output", required=True, metavar="FILE", help="Where to write the catalog; - is standard output.")
def build(folders: tuple[Path, ...], output: str) -> None:
    """Build a catalog from the module binaries (*.bin) in each DIR and the folders in it.

    What a file is, its bytes say. Its release is that of the system parts in the same folder, so keep one release a
    folder. A module that differs from the known facts is an error.
    """
    paths = sorted({path for folder in folders for path in binaries_below(folder)})
    if not paths:
        names = ", ".join(map(str, folders))
        message = f"there is no .bin file in {names}"
        raise OperatorError("PFR6604", message, next_step="Give the folders that hold the module binaries.")
    seen = seen_modules({path.as_posix(): read_binary(path) for path in paths})
    left_out = [(one.file, words) for one in seen if (words := one.why_left_out()) is not None]
    catalog = catalog_from_modules(seen)
    text = json.dumps(catalog.document(), indent=2, ensure_ascii=False) + "\n"
    if output == _TO_STANDARD_OUTPUT:
        click.echo(text, nl=False)
    else:
        _write(Path(output), text)
    for file, words in left_out:
        click.echo(f"left out {file}: {words}", err=True)
    releases = catalog.all_releases
    platforms = {release.platform_id for release in releases}
    click.echo(
        f"{_counted(len(releases), 'release')} of {_counted(len(platforms), 'platform')} from "
        f"{_counted(len(seen) - len(left_out), 'module')}"
        + ("" if output == _TO_STANDARD_OUTPUT else f", written to {output}"),
        err=True,
    )


@command.command("show")
@click.option("--platform", "platform_name", metavar="P", help="Only this platform, by name or alias.")
@click.option("--device-os", "device_os", metavar="V", help="Only this release; shows its modules.")
@click.option(
    "--catalog",
    "catalog_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Add this catalog to the known one.",
)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)
def show(platform_name: str | None, device_os: str | None, catalog_file: Path | None, output: str) -> None:
    """Show which releases there are, and what they consist of."""
    catalog = read_catalog(catalog_file)
    platform = None if platform_name is None else _named(platform_name)
    releases = [
        release
        for release in catalog.all_releases
        if platform is None or release.platform_id == platform.id
        if device_os is None or release.version.text == device_os
    ]
    if not releases:
        raise _nothing(catalog, platform, device_os)
    if output == "json":
        selected = Catalog(
            releases, catalog.all_stations, unreachable=catalog.unreachable, lower_bounds=catalog.lower_bounds
        )
        click.echo(json.dumps(selected.document(), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    if device_os is not None:
        for release in releases:
            console.print(_modules_table(release))
    elif platform is not None:
        console.print(_releases_table(platform, releases))
    else:
        console.print(_platforms_table(catalog))
        console.print("More: --platform P lists its releases, --device-os V the modules of one.")


@command.command("lint")
@click.option(
    "--catalog",
    "catalog_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Add this catalog to the known one.",
)
@click.option(
    "--against",
    metavar="OLD",
    type=click.Path(path_type=Path),
    help="An older whole catalog, as `catalog show --output json` wrote it: what does the change take away?",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@output_options("no_color")
def lint_command(catalog_file: Path | None, against: Path | None, output: str, no_color: bool) -> None:
    """Prove that the catalog is fit to plan with.

    Every published stable release reaches every later one over the cloud, or the catalog lists why not; stations exist
    and ascend; every need can be met. With --against: the situations that the change strands.

    Exit codes: 0 nothing is wrong, 1 findings or an error.
    """
    from reconciler.cli.inputs import text_width
    from reconciler.planning.lint import lint
    from reconciler.planning.lint_change import compared
    from reconciler.render.lint_text import is_clean, lint_json, lint_text

    catalog = read_catalog(catalog_file)
    old = None if against is None else read_catalog_alone(against)
    if old is not None and not any(release.published for release in old.all_releases):
        message = f"{against} has no published release: there is nothing to compare with"
        raise OperatorError("PFR6608", message, next_step="write it with `catalog show --output json`")
    report = lint(catalog)
    comparison = None if old is None else compared(old, catalog)
    if output == "json":
        click.echo(lint_json(report, comparison, catalog_digest=catalog.digest), nl=False)
    else:
        colour = wants_color(no_color=no_color) and sys.stdout.isatty()
        click.echo(lint_text(report, comparison, width=text_width(), colour=colour), nl=False)
    if not is_clean(report, comparison):
        sys.exit(1)


def _platforms_table(catalog: Catalog) -> Table:
    table = _table("Device OS releases", "platform", ("known", "published"), "oldest", "newest", "stations")
    for platform in PLATFORMS:
        releases = catalog.releases(platform)
        published = [release for release in releases if release.published]
        stable = [release.version.text for release in published if not release.prerelease] or ["-"]
        if releases:
            stations = (
                f"{', '.join(map(str, versions))} ({via})"
                for via in VIAS
                if (versions := catalog.stations(platform, via))
            )
            counts = (str(len(releases)), str(len(published)))
            table.add_row(platform.name, *counts, stable[0], stable[-1], "; ".join(stations) or "-")
    table.caption = "Oldest and newest: published ones, without prereleases. Stations: releases a route must stop at."
    return table


def _releases_table(platform: Platform, releases: Iterable[Release]) -> Table:
    shipped = {release.version: {one.module.slot: one for one in release.modules} for release in releases}
    slots = sorted({slot for modules in shipped.values() for slot in modules})
    table = _table(
        f"{platform.display_name} ({platform.name})", "Device OS", "published", tuple(map(str, slots)), ("bytes",)
    )
    for release in releases:
        modules = shipped[release.version]
        sizes = [modules[slot].size for slot in modules]
        known = [size for size in sizes if size is not None]
        total = f"{sum(known):,}" if len(known) == len(sizes) else "unknown"
        versions = [str(modules[slot].module.version) if slot in modules else "-" for slot in slots]
        table.add_row(str(release.version), "yes" if release.published else "no", *versions, total)
    table.caption = "Numbers are the modules' own versions; bytes are those of all modules of the release."
    return table


def _modules_table(release: Release) -> Table:
    platform = platform_by_id(release.platform_id)
    marks = ["published" if release.published else "not published"] + ["prerelease"] * release.prerelease
    title = f"Device OS {release.version} for {platform} ({', '.join(marks)})"
    table = _table(title, "module", ("version",), "needs at least", ("bytes",), "file")
    for shipped in release.modules:
        needs = ", ".join(f"{need.slot} {need.version}" for need in shipped.module.dependencies)
        size = "unknown" if shipped.size is None else f"{shipped.size:,}"
        table.add_row(
            str(shipped.module.slot), str(shipped.module.version), needs or "nothing", size, shipped.file or "-"
        )
    return table


def _table(title: str, *columns: str | tuple[str, ...]) -> Table:
    """Columns in a tuple hold numbers."""
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", caption_justify="left")
    for column in columns:
        if isinstance(column, str):
            table.add_column(column, overflow="fold")
        else:
            for name in column:
                table.add_column(name, justify="right", no_wrap=True)
    return table


def _named(name: str) -> Platform:
    platform = platform_by_name(name)
    if platform is None:
        names = ", ".join(known.name for known in PLATFORMS if known.layout)
        raise OperatorError("PFR6605", f"there is no platform {name!r}", next_step=f"Known are {names}.")
    return platform


def _nothing(catalog: Catalog, platform: Platform | None, device_os: str | None) -> OperatorError:
    what = " ".join(
        filter(None, (f"Device OS {device_os}" if device_os else "", f"for {platform}" if platform else ""))
    )
    elsewhere = sorted(
        str(platform_by_id(release.platform_id))
        for release in catalog.all_releases
        if device_os is not None and release.version is DeviceOsVersion(device_os)
    )
    hint = "`reconciler catalog show` lists what there is."
    if elsewhere:
        hint = f"It is known for {', '.join(elsewhere)}."
    elif platform is not None and catalog.releases(platform):
        hint = f"`reconciler catalog show --platform {platform}` lists its releases."
    return OperatorError("PFR6606", f"no release in the catalog: {what}", next_step=hint)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _write(path: Path, text: str) -> None:
    """All of it or nothing."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise OperatorError("PFR6607", message, next_step="Check the folder and its permissions.") from None
