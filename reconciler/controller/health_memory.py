"""What a run remembers of the health of one live rollout. A later run begins it anew from the journal."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import DeviceId
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.health import CheckAnswer
from reconciler.model.instant import NEVER, Instant
from reconciler.rollout.health import CheckRecord


@dataclass(slots=True, kw_only=True)
class WatchedDevice:
    """A device that took steps of the rollout.

    - `last_step_at`, `step_ended_at`: when its last step was intended and ended; None: it is under way.
    - `changed_since`: when its first step of the rollout was verified; None: it runs what it ran before.
    - `as_desired_since`: since when it is as desired, None: not seen so since its last step. `session_began` is the
      handshake of the session in which that was seen first, by the cloud's record of the device.
    - `reachable_since`, `away_since`: since when it was connected, or was not, at every look; one of the two is None.
    - `vitals_asked_at`, `doubtful_since`: when it was last asked for its vitals, and since when there is doubt.
    """

    last_step_at: Instant
    step_ended_at: Instant | None
    changed_since: Instant | None = None
    as_desired_since: Instant | None = None
    session_began: Instant | None = None
    reachable_since: Instant | None = None
    away_since: Instant | None = None
    vitals_asked_at: Instant = NEVER
    doubtful_since: Instant | None = None


@dataclass(slots=True, kw_only=True)
class AskedCheck:
    """An outside check of one wave: what it said so far, and the question that is under way, with whom it is about."""

    record: CheckRecord = field(default_factory=CheckRecord)
    answered_at: Instant = NEVER
    pending: Future[CheckAnswer] | None = None
    asked_about: frozenset[DeviceId] = frozenset()


@dataclass(slots=True, kw_only=True)
class FleetHealth:
    """One rollout of one fleet, with the wave that is under way.

    - `noted`: the findings that the journal has, by device and check, and when. `told_of`: waves of whose doubts a
      person was told.
    - `checks`: by wave and name, of the time since a person last settled the fleet (`told_at`).
    - `doubts`: the devices whose health is unknown, and why, at the last look.
    """

    rollout_id: str
    wave: str = ""
    devices: dict[DeviceId, WatchedDevice] = field(default_factory=dict)
    noted: dict[tuple[DeviceId, str], Instant] = field(default_factory=dict)
    checks: dict[tuple[str, str], AskedCheck] = field(default_factory=dict)
    told_at: Instant = NEVER
    told_of: set[str] = field(default_factory=set)
    doubts: dict[DeviceId, str] = field(default_factory=dict)

    def step(self, attempts: Iterable[Attempt], *, since: Instant) -> None:
        """Remember the last step of every device, of attempts that were intended since the rollout began."""
        for attempt in attempts:
            if attempt.intended_at < since or not _may_have_reached(attempt):
                continue
            known = self.devices.get(attempt.device_id)
            if known is None or known.last_step_at < attempt.intended_at:
                known = self.devices[attempt.device_id] = WatchedDevice(
                    last_step_at=attempt.intended_at,
                    step_ended_at=attempt.ended_at,
                    changed_since=None if known is None else known.changed_since,
                )
            elif known.last_step_at == attempt.intended_at:
                known.step_ended_at = attempt.ended_at
            if attempt.state is AttemptState.VERIFIED and attempt.ended_at is not None:
                known.changed_since = min(known.changed_since or attempt.ended_at, attempt.ended_at)


def _may_have_reached(attempt: Attempt) -> bool:
    is_withdrawn = attempt.state is AttemptState.WITHDRAWN
    return not is_withdrawn and (attempt.failure is None or CONSEQUENCES[attempt.failure].reached_device)
