"""Plans as they are read back from what was saved of them."""

from __future__ import annotations

from typing import Any

from reconciler.firmware.known import known_catalog
from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import Fleet, FleetSet
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.model.saved_plan import SavedPlan
from reconciler.render.plan_json import plan_document
from reconciler.render.plan_reading import whole_plan_from_document
from tests.fleet_samples import NOW, plan_all

DIGEST = "sha256:" + "1" * 64


def document_of(plan: Plan) -> dict[str, Any]:
    """What would be saved of a plan."""
    return plan_document(plan, tool_version="0.1.0")


def saved(plan: Plan) -> SavedPlan:
    """The plan, saved and read again."""
    return whole_plan_from_document(document_of(plan), known_catalog())


def saved_plan_of(of_fleet: Fleet, *devices: ObservedDevice, now: Instant = NOW) -> SavedPlan:
    """The plan of one fleet on these devices, saved and read again."""
    return saved(plan_all(FleetSet(fleets=(of_fleet,), digest=DIGEST), *devices, now=now))
