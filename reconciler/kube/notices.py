"""Events of Kubernetes about fleets: what `kubectl describe` shows. One object for what is said again, and few of them.

An Event says what happened; where a fleet stands is in its status. So one that cannot be written is dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from reconciler.kube.api import FIELD_MANAGER, KubeApi
from reconciler.kube.resource import API_VERSION, Resource
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant, iso_from_instant

BURST: Final = 20
REFILL_SECONDS: Final = 60.0
"""Of a fleet so many events at once, then one a minute. Kubernetes' own clients: 25, then one in five minutes."""

SAME_SECONDS: Final = 600.0
"""What is said again within so long is the same Event, counted."""

_MESSAGE_MAX: Final = 1000
_KEPT_MAX: Final = 1000


@dataclass(slots=True)
class _Said:
    name: str
    first: Instant
    count: int = 1


@dataclass(slots=True)
class Notices:
    """Writes Events, on the thread that asks for it; `clock` is wall time."""

    api: KubeApi
    clock: Callable[[], Instant]
    _said: dict[tuple[str, str, str], _Said] = field(default_factory=dict)
    _budget: dict[str, tuple[float, float]] = field(default_factory=dict)

    def notice(self, fleet: Resource, *, reason: str, message: str, is_bad: bool = False) -> None:
        """Say it, unless the fleet has said too much by now."""
        now, text = self.clock(), message[:_MESSAGE_MAX]
        key = (fleet.uid, reason, text)
        said = self._said.get(key)
        if not self._may(fleet.uid, now):
            return
        at = iso_from_instant(Instant(int(now)))
        try:
            if said is not None and now - said.first < SAME_SECONDS:
                said.count += 1
                self.api.patch_event(fleet.namespace, said.name, {"count": said.count, "lastTimestamp": at})
                return
            digest = hashlib.sha256(f"{key} {now}".encode()).hexdigest()[:16]
            fresh = _Said(name=f"{fleet.name}.{digest}", first=now)
            self.api.post_event(fleet.namespace, _event(fleet, fresh.name, reason, text, at, is_bad=is_bad))
        except OperatorError:
            return
        if len(self._said) >= _KEPT_MAX:
            self._said.clear()
        self._said[key] = fresh

    def _may(self, uid: str, now: Instant) -> bool:
        left, at = self._budget.get(uid, (float(BURST), float(now)))
        left = min(float(BURST), left + max(0.0, now - at) / REFILL_SECONDS)
        self._budget[uid] = (left - 1 if left >= 1 else left, float(now))
        return left >= 1


def _event(fleet: Resource, name: str, reason: str, message: str, at: str, *, is_bad: bool) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": fleet.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": fleet.kind,
            "name": fleet.name,
            "namespace": fleet.namespace,
            "uid": fleet.uid,
        },
        "reason": reason,
        "message": message,
        "type": "Warning" if is_bad else "Normal",
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": FIELD_MANAGER,
    }
