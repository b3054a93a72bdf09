"""PlanApproval, compiled."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.manifests.document import Document, Node
from reconciler.manifests.fleets import name_place
from reconciler.manifests.problem import ProblemCode, did_you_mean, listed
from reconciler.manifests.scope import Scope, section, text_of
from reconciler.model.fleet import Fleet, PlanApproval
from reconciler.model.instant import NEVER


def approval_of(scope: Scope, document: Document, root: Node, *, fleets: Mapping[str, Fleet]) -> PlanApproval:
    """Compile a PlanApproval. One that has expired is kept: whether it still counts is asked when something starts."""
    spec = section(root, "spec")
    expires, at = spec.members.get("expires"), scope.instant(document, spec.members.get("at"))
    until = scope.instant(document, expires)
    if expires is not None and at is not None and until is not None and until <= at:
        scope.report(document, expires, ProblemCode.APPROVAL, "the approval expires before it is given")
    return PlanApproval(
        name=text_of(section(root, "metadata"), "name") or "",
        plan_id=text_of(spec, "planId") or "",
        digest=text_of(spec, "digest") or "",
        fleets=_fleets(scope, document, spec.members.get("fleets"), fleets),
        waves=_waves(scope, document, spec, fleets),
        by=text_of(spec, "by") or "",
        at=NEVER if at is None else at,
        expires=until,
        place=name_place(document, root),
    )


def _fleets(scope: Scope, document: Document, node: Node | None, fleets: Mapping[str, Fleet]) -> tuple[str, ...] | None:
    if node is None:
        return None
    names = scope.names(document, node) or frozenset()
    for item in node.items:
        name = str(item.value)
        if name not in fleets and scope.all_readable:
            suggestion = did_you_mean(name, fleets) or f"there is: {listed(sorted(fleets)) or 'none'}"
            scope.report(document, item, ProblemCode.APPROVAL, f"there is no DeviceFleet {name!r}", suggestion)
    return tuple(sorted(names))


def _waves(scope: Scope, document: Document, spec: Node, fleets: Mapping[str, Fleet]) -> tuple[str, ...] | None:
    """A wave that no manifest names is no wave that waits for an approval."""
    node, named = spec.members.get("waves"), spec.members.get("fleets")
    if node is None:
        return None
    meant = fleets if named is None else {str(item.value) for item in named.items} & fleets.keys()
    known = {wave.name for name in meant for wave in fleets[name].rollout.waves}
    names = scope.names(document, node) or frozenset()
    for item in node.items if scope.all_readable and meant else ():
        if item.value not in known:
            suggestion = did_you_mean(str(item.value), known) or f"there is: {listed(sorted(known)) or 'none'}"
            message = f"no fleet of the approval names a wave {str(item.value)!r}"
            scope.report(document, item, ProblemCode.APPROVAL, message, suggestion)
    return tuple(sorted(names))
