"""The published JSON Schemas, read from the package or, in a checkout, from `schemas/` beside it.

The wheel carries them as `reconciler/schemas/`. Nothing is ever fetched: a schema refers only to its own `$defs`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, Final

from reconciler.model.error import BugError

API_VERSION: Final = "fleet.reconciler.dev/v1alpha1"

SCHEMA_FILES: Final = {
    "DeviceFleet": "devicefleet.v1alpha1.schema.json",
    "ApplicationRelease": "applicationrelease.v1alpha1.schema.json",
    "RolloutPolicy": "rolloutpolicy.v1alpha1.schema.json",
    "DeviceOverride": "deviceoverride.v1alpha1.schema.json",
    "PlanApproval": "planapproval.v1alpha1.schema.json",
    "ControllerSettings": "controllersettings.v1alpha1.schema.json",
    "snapshot": "snapshot.v1.schema.json",
    "plan": "plan.v1.schema.json",
    "status": "status.v1.schema.json",
    "history": "history.v1.schema.json",
    "explain": "explain.v1.schema.json",
    "fleetstatus": "fleetstatus.v1alpha1.schema.json",
    "word": "word.v1.schema.json",
}
"""What a schema describes -> its file."""

MANIFEST_KINDS: Final = ("DeviceFleet", "ApplicationRelease", "RolloutPolicy", "DeviceOverride", "PlanApproval")


@cache
def load_schema(name: str) -> dict[str, Any]:
    """The schema of a manifest kind, or of what else `SCHEMA_FILES` names. Shared: do not change it.

    Raises:
        BugError: The package was built without the schema.
    """
    package = resources.files("reconciler")
    file = SCHEMA_FILES[name]
    for folder in (package.joinpath("schemas"), package.joinpath("..", "schemas")):
        found = folder.joinpath(file)
        if found.is_file():
            schema: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
            return schema
    raise BugError("PFR9010", f"the schema {file} is not in the package", next_step="reinstall the package")
