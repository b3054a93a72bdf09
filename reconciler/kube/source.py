"""The resources of one namespace as a source of manifests: the same documents as files, read by the same compiler.

What a resource with a problem does:
- A fleet, a policy or a release stands as it was when it was last taken; one that never was is left out. The others go
  on, and its status says what is wrong. What refers to it and cannot do without it shares its lot.
- An override with a problem has the whole namespace stand as it was: it may be what keeps hands off a device.
- A fleet of a product that belongs to another namespace is left out, also where it was taken before.

A fleet that is deleted is nobody's at once: whoever deletes it means just that, and going on would be the surprise. So
the guards against lost fleets do not hold here
([ADR 0049](docs/adr/0049-the-operator-hears-by-watches-and-goes-by-lists.md)).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.journal.journal import Journal
from reconciler.kube.claims import CLAIMED, owners, product_of
from reconciler.kube.resource import FLEET, MANIFESTS, OVERRIDE, RELEASE, Resource
from reconciler.kube.store import Store
from reconciler.manifests import ManifestErrors, Problem
from reconciler.model.error import OperatorError, SourceUnreachableError
from reconciler.model.instant import Instant
from reconciler.model.revision import CLUSTER, RefusedRevision, Revision
from reconciler.sources import ManifestSet
from reconciler.sources.applications import with_applications

KEPT: Final = "resources/"
"""Before a namespace: a bookmark with the texts of the revision that was taken last, and of the newest one."""

_NOT_LISTED: Final = "PFR6955"
_NOT_KEPT: Final = "PFR6956"
_ONLY_NOW: Final = "PFR6957"

_Texts = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was found of a resource: which generation was looked at, and why it does not count (None: it does)."""

    uid: str
    generation: int
    refusal: RefusedRevision | None = None


@dataclass(frozen=True, slots=True)
class _NoFiles:
    """A cluster has no files."""

    def content(self, path: str, *, bytes_max: int) -> bytes | None:  # noqa: ARG002  # the promise of a shelf
        """See `Shelf.content`."""
        return None


class ClusterSource:
    """A `Source`. One thread looks; `judged` may be read by any.

    `number_of` has the number of a product by namespace and word, or the word; `clock` is wall time.
    """

    def __init__(
        self,
        namespace: str,
        store: Store,
        journal: Journal,
        *,
        clock: Callable[[], Instant],
        also_known: Collection[str] = (),
        number_of: Callable[[str, str], str] = lambda _, word: word,
    ) -> None:
        self.name = f"{CLUSTER}{namespace}"
        self.namespace = namespace
        self.judged: Mapping[str, Judged] = {}
        self._store = store
        self._journal = journal
        self._clock = clock
        self._also_known = also_known
        self._number_of = number_of
        self._kept: dict[str, _Texts] = json.loads(journal.bookmark(KEPT + namespace) or "{}")
        self._looked: tuple[object, Revision] | None = None

    def look(self) -> Revision:
        """What is there now. Raises SourceUnreachableError PFR6955: not everything has been listed yet."""
        if not self._store.is_complete(self.namespace):
            message = f"the resources of namespace {self.namespace} have not all been listed yet"
            raise SourceUnreachableError(_NOT_LISTED, message, next_step="look at the API server, and at our RBAC")
        resources = [each for kind in MANIFESTS for each in self._store.resources(kind, self.namespace)]
        foreign = self._foreign()
        taken = self._journal.intents(source=self.name, limit=1)
        good = self._kept.get(taken[0].revision.commit, {}) if taken else {}
        what = (
            tuple((each.path, each.uid, each.generation) for each in resources),
            tuple(sorted(foreign)),
            taken[0].revision.commit if taken else "",
        )
        if self._looked is not None and self._looked[0] == what:
            return self._looked[1]
        texts = {each.path: each.manifest for each in resources if each.path not in foreign}
        sound, problems = _sound(texts, good, self._read)
        revision = self._revision(sound)
        self._keep(revision.commit, sound, {taken[0].revision.commit: good} if taken else {})
        now = self._clock()
        self.judged = {
            each.path: Judged(
                uid=each.uid,
                generation=each.generation,
                refusal=_refusal(each.path, revision, problems.get(each.path), foreign.get(each.path), good, now),
            )
            for each in resources
        }
        self._looked = (what, revision)
        return revision

    @property
    def revision(self) -> Revision | None:
        """What the last look found; None: there was none yet."""
        return None if self._looked is None else self._looked[1]

    def at(self, reference: str) -> Revision:
        """Raises OperatorError PFR6957: a cluster has only what is there now."""
        message = f"a cluster has no revision {reference!r}, only what is there now"
        raise OperatorError(_ONLY_NOW, message, next_step="plan other manifests with `reconciler plan`")

    def manifests(self, revision: Revision) -> ManifestSet:
        """See `Source`. Raises OperatorError PFR6956: these resources are not kept any more."""
        if revision.commit not in self._kept:
            message = f"the resources of {revision.text} are not kept any more"
            raise OperatorError(_NOT_KEPT, message, next_step="nothing; those that are there now are looked at next")
        return self._set(self._kept[revision.commit])

    def follows(self, revision: Revision, earlier: str) -> bool:  # noqa: ARG002  # the promise of a source
        """Always: the API server has one history, and whoever may write there may write this."""
        return True

    def _foreign(self) -> Mapping[str, Resource]:
        """Our fleets of products that belong to others, and the fleet that each product belongs to."""
        fleets = self._store.resources(FLEET)
        owner = owners(fleets, self._number_of)
        found = {
            fleet.path: owner[product_of(fleet, self._number_of)]
            for fleet in fleets
            if fleet.namespace == self.namespace
        }
        return {path: first for path, first in found.items() if first.namespace != self.namespace}

    def _read(self, texts: _Texts) -> None:
        _compiled(texts, self.namespace, self._also_known)

    def _set(self, texts: _Texts) -> ManifestSet:
        return _set(texts, self.namespace)

    def _revision(self, texts: _Texts) -> Revision:
        digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
        return Revision(source=self.name, name=self.namespace, commit=f"sha256:{digest}", committed_at=self._clock())

    def _keep(self, commit: str, texts: _Texts, before: dict[str, _Texts]) -> None:
        """Durable before it may be taken: the next process has to know what a broken resource was like."""
        kept = before | {commit: texts}
        if kept != self._kept:
            self._journal.set_bookmark(KEPT + self.namespace, json.dumps(kept, sort_keys=True))
            self._kept = kept


def problems_of(resources: Iterable[Resource], namespace: str, also_known: Collection[str]) -> Mapping[str, Problem]:
    """The first problem of each resource that has one, by path, where nobody was there before to stand for it."""
    texts = {each.path: each.manifest for each in resources}
    return _sound(texts, {}, lambda some: _compiled(some, namespace, also_known))[1]


def _set(texts: _Texts, namespace: str) -> ManifestSet:
    return ManifestSet(texts=texts, paths=tuple(texts), problems=(), shelf=_NoFiles(), tenant=namespace)


def _compiled(texts: _Texts, namespace: str, also_known: Collection[str]) -> None:
    """Raises ManifestErrors: they have problems."""
    found = _set(texts, namespace)
    with_applications(found.compile(also_known=also_known), found)


def _sound(wanted: _Texts, good: _Texts, read: Callable[[_Texts], None]) -> tuple[_Texts, Mapping[str, Problem]]:
    """What has no problem, and the first problem of each resource that has one."""
    texts = dict(wanted)
    told: Mapping[str, Problem] = {}
    while True:
        try:
            read(texts)
        except ManifestErrors as errors:
            wrong = {each.place.file: each for each in reversed(errors.problems)}
            told = {**wrong, **told}
            if any(path.startswith(f"{OVERRIDE}/") or path not in texts for path in wrong):
                return texts, told
            for path in wrong:
                told = _without(path, texts, good, told)
        else:
            return texts, told


def _without(path: str, texts: _Texts, good: _Texts, told: Mapping[str, Problem]) -> Mapping[str, Problem]:
    """Put a resource back to what it was, or take it out; with a release those fleets that want an application of it.

    A fleet may name a release that no manifest describes, and means what the product holds: not what was meant here.
    """
    if texts.pop(path) != good.get(path, "") and path in good:
        texts[path] = good[path]
        return told
    kind, _, name = path.split("/")
    for fleet, text in [*texts.items()] if kind == RELEASE else ():
        wanted = json.loads(text)["spec"].get("desired", {}).get("application", {})
        if fleet.startswith(f"{FLEET}/") and wanted.get("release") == name and text != good.get(fleet):
            told = {fleet: told[path], **told}
            texts.pop(fleet)
            texts.update({fleet: good[fleet]} if fleet in good else {})
    return told


def _refusal(
    path: str, revision: Revision, problem: Problem | None, owner: Resource | None, good: _Texts, now: Instant
) -> RefusedRevision | None:
    if owner is not None:
        message = f"its product belongs to namespace {owner.namespace}, whose fleet {owner.name} named it first"
        step = "keep a product's fleets in one namespace, or delete the other fleet"
        return RefusedRevision(revision=revision, code=CLAIMED, message=message, next_step=step, at=now)
    if problem is None:
        return None
    stands = "what it was before stands" if path in good else "nothing is done for it"
    where = "" if problem.place.file == path else f"{problem.place.file}: "
    message = f"{where}{problem.message}; {stands}"
    code, step = problem.code.value, problem.suggestion
    return RefusedRevision(revision=revision, code=code, message=message, next_step=step, at=now)
