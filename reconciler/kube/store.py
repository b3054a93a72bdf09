"""What the cluster has told: resources by kind, namespace and name, whoever told it and in whatever order.

Two voices tell: watches, of single changes, and lists, of everything. A list may be older than a change that was heard
meanwhile, so of two versions of a resource the newer one stays, and a deletion is remembered until a newer list.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import Final

from reconciler.kube.resource import FLEET, PLURALS, Resource

_EVERYWHERE: Final = ""
_Key = tuple[str, str, str]


class Store:
    """May be used by any thread. `on_change` is called, outside the lock, with the namespace of whatever has changed.

    `clock` only ever rises, in seconds.
    """

    def __init__(self, clock: Callable[[], float], on_change: Callable[[str], None] = lambda _: None) -> None:
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._resources: dict[_Key, Resource] = {}
        self._deleted: dict[_Key, int] = {}
        self._listed: dict[tuple[str, str], float] = {}

    def heard(self, resource: Resource, *, deleted: bool = False) -> None:
        """A watch tells of one resource: it is so now, or was so when it was deleted."""
        with self._lock:
            changed = self._forget(resource) if deleted else self._keep(resource)
        if changed:
            self._on_change(resource.namespace)

    def now(self) -> float:
        """By the clock of the store."""
        return self._clock()

    def listed(
        self,
        kind: str,
        found: Iterable[Resource],
        *,
        version: int,
        namespace: str = _EVERYWHERE,
        since: float | None = None,
    ) -> None:
        """All of a kind as of `version`, of one namespace or of all; asked for at `since` (None: now)."""
        with self._lock:
            there = {_key(each): each for each in found}
            changed = {each.namespace for each in there.values() if self._keep(each)}
            for key, known in [*self._resources.items()]:
                is_meant = key[0] == kind and namespace in (_EVERYWHERE, key[1])
                if is_meant and key not in there and known.version <= version:
                    del self._resources[key]
                    changed.add(known.namespace)
            self._deleted = {key: at for key, at in self._deleted.items() if key[0] != kind or at > version}
            is_first = (kind, namespace) not in self._listed
            self._listed[kind, namespace] = self._clock() if since is None else since
            if is_first:
                changed |= {key[1] for key in self._resources}
        for each in sorted(changed):
            self._on_change(each)

    def is_complete(self, namespace: str) -> bool:
        """Whether every kind was listed there once: before that nothing can be said of what is desired."""
        with self._lock:
            return all((kind, namespace) in self._listed or (kind, _EVERYWHERE) in self._listed for kind in PLURALS)

    def listed_since(self, namespace: str) -> float:
        """When the list was asked for that is the oldest of a kind there. Everything must have been listed once."""
        with self._lock:
            found = self._listed
            return min(max(found.get((kind, of), -math.inf) for of in (namespace, _EVERYWHERE)) for kind in PLURALS)

    def oldest_list_seconds(self) -> float | None:
        """For how long the kind that was listed least recently was not; None: one was never listed."""
        with self._lock:
            if {kind for kind, _ in self._listed} != PLURALS.keys():
                return None
            return self._clock() - min(self._listed.values())

    def resources(self, kind: str, namespace: str | None = None) -> tuple[Resource, ...]:
        """Those of a kind, in the order of their names; in one namespace or (None) in all."""
        with self._lock:
            found = [each for key, each in self._resources.items() if key[0] == kind and namespace in (None, key[1])]
        return tuple(sorted(found, key=lambda each: (each.namespace, each.name)))

    def namespaces(self) -> tuple[str, ...]:
        """Those that have a fleet."""
        return tuple(sorted({each.namespace for each in self.resources(FLEET)}))

    def _keep(self, resource: Resource) -> bool:
        key = _key(resource)
        known = self._resources.get(key)
        if self._deleted.get(key, 0) >= resource.version or (known is not None and known.version >= resource.version):
            return False
        self._resources[key] = resource
        return known is None or _said(known) != _said(resource)

    def _forget(self, resource: Resource) -> bool:
        key = _key(resource)
        known = self._resources.get(key)
        self._deleted[key] = max(resource.version, self._deleted.get(key, 0))
        if known is None or known.version > resource.version:
            return False
        del self._resources[key]
        return True


def _key(resource: Resource) -> _Key:
    return resource.kind, resource.namespace, resource.name


def _said(resource: Resource) -> tuple[object, ...]:
    """What people said with it; its status is our own word."""
    return resource.uid, resource.generation, resource.spec, resource.annotations
