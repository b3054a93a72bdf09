"""Look at the console: what others changed since we last looked, and where that has become a fight.

What a list shows may be old, so what looks like a change of somebody else is confirmed by a look at the one device
before it is written down. A look that shows nothing new writes nothing. A pass holds against the journal only who is
not as at the pass before, and who was not settled then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from reconciler.controller.knowledge import Knowledge
from reconciler.controller.picture import Picture
from reconciler.controller.run import Run, Scope
from reconciler.journal.journal import Journal, Looked
from reconciler.model.console import ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId, ObservedDevice, is_device_id
from reconciler.model.error import WireError
from reconciler.model.event import ConsoleChanged, DeviceLatched, Finding
from reconciler.model.fleet import Desired, Fleet, FleetSet
from reconciler.model.instant import NEVER, Instant
from reconciler.model.plan import FleetPlan, Plan, Refused, Route, Waiting
from reconciler.particle.error import UnauthorisedError
from reconciler.planning.console import (
    Doings,
    Setting,
    changes_between,
    is_state_of,
    joined,
    selection_digest,
    state_of,
)
from reconciler.rollout.fight import latch_of, latches_that_halt

CONFIRMED_AT_ONCE_MAX: Final = 100
"""Looks at single devices in one pass. Beyond them a list is believed, but not in that it undid something of ours:
that is left to the next pass."""

Confirm = Callable[[DeviceId], ObservedDevice | None]
"""A fresh look at one device; None: it cannot be had now."""


def note_console(run: Run, scope: Scope, plan: Plan, picture: Picture) -> bool:
    """Write down and tell what others changed. Returns whether a fight was latched, so that the plan is another now."""
    looks = 0

    def confirm(device_id: DeviceId) -> ObservedDevice | None:
        nonlocal looks
        looks += 1
        return _fresh(run, scope, device_id) if looks <= CONFIRMED_AT_ONCE_MAX else None

    observation = picture.observation
    run.looked_at[scope.product] = observation.observed_at
    if not picture.news:
        return False
    look = Look(run.knowledge, run.tools.journal, scope.fleets, plan, picture=picture)
    looked = look.at([picture[device_id] for device_id in sorted(picture.news)], confirm)
    picture.news = {device_id: picture.news[device_id] for device_id in look.unsettled}
    if not looked:
        return False
    run.tools.journal.keep_look(looked)
    run.knowledge.keep_look(looked)
    for change in looked.changes:
        run.tools.tell(ConsoleChanged(at=change.seen_at, change=change))
    for latch in looked.latches:
        run.tools.tell(DeviceLatched(at=latch.at, latch=latch))
    for fleet_plan in plan.fleets if looked.latches else ():
        _halt_when_many_are_latched(run, fleet_plan, observation.observed_at)
    return bool(looked.latches)


def _fresh(run: Run, scope: Scope, device_id: DeviceId) -> ObservedDevice | None:
    try:
        return run.look(scope, device_id)
    except UnauthorisedError:
        raise
    except WireError:
        return None


def _halt_when_many_are_latched(run: Run, plan: FleetPlan, now: Instant) -> None:
    fleet = plan.fleet
    latched = sum(
        latch.fleet == fleet.name and latch.intent == fleet.desired.intent and not latch.lifted
        for latch in run.knowledge.latches.values()
    )
    if run.story_of(fleet.name).halted is not None or latched < latches_that_halt(plan.summary.devices):
        return
    reason = f"somebody keeps undoing what we do on {latched} of its devices"
    run.halt(fleet.name, reason, now)
    run.tools.tell(Finding(at=now, code="PFR2303", message=f"fleet {fleet.name} is halted: {reason}"))


@dataclass(frozen=True, slots=True)
class _News:
    """What a look shows of one device that was not known, and the changes of others that led there."""

    state: ConsoleState
    changes: tuple[ConsoleChange, ...] = ()

    @property
    def undoes(self) -> bool:
        return any(change.undid is not None for change in self.changes)


class Look:
    """One look at devices of a plan, held against what the journal remembers of the look before. Writes nothing.

    `picture` is what this process has seen of their product; without one it did not look at it before. `unsettled` are
    devices of which something is left to the next look.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        journal: Journal,
        fleets: FleetSet,
        plan: Plan,
        *,
        picture: Picture | None = None,
    ) -> None:
        self._knowledge = knowledge
        self._journal = journal
        self._looked_at = {} if picture is None else picture.news
        self._now = plan.created_at
        self._place_of = _places(plan).get if picture is None else picture.place_of
        self._pins = [each for each in fleets.overrides if each.pin is not None]
        self._selections = {fleet.fleet.name: selection_digest(fleet.fleet) for fleet in plan.fleets}
        self._fleets = {fleet.fleet.name: fleet.fleet for fleet in plan.fleets}
        self._known: dict[tuple[str | None, str], Instant] | None = None
        self.unsettled: set[DeviceId] = set()

    def at(self, devices: Iterable[ObservedDevice], confirm: Confirm | None = None) -> Looked:
        """What is new. Without `confirm` a list is believed."""
        states: list[ConsoleState] = []
        changes: list[ConsoleChange] = []
        latches: list[Latch] = []
        for device in devices:
            news = self._news(device)
            if news is not None and news.changes and confirm is not None and not self._is_latched(device):
                news = self._confirmed(news, confirm(device.id))
            if news is None:
                continue
            states.append(news.state)
            changes += news.changes
            if news.undoes:
                earlier = reversed(self._journal.console_changes(device_id=device.id))
                last = self._knowledge.latches.get(device.id)
                latch = latch_of((*earlier, *news.changes), last, now=news.state.seen_at)
                latches += [] if latch is None else [latch]
        return Looked(states=states, changes=changes, latches=latches)

    def _confirmed(self, news: _News, fresh: ObservedDevice | None) -> _News | None:
        """What a fresh look makes of the news; without one, what may be believed of them."""
        device_id = news.state.device_id
        if fresh is not None:
            # The list that comes next may still show what this look did not.
            self.unsettled.add(device_id)
            return self._news(fresh)
        if not news.undoes:
            return news
        self.unsettled.add(device_id)
        # What undid us is told when it is confirmed. That the device was there is remembered at once.
        return None if device_id in self._knowledge.states else _News(news.state)

    def _desired_of(self, device: ObservedDevice, fleet: Fleet) -> Desired:
        """What the device should run: its pin, or what its fleet desires."""
        for override in self._pins:
            by_name = device.name in override.devices and not is_device_id(device.name or "")
            is_in_force = override.expires is None or override.expires > self._now
            if is_in_force and override.pin is not None and (by_name or device.id in override.devices):
                return override.pin
        return fleet.desired

    def desired_at(self, device: ObservedDevice) -> Desired | None:
        """What the device should run where it is; None: it is in no fleet."""
        place = self._place_of(device.id)
        return None if place is None else self._desired_of(device, place[0])

    def _news(self, device: ObservedDevice) -> _News | None:
        """What is new of one device; None: nothing."""
        before = self._knowledge.states.get(device.id)
        place = self._place_of(device.id)
        left = None if before is None or before.fleet is None else self._fleets.get(before.fleet)
        fleet = left if place is None else place[0]
        if fleet is None:
            return None
        if _lock_is_contradicted(device):
            self.unsettled.add(device.id)
        desired = self._desired_of(device, fleet)
        arrived = None if before is None else before.arrived
        if place is not None and place[1]:
            arrived = desired.intent
        name = None if place is None else place[0].name
        selection = "" if name is None else self._selections[name]
        is_same = before is not None and is_state_of(before, device, name, selection, arrived=arrived)
        if is_same and not _lock_is_contradicted(device):
            return None
        now = state_of(device, name, selection, arrived=arrived)
        setting = Setting(fleet=fleet.name, desired=desired, looked_at=self._looked_at.get(device.id, NEVER))
        changes = self._changes(before, now, device, setting)
        return None if is_same and not changes else _News(now, changes)

    def _changes(
        self, before: ConsoleState | None, now: ConsoleState, device: ObservedDevice, setting: Setting
    ) -> tuple[ConsoleChange, ...]:
        found: tuple[ConsoleChange, ...] = ()
        looked_before = None if before is not None else self._looked_before().get((now.fleet, now.selection))
        if looked_before is not None:
            found = (joined(now, replace(setting, looked_at=max(looked_before, setting.looked_at))),)
        if before is None and not _lock_is_contradicted(device):
            return found
        undone = self._journal.console_changes(device_id=device.id)
        doings = Doings(
            attempts=self._journal.attempts(device_id=device.id),
            undone=frozenset(change.undid for change in undone if change.undid is not None),
        )
        return found + changes_between(before, now, doings, setting)

    def _looked_before(self) -> Mapping[tuple[str | None, str], Instant]:
        """When a fleet was looked at in the same words of Git."""
        if self._known is None:
            self._known = {}
            for state in self._knowledge.states.values():
                key = (state.fleet, state.selection)
                self._known[key] = max(state.seen_at, self._known.get(key, NEVER))
        return self._known

    def _is_latched(self, device: ObservedDevice) -> bool:
        desired = self.desired_at(device)
        return desired is not None and device.latched == desired.intent


def _lock_is_contradicted(device: ObservedDevice) -> bool:
    return device.locked_by_us is not None and device.desired_application != device.locked_by_us


def _places(plan: Plan) -> Mapping[DeviceId, tuple[Fleet, bool]]:
    """The fleet of every device of a plan, and whether it is as desired."""
    places: dict[DeviceId, tuple[Fleet, bool]] = {}
    for fleet in plan.fleets:
        entries: tuple[Route | Refused | Waiting, ...] = (*fleet.routes, *fleet.refused, *fleet.waiting)
        for entry in entries:
            places.update(dict.fromkeys(entry.devices, (fleet.fleet, False)))
        places.update(dict.fromkeys(fleet.current, (fleet.fleet, True)))
    return places
