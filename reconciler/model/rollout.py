"""The life of a rollout: one fleet on its way to one intent, wave by wave. And what people say to a fleet.

    rolling --Halted--> halted --Resumed--> rolling        Halted may come from a person or from the rollout itself
       |                   `--RolloutSuperseded--> superseded
       |--RolloutCompleted--> complete --Halted--> halted
       `--RolloutSuperseded--> superseded                  the manifests ask for something else by now

    A wave: pending --WaveStarted--> open --WaveSoaking--> soaking --WaveCompleted--> complete
                                      `-------------WaveCompleted------------------->

Nothing here is stored as a state. The journal has entries (`rollout_entry.py`) in the order in which they happened;
`FleetStory.after` folds them. What does not follow from the state before is a bug and raises before it is written.
Where a journal has such an entry all the same, `FleetStory.told` passes over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import reduce
from types import MappingProxyType
from typing import Final, assert_never

from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId
from reconciler.model.error import BugError
from reconciler.model.instant import NEVER, Instant
from reconciler.model.rollout_entry import (
    Approved,
    DeviceUnwell,
    Halted,
    Moving,
    Resumed,
    Retried,
    RolloutBegan,
    RolloutCompleted,
    RolloutEntry,
    RolloutSuperseded,
    Suspended,
    WaveCompleted,
    WaveGrew,
    WaveSoaking,
    WaveStarted,
)
from reconciler.model.since import ALWAYS, Since


class RolloutState(StrEnum):
    """Where a rollout is in its life."""

    ROLLING = "rolling"
    HALTED = "halted"
    COMPLETE = "complete"
    SUPERSEDED = "superseded"


class WaveState(StrEnum):
    """Where a wave is in its life."""

    PENDING = "pending"
    OPEN = "open"
    SOAKING = "soaking"
    COMPLETE = "complete"


ROLLOUT_MOVES: Final[Mapping[RolloutState, frozenset[RolloutState]]] = MappingProxyType(
    {
        RolloutState.ROLLING: frozenset({RolloutState.HALTED, RolloutState.COMPLETE, RolloutState.SUPERSEDED}),
        RolloutState.HALTED: frozenset({RolloutState.ROLLING, RolloutState.COMPLETE, RolloutState.SUPERSEDED}),
        RolloutState.COMPLETE: frozenset({RolloutState.HALTED}),
        RolloutState.SUPERSEDED: frozenset(),
    }
)
"""Which states may follow which. From halted a rollout goes back to where it was: rolling, or complete."""

WAVE_MOVES: Final[Mapping[WaveState, frozenset[WaveState]]] = MappingProxyType(
    {
        WaveState.PENDING: frozenset({WaveState.OPEN}),
        WaveState.OPEN: frozenset({WaveState.SOAKING, WaveState.COMPLETE}),
        WaveState.SOAKING: frozenset({WaveState.COMPLETE}),
        WaveState.COMPLETE: frozenset(),
    }
)
"""Which states of a wave may follow which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedWave:
    """A wave that has started. `members` None: every device that no other wave has."""

    name: str
    state: WaveState
    devices: int
    members: frozenset[DeviceId] | None
    started_at: Instant
    soaking_since: Instant | None = None
    ended_at: Instant | None = None

    def moved(self, to: WaveState, **changes: object) -> StartedWave:
        """The wave in another state. Raises BugError PFR9004 when that may not follow."""
        if to not in WAVE_MOVES[self.state]:
            raise _impossible(f"wave {self.name} is {self.state} and cannot become {to}")
        return replace(self, state=to, **changes)  # type: ignore[arg-type]  # mypy cannot type replace(**mapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A rollout as it is now. `waves` are those that have started, in that order."""

    id: str
    fleet: str
    intent: str
    plan_id: str
    devices: int
    state: RolloutState
    began_at: Instant
    waves: tuple[StartedWave, ...] = ()

    @property
    def wave_under_way(self) -> StartedWave | None:
        """The wave that has started and is not complete."""
        return next((wave for wave in self.waves if wave.state is not WaveState.COMPLETE), None)

    def wave_of(self, device_id: DeviceId) -> StartedWave | None:
        """The started wave that has the device; None: it belongs to one that is still to come."""
        return next((wave for wave in self.waves if wave.members is None or device_id in wave.members), None)

    def moved(self, to: RolloutState) -> Rollout:
        """The rollout in another state. Raises BugError PFR9004 when that may not follow."""
        if to not in ROLLOUT_MOVES[self.state]:
            raise _impossible(f"rollout {self.id} is {self.state} and cannot become {to}")
        return replace(self, state=to)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStory:
    """What the entries of one fleet come to.

    - `rollout`: the latest one; `complete_before_halt` tells where a resumed one goes back to.
    - `halted`, `suspended`: a person's or the rollout's own word that still stands.
    - `began`: which attempts are of this rollout. `counting`: those that count against its limits, since a person
      resumed the fleet. `retried`: those that count of a device that a person wanted to be tried again. `overdue`:
      those that counted at a halt because their deadline had passed.
    - `told_at`: when a person last settled the fleet, `told_of` the same of a device, by the clock of their words.
    - `unwell`: devices that a check found unwell since then, by the first finding.
    - `approvals`: of this rollout, or given before it began.
    """

    fleet: str
    rollout: Rollout | None = None
    halted: Halted | None = None
    suspended: Suspended | None = None
    began: Since = ALWAYS
    counting: Since = ALWAYS
    retried: Mapping[DeviceId, Since] = field(default_factory=dict)
    overdue: frozenset[str] = frozenset()
    told_at: Instant = NEVER
    told_of: Mapping[DeviceId, Instant] = field(default_factory=dict)
    unwell: Mapping[DeviceId, DeviceUnwell] = field(default_factory=dict)
    approvals: tuple[Approved, ...] = ()
    complete_before_halt: bool = False

    def uses_up_tries(self, attempt: Attempt) -> bool:
        """Whether an attempt on a device of the fleet is of this rollout, and was not settled by a `retry`."""
        return self.began.counts(attempt) and self.retried.get(attempt.device_id, ALWAYS).counts(attempt)

    def counts(self, attempt: Attempt) -> bool:
        """Whether an attempt of the fleet counts against the limits, if it fails."""
        return self.uses_up_tries(attempt) and self.counting.counts(attempt)

    def settled_at(self, device_id: DeviceId) -> Instant:
        """What was found on the device before this has been seen by a person, or is of an earlier rollout."""
        return max(self.told_at, self.told_of.get(device_id, NEVER))

    def is_suspended(self, now: Instant) -> bool:
        """Whether a person's suspension stands: from its end on it holds nothing, without anybody's word."""
        return self.suspended is not None and (self.suspended.until is None or now < self.suspended.until)

    def after(self, entry: RolloutEntry) -> FleetStory:
        """The story with one more entry. Raises BugError PFR9004 when the entry cannot follow."""
        match entry:
            case RolloutBegan():
                return self._began(entry)
            case Halted():
                return self._halted(entry)
            case Resumed():
                return self._resumed(entry)
            case Suspended():
                return replace(self, suspended=entry)
            case Approved():
                return replace(self, approvals=(*self.approvals, entry))
            case DeviceUnwell(device_id=device_id):
                return replace(self, unwell={device_id: entry, **self.unwell})
            case Retried(device_id=device_id):
                unwell = {other: found for other, found in self.unwell.items() if other != device_id}
                retried = {**self.retried, device_id: _since(entry)}
                return replace(self, retried=retried, told_of={**self.told_of, device_id: entry.at}, unwell=unwell)
            case (
                RolloutCompleted() | RolloutSuperseded() | WaveStarted() | WaveGrew() | WaveSoaking() | WaveCompleted()
            ):
                return self._moved(entry)
            case _:
                assert_never(entry)

    def told(self, entry: RolloutEntry) -> FleetStory:
        """The story with one more entry as it stands in a journal: one that cannot follow changes nothing.

        A journal that somebody put together, or that two wrote to, must never be one that nobody can read.
        """
        try:
            return self.after(entry)
        except BugError:
            return self

    def _began(self, began: RolloutBegan) -> FleetStory:
        before = self.rollout
        if before is not None and before.state not in (RolloutState.COMPLETE, RolloutState.SUPERSEDED):
            raise _impossible(f"rollout {began.rollout_id} cannot begin: {before.id} is {before.state}")
        rollout = Rollout(
            id=began.rollout_id,
            fleet=began.fleet,
            intent=began.intent,
            plan_id=began.plan_id,
            devices=began.devices,
            state=RolloutState.ROLLING,
            began_at=began.at,
        )
        return replace(
            self,
            rollout=rollout,
            began=Since(at=began.at, latest_attempt=began.latest_attempt),
            counting=ALWAYS,
            overdue=frozenset(),
            retried={},
            told_at=began.at,
            told_of={},
            unwell={},
            complete_before_halt=False,
        )

    def _halted(self, entry: Halted) -> FleetStory:
        if self.halted is not None:
            return self  # it stays halted for its first reason
        was_complete = self.rollout is not None and self.rollout.state is RolloutState.COMPLETE
        rollout = self.rollout
        if rollout is not None and rollout.state is not RolloutState.SUPERSEDED:
            rollout = rollout.moved(RolloutState.HALTED)
        overdue = self.overdue | entry.overdue
        return replace(self, halted=entry, rollout=rollout, overdue=overdue, complete_before_halt=was_complete)

    def _resumed(self, entry: Resumed) -> FleetStory:
        rollout = self.rollout
        if rollout is not None and rollout.state is RolloutState.HALTED:
            rollout = rollout.moved(RolloutState.COMPLETE if self.complete_before_halt else RolloutState.ROLLING)
        return replace(
            self,
            rollout=rollout,
            halted=None,
            suspended=None,
            counting=_since(entry, known=self.overdue),
            told_at=entry.at,
            unwell={},
        )

    def _moved(self, entry: Moving) -> FleetStory:
        if self.rollout is None:
            raise _impossible(f"{type(entry).__name__} in fleet {self.fleet}, where no rollout has begun")
        match entry:
            case RolloutCompleted() | WaveSoaking() | WaveGrew() | WaveCompleted() if self.halted is not None:
                raise _impossible(f"{type(entry).__name__} in fleet {self.fleet}, which is halted")
            case RolloutCompleted():
                moved = self.rollout.moved(RolloutState.COMPLETE)
            case RolloutSuperseded():
                moved = self.rollout.moved(RolloutState.SUPERSEDED)
            case WaveStarted():
                moved = _wave_started(self.rollout, entry)
            case WaveGrew() | WaveSoaking() | WaveCompleted():
                moved = _wave_moved(self.rollout, entry)
            case _:
                assert_never(entry)
        return replace(self, rollout=moved)


def story_of(fleet: str, entries: Iterable[RolloutEntry]) -> FleetStory:
    """What a fleet's entries in a journal come to, in their order."""
    return reduce(FleetStory.told, entries, FleetStory(fleet=fleet))


def stories_of(entries: Iterable[RolloutEntry]) -> Mapping[str, FleetStory]:
    """What the entries of a journal come to, by fleet."""
    stories: dict[str, FleetStory] = {}
    for entry in entries:
        stories[entry.fleet] = stories.get(entry.fleet, FleetStory(fleet=entry.fleet)).told(entry)
    return stories


def _since(word: Resumed | Retried, *, known: frozenset[str] = frozenset()) -> Since:
    """What a word settles. `known` are attempts under way of which the person was told that they had failed."""
    at = word.at if word.settled_before is None else word.settled_before
    return Since(at=at, latest_attempt=word.latest_attempt, under_way=word.under_way - known)


def _wave_started(rollout: Rollout, entry: WaveStarted) -> Rollout:
    if rollout.state is not RolloutState.ROLLING or rollout.wave_under_way is not None:
        raise _impossible(f"wave {entry.wave} cannot start now in rollout {rollout.id}, which is {rollout.state}")
    if any(wave.name == entry.wave or wave.members is None for wave in rollout.waves):
        raise _impossible(f"wave {entry.wave} has started before, or the last wave has")
    wave = StartedWave(
        name=entry.wave,
        state=WaveState.OPEN,
        devices=entry.devices,
        members=entry.members,
        started_at=entry.at,
    )
    return replace(rollout, waves=(*rollout.waves, wave))


def _wave_moved(rollout: Rollout, entry: WaveGrew | WaveSoaking | WaveCompleted) -> Rollout:
    latest = next(reversed(rollout.waves), None)
    if latest is None or latest.name != entry.wave:
        raise _impossible(f"wave {entry.wave} is not under way in rollout {rollout.id}")
    match entry:
        case WaveGrew():
            if latest.members is None or latest.state is not WaveState.OPEN:
                raise _impossible(f"wave {latest.name} is {latest.state} and cannot grow")
            moved = replace(latest, members=latest.members | entry.members)
        case WaveSoaking():
            moved = latest.moved(WaveState.SOAKING, soaking_since=entry.at)
        case WaveCompleted():
            moved = latest.moved(WaveState.COMPLETE, ended_at=entry.at)
        case _:
            assert_never(entry)
    return replace(rollout, waves=(*rollout.waves[:-1], moved))


def _impossible(message: str) -> BugError:
    return BugError("PFR9004", message)
