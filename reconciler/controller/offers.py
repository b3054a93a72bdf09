"""Plans that wait for a person: where an approval is asked for, the plan that would be carried out is kept and told.

A plan is offered once. It is offered anew where a device that waits is not covered by it any more, or it has expired;
what people approve of is what is carried out, so a plan that still covers everybody stays the offered one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler import __version__
from reconciler.controller.approvals import KeptPlans, keep, note_file_approvals
from reconciler.controller.run import Run
from reconciler.journal.journal import Journal
from reconciler.model.device import DeviceId
from reconciler.model.event import Event, Finding, PlanOffered
from reconciler.model.fleet import Fleet, FleetSet
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Plan
from reconciler.render.plan_json import plan_document
from reconciler.rollout.approval import covers
from reconciler.rollout.verdict import Hold, Wait

_MARK: Final = "offer/"
_FILE_APPROVAL: Final = "PFR6724"
_ASKING: Final = frozenset({Hold.AWAITING_APPROVAL, Hold.APPROVAL_STALE})


class Offers:
    """What was offered, in the journal; `tell` hears of new offers."""

    def __init__(self, journal: Journal, plans: KeptPlans, tell: Callable[[Event], None]) -> None:
        self._journal = journal
        self._plans = plans
        self._tell = tell
        self._told: set[str] = set()

    def make(self, plan: Plan, fleets: FleetSet, runs: Sequence[Run], *, now: Instant) -> None:
        """Note what files approve of, and offer the plan (of all fleets) to whoever has to agree to what waits."""
        asking = {fleet.name for fleet in fleets.fleets if _asks(fleet)}
        if not asking:
            return
        document: Mapping[str, Any] | None = None
        if fleets.approvals:
            document = plan_document(plan, tool_version=__version__)
            for line in note_file_approvals(self._journal, self._plans, fleets, document, now=now):
                self._tell_once(line, now)
        for fleet_plan in plan.fleets:
            waiting = _waiting(fleet_plan, runs) if fleet_plan.fleet.name in asking else frozenset[DeviceId]()
            if waiting and not self._is_offered(fleet_plan, waiting, now):
                document = document or plan_document(plan, tool_version=__version__)
                self._offer(fleet_plan.fleet.name, document, len(waiting), now)

    def _is_offered(self, plan: FleetPlan, waiting: Collection[DeviceId], now: Instant) -> bool:
        """Whether the plan that was offered last is still what would be done on all that wait."""
        fleet = plan.fleet.name
        offered = self._plans.get(self._journal.bookmark(_MARK + fleet) or "")
        if offered is None or now >= offered.expires_at or offered.intents.get(fleet) != plan.fleet.desired.intent:
            return False
        return all(
            covers(offered, fleet, route, device_id)
            for route in plan.routes
            for device_id in route.devices
            if device_id in waiting
        )

    def _offer(self, fleet: str, document: Mapping[str, Any], devices: int, now: Instant) -> None:
        keep(self._journal, document)
        plan_id, digest = document["plan_id"], document["digest"]
        self._journal.set_bookmark(_MARK + fleet, plan_id)
        self._tell(PlanOffered(at=now, fleet=fleet, plan_id=plan_id, digest=digest, devices=devices))

    def _tell_once(self, line: str, now: Instant) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(Finding(at=now, code=_FILE_APPROVAL, message=line))


def _asks(fleet: Fleet) -> bool:
    return fleet.approval_required or any(wave.approval_required for wave in fleet.rollout.waves)


def _waiting(plan: FleetPlan, runs: Sequence[Run]) -> frozenset[DeviceId]:
    """The devices of a fleet that an approval is missing for."""
    return frozenset(
        verdict.device_id
        for run in runs
        for verdict in run.verdicts.get(plan.fleet.name, ())
        if isinstance(verdict, Wait) and verdict.hold in _ASKING
    )


def whole(plans: Sequence[Plan]) -> Plan | None:
    """The plans of all products as one, as `plan` would make it of the same manifests; None: there is none yet."""
    if len(plans) <= 1:
        return next(iter(plans), None)
    digests = sorted(plan.source.observed_digest for plan in plans)
    first = plans[0].source
    return Plan(
        source=replace(
            first,
            observed_at=min(plan.source.observed_at for plan in plans),
            observed_digest=f"sha256:{hashlib.sha256(''.join(digests).encode()).hexdigest()}",
        ),
        fleets=tuple(sorted((fleet for plan in plans for fleet in plan.fleets), key=lambda each: each.fleet.name)),
        created_at=max(plan.created_at for plan in plans),
        expires_at=min(plan.expires_at for plan in plans),
        complete=all(plan.complete for plan in plans),
        findings=tuple(finding for plan in plans for finding in plan.findings),
    )
