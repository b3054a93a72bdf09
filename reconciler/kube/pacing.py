"""When a status is written: never when it is the one that was written, seldom, and the last one always. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

WRITE_EVERY_SECONDS: Final = 10.0
"""At most one write of a fleet's status within so long."""


def changed(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    """Whether there is something to write. Times of conditions move only when a status flips, so that all counts."""
    return old is None or dict(old) != dict(new)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPace:
    """The statuses of one fleet on their way to the API server.

    - `written`: what the resource has, as far as is known; None: nobody knows.
    - `waiting`: the latest status that is yet to be written. An earlier one that it replaced is never written.
    - `not_before`: by a clock that only rises, when the next write may leave.
    """

    written: Mapping[str, Any] | None = None
    waiting: Mapping[str, Any] | None = None
    not_before: float = 0.0

    def offered(self, document: Mapping[str, Any]) -> StatusPace:
        """There is a newer status."""
        return replace(self, waiting=document if changed(self.written, document) else None)

    def due_at(self) -> float | None:
        """When to `take`; None: there is nothing to write."""
        return None if self.waiting is None else self.not_before

    def take(self, now: float) -> tuple[StatusPace, Mapping[str, Any] | None]:
        """What to write now, None: nothing yet. From here on it counts as written, until `failed` says otherwise."""
        if self.waiting is None or now < self.not_before:
            return self, None
        taken = replace(self, written=self.waiting, waiting=None, not_before=now + WRITE_EVERY_SECONDS)
        return taken, self.waiting

    def failed(self, document: Mapping[str, Any]) -> StatusPace:
        """What was taken did not arrive, or nobody knows: it goes again, unless there is a newer one."""
        return replace(self, written=None, waiting=document if self.waiting is None else self.waiting)

    def seen(self, document: Mapping[str, Any] | None) -> StatusPace:
        """The resource has this status, whoever wrote it; what is to be written is offered anew."""
        return replace(self, written=document, waiting=None)
