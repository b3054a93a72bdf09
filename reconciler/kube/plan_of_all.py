"""The plans of all tenants as one, for whoever asks for everything. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from reconciler.model.plan import Plan, PlanSource

_WORDS_MAX = 10


def plan_of_all(plans: Mapping[str, Plan | None]) -> Plan | None:
    """One plan of the plans by namespace; None: there is none yet. A tenant that has none leaves it incomplete.

    Of several its digests are digests over theirs, and it is in force while all of them are.
    """
    made = {name: plan for name, plan in sorted(plans.items()) if plan is not None}
    if len(plans) == 1 or not made:
        return next(iter(made.values()), None)
    sources = [plan.source for plan in made.values()]
    return Plan(
        source=PlanSource(
            revision=_listed(each.revision or name for name, each in zip(made, sources, strict=True)),
            manifest_digest=_over(each.manifest_digest for each in sources),
            catalog_digest=sources[0].catalog_digest,
            observed_at=min(each.observed_at for each in sources),
            observed_digest=_over(each.observed_digest for each in sources),
        ),
        fleets=tuple(
            sorted((fleet for plan in made.values() for fleet in plan.fleets), key=lambda each: each.fleet.name)
        ),
        created_at=max(plan.created_at for plan in made.values()),
        expires_at=min(plan.expires_at for plan in made.values()),
        complete=len(made) == len(plans) and all(plan.complete for plan in made.values()),
        findings=tuple(finding for plan in made.values() for finding in plan.findings),
    )


def _listed(revisions: Iterable[str]) -> str:
    found = [*revisions]
    more = f" and {len(found) - _WORDS_MAX} more" if len(found) > _WORDS_MAX else ""
    return ", ".join(found[:_WORDS_MAX]) + more


def _over(digests: Iterable[str]) -> str:
    return f"sha256:{hashlib.sha256(' '.join(digests).encode()).hexdigest()}"
