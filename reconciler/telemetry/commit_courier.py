"""The status of a commit on a forge: pending while it rolls out, success when every device is there, failure on a halt.

It is a state and not news: what holds now is compared with what was shown last, and only a difference is sent. Where
the counts are not known yet, as after a start, a success stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.journal.encoding import unreadable
from reconciler.journal.journal import Journal
from reconciler.model.instant import Instant
from reconciler.model.revision import TakenIntent
from reconciler.model.summary import Summary
from reconciler.settings.settings import ChannelSettings
from reconciler.telemetry.channel import CommitState, CommitStatus, DeliveryError, StatusChannel
from reconciler.telemetry.courier import Delivery, why_not
from reconciler.telemetry.matters import OFFERED, Matter
from reconciler.telemetry.pace import Pace

PREFIX: Final = "telling/status/"

_NAMED_MAX: Final = 3
_AWAITED: Final = "an approval is waited for"
_REMEMBERED: Final = 20
"""Commits whose last status is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many devices of a fleet are where, by a plan of this time."""

    at: Instant
    summary: Summary


class CommitCourier:
    """One channel that shows states of commits. One thread at a time."""

    def __init__(
        self,
        journal: Journal,
        settings: ChannelSettings,
        channel: StatusChannel,
        *,
        counted: Callable[[], Mapping[str, Counted]],
        pace: Pace,
        report: Callable[[Delivery], None],
    ) -> None:
        """Raises JournalError."""
        self.name = settings.name
        self._journal = journal
        self._settings = settings
        self._channel = channel
        self._counted = counted
        self._pace = pace
        self._report = report
        self._not_before = 0.0
        self._failures = 0
        kept = journal.bookmark(f"{PREFIX}{self.name}")
        self._shown: dict[str, str] = {} if kept is None else _shown_from(kept)
        self._due = 0

    @property
    def told_matters(self) -> int:
        """The number up to which it knows matters: it needs none of those that have ended."""
        return self._due

    def turn(self, now: float, matters: Iterable[Matter], *, last: bool = False) -> float:  # noqa: ARG002  # as Courier
        """Do what is due; returns in how many seconds there may be more. Raises JournalError."""
        if now < self._not_before:
            return self._not_before - now
        matters = list(matters)
        self._due = max([self._due, *(each.number for each in matters)])
        for status in self._wanted(matters):
            if self._shown.get(status.commit) == _shown_as(status):
                continue
            try:
                self._channel.post(status, timeout_seconds=self._pace.timeout)
            except Exception as error:  # noqa: BLE001  # a forge that is wrong in any way is one that is down
                self._failures += 1
                wished = error.retry_after_seconds if isinstance(error, DeliveryError) else None
                pause = self._pace.pause_after(self._failures, wished)
                self._not_before = now + pause
                self._report(Delivery(channel=self.name, ok=False, why=why_not(error), left=1))
                return pause
            self._failures = 0
            self._shown.pop(status.commit, None)
            self._shown = dict([*self._shown.items(), (status.commit, _shown_as(status))][-_REMEMBERED:])
            self._journal.set_bookmark(f"{PREFIX}{self.name}", json.dumps(self._shown))
            self._report(Delivery(channel=self.name, ok=True))
        return self._pace.poll

    def _wanted(self, matters: Iterable[Matter]) -> list[CommitStatus]:
        """What the commit that is desired, and one that was refused, should show."""
        wanted = []
        for matter in matters:
            if matter.reason == "IntentRefused" and matter.ended is None and matter.revision is not None:
                words = matter.message.split("\n")[0]
                wanted.append(
                    CommitStatus(commit=_digits(matter.revision), state=CommitState.FAILURE, description=words)
                )
        intents = self._journal.intents(limit=1)
        if not intents:
            return wanted
        commit = _digits(intents[0].revision.commit)
        halted = {halt.fleet: halt.reason for halt in self._journal.halts()}
        offered = [each.what for each in matters if each.reason == OFFERED and each.ended is None]
        state = state_of(intents[0], self._settings.fleets, halted, self._counted())
        awaited = sorted(fleet for fleet in offered if not self._settings.fleets or fleet in self._settings.fleets)
        if awaited and (state is None or state[0] is CommitState.PENDING):
            state = CommitState.PENDING, f"{', '.join(awaited[:_NAMED_MAX])}: {_AWAITED}"
        if state is None and self._shown.get(commit) != CommitState.SUCCESS:
            state = CommitState.PENDING, "the fleets are being looked at"
        if state is not None and all(each.commit != commit for each in wanted):
            wanted.append(CommitStatus(commit=commit, state=state[0], description=state[1]))
        return wanted


def _shown_as(status: CommitStatus) -> str:
    """What is remembered of it: counts are not told anew each time, but who is waited for is."""
    is_awaited = status.description.endswith(_AWAITED)
    return f"{status.state.value}: {status.description}" if is_awaited else status.state.value


def _shown_from(text: str) -> dict[str, str]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise unreadable("what a forge was shown", text, error) from error


def state_of(
    intent: TakenIntent, only: Iterable[str], halted: Mapping[str, str], counted: Mapping[str, Counted]
) -> tuple[CommitState, str] | None:
    """What the fleets of an intent come to, of those in `only` (empty: of all); None: not all have been counted yet."""
    fleets = [fleet for fleet in intent.fleets if not only or fleet in only]
    for fleet in fleets:
        if fleet in halted:
            return CommitState.FAILURE, f"{fleet} is halted: {halted[fleet]}"
    found = [counted[fleet] for fleet in fleets if fleet in counted and counted[fleet].at >= intent.at]
    if len(found) < len(fleets):
        return None
    sums = sum((each.summary for each in found), Summary())
    if sums.current == sums.devices:
        return CommitState.SUCCESS, f"all {sums.devices:,} devices are as desired"
    words = f"{sums.current:,} of {sums.devices:,} devices are as desired"
    if sums.refused and not sums.upgrade and not sums.waiting:
        return CommitState.FAILURE, f"{words}, the others are refused"
    return CommitState.PENDING, words


def _digits(commit: str) -> str:
    return commit.rpartition(":")[2]
