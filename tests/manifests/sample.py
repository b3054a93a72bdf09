"""Manifests to bend: a sound one of every kind, as plain data, and the problems of a bent one."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from reconciler.manifests import ManifestErrors, Problem, load_manifests
from reconciler.model.fleet import FleetSet

API = "fleet.reconciler.dev/v1alpha1"
ID = "e00fce680000000000000001"

FLEET: dict[str, Any] = {
    "apiVersion": API,
    "kind": "DeviceFleet",
    "metadata": {"name": "eu"},
    "spec": {"product": "cold-chain", "select": {"groups": ["eu"]}, "desired": {"deviceOS": "6.3.4"}},
}
RELEASE: dict[str, Any] = {
    "apiVersion": API,
    "kind": "ApplicationRelease",
    "metadata": {"name": "logger"},
    "spec": {
        "product": "cold-chain",
        "versions": [
            {"version": 43, "binaries": [{"platform": "boron", "source": "product"}]},
            {
                "version": 44,
                "binaries": [{"platform": "b", "file": "bin/logger-44.bin", "sha256": "a" * 64, "size": 9}],
            },
        ],
    },
}
POLICY: dict[str, Any] = {
    "apiVersion": API,
    "kind": "RolloutPolicy",
    "metadata": {"name": "careful"},
    "spec": {"rollout": {"maxConcurrent": 3}, "windows": [{"allow": {"start": "02:00", "duration": "3h"}}]},
}
OVERRIDE: dict[str, Any] = {
    "apiVersion": API,
    "kind": "DeviceOverride",
    "metadata": {"name": "trial"},
    "spec": {"devices": [ID], "mode": "hold", "reason": "a trial"},
}
APPROVAL: dict[str, Any] = {
    "apiVersion": API,
    "kind": "PlanApproval",
    "metadata": {"name": "release-6.3.4"},
    "spec": {
        "planId": "plan-main-3f9c1e0b2a",
        "digest": "sha256:" + "3" * 64,
        "by": "ann",
        "at": "2026-11-22T09:00:00Z",
    },
}

REMOVED: Any = object()
"""A value for `bent`: take the member out."""


def bent(manifest: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with members set by path (`spec__select__groups=…`), or taken out."""
    result = copy.deepcopy(dict(manifest))
    for path, value in changes.items():
        *above, last = path.split("__")
        place = result
        for step in above:
            place = place.setdefault(step, {})
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return result


def text(manifest: Mapping[str, Any]) -> str:
    """JSON, one member a line: JSON is YAML."""
    return json.dumps(manifest, indent=1, ensure_ascii=False)


def load(*manifests: Mapping[str, Any], rosters: Mapping[str, str] | None = None) -> FleetSet:
    """Compile manifests, each in a file of its own: `0.yaml`, `1.yaml`."""
    return load_manifests({f"{number}.yaml": text(each) for number, each in enumerate(manifests)}, rosters or {})


def problems(*manifests: Mapping[str, Any], rosters: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """The problems of manifests; fails when there are none."""
    with pytest.raises(ManifestErrors) as caught:
        load(*manifests, rosters=rosters)
    return caught.value.problems


def problem(*manifests: Mapping[str, Any], rosters: Mapping[str, str] | None = None) -> Problem:
    """The only problem of manifests."""
    (found,) = problems(*manifests, rosters=rosters)
    return found
