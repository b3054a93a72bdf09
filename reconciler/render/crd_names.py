"""How the kinds of manifests are called in a cluster, and which columns `kubectl get` shows of them.

Short names are words of their own: `flt` and `fleets` are Agones', Rancher's and others', and a short name that two
definitions claim goes to whichever group the client finds first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """A kind in a cluster. `kubectl get` takes the plural, the short name, and each category for all of its kinds."""

    plural: str
    short: str
    categories: tuple[str, ...] = ("particle",)


NAMES: Final[Mapping[str, Names]] = MappingProxyType(
    {
        "DeviceFleet": Names(plural="devicefleets", short="dfleet", categories=("all", "particle")),
        "ApplicationRelease": Names(plural="applicationreleases", short="apprel"),
        "RolloutPolicy": Names(plural="rolloutpolicies", short="rollpol"),
        "DeviceOverride": Names(plural="deviceoverrides", short="devovr"),
        "PlanApproval": Names(plural="planapprovals", short="planappr"),
    }
)

_READY: Final = '.status.conditions[?(@.type=="Ready")]'
_SUSPENDED: Final = '.status.conditions[?(@.type=="Suspended")].status'
_AGE: Final = ("Age", ".metadata.creationTimestamp", "How old the resource is.", 0)
_STATUS: Final = (
    ("Ready", f"{_READY}.status", "Whether it is as the resource says.", 0),
    ("Status", f"{_READY}.message", "Where it stands, and what is next.", 0),
    _AGE,
)
_COLUMNS: Final[Mapping[str, tuple[tuple[str, str, str, int], ...]]] = MappingProxyType(
    {
        "DeviceFleet": (
            ("Ready", f"{_READY}.status", "Whether every device is as desired.", 0),
            ("Current", ".status.display.current", "How many devices are as desired, and how many there are.", 0),
            ("Wave", ".status.display.wave", "The wave that is under way.", 0),
            ("Desired", ".spec.desired.deviceOS", "The Device OS release that the devices should run.", 0),
            ("Status", f"{_READY}.message", "Where the fleet stands, and what is next.", 0),
            _AGE,
            ("Application", ".spec.desired.application.version", "The application version they should run.", 1),
            ("Revision", ".status.lastAppliedRevision", "What the fleet was last brought to.", 1),
            ("Plan", ".status.plan.id", "The plan that is carried out.", 1),
            ("Suspended", _SUSPENDED, "Whether a person's word holds it.", 1),
            ("Failed", ".status.devices.failed", "How many devices failed.", 1),
            ("Offline", ".status.devices.offline", "How many devices are offline.", 1),
        ),
        "ApplicationRelease": (("Product", ".spec.product", "The product whose application it is.", 0), *_STATUS),
        "RolloutPolicy": _STATUS,
        "DeviceOverride": (
            ("Mode", ".spec.mode", "What it does to its devices.", 0),
            ("Expires", ".spec.expires", "When it ends by itself.", 0),
            *_STATUS,
        ),
        "PlanApproval": (
            ("Plan", ".spec.planId", "The plan that is approved.", 0),
            ("By", ".spec.by", "Whose word it is.", 0),
            *_STATUS,
        ),
    }
)
"""Kind -> its columns: title, path, description, priority (0: always shown, 1: with `-o wide`)."""

_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".metadata.creationTimestamp": "date",
        ".spec.desired.application.version": "integer",
        ".status.devices.failed": "integer",
        ".status.devices.offline": "integer",
    }
)
"""Path -> type of a column; all others are texts."""


def columns_of(kind: str) -> list[dict[str, Any]]:
    """The columns of a kind, as a CustomResourceDefinition has them."""
    return [
        {"name": title, "type": _TYPES.get(path, "string"), "description": text, "jsonPath": path}
        | ({"priority": priority} if priority else {})
        for title, path, text, priority in _COLUMNS[kind]
    ]
