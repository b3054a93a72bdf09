"""The status of what stands beside the fleets: releases, policies, overrides and approvals. Pure.

| Found | Ready | beside it | kstatus |
|---|---|---|---|
| it counts | True | - | Current |
| it has a problem, or the revision that it is part of is not taken | False | Stalled | Failed |
| this generation has not been judged yet | nothing is written | | InProgress, by `observedGeneration` |

Such a resource is about itself: whether the fleets that refer to it get anywhere is in their statuses. So its status
changes when it is edited, when somebody begins or ends referring to it, and never because a rollout moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.kube.judgement import Judgement, stalled
from reconciler.kube.resource import FLEET, OVERRIDE, POLICY, RELEASE, Resource
from reconciler.kube.situation import Reason, State
from reconciler.kube.status import conditions_of
from reconciler.model.instant import Instant
from reconciler.render.ink import counted

_NAMES_MAX: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRefusal:
    """Why a resource does not count."""

    reason: Reason
    code: str
    message: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSituation:
    """What is known of a generation that was judged. `outcome` is what follows from it where nothing is wrong."""

    generation: int
    outcome: str
    refusal: PartRefusal | None = None


def status_of_part(situation: PartSituation, previous: Mapping[str, Any] | None, now: Instant) -> dict[str, Any]:
    """The status now. `previous` is the one that the resource has, None: none was ever written."""
    conditions = conditions_of(_judgement(situation), previous or {}, now, judged=situation.generation)
    return {"observedGeneration": situation.generation, "conditions": conditions}


def outcome_of(part: Resource, fleets: Sequence[Resource]) -> str:
    """What follows from a sound resource, in words; `fleets` are those of its namespace."""
    if part.kind == OVERRIDE:
        devices = part.spec.get("devices") or ()
        return f"it counts: {part.spec.get('mode')} for {counted(len(devices), 'device')}"
    if part.kind in (POLICY, RELEASE):
        those = [each.name for each in fleets if _refers(each, part)]
        return f"it counts: {counted(len(those), 'fleet')} {'refers' if len(those) == 1 else 'refer'} to it"
    names = [str(name) for name in part.spec.get("fleets") or ()]
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    meant = f"for {', '.join(names[:_NAMES_MAX])}{more}" if names else "for all of its fleets"
    return f"it counts: the plan {part.spec.get('planId')} is approved {meant}"


def _refers(fleet: Resource, part: Resource) -> bool:
    if fleet.kind != FLEET:
        return False
    if part.kind == POLICY:
        return fleet.spec.get("rolloutPolicyRef") == part.name
    desired = fleet.spec.get("desired") or {}
    return bool((desired.get("application") or {}).get("release") == part.name)


def _judgement(situation: PartSituation) -> Judgement:
    refusal = situation.refusal
    if refusal is None:
        return Judgement(state=State.READY, reason=Reason.SUCCEEDED, message=situation.outcome)
    message = f"it does not count: {refusal.message} ({refusal.code})"
    return stalled(refusal.reason, message, refusal.next_step)
