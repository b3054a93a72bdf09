"""What people say with a resource: annotations of a fleet, and approvals. Each becomes a word in the journal.

| Said by | Word |
|---|---|
| `fleet.reconciler.dev/reconcile-requested-at`, or Flux's `reconcile.fluxcd.io/requestedAt` | reconcile |
| `fleet.reconciler.dev/halt: REASON` | halt; taken out again: resume, if the halt that stands is this one |
| `fleet.reconciler.dev/resume-requested-at` | resume |
| `fleet.reconciler.dev/approve-plan: PLAN-ID` | approve, for this fleet as a whole |
| a `PlanApproval` | approve, for its fleets and waves |

A word is in the journal before it counts as heard, so a crash between the two says it twice and never not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.controller.words.approving import approve, kept_plan
from reconciler.controller.words.holding import halt, resume
from reconciler.controller.words.speaker import Speaker
from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.kube.resource import GROUP, Resource
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from reconciler.model.saved_plan import SavedPlan

RECONCILE: Final = (f"{GROUP}/reconcile-requested-at", "reconcile.fluxcd.io/requestedAt")
HALT: Final = f"{GROUP}/halt"
RESUME: Final = f"{GROUP}/resume-requested-at"
APPROVE: Final = f"{GROUP}/approve-plan"

_HEARD: Final = "heard/"
"""Before the path of a resource: a bookmark with what was heard of it."""

_REASON: Final = "no reason was given"


@dataclass(slots=True)
class Words:
    """Hears resources of all tenants; one thread.

    `misheard`: what could not be done, by the path of the resource: an approval of a plan that nobody knows. It is
    tried again with every hearing.
    """

    journal: Journal
    catalog: Catalog
    clock: Callable[[], Instant]
    misheard: dict[str, OperatorError] = field(default_factory=dict)
    _settled: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def hear_fleet(self, fleet: Resource) -> bool:
        """Note what is new. Returns whether anything was. Raises JournalError."""
        if self._is_settled(fleet):
            return False
        before = self._heard(fleet)
        halted = _halt_of(fleet)
        said = {
            "halt": halted or "",
            "resume": fleet.annotations.get(RESUME, ""),
            "approve": fleet.annotations.get(APPROVE, ""),
        }
        new = {name for name, value in said.items() if value != before.get(name, "")}
        speaker = self._speaker(fleet)
        if "halt" in new and halted:
            halt(speaker, [fleet.fleet], reason=halted, force=True)
        elif "halt" in new and self._is_ours(fleet, speaker):
            resume(speaker, fleet.fleet)
        if "resume" in new and said["resume"]:
            resume(speaker, fleet.fleet)
        if not said["approve"]:
            self.misheard.pop(fleet.path, None)
        if "approve" in new and said["approve"] and not self._approve(fleet, said["approve"], fleets=[fleet.fleet]):
            said["approve"] = before.get("approve", "")
        return self._settle(fleet, is_news=self._note(fleet, said, before))

    def hear_approval(self, approval: Resource) -> bool:
        """As `hear_fleet`; what an approval of a resource says counts once and for all."""
        if self._is_settled(approval):
            return False
        before = self._heard(approval)
        said = {"approve": str(approval.generation)}
        if said["approve"] == before.get("approve"):
            return self._settle(approval, is_news=False)
        fleets = [f"{approval.namespace}/{name}" for name in approval.spec.get("fleets") or ()]
        plan_id = str(approval.spec.get("planId") or "")
        if not self._approve(approval, plan_id, fleets=fleets):
            return False
        return self._settle(approval, is_news=self._note(approval, said, before))

    def is_heard(self, approval: Resource) -> bool:
        """Whether an approval counts as it stands there now."""
        return self._heard(approval).get("approve") == str(approval.generation)

    def forget_all_but(self, paths: Collection[str]) -> None:
        """The others are gone."""
        there = set(paths)
        for kept in (self.misheard, self._settled):
            for path in kept.keys() - there:
                del kept[path]

    def _is_settled(self, resource: Resource) -> bool:
        """Whether just this was heard: nobody reads the journal for thousands of fleets every second."""
        return self._settled.get(resource.path) == _said(resource)

    def _settle(self, resource: Resource, *, is_news: bool) -> bool:
        if resource.path not in self.misheard:
            self._settled[resource.path] = _said(resource)
        return is_news

    def _approve(self, resource: Resource, plan_id: str, *, fleets: list[str]) -> bool:
        spec = resource.spec
        speaker = self._speaker(resource, by=str(spec.get("by") or ""))
        try:
            saved, document = kept_plan(self.journal, plan_id, self.catalog, self.clock())
            ours = [name for name in saved.intents if name.startswith(f"{resource.namespace}/")]
            wanted = fleets or ours
            _check(saved, spec, ours, wanted)
            waves = [str(wave) for wave in spec.get("waves") or ()]
            approve(speaker, saved, document, fleets=wanted, waves=waves, source=f"resource {resource.path}")
        except OperatorError as error:
            self.misheard[resource.path] = error
            return False
        self.misheard.pop(resource.path, None)
        return True

    def _is_ours(self, fleet: Resource, speaker: Speaker) -> bool:
        return any(standing.fleet == fleet.fleet and standing.by == speaker.by for standing in self.journal.halts())

    def _speaker(self, resource: Resource, by: str = "") -> Speaker:
        said_by = f"{by} ({resource.path})" if by else resource.path
        return Speaker(journal=self.journal, by=said_by, clock=self.clock, is_heard=lambda: True)

    def _heard(self, resource: Resource) -> Mapping[str, str]:
        """Of this very resource: another one of its name says everything anew."""
        heard: Mapping[str, str] = json.loads(self.journal.bookmark(_HEARD + resource.path) or "{}")
        return heard if heard.get("uid") == resource.uid else {}

    def _note(self, resource: Resource, said: Mapping[str, str], before: Mapping[str, str]) -> bool:
        heard = {"uid": resource.uid, **{name: value for name, value in said.items() if value}}
        if heard == before or (not before and len(heard) == 1):
            return False
        self.journal.set_bookmark(_HEARD + resource.path, json.dumps(heard, sort_keys=True))
        return True


def _said(resource: Resource) -> tuple[object, ...]:
    """All that words come from."""
    return resource.uid, resource.generation, resource.annotations


def _check(saved: SavedPlan, spec: Mapping[str, Any], ours: Collection[str], wanted: Collection[str]) -> None:
    """Raises OperatorError PFR6959: it is the plan of others, or another plan than the digest says."""
    problem = ""
    if not ours or any(name not in ours for name in wanted):
        problem = "is not about these fleets of this namespace"
    elif spec.get("digest") not in {None, saved.digest, saved.content_digest}:
        problem = "has another digest"
    if problem:
        step = "approve the plan that the fleet's status names"
        raise OperatorError("PFR6959", f"the plan {saved.plan_id} {problem}", next_step=step)


def reconcile_token(fleet: Resource) -> str:
    """The latest wish for a look, or nothing. Of two annotations the one that sorts last: they are times."""
    return max((fleet.annotations.get(name, "") for name in RECONCILE), default="")


def _halt_of(fleet: Resource) -> str | None:
    """Why the fleet is to be halted; None: it is not."""
    said = fleet.annotations.get(HALT, "false")
    return None if said == "false" else _REASON if said in {"true", ""} else said
