"""Resources as the operator leaves them, one for each kind of state. Argo CD's test data are these as files.

python -m tests.kube.samples        writes them
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from reconciler.kube.situation import FleetSituation
from reconciler.kube.status import status_of
from reconciler.kube.words import APPROVE
from reconciler.model.device_life import DeviceState
from reconciler.model.instant import Instant
from reconciler.model.plan import RefusalReason, Refused, Waiting, WaitingReason
from reconciler.model.rollout import RolloutState, WaveState
from reconciler.render.rollout_status import Progress, RolloutStatus, SuspensionStatus, WaveStatus
from reconciler.render.status import Halted
from reconciler.rollout.verdict import Hold
from tests.kube.resources import (
    CLOUD_DOWN,
    PLAN,
    REFUSAL,
    TOKEN_REFUSED,
    fleet_plan,
    fleet_status,
    resource,
    route,
    situation,
)
from tests.render.sample_plan import COLD_CHAIN_PLAN, NOW, ids

ROOT: Final = Path(__file__).parents[2]
ARGOCD: Final = ROOT / "deploy" / "argocd" / "fleet.reconciler.dev" / "DeviceFleet"
TESTDATA: Final = ARGOCD / "testdata"

DONE = fleet_plan(current=ids(1, 40))
HALF = fleet_plan(
    current=ids(1, 20),
    routes=(route(100, 15),),
    waiting=(Waiting(reason=WaitingReason.OFFLINE, message="offline", devices=ids(200, 5)),),
)
REFUSED = fleet_plan(
    current=ids(1, 38),
    refused=(Refused(reason=RefusalReason.DOWNGRADE_REFUSED, message="runs 6.4.1", devices=ids(300, 2)),),
)


def rollout(first: WaveState, **changes: Any) -> Progress:
    """A rollout in its first wave of two, which is in this state."""
    soaks_until = Instant(NOW + 600) if first is WaveState.SOAKING else None
    standings = {DeviceState.DONE: 3, DeviceState.FAILED: 1, DeviceState.READY: 1}
    wave = WaveStatus(
        name="canary", state=first, devices=5, started_at=NOW, soaks_until=soaks_until, standings=standings
    )
    usual: dict[str, Any] = {"waves": (wave,), "to_come": ("rest",), "state": RolloutState.ROLLING, **changes}
    intent = COLD_CHAIN_PLAN.fleet.desired.intent
    return Progress(rollout=RolloutStatus(id="r", intent=intent, began_at=NOW, devices=20, **usual))


def _suspended(*, in_manifest: bool) -> FleetSituation:
    said = SuspensionStatus(reason="trade fair", until=None, by="ada", in_manifest=in_manifest)
    return situation(fleet_status(HALF, progress=Progress(suspensions=(said,))))


SITUATIONS: Final[dict[str, FleetSituation]] = {
    "new": situation(None, judged=-1, taken=None),
    "ready": situation(fleet_status(DONE), plan=PLAN),
    "wave": situation(fleet_status(HALF, progress=rollout(WaveState.OPEN))),
    "soaking": situation(fleet_status(HALF, progress=rollout(WaveState.SOAKING))),
    "awaiting_approval": situation(fleet_status(HALF, held=Hold.AWAITING_APPROVAL.value), plan=PLAN),
    "outside_window": situation(fleet_status(HALF, held=Hold.OUTSIDE_WINDOW.value, held_until=Instant(NOW + 3600))),
    "suspended_by_command": _suspended(in_manifest=False),
    "suspended": _suspended(in_manifest=True),
    "halted": situation(fleet_status(HALF, halted=Halted(reason="3 of its devices failed", at=NOW))),
    "blocked": situation(fleet_status(REFUSED)),
    "commit_refused": situation(fleet_status(DONE), refusal=REFUSAL),
    "cloud_down": situation(fleet_status(DONE), troubles=CLOUD_DOWN),
    "token_refused": situation(fleet_status(DONE), troubles=TOKEN_REFUSED),
}


def samples() -> dict[str, dict[str, Any]]:
    """The resources by name; among them one that was edited since, and one that no operator has seen."""
    found = {name: resource(status_of(each, None, NOW)) for name, each in SITUATIONS.items()}
    found["suspended"]["spec"]["suspend"] = {"reason": "trade fair", "by": "ada"}
    found["edited"] = resource(found["ready"]["status"], generation=4)
    found["no_status"] = resource(None)
    approved = resource(found["awaiting_approval"]["status"])
    approved["metadata"]["annotations"] = {APPROVE: PLAN.id}
    by_argocd = resource(found["ready"]["status"], suspend={"reason": "suspended in Argo CD"})
    return {**found, "approved": approved, "suspended_by_argocd": by_argocd}


if __name__ == "__main__":
    TESTDATA.mkdir(parents=True, exist_ok=True)
    for name, document in samples().items():
        (TESTDATA / f"{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False, width=120), encoding="utf-8")
