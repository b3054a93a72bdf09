"""Plan files: the plan, with the manifests that it was made from, so that `apply FILE` needs nothing else.

The manifests stand outside the plan's digest; they are checked against the manifest digest that stands inside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeGuard

from reconciler.cli.inputs import Intent
from reconciler.cli.saved_applications import applications_document, with_saved_applications
from reconciler.firmware.catalog import Catalog
from reconciler.manifests import load_manifests
from reconciler.model.error import OperatorError
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import Instant
from reconciler.model.saved_plan import SavedPlan
from reconciler.render.plan_json import plan_json_pieces
from reconciler.render.plan_reading import check_in_force, whole_plan_from_document

_OF_MANIFESTS: Final = frozenset({".yaml", ".yml"})
_PLAN_AGAIN: Final = "make a new plan with: reconciler plan MANIFESTS --out FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """What a plan file holds: the plan as it was saved, its document, and the fleets of its manifests."""

    plan: SavedPlan
    document: Mapping[str, Any]
    fleets: FleetSet


def is_plan_file(path: Path) -> bool:
    """Whether a path given to `apply` means a saved plan: JSON by its name, or by how it begins. Manifests are YAML."""
    if not path.is_file() or path.suffix.lower() in _OF_MANIFESTS:
        return False
    if path.suffix.lower() == ".json":
        return True
    with path.open("rb") as file:
        return file.read(1) == b"{"


def write_saved_plan(path: Path, document: Mapping[str, Any], intent: Intent) -> None:
    """Write the plan with its manifests, all or nothing. Raises OperatorError PFR6702."""
    if path.suffix.lower() in _OF_MANIFESTS:
        message = f"{path} cannot hold a plan: by its name `apply` would take it for a manifest"
        raise OperatorError("PFR6702", message, next_step="call it *.json")
    rosters: dict[str, str] = {}

    def noted(name: str) -> str | None:
        text = intent.manifests.roster(name)
        if text is not None:
            rosters[name] = text
        return text

    load_manifests(intent.manifests.texts, noted, also_known=_known(intent.catalog))
    manifests = {
        "files": dict(intent.manifests.texts),
        "rosters": rosters,
        "applications": applications_document(intent.fleets),
    }
    saved = {**document, "manifests": manifests}
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.writelines(plan_json_pieces(saved))
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        message = f"{path} cannot be written: {error.strerror or type(error).__name__}"
        raise OperatorError("PFR6702", message, next_step="check the folder and its permissions") from None


def read_saved_plan(path: Path, catalog: Catalog, *, now: Instant) -> PlanFile:
    """Read a plan file and verify it. `now` decides whether it has expired.

    Raises:
        PlanExpiredError: PFR6404 it was good once.
        OperatorError: PFR6701 it cannot be read; PFR6401 to PFR6407 it is not what was agreed to, or not any more.
    """
    document = _read(path)
    plan = whole_plan_from_document(document, catalog)
    if plan.source.catalog_digest != catalog.digest:
        message = f"{path} was planned with another release catalog"
        raise OperatorError("PFR6407", message, next_step=f"give the same --catalog, or {_PLAN_AGAIN}")
    manifests = document.get("manifests")
    files, rosters = (manifests.get(name) if isinstance(manifests, dict) else None for name in ("files", "rosters"))
    if not _is_texts(files) or not _is_texts(rosters):
        message = f"{path} does not hold its manifests: it was not saved with --out"
        raise OperatorError("PFR6407", message, next_step=_PLAN_AGAIN)
    fleets = load_manifests(files, rosters, also_known=_known(catalog))
    if fleets.digest != plan.source.manifest_digest:
        message = f"{path} holds other manifests than those it was planned from"
        raise OperatorError("PFR6403", message, next_step=_PLAN_AGAIN)
    check_in_force(plan, now)
    # A plan file of an earlier version has no applications: then nothing is known of their files.
    applications = manifests.get("applications", {}) if isinstance(manifests, dict) else {}
    # Approvals stand outside of every digest here: they count where review protects them, and not in this file.
    fleets = replace(with_saved_applications(fleets, applications), approvals=())
    return PlanFile(plan=plan, document=document, fleets=fleets)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or type(error).__name__}"
        raise OperatorError("PFR6701", message, next_step=_PLAN_AGAIN) from None
    except (ValueError, RecursionError) as error:
        raise OperatorError("PFR6401", f"{path} is not JSON: {error}", next_step=_PLAN_AGAIN) from None


def _is_texts(value: object) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _known(catalog: Catalog) -> frozenset[str]:
    return frozenset(release.version.text for release in catalog.all_releases)
