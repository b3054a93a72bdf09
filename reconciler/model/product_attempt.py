"""One try at one action on a product. Its life is that of a device's attempt (`model/attempt.py`), by the same rules.

A product has at most one open attempt. What came of it is shown by a newer look at what the product holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.model.action import ProductAction
from reconciler.model.attempt import MOVES, OPEN_STATES, AttemptState, FailureClass
from reconciler.model.error import BugError
from reconciler.model.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductAttempt:
    """`product` is the word under which it is reached; `fleet` and `plan_id` say on whose behalf."""

    id: str
    product: str
    fleet: str
    plan_id: str
    action: ProductAction
    state: AttemptState
    intended_at: Instant
    sent_at: Instant | None = None
    ended_at: Instant | None = None
    failure: FailureClass | None = None
    detail: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the outcome is still to come."""
        return self.state in OPEN_STATES

    @property
    def began_at(self) -> Instant:
        """When the request was answered, or, when no answer came, when it was intended."""
        return self.intended_at if self.sent_at is None else self.sent_at

    def sent(self, now: Instant) -> ProductAttempt:
        """The request was answered: the cloud has taken it."""
        return replace(self._moved(AttemptState.SENT), sent_at=now)

    def lost_sight(self, detail: str) -> ProductAttempt:
        """The request may or may not have arrived."""
        return replace(self._moved(AttemptState.UNKNOWN), detail=detail)

    def verified(self, now: Instant) -> ProductAttempt:
        """A newer look shows the effect."""
        return replace(self._moved(AttemptState.VERIFIED), ended_at=now, detail="")

    def failed(self, failure: FailureClass, detail: str, now: Instant) -> ProductAttempt:
        """A newer look shows that the effect is not there; or it was refused before anything was done."""
        return replace(self._moved(AttemptState.FAILED), failure=failure, detail=detail, ended_at=now)

    def _moved(self, to: AttemptState) -> ProductAttempt:
        if to not in MOVES[self.state]:
            raise BugError("PFR9001", f"attempt {self.id} is {self.state} and cannot become {to}")
        return replace(self, state=to)
