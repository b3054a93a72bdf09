"""The life of an attempt: one try at one step on one device.

    intended --sent()-----> sent ----verified()--> verified
       |                     |  `----failed()----> failed
       |                     `--lost_sight()-> unknown --verified()--> verified
       |--lost_sight()-----------------------> unknown --failed()----> failed
       `--withdrawn()--> withdrawn

- `intended` is durable before the request leaves. Whoever finds an attempt intended or sent after a crash cannot know
  whether the request arrived: it becomes unknown.
- Only an observation newer than the send ends `sent` and `unknown`, never the answer to the request.
- `failed()` may also follow `intended` at once: the cloud refused, and nothing was sent.
- A device has at most one open attempt: intended, sent or unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from reconciler.model.device import DeviceId
from reconciler.model.error import BugError
from reconciler.model.instant import Instant
from reconciler.model.step import Step


class AttemptState(StrEnum):
    """Where an attempt is in its life."""

    INTENDED = "intended"
    SENT = "sent"
    UNKNOWN = "unknown"
    VERIFIED = "verified"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


OPEN_STATES = frozenset({AttemptState.INTENDED, AttemptState.SENT, AttemptState.UNKNOWN})

MOVES: Final[Mapping[AttemptState, frozenset[AttemptState]]] = MappingProxyType(
    {
        AttemptState.INTENDED: frozenset(
            {AttemptState.SENT, AttemptState.UNKNOWN, AttemptState.FAILED, AttemptState.WITHDRAWN}
        ),
        AttemptState.SENT: frozenset({AttemptState.UNKNOWN, AttemptState.VERIFIED, AttemptState.FAILED}),
        AttemptState.UNKNOWN: frozenset({AttemptState.VERIFIED, AttemptState.FAILED}),
        AttemptState.VERIFIED: frozenset(),
        AttemptState.FAILED: frozenset(),
        AttemptState.WITHDRAWN: frozenset(),
    }
)
"""Which states may follow which: the drawing above as a table. The journal holds every record to it."""


class Evidence(StrEnum):
    """What an observation newer than the send showed of the step's effect.

    - EFFECT: the device reports the version that the step brings.
    - RESTARTED: the transfer was reported as ended well, and the device has started a new session since. The strongest
      there is for a module that the cloud does not show.
    - PRESUMED: the device has started a new session since, but nobody heard how the transfer ended. Weaker: it is
      forgotten when a later step of the device fails.
    """

    EFFECT = "effect"
    RESTARTED = "restarted"
    PRESUMED = "presumed"


class FailureClass(StrEnum):
    """Why an attempt failed, by what follows from it (`references`: failure taxonomy)."""

    OFFLINE = "offline"
    TRANSPORT = "transport"
    REFUSED = "refused"
    UNAUTHORISED = "unauthorised"
    INCOMPATIBLE = "incompatible"
    INTEGRITY = "integrity"
    INSTALL = "install"
    BOOT = "boot"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at one step on one device.

    `handshake_before` is the device's last handshake as seen before the send; a newer one proves a new session.
    `plan_id` and `fleet` say on whose behalf. `well_before`: whether the device ran its application before the first
    step of its rollout; None: nobody looked. `number` is the journal's: who began later has a higher one.
    """

    id: str
    device_id: DeviceId
    fleet: str
    plan_id: str
    step: Step
    state: AttemptState
    intended_at: Instant
    handshake_before: Instant | None
    sent_at: Instant | None = None
    ended_at: Instant | None = None
    evidence: Evidence | None = None
    failure: FailureClass | None = None
    detail: str = ""
    well_before: bool | None = None
    number: int | None = field(default=None, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether the outcome is still to come."""
        return self.state in OPEN_STATES

    @property
    def began_at(self) -> Instant:
        """When the request was answered, or, when no answer came, when it was intended."""
        return self.intended_at if self.sent_at is None else self.sent_at

    def sent(self, now: Instant) -> Attempt:
        """The request was answered: the cloud has taken it."""
        return self._move(AttemptState.SENT, sent_at=now)

    def lost_sight(self, detail: str) -> Attempt:
        """The request may or may not have arrived, or we were not there to see what came of it."""
        return self._move(AttemptState.UNKNOWN, detail=detail)

    def verified(self, evidence: Evidence, now: Instant) -> Attempt:
        """A newer observation shows the effect."""
        return self._move(AttemptState.VERIFIED, evidence=evidence, ended_at=now)

    def failed(self, failure: FailureClass, detail: str, now: Instant) -> Attempt:
        """A newer observation shows that the effect is not there; or the cloud refused before anything was sent."""
        return self._move(AttemptState.FAILED, failure=failure, detail=detail, ended_at=now)

    def withdrawn(self, detail: str, now: Instant) -> Attempt:
        """The request certainly never left."""
        return self._move(AttemptState.WITHDRAWN, detail=detail, ended_at=now)

    def _move(self, to: AttemptState, **changes: object) -> Attempt:
        if to not in MOVES[self.state]:
            message = f"attempt {self.id} is {self.state} and cannot become {to}"
            raise BugError("PFR9001", message)
        return replace(self, state=to, **changes)  # type: ignore[arg-type]  # mypy cannot type replace(**mapping)
