"""What the journal keeps of rollouts, in the order in which it happened: waves, judgements, and words of people.

Entries are facts about one fleet at one time. What they come to is in `rollout.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutBegan:
    """The first device of a fleet may start towards an intent (`Desired.intent`).

    `devices` is how many devices it concerns at its beginning: the whole of which its waves are percentages. Attempts
    up to number `latest_attempt` are not of it; None, of an earlier version: those that were intended before `at`.
    """

    fleet: str
    at: Instant
    rollout_id: str
    intent: str
    plan_id: str
    devices: int
    latest_attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveStarted:
    """The members of a wave may start from now on.

    `devices` is how many it has, the whole of which its limits are percentages: it stays as it is here. `members` are
    None for the last wave, which has every device that no other has.
    """

    fleet: str
    at: Instant
    wave: str
    devices: int
    members: frozenset[DeviceId] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveGrew:
    """None of a wave's devices could be reached by its deadline: these are tried in their place, as its members."""

    fleet: str
    at: Instant
    wave: str
    members: frozenset[DeviceId]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSoaking:
    """Every device of the wave that can be reached is as desired; from now on they have to stay well for a time."""

    fleet: str
    at: Instant
    wave: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveCompleted:
    """The wave has been judged good, with how many devices where."""

    fleet: str
    at: Instant
    wave: str
    verified: int
    failed: int
    not_reached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutCompleted:
    """The last wave is complete."""

    fleet: str
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSuperseded:
    """The manifests ask for something else (`intent`) before this rollout was complete."""

    fleet: str
    at: Instant
    intent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUnwell:
    """A device runs what is desired and is not well: the check that said so, and its words."""

    fleet: str
    at: Instant
    device_id: DeviceId
    check: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """Nothing more starts in the fleet until a person resumes it. `by` is the person; None: the rollout itself.

    `overdue` are attempts that counted as failed only because their deadline had passed: whoever resumes knows of them.
    """

    fleet: str
    at: Instant
    reason: str
    by: str | None = None
    overdue: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A person has seen the failures so far; from now on they are counted anew.

    What is settled is what the person could know of: attempts up to number `latest_attempt`, but for those `under_way`,
    whose failures are still to be seen. `at` is by the person's clock, which may be ahead of the cloud's by hours.
    Entries of earlier versions have no numbers: there `settled_before`, by the cloud's clock, has to do, or else `at`.
    """

    fleet: str
    at: Instant
    by: str = ""
    settled_before: Instant | None = None
    latest_attempt: int | None = None
    under_way: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """A person wants nothing to start in the fleet until a time; None: until it is resumed."""

    fleet: str
    at: Instant
    reason: str
    until: Instant | None
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A person wants a device to be tried again, whatever failed on it before. What is settled, see `Resumed`."""

    fleet: str
    at: Instant
    device_id: DeviceId
    by: str = ""
    settled_before: Instant | None = None
    latest_attempt: int | None = None
    under_way: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A person agrees to a plan, by its digest or its content digest, for a fleet as a whole or for one wave of it.

    `plan_id` is the plan that the journal keeps. `source` says how: `command`; `file` and its place; `resource` and its
    name. `expires` is from when on it does not count any more; None: never.
    """

    fleet: str
    at: Instant
    plan_id: str
    digest: str
    wave: str | None
    by: str
    source: str
    expires: Instant | None = None


Moving = WaveStarted | WaveGrew | WaveSoaking | WaveCompleted | RolloutCompleted | RolloutSuperseded

RolloutEntry = RolloutBegan | Moving | DeviceUnwell | Halted | Resumed | Suspended | Retried | Approved
"""Everything that the journal keeps of rollouts."""


def entry_kind(entry: RolloutEntry) -> str:
    """The word for this kind of entry, in the journal and in every document: `wave_started` for `WaveStarted`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(entry).__name__).lower()
