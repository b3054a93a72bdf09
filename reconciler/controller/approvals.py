"""Approvals, from the journal and from files, as the gate needs them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal, KeptPlan
from reconciler.model.error import OperatorError
from reconciler.model.fleet import Fleet, FleetSet, PlanApproval
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Approved
from reconciler.model.saved_plan import SavedPlan
from reconciler.render.plan_json import plan_json
from reconciler.render.plan_reading import whole_plan_from_document
from reconciler.rollout.approval import NO_APPROVALS, Approvals, approvals_of, entries_of_file, is_same

PLANS_HELD_MAX: Final = 16

_UNREADABLE: Final[Mapping[str, str]] = {}


class KeptPlans(Mapping[str, SavedPlan]):
    """The plans that a journal keeps, by their ids, each read when it is first asked for. Any thread may ask.

    One that cannot be read, of another catalog or of a later version, is as if it were not there. Only the last few are
    held: a plan of a large fleet is large, and a controller sees many in a year.
    """

    def __init__(self, journal: Journal, catalog: Catalog) -> None:
        self._journal = journal
        self._catalog = catalog
        self._read: dict[str, SavedPlan] = {}
        self._intents: dict[str, Mapping[str, str]] = {}
        self._lock = threading.RLock()

    def __getitem__(self, plan_id: str) -> SavedPlan:
        with self._lock:
            plan = self._read.pop(plan_id, None) or self._plan(plan_id)
            self._read[plan_id] = plan
            while len(self._read) > PLANS_HELD_MAX:
                del self._read[next(iter(self._read))]
            return plan

    def __iter__(self) -> Iterator[str]:
        return iter([*self._read])

    def __len__(self) -> int:
        return len(self._read)

    def approvals(
        self, fleet: Fleet, noted: Iterable[Approved], files: Iterable[PlanApproval], *, now: Instant
    ) -> Approvals:
        """What counts now of all that was approved in a fleet; nothing is read where nobody has to agree."""
        policy = fleet.rollout
        if not fleet.approval_required and not any(wave.approval_required for wave in policy.waves):
            return NO_APPROVALS
        return approvals_of(fleet, [entry for entry in noted if self._may_count(entry, fleet)], files, self, now=now)

    def _plan(self, plan_id: str) -> SavedPlan:
        kept = None if self._intents.get(plan_id) == _UNREADABLE else self._journal.plan(plan_id)
        if kept is None:
            raise KeyError(plan_id)
        try:
            plan = whole_plan_from_document(json.loads(kept.text), self._catalog)
        except (OperatorError, ValueError) as error:
            self._intents[plan_id] = _UNREADABLE
            raise KeyError(plan_id) from error
        self._intents[plan_id] = dict(plan.intents)
        return plan

    def _may_count(self, entry: Approved, fleet: Fleet) -> bool:
        """False: it is known without another look at the plan that it asks for something else."""
        known = self._intents.get(entry.plan_id)
        return known is None or known.get(fleet.name) == fleet.desired.intent


def keep(journal: Journal, document: Mapping[str, Any]) -> None:
    """Keep a plan's document in the journal, without the manifests that a plan file has beside it."""
    plan = {name: value for name, value in document.items() if name != "manifests"}
    journal.keep_plan(KeptPlan(plan_id=plan["plan_id"], digest=plan["digest"], text=plan_json(plan)))


def noted_approvals(journal: Journal, fleet: str) -> tuple[Approved, ...]:
    """All that was ever approved in a fleet, in its order."""
    return tuple(noted.entry for noted in journal.entries(fleet=fleet) if isinstance(noted.entry, Approved))


def note_file_approvals(
    journal: Journal, plans: KeptPlans, fleets: FleetSet, document: Mapping[str, Any], *, now: Instant
) -> list[str]:
    """Note what files approve and the journal does not know yet. Returns what they approve that nobody knows.

    A file names a plan that the journal keeps, or one that was made elsewhere: then it must be what is planned now
    (`document`), by its content digest. That plan is kept, so that it stays approved while it is carried out.
    """
    unknown = []
    for approval in fleets.approvals:
        if approval.expires is not None and approval.expires <= now:
            continue
        noted = [entry for fleet in fleets.fleets for entry in noted_approvals(journal, fleet.name)]
        plan_id = _plan_of(approval, plans, noted, document)
        if plan_id is None:
            unknown.append(
                f"{approval.place}: the approval of {approval.plan_id} counts for nothing: the journal keeps no such "
                "plan that was in force then, and what is planned now is not the same (PFR6724)"
            )
            continue
        if plan_id == document["plan_id"]:
            keep(journal, document)
        fresh = [e for e in entries_of_file(approval, plans[plan_id]) if not any(is_same(e, old) for old in noted)]
        journal.note([entry for entry in fresh if any(fleet.name == entry.fleet for fleet in fleets.fleets)])
    return unknown


def _plan_of(
    approval: PlanApproval, plans: KeptPlans, noted: Iterable[Approved], document: Mapping[str, Any]
) -> str | None:
    kept = plans.get(approval.plan_id)
    if kept is not None and approval.digest in (kept.digest, kept.content_digest) and approval.at < kept.expires_at:
        return kept.plan_id
    found = next((entry.plan_id for entry in noted if entry.digest == approval.digest and entry.plan_id in plans), None)
    if found is None and approval.digest in (document["digest"], document["content_digest"]):
        return str(document["plan_id"])
    return found
