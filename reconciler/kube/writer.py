"""The statuses of fleets on their way to the API server; `pacing.py` says when, this file does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import requests

from reconciler.kube.api import ApiRefusedError, ApiUnreachableError, KubeApi
from reconciler.kube.pacing import StatusPace
from reconciler.kube.resource import Resource

_GONE: Final = frozenset({requests.codes.not_found, requests.codes.conflict})
"""It was deleted meanwhile, or another one of its name is there, which is judged anew."""


@dataclass(slots=True)
class StatusWriter:
    """One thread. `monotonic` only ever rises; `writes` counts what arrived.

    `trouble`: why the latest write did not arrive; None: it did, or there was nothing to write.
    """

    api: KubeApi
    monotonic: Callable[[], float]
    writes: int = 0
    trouble: ApiRefusedError | ApiUnreachableError | None = None
    _paces: dict[str, StatusPace] = field(default_factory=dict)
    _fleets: dict[str, Resource] = field(default_factory=dict)
    _silent_until: float = 0.0

    def written(self, fleet: Resource) -> Mapping[str, Any] | None:
        """The status that the fleet has, as far as is known; None: none."""
        pace = self._paces.get(fleet.uid)
        return (fleet.status or None) if pace is None else pace.written or fleet.status or None

    def offer(self, fleet: Resource, document: Mapping[str, Any]) -> None:
        """This is its status now."""
        pace = self._paces.get(fleet.uid) or StatusPace(written=fleet.status or None)
        self._paces[fleet.uid], self._fleets[fleet.uid] = pace.offered(document), fleet

    def forget(self, uid: str) -> None:
        """Somebody else writes it: what was written here last is no more what stands there."""
        self._paces.pop(uid, None)
        self._fleets.pop(uid, None)

    def forget_all_but(self, uids: frozenset[str]) -> None:
        """The others are gone."""
        for uid in self._paces.keys() - uids:
            del self._paces[uid]
            self._fleets.pop(uid, None)

    def write_due(self) -> None:
        """Write what is due. What does not arrive goes again, after the pause that the server asks for."""
        for uid, pace in [*self._paces.items()]:
            now = self.monotonic()
            if now < self._silent_until:
                return
            self._paces[uid], document = pace.take(now)
            if document is not None:
                self._write(uid, document)

    def _write(self, uid: str, document: Mapping[str, Any]) -> None:
        try:
            self.api.apply_status(self._fleets[uid], document)
        except ApiRefusedError as error:
            if error.status in _GONE:
                del self._paces[uid], self._fleets[uid]
                return
            self.trouble = error
            self._paces[uid] = self._paces[uid].failed(document)
        except ApiUnreachableError as error:
            self.trouble = error
            self._silent_until = self.monotonic() + max(1.0, error.after_seconds)
            self._paces[uid] = replace(self._paces[uid].failed(document), not_before=self._silent_until)
        else:
            self.writes += 1
            self.trouble = None
