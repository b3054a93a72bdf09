"""The resources of one namespace as a source of manifests: the same documents as files, read by the same compiler.

What a resource with a problem does:
- A fleet, a policy or a release stands as it was when it was last taken; one that never was is left out. The others go
  on, and its status says what is wrong. What refers to it and cannot do without it shares its lot.
- An override with a problem has the whole namespace stand as it was: it may be what keeps hands off a device.
- A fleet of a product that belongs to another namespace is left out, also where it was taken before.

A fleet that is deleted is nobody's at once: whoever deletes it means just that, and going on would be the surprise. So
the guards against lost fleets do not hold here
([ADR 0049](docs/adr/0049-the-operator-hears-by-watches-and-goes-by-lists.md)).

Of several operators one may have heard less than another. So what another one took is gone by until everything has
been listed once more after that: a list is as new as the API server ([ADR
0050](docs/adr/0050-the-engine-of-several-workers-is-procrastinate.md)).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
"""Before a namespace, the revision that was desired, and the one that was to follow it: a bookmark with its texts."""

_NOT_LISTED: Final = "PFR6955"
_NOT_KEPT: Final = "PFR6956"
_ONLY_NOW: Final = "PFR6957"

_SHORT: Final = 16
"""So many characters of a digest tell it from others of a namespace."""

_TAKEN_MAX: Final = 20

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

    `number_of` has the number of a product by namespace and word, or the word; `clock` is wall time. `is_shared`: other
    operators look at the same namespace on the same journal. `awaits_list`: nothing is said before everything has been
    listed again.
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
        is_shared: bool = False,
    ) -> None:
        self.name = f"{CLUSTER}{namespace}"
        self.namespace = namespace
        self.judged: Mapping[str, Judged] = {}
        self._store = store
        self._journal = journal
        self._clock = clock
        self._also_known = also_known
        self._number_of = number_of
        self._kept: dict[str, _Texts] = {}
        self._looked: tuple[object, Revision] | None = None
        self._is_shared = is_shared
        self._learned: tuple[str, float] = ("", 0.0)
        self._proposed: tuple[object, str] | None = None
        self.awaits_list = False

    def look(self) -> Revision:
        """What is there now. Raises SourceUnreachableError PFR6955: not everything has been listed yet."""
        if not self._store.is_complete(self.namespace):
            message = f"the resources of namespace {self.namespace} have not all been listed yet"
            raise SourceUnreachableError(_NOT_LISTED, message, next_step="look at the API server, and at our RBAC")
        resources = [each for kind in MANIFESTS for each in self._store.resources(kind, self.namespace)]
        foreign = self._foreign()
        taken = self._journal.intents(source=self.name, limit=_TAKEN_MAX if self._is_shared else 1)
        before = taken[0].revision.commit if taken else ""
        view = tuple((each.path, each.uid, each.generation) for each in resources), tuple(sorted(foreign))
        what = (view, before)
        if self._looked is not None and self._looked[0] == what:
            return self._looked[1]
        texts = {each.path: each.manifest for each in resources if each.path not in foreign}
        good = self._texts(before) or {}
        sound, problems = _sound(texts, good, self._read)
        revision = self._revision(sound)
        if taken and self._is_overtaken(view, revision, [each.revision.commit for each in taken]):
            return taken[0].revision
        self._keep(revision.commit, sound, after=before)
        self._proposed = (view, revision.commit)
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
        texts = self._texts(revision.commit)
        if texts is None:
            message = f"the resources of {revision.text} are not kept any more"
            raise OperatorError(_NOT_KEPT, message, next_step="nothing; those that are there now are looked at next")
        return self._set(texts)

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

    def _is_overtaken(self, view: object, revision: Revision, taken: Sequence[str]) -> bool:
        """Whether what another operator took stands, because it may have heard more than is known here.

        It also stands where it followed what was taken for this very view: then two of us read the same resources
        otherwise, as two versions may, and must not go on and on.
        """
        self.awaits_list = False
        if not self._is_shared or taken[0] == revision.commit:
            return False
        if self._learned[0] != taken[0]:
            self._learned = (taken[0], self._store.now())
        if self._proposed is not None and self._proposed[1] == taken[0]:
            return False
        if self._proposed is not None and self._proposed[0] == view and self._proposed[1] in taken:
            return True
        self.awaits_list = self._store.listed_since(self.namespace) <= self._learned[1]
        return self.awaits_list

    def _texts(self, commit: str) -> _Texts | None:
        """What was kept of a revision, by whichever operator."""
        if commit and commit not in self._kept:
            for name, text in self._journal.bookmarks(f"{KEPT}{self.namespace}/").items():
                if name.endswith(f"/{_short(commit)}"):
                    self._kept[commit] = json.loads(text)
        return self._kept.get(commit)

    def _keep(self, commit: str, texts: _Texts, *, after: str) -> None:
        """Durable before it may be taken: the next process has to know what a broken resource was like.

        What would have followed another one than `after` cannot be taken any more, and goes; so does what this operator
        would have taken before.
        """
        place = f"{KEPT}{self.namespace}/"
        kept, former = self._journal.bookmarks(place), "" if self._proposed is None else _short(self._proposed[1])
        if not any(name.endswith(f"/{_short(commit)}") for name in kept):
            self._journal.set_bookmark(f"{place}{_short(after)}/{_short(commit)}", json.dumps(texts, sort_keys=True))
        for name in kept:
            was_after, was = name.removeprefix(place).split("/")
            is_over = was_after != _short(after) or was == former
            if is_over and was not in {_short(after), _short(commit)}:
                self._journal.set_bookmark(name, None)
        self._kept = {each: self._kept[each] for each in (after,) if each in self._kept} | {commit: texts}


def _short(commit: str) -> str:
    return commit[-_SHORT:]


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
