"""A resource of the cluster as the operator sees it, and the kinds that it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

GROUP: Final = "fleet.reconciler.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FLEET: Final = "DeviceFleet"
RELEASE: Final = "ApplicationRelease"
POLICY: Final = "RolloutPolicy"
OVERRIDE: Final = "DeviceOverride"
APPROVAL: Final = "PlanApproval"

PLURALS: Final[Mapping[str, str]] = {
    FLEET: "devicefleets",
    RELEASE: "applicationreleases",
    POLICY: "rolloutpolicies",
    OVERRIDE: "deviceoverrides",
    APPROVAL: "planapprovals",
}
"""Kind -> the name in addresses."""

MANIFESTS: Final = tuple(kind for kind in PLURALS if kind != APPROVAL)
"""The kinds that say what is desired. An approval is a person's word, and no part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource. `version` is its resourceVersion: of two versions of a resource the higher one is newer.

    `created` is ISO 8601 as the server wrote it, so that texts sort as times do.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    version: int
    generation: int
    created: str
    spec: Mapping[str, Any]
    annotations: Mapping[str, str] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where problems of it are told: `DeviceFleet/team-a/eu`."""
        return f"{self.kind}/{self.namespace}/{self.name}"

    @property
    def fleet(self) -> str:
        """What the journal calls it, if it is a fleet."""
        return f"{self.namespace}/{self.name}"

    @property
    def manifest(self) -> str:
        """The same document as it would stand in a file; JSON is YAML."""
        document = {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "metadata": {"name": self.name},
            "spec": self.spec,
        }
        return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False)


def resource_of(document: Mapping[str, Any], kind: str) -> Resource:
    """A resource from what the API server says. Raises KeyError, ValueError, TypeError: it says something else."""
    metadata = document["metadata"]
    return Resource(
        kind=kind,
        namespace=str(metadata["namespace"]),
        name=str(metadata["name"]),
        uid=str(metadata["uid"]),
        version=int(metadata["resourceVersion"]),
        generation=int(metadata.get("generation") or 0),
        created=str(metadata.get("creationTimestamp") or ""),
        spec=_plain(document.get("spec") or {}),
        annotations=_plain(metadata.get("annotations") or {}),
        status=_plain(document.get("status") or {}),
    )


def _plain(value: Any) -> Any:
    """A copy that nobody else can alter."""
    return json.loads(json.dumps(value))
