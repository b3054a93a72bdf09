"""What stands beside the fleets on its way to a status, and approvals that could not be heard on theirs to an event.

Where a namespace has fleets and a token its tenant judges everything; elsewhere a sound resource counts as it is, so
that whoever applies policies before the first fleet does not wait for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.kube.judgement import reason_of
from reconciler.kube.notices import Notices
from reconciler.kube.part_status import PartRefusal, PartSituation, outcome_of, status_of_part
from reconciler.kube.resource import APPROVAL, FLEET, MANIFESTS, Resource
from reconciler.kube.situation import Reason
from reconciler.kube.source import Judged, problems_of
from reconciler.kube.store import Store
from reconciler.kube.words import Words
from reconciler.kube.writer import StatusWriter
from reconciler.manifests import Problem
from reconciler.model.instant import Instant
from reconciler.model.revision import RefusedRevision


@dataclass(slots=True)
class Parts:
    """One thread. `also_known` are releases that a manifest may name beside the known ones."""

    store: Store
    words: Words
    writer: StatusWriter
    notices: Notices
    clock: Callable[[], Instant]
    also_known: Collection[str] = ()
    _alone: dict[str, tuple[object, Mapping[str, Problem]]] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)

    def offer(
        self, namespace: str, judged: Callable[[Resource], tuple[Judged | None, RefusedRevision | None]] | None
    ) -> None:
        """Have the statuses of a namespace written.

        `judged` has what the namespace's tenant found of a resource last, and why the revision that it is part of is
        not taken; None: there is no tenant.
        """
        there = [each for kind in MANIFESTS for each in self.store.resources(kind, namespace)]
        fleets = [each for each in there if each.kind == FLEET]
        problems = self._problems(namespace, there) if judged is None else {}
        for part in (each for each in there if each.kind != FLEET):
            if judged is None:
                self._offer(part, fleets, _of_problem(problems.get(part.path)))
                continue
            found, whole = judged(part)
            if found is not None and (found.uid, found.generation) == (part.uid, part.generation):
                self._offer(part, fleets, _of_refusal(found.refusal or whole))
        for approval in self.store.resources(APPROVAL, namespace):
            misheard = self.words.misheard.get(approval.path)
            if misheard is not None:
                step = misheard.next_step
                no = PartRefusal(
                    reason=Reason.APPROVAL_REFUSED, code=misheard.code, message=misheard.message, next_step=step
                )
                self._offer(approval, fleets, no)
            elif self.words.is_heard(approval):
                self._offer(approval, fleets, None)

    def leave(self, namespace: str) -> None:
        """Another operator has the statuses of a namespace written."""
        for kind in (*MANIFESTS, APPROVAL):
            for part in self.store.resources(kind, namespace) if kind != FLEET else ():
                self.writer.forget(part.uid)

    def tell_misheard(self, resources: Iterable[Resource]) -> None:
        """An event, once, for every word of these resources that could not be heard."""
        there = {each.path: each for each in resources}
        self.words.forget_all_but(there)
        misheard = {path: f"{error.message} ({error.code})" for path, error in self.words.misheard.items()}
        for path, message in misheard.items():
            if self._told.get(path) != message:
                said = f"the approval does not count: {message}"
                self.notices.notice(there[path], reason=Reason.APPROVAL_REFUSED, message=said, is_bad=True)
        self._told = misheard

    def _offer(self, part: Resource, fleets: Sequence[Resource], refusal: PartRefusal | None) -> None:
        situation = PartSituation(generation=part.generation, outcome=outcome_of(part, fleets), refusal=refusal)
        self.writer.offer(part, status_of_part(situation, self.writer.written(part), self.clock()))

    def _problems(self, namespace: str, there: Sequence[Resource]) -> Mapping[str, Problem]:
        """Those of a namespace without a tenant; compiled when something there has changed."""
        what = tuple((each.path, each.uid, each.generation) for each in there)
        known = self._alone.get(namespace)
        if known is None or known[0] != what:
            known = self._alone[namespace] = (what, problems_of(there, namespace, self.also_known))
        return known[1]


def _of_problem(problem: Problem | None) -> PartRefusal | None:
    if problem is None:
        return None
    code = problem.code.value
    return PartRefusal(reason=reason_of(code), code=code, message=problem.message, next_step=problem.suggestion)


def _of_refusal(refusal: RefusedRevision | None) -> PartRefusal | None:
    if refusal is None:
        return None
    reason = reason_of(refusal.code)
    return PartRefusal(reason=reason, code=refusal.code, message=refusal.message, next_step=refusal.next_step)
