"""What did somebody else change of a device? What we last saw of it, our own doings, and what is there now. Pure.

The rules:
- What our own attempts asked for is no change of somebody else, whether they were seen to end or not.
- A lock of ours that is not there any more was undone, also when nobody saw it in between: before it is our lock. The
  same goes for an application that we brought and saw running, and for a Device OS release.
- A release is compared only while no lock hides it: the cloud shows one intended version, and a lock beats a release
  (facts 6.3). A release of what Git desires is no change worth a word.
- Groups matter by the fleet that they make: a device that changed fleets with the same groups was moved by Git.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from reconciler.model.attempt import Attempt, AttemptState, FailureClass
from reconciler.model.console import ChangeKind, ConsoleChange, ConsoleState
from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import Desired, Fleet, Selector
from reconciler.model.instant import Instant
from reconciler.model.step import FlashModule, LockApplication
from reconciler.model.version import DeviceOsVersion, UnorderableVersionsError

_NOT_DONE: Final = frozenset({FailureClass.REFUSED, FailureClass.UNAUTHORISED})
"""Failures by which the cloud itself says that it did nothing."""

_SELECTION_DIGITS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Doings:
    """What we did to one device: its attempts, the latest first, and the ids of those that are known to be undone."""

    attempts: Sequence[Attempt] = ()
    undone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where a device is in the manifests: its fleet and what it should run there. `looked_at`: our look before."""

    fleet: str
    desired: Desired
    looked_at: Instant


def state_of(device: ObservedDevice, fleet: str | None, selection: str, *, arrived: str | None) -> ConsoleState:
    """What of this observation others can change. `selection` is that of the fleet, see `selection_digest`."""
    return ConsoleState(
        device_id=device.id,
        seen_at=device.observed_at,
        fleet=fleet,
        selection=selection,
        groups=tuple(sorted(device.groups)),
        lock=device.desired_application,
        release=_release_of(device),
        development=device.development,
        updates_forced=bool(device.updates_forced),
        application=device.application,
        device_os=device.device_os,
        arrived=arrived,
    )


def is_state_of(
    state: ConsoleState, device: ObservedDevice, fleet: str | None, selection: str, *, arrived: str | None
) -> bool:
    """Whether `state_of` would say the same but for the time, found out without making it: most are as before."""
    return (
        state.fleet == fleet
        and state.selection == selection
        and state.arrived == arrived
        and state.lock == device.desired_application
        and state.release == _release_of(device)
        and state.development == device.development
        and state.updates_forced == bool(device.updates_forced)
        and state.application == device.application
        and state.device_os == device.device_os
        and state.groups == tuple(sorted(device.groups))
    )


def _release_of(device: ObservedDevice) -> int | None:
    """What the cloud intends where no lock says so."""
    return None if device.desired_application is not None else device.targeted_application


def selection_digest(fleet: Fleet) -> str:
    """A short text that another selection of the fleet does not have."""
    words = (fleet.product, _selector_words(fleet.select), _selector_words(fleet.exclude))
    return hashlib.sha256(repr(words).encode()).hexdigest()[:_SELECTION_DIGITS]


def changes_between(
    before: ConsoleState | None, now: ConsoleState, doings: Doings, setting: Setting
) -> tuple[ConsoleChange, ...]:
    """What somebody else changed. `before` None: never seen, so that only what undid us can be told."""
    return tuple(_Comparison(before, now, doings, setting).changes())


def joined(now: ConsoleState, setting: Setting) -> ConsoleChange:
    """A device that we see for the first time in a fleet at which we have looked before, in the same words of Git."""
    return _change(ChangeKind.FLEET, None, now.fleet, now, setting, not_before=setting.looked_at, concerns_git=True)


def still_stands(change: ConsoleChange, state: ConsoleState, desired: Desired | None) -> bool:
    """Whether what somebody changed is as they left it, against what Git says today.

    A change of fleets is none of these: the device is where it is, and what its fleet desires is done to it.
    """
    if desired is None or change.after is None or not change.concerns_git:
        return False
    application = None if desired.application is None else desired.application.version
    device_os = None if desired.device_os is None else desired.device_os.text
    match change.kind:
        case ChangeKind.LOCK:
            there, wanted = state.lock, application
        case ChangeKind.RELEASE:
            there, wanted = state.release, application
        case ChangeKind.APPLICATION:
            there, wanted = state.application, application
        case ChangeKind.DEVICE_OS:
            return _differs(state.device_os, change.after, device_os)
        case ChangeKind.DEVELOPMENT:
            return state.development and application is not None
        case ChangeKind.FLEET | ChangeKind.UPDATES_FORCED:
            return False
        case _:
            assert_never(change.kind)
    return _differs(_words(there), change.after, _words(wanted))


def _differs(there: str | None, left: str, wanted: str | None) -> bool:
    """Whether a value is what somebody left there, and not what is wanted."""
    return there == left and wanted is not None and there != wanted


class _Comparison:
    """One device, then and now."""

    def __init__(self, before: ConsoleState | None, now: ConsoleState, doings: Doings, setting: Setting) -> None:
        self._before = before
        self._now = now
        self._setting = setting
        self._undone = doings.undone
        done = [attempt for attempt in doings.attempts if _may_have_arrived(attempt)]
        self._modules = [attempt for attempt in done if isinstance(attempt.step, FlashModule)]
        self._applications = [attempt for attempt in done if not isinstance(attempt.step, FlashModule)]
        self._locks = [attempt for attempt in done if isinstance(attempt.step, LockApplication)]
        self._open_since = before is not None and any(
            attempt.ended_at is None or attempt.ended_at >= before.seen_at for attempt in done
        )

    def changes(self) -> Iterator[ConsoleChange]:
        yield from self._lock()
        if self._before is None:
            return
        yield from self._fleet(self._before)
        yield from self._release(self._before)
        yield from self._marks(self._before)
        yield from self._application(self._before)
        yield from self._device_os(self._before)

    def _lock(self) -> Iterator[ConsoleChange]:
        now, wanted = self._now.lock, self._wanted
        ours = self._locks[0] if self._locks else None
        if ours is not None and now == _application_of(ours):
            return
        if ours is not None and now != wanted and self._stood(ours):
            yield self._told(ChangeKind.LOCK, _application_of(ours), now, concerns_git=True, undid=ours)
        elif self._before is not None and self._before.lock != now:
            # A lock to what Git desires by now agrees with it, whoever set it.
            concerns = wanted is not None and now not in (None, wanted)
            yield self._told(ChangeKind.LOCK, self._before.lock, now, concerns_git=concerns)

    def _stood(self, ours: Attempt) -> bool:
        certainly_set = ours.sent_at is not None or ours.evidence is not None
        return certainly_set and ours.began_at < self._now.seen_at and ours.id not in self._undone

    def _fleet(self, before: ConsoleState) -> Iterator[ConsoleChange]:
        if before.fleet != self._now.fleet and before.groups != self._now.groups:
            yield self._told(ChangeKind.FLEET, before.fleet, self._now.fleet, concerns_git=True)

    def _release(self, before: ConsoleState) -> Iterator[ConsoleChange]:
        now = self._now
        hidden = any(each.lock is not None or each.development for each in (before, now))
        if not hidden and before.release != now.release and (now.release is None or now.release != self._wanted):
            concerns = self._wanted is not None and now.release is not None
            yield self._told(ChangeKind.RELEASE, before.release, now.release, concerns_git=concerns)

    def _marks(self, before: ConsoleState) -> Iterator[ConsoleChange]:
        now = self._now
        if before.development != now.development:
            # The cloud ignores locks on a development device (facts 5.6): what Git declares is not its intent any more.
            concerns = now.development and self._wanted is not None
            yield self._told(ChangeKind.DEVELOPMENT, before.development, now.development, concerns_git=concerns)
        if before.updates_forced != now.updates_forced:
            yield self._told(ChangeKind.UPDATES_FORCED, before.updates_forced, now.updates_forced, concerns_git=False)

    def _application(self, before: ConsoleState) -> Iterator[ConsoleChange]:
        then, now = before.application, self._now.application
        if then is None or now is None or then == now:
            return
        ours = self._applications[0] if self._applications else None
        if ours is not None and now == _application_of(ours):
            return
        undid = ours if ours is not None and _application_of(ours) == then else None
        concerns = self._wanted is not None and now != self._wanted
        yield self._told(ChangeKind.APPLICATION, then, now, concerns_git=concerns, undid=undid)

    def _device_os(self, before: ConsoleState) -> Iterator[ConsoleChange]:
        then, now = before.device_os, self._now.device_os
        if then is None or now is None or then == now:
            return
        fell = _is_lower(now, then)
        brought = {attempt.step.device_os.text for attempt in self._modules if isinstance(attempt.step, FlashModule)}
        if not fell and (self._open_since or now in brought):
            return
        undid = self._modules[0] if fell and self._modules and then in brought else None
        wanted = self._setting.desired.device_os
        concerns = wanted is not None and now != wanted.text
        yield self._told(ChangeKind.DEVICE_OS, then, now, concerns_git=concerns, undid=undid)

    @property
    def _wanted(self) -> int | None:
        wanted = self._setting.desired.application
        return None if wanted is None else wanted.version

    def _told(
        self,
        kind: ChangeKind,
        before: int | str | None,
        after: int | str | None,
        *,
        concerns_git: bool,
        undid: Attempt | None = None,
    ) -> ConsoleChange:
        then = [self._setting.looked_at]
        then += [] if self._before is None else [self._before.seen_at]
        then += [undid.began_at] if undid is not None and kind is ChangeKind.LOCK else []
        return _change(
            kind,
            before,
            after,
            self._now,
            self._setting,
            not_before=min(max(then), self._now.seen_at),
            concerns_git=concerns_git,
            undid=None if undid is None else undid.id,
        )


def _change(
    kind: ChangeKind,
    before: int | str | None,
    after: int | str | None,
    now: ConsoleState,
    setting: Setting,
    *,
    not_before: Instant,
    concerns_git: bool,
    undid: str | None = None,
) -> ConsoleChange:
    return ConsoleChange(
        device_id=now.device_id,
        fleet=setting.fleet,
        intent=setting.desired.intent,
        kind=kind,
        before=_words(before),
        after=_words(after),
        not_before=not_before,
        seen_at=now.seen_at,
        concerns_git=concerns_git,
        undid=undid,
    )


def _words(value: int | str | None) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _may_have_arrived(attempt: Attempt) -> bool:
    refused = attempt.state is AttemptState.FAILED and attempt.failure in _NOT_DONE
    return attempt.state is not AttemptState.WITHDRAWN and not refused


def _application_of(attempt: Attempt) -> int | None:
    return None if isinstance(attempt.step, FlashModule) else attempt.step.application


def _is_lower(now: str, then: str) -> bool:
    try:
        return DeviceOsVersion(now) < DeviceOsVersion(then)
    except (ValueError, UnorderableVersionsError):
        return False


def _selector_words(selector: Selector | None) -> object:
    if selector is None:
        return None
    parts = (selector.groups, selector.platforms, selector.devices, selector.roster)
    return [None if part is None else sorted(part) for part in parts]
