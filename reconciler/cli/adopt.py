"""`reconciler adopt PRODUCT`: manifests for a fleet that exists, such that a plan on them is empty (contracts 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.inputs import (
    Intent,
    catalog_option,
    journal_option,
    observe,
    observed_option,
    text_width,
)
from reconciler.cli.options import cloud_options
from reconciler.cli.writing import write_all
from reconciler.firmware.catalog import Catalog
from reconciler.journal.location import JournalPlace
from reconciler.manifests import ManifestErrors, load_manifests
from reconciler.model.device import Observation
from reconciler.model.error import BugError, ManifestError, OperatorError
from reconciler.planning.adoption import Adoption, adopt, probe
from reconciler.planning.planner import plan_fleets
from reconciler.render.manifest_text import adoption_files, adoption_text
from reconciler.sources import ManifestSet
from reconciler.sources.folder import FolderShelf

_FINDINGS_SHOWN = 5
_NO_MANIFESTS = ManifestSet(texts={}, paths=(), problems=(), shelf=FolderShelf(roots=()))


@click.command("adopt")
@click.argument("product", required=False)
@click.option("--own", is_flag=True, help="The token's own devices, in place of a PRODUCT.")
@click.option(
    "--output",
    "folder",
    default="manifests",
    show_default=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write the manifests.",
)
@click.option(
    "--device-os-only",
    is_flag=True,
    help="Ask for the Device OS alone, and leave the applications as they are: fewer fleets where many versions run.",
)
@click.option("--force", is_flag=True, help="Write over files that are there already.")
@observed_option
@catalog_option
@journal_option
@cloud_options
@output_options("quiet")
def command(
    product: str | None,
    own: bool,
    folder: Path,
    device_os_only: bool,
    force: bool,
    observed: Path | None,
    catalog: Path | None,
    journal: JournalPlace | None,
    api_url: str,
    token_file: Path | None,
    quiet: bool,
) -> None:
    """Write manifests for the devices of PRODUCT (its id or slug) as they are.

    A plan on them has nothing to do: every device that a manifest can describe is in one fleet and as desired. The
    others are listed with the reason. Nothing is sent to any device, and no file is written over without --force.
    """
    if own == (product is not None):
        raise click.UsageError("name one PRODUCT, or say --own for the token's own devices.")
    product = _one_spelling(product)
    # Imported late, as `plan` does: help needs no catalog.
    from reconciler.cli.catalog_file import read_catalog

    releases = read_catalog(catalog)
    also_known = [release.version.text for release in releases.all_releases] if catalog else []
    asking = Intent(manifests=_NO_MANIFESTS, fleets=probe(product), catalog=releases)
    observation = observe(asking, observed=observed, api_url=api_url, token_file=token_file, journal=journal)
    adoption = _adopted(observation, product, releases, with_application=not device_os_only)
    files = adoption_files(adoption)
    prove_empty(adoption, files, observation, releases, also_known=also_known)
    write_all(folder, files, force=force)
    click.echo(adoption_text(adoption, width=text_width()), nl=False)
    if not quiet:
        _say_what_follows(folder, files, observation)


def _one_spelling(product: str | None) -> str | None:
    return str(int(product)) if product is not None and product.isascii() and product.isdecimal() else product


def _adopted(observation: Observation, product: str | None, catalog: Catalog, *, with_application: bool) -> Adoption:
    try:
        adoption = adopt(observation, product, catalog, with_application=with_application)
    except ManifestError as error:
        # The planner's own words name the place in a manifest, and here there is none yet.
        raise OperatorError(
            "PFR6711",
            f"the observation does not say which of its devices are of the product {product!r}",
            next_step="give the product's number, or take the snapshot with this version's `observe`",
        ) from error
    if not adoption.fleets:
        whose = "the token's owner" if product is None else f"the product {product!r}"
        why = "; ".join(sorted({each.reason for each in adoption.left_out})[:_FINDINGS_SHOWN]) or "no device was seen"
        message = f"nothing of {whose} can be adopted: {why}"
        raise OperatorError("PFR6712", message, next_step="check the product; `observe` shows what its devices report")
    return adoption


def prove_empty(
    adoption: Adoption,
    files: Mapping[str, str],
    observation: Observation,
    catalog: Catalog,
    *,
    also_known: Collection[str] = (),
) -> None:
    """Read what is about to be written as `plan` would, and plan on it. Raises BugError when that is not empty."""
    manifests = {path: text for path, text in files.items() if path.endswith(".yaml")}
    try:
        fleets = load_manifests(manifests, files, also_known=also_known)
        plan = plan_fleets(fleets, observation, catalog, now=observation.observed_at)
    except (ManifestErrors, ManifestError) as error:
        raise _not_empty(error.message) from error
    current = {device_id: fleet.fleet.name for fleet in plan.fleets for device_id in fleet.current}
    wanted = {device.id: each.fleet.name for each in adoption.fleets for device in each.devices}
    if current != wanted or any(fleet.summary.devices != fleet.summary.current for fleet in plan.fleets):
        raise _not_empty("a device is not as desired in the fleet that was made for it")


def _not_empty(why: str) -> BugError:
    next_step = "please report it with a snapshot (`observe`); no file was written"
    return BugError(
        "PFR9021", f"the manifests that would be written are not what was observed: {why}", next_step=next_step
    )


def _say_what_follows(folder: Path, files: Mapping[str, str], observation: Observation) -> None:
    for finding in _with_rest(observation.findings):
        click.echo(f"finding: {finding}", err=True)
    if not observation.complete:
        click.echo("not all devices could be read: groups may hold more of them than the manifests know", err=True)
    others = sorted(path.name for path in folder.rglob("*.yaml") if path.relative_to(folder).as_posix() not in files)
    if others:
        click.echo(
            f"{folder} has {len(others)} other manifests; `reconciler plan {folder}` shows if two claim a device",
            err=True,
        )
    click.echo(f"{len(files)} files written to {folder}; look at them, then: reconciler plan {folder}", err=True)


def _with_rest(findings: Sequence[str]) -> Sequence[str]:
    rest = len(findings) - _FINDINGS_SHOWN
    return findings if rest <= 0 else (*findings[:_FINDINGS_SHOWN], f"... and {rest} more")
