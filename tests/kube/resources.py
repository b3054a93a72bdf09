"""Situations of fleets, and the resources that they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.controller.approvals import KeptPlans
from reconciler.controller.status import Memory, fleet_statuses
from reconciler.controller.troubles import Trouble
from reconciler.kube.situation import NEVER_JUDGED, FleetSituation, PlanInForce, troubles_concerning
from reconciler.kube.status import status_of
from reconciler.model.event import PlanOffered
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Route
from reconciler.model.revision import RefusedRevision, Revision, TakenIntent
from reconciler.render.status import FleetStatus
from tests.render.sample_plan import BORON_ROUTE, COLD_CHAIN_PLAN, NOW, ids
from tests.simulation.virtual_controller import VirtualController

REVISION = Revision(source="s", name="main", commit="sha1:" + "3f" * 20, committed_at=NOW)
TAKEN = TakenIntent(revision=REVISION, digest="sha256:" + "0" * 64, fleets=("cold-chain-eu",), at=NOW)
REFUSAL = RefusedRevision(
    revision=replace(REVISION, commit="sha1:" + "9a" * 20),
    code="PFR1003",
    message="broken",
    next_step="mend it",
    at=NOW,
)
CLOUD_DOWN = {"product 12345": Trouble(code="PFR3008", message="no answer", since=NOW)}
TOKEN_REFUSED = {"product 12345": Trouble(code="PFR3002", message="the token is refused", since=NOW)}
PLAN = PlanInForce(id="plan-main-3f9c1e0b2a", digest="sha256:" + "1" * 64)


def fleet_plan(**changes: Any) -> FleetPlan:
    """The plan of a fleet in which nothing is anywhere, but for the changes."""
    empty = replace(COLD_CHAIN_PLAN, current=(), routes=(), refused=(), waiting=(), preparation=(), conclusion=None)
    return replace(empty, waves=(), **changes)


def route(number: int, devices: int) -> Route:
    """One route for so many devices."""
    return replace(BORON_ROUTE, devices=ids(number, devices))


def fleet_status(plan: FleetPlan | None, **changes: Any) -> FleetStatus:
    """A fleet in which nothing happened, but for the changes."""
    nothing: dict[str, Any] = {"desired": COLD_CHAIN_PLAN.fleet.desired, "halted": None, "held": ""}
    return FleetStatus(name="cold-chain-eu", plan=plan, **{**nothing, "under_way": (), "failed": (), **changes})


def situation(fleet: FleetStatus | None, **changes: Any) -> FleetSituation:
    """A fleet whose manifest was judged, but for the changes."""
    usual = FleetSituation(generation=3, judged=3, fleet=fleet, taken=TAKEN)
    return replace(usual, **changes)


def resource(status: Mapping[str, Any] | None, *, generation: int = 3, **spec: Any) -> dict[str, Any]:
    """The resource that has this status."""
    document: dict[str, Any] = {
        "apiVersion": "fleet.reconciler.dev/v1alpha1",
        "kind": "DeviceFleet",
        "metadata": {"name": "cold-chain-eu", "namespace": "acme", "generation": generation},
        "spec": {"product": "cold-chain", "select": {"groups": ["eu"]}, "desired": {"deviceOS": "6.3.4"}, **spec},
    }
    return document if status is None else {**document, "status": dict(status)}


@dataclass
class StatusWatch:
    """The resource of one fleet of a controller that is played: its status after everything that happened."""

    controller: VirtualController
    fleet: str = "eu"
    resources: list[dict[str, Any]] = field(default_factory=list)
    _events: int = -1

    def look(self) -> bool:
        """Whenever something was told, have the status. Never asks the play to end."""
        if len(self.controller.events) != self._events:
            self._events = len(self.controller.events)
            self._note()
        return False

    @property
    def statuses(self) -> list[dict[str, Any]]:
        """Each status that differs from the one before it."""
        found: list[dict[str, Any]] = []
        for each in self.resources:
            if not found or found[-1] != each["status"]:
                found.append(each["status"])
        return found

    @property
    def reasons(self) -> list[str]:
        """The reasons of Ready, each once in a row."""
        reasons = [each["conditions"][0]["reason"] for each in self.statuses]
        return [reason for place, reason in enumerate(reasons) if not place or reasons[place - 1] != reason]

    def follow(self, controller: VirtualController) -> None:
        """Another process has taken over."""
        self.controller, self._events = controller, -1

    def _note(self) -> None:
        now = self.controller.virtual.clock()
        generation = max(1, len(self.controller.source._commits))
        found = self._situation(generation, now)
        before = self.resources[-1]["status"] if self.resources else None
        self.resources.append(resource(status_of(found, before, now), generation=generation))

    def _situation(self, generation: int, now: Instant) -> FleetSituation:
        loop, intents = self.controller.loop, self.controller.loop.means.intents
        intent, refusal = loop.passes.intent, intents.refusal
        memory = Memory(self.controller.journal, KeptPlans(self.controller.journal, loop.means.catalog))
        statuses = fleet_statuses(None if intent is None else intent.fleets, loop.passes.plan(), memory, now=now)
        commits = [each.commit for each in self.controller.source._commits]
        judged = refusal.revision if refusal is not None else None if intent is None else intent.taken.revision
        offered = self.controller.told(PlanOffered)
        plan = PlanInForce(id=offered[-1].plan_id, digest=offered[-1].digest) if offered else None
        return FleetSituation(
            generation=generation,
            judged=NEVER_JUDGED if judged is None else commits.index(judged.commit) + 1,
            fleet=next((each for each in statuses if each.name == self.fleet), None),
            plan=plan,
            taken=None if intent is None else intent.taken,
            refusal=refusal,
            troubles=troubles_concerning("cold-chain", loop.troubles()),
        )
