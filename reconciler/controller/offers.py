"""Plans that wait for a person: where an approval is asked for, the plan that would be carried out is kept and told.

A plan is offered once. It is offered anew where a device that waits is not covered by it any more, or it has expired;
what people approve of is what is carried out, so a plan that still covers everybody stays the offered one. People are
told of it once, and again where somebody still waits after they have approved: for a later wave, say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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


_Offer = tuple[str, str]
"""The id of a plan, and its digest."""


class Offers:
    """What was offered, in the journal; `tell` hears of new offers."""

    def __init__(self, journal: Journal, plans: KeptPlans, tell: Callable[[Event], None]) -> None:
        self._journal = journal
        self._plans = plans
        self._tell = tell
        self._told: set[str] = set()
        self._told_of: dict[str, tuple[str, int]] = {}

    def make(self, plan: Callable[[], Plan | None], fleets: FleetSet, run: Run, *, now: Instant) -> None:
        """After a pass of a run: note what files approve of, and offer the plan to whoever has to agree to what waits.

        `plan` makes that of all fleets as it is now; it is asked only where somebody may have to agree.
        """
        asking = {fleet.name for fleet in fleets.fleets if _asks(fleet)}
        waiting = {fleet: _waiting(run, fleet) for fleet in asking & run.verdicts.keys()}
        made = plan() if any(waiting.values()) else None
        if made is None:
            return
        document: Mapping[str, Any] | None = None
        if fleets.approvals:
            document = plan_document(made, tool_version=__version__)
            for line in note_file_approvals(self._journal, self._plans, fleets, document, now=now):
                self._tell_once(line, now)
        for fleet_plan in made.fleets:
            concerned = waiting.get(fleet_plan.fleet.name)
            if not concerned:
                continue
            fleet, offer = fleet_plan.fleet.name, self._offered(fleet_plan, concerned, now)
            if offer is None:
                document = document or plan_document(made, tool_version=__version__)
                offer = self._offer(fleet, document)
            told = offer[0], len(run.story_of(fleet).approvals)
            if self._told_of.get(fleet) != told:
                self._told_of[fleet] = told
                plan_id, digest = offer
                self._tell(PlanOffered(at=now, fleet=fleet, plan_id=plan_id, digest=digest, devices=len(concerned)))

    def _offered(self, plan: FleetPlan, waiting: Collection[DeviceId], now: Instant) -> _Offer | None:
        """The plan that was offered last, where it is still what would be done on all that wait."""
        fleet = plan.fleet.name
        offered = self._plans.get(self._journal.bookmark(_MARK + fleet) or "")
        if offered is None or now >= offered.expires_at or offered.intents.get(fleet) != plan.fleet.desired.intent:
            return None
        is_whole = all(
            covers(offered, fleet, route, device_id)
            for route in plan.routes
            for device_id in route.devices
            if device_id in waiting
        )
        return (offered.plan_id, offered.digest) if is_whole else None

    def _offer(self, fleet: str, document: Mapping[str, Any]) -> _Offer:
        keep(self._journal, document)
        self._journal.set_bookmark(_MARK + fleet, document["plan_id"])
        return document["plan_id"], document["digest"]

    def _tell_once(self, line: str, now: Instant) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(Finding(at=now, code=_FILE_APPROVAL, message=line))


def _asks(fleet: Fleet) -> bool:
    return fleet.approval_required or any(wave.approval_required for wave in fleet.rollout.waves)


def _waiting(run: Run, fleet: str) -> frozenset[DeviceId]:
    """The devices of a fleet that an approval is missing for."""
    waits = (verdict for verdict in run.verdicts[fleet] if isinstance(verdict, Wait))
    return frozenset(wait.device_id for wait in waits if wait.hold in _ASKING)
