"""Telling people, beside the loop: one thread keeps what is wrong now, and one for each channel tells of it.

The rules:
- `tell` never waits, and no channel waits for another.
- What people are told is derived from the journal: a process that dies at any moment loses no bad news, and one that
  starts repeats none (`courier.py`, `matters.py`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self, get_args

from reconciler.journal.journal import Journal
from reconciler.model.error import JournalError
from reconciler.model.event import AttemptMoved, DeviceArrived, Event, Finding, IntentTaken, PassEnded, PlanMade
from reconciler.settings.settings import ChannelSettings
from reconciler.telemetry.channel import MessageChannel, StatusChannel
from reconciler.telemetry.commit_courier import PREFIX as STATUS_PREFIX
from reconciler.telemetry.commit_courier import CommitCourier, Counted
from reconciler.telemetry.courier import PREFIX as CHANNEL_PREFIX
from reconciler.telemetry.courier import Courier, Delivery, why_not
from reconciler.telemetry.matters import MatterEvent, Matters
from reconciler.telemetry.pace import Pace

_MATTER_EVENTS: Final = get_args(MatterEvent)

_INTENTS: Final = 100
"""How many of the last intents are looked at for the newest of each tenant."""
_FREQUENT: Final = (AttemptMoved, DeviceArrived, PassEnded, Finding)
"""Events that come by the thousand and tell people nothing at once."""

Opened = tuple[ChannelSettings, MessageChannel | StatusChannel]
"""A channel and what was asked of it."""


class Telling:
    """Tells people of what happens, from `__enter__` to `__exit__`, which ends within `grace_seconds`.

    What was not told by then is told by the next process on the same journal. `report` hears of every try, on any
    thread. One `Telling` at a time on one journal: whoever runs the loop holds the journal's lock.
    """

    def __init__(
        self,
        journal: Journal,
        channels: Sequence[Opened],
        *,
        report: Callable[[Delivery], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        pace: Pace | None = None,
        grace_seconds: float = 5.0,
    ) -> None:
        """Raises JournalError."""
        self._now = now
        self._pace = pace or Pace()
        self._grace_seconds = grace_seconds
        self._report = report
        self._counted: dict[str, Counted] = {}
        self._queue: deque[MatterEvent] = deque()
        self._stop = threading.Event()
        self._end = threading.Event()  # the keeper has noted the last of what it heard
        self._heard = threading.Event()
        _forget_others(journal, [settings.name for settings, _ in channels])
        self._couriers = [self._courier(journal, settings, channel) for settings, channel in channels]
        self._matters = Matters(journal, number=max((each.told_matters for each in self._couriers), default=0))
        # The process before may have died between the journal and the event.
        newest_last = [*journal.intents(limit=_INTENTS)][::-1]
        latest = {each.revision.tenant: each for each in newest_last}
        self._queue.extend(IntentTaken(at=each.at, intent=each) for each in latest.values())
        self._wakes = [threading.Event() for _ in self._couriers]
        self._keeper = threading.Thread(target=self._keep, name="telling", daemon=True)
        self._threads = [
            threading.Thread(target=self._run, args=pair, name=f"telling {pair[0].name}", daemon=True)
            for pair in zip(self._couriers, self._wakes, strict=True)
        ]

    def tell(self, event: Event) -> None:
        """Hear of an event. Never waits; any thread."""
        if not self._couriers:
            return
        if isinstance(event, PlanMade):
            for plan in event.plan.fleets:
                self._counted[plan.fleet.name] = Counted(at=event.at, summary=plan.summary)
        if isinstance(event, _MATTER_EVENTS):
            self._queue.append(event)
        if not isinstance(event, _FREQUENT):
            self._heard.set()

    def __enter__(self) -> Self:
        for thread in (self._keeper, *self._threads):
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ends_at = time.monotonic() + self._grace_seconds
        self._stop.set()
        self._heard.set()
        self._keeper.join(self._grace_seconds)
        self._end.set()
        for wake in self._wakes:
            wake.set()
        for thread in self._threads:
            thread.join(max(0.0, ends_at - time.monotonic()))

    def turn(self, *, last: bool = False) -> float:
        """Do what is due on the calling thread, in place of those of `__enter__`; in how many seconds to come again.

        Raises JournalError.
        """
        self._note()
        return min((each.turn(self._now(), self._matters.all(), last=last) for each in self._couriers), default=60.0)

    def _courier(
        self, journal: Journal, settings: ChannelSettings, channel: MessageChannel | StatusChannel
    ) -> Courier | CommitCourier:
        if isinstance(channel, MessageChannel):
            return Courier(journal, settings, channel, pace=self._pace, report=self._report)
        return CommitCourier(
            journal, settings, channel, counted=lambda: self._counted, pace=self._pace, report=self._report
        )

    def _note(self) -> None:
        events = []
        while self._queue:
            events.append(self._queue.popleft())
        try:
            self._matters.note(events)
            self._matters.forget(min((each.told_matters for each in self._couriers), default=0))
        except JournalError:
            self._queue.extendleft(reversed(events))
            raise

    def _keep(self) -> None:
        while True:
            self._heard.clear()  # before anything is looked at: what comes later wakes again
            is_last = self._stop.is_set()
            try:
                self._note()
                pause = self._pace.poll
            except Exception as error:  # noqa: BLE001  # see `_run`
                # Most likely the journal is down, and the loop says so: what was heard is noted when it is back.
                self._report(Delivery(channel="", ok=False, why=why_not(error)))
                pause = 1.0
            if is_last:
                return
            for wake in self._wakes:
                wake.set()
            self._heard.wait(pause)

    def _run(self, courier: Courier | CommitCourier, wake: threading.Event) -> None:
        while True:
            wake.clear()
            is_last = self._end.is_set()
            try:
                pause = courier.turn(self._now(), self._matters.all(), last=is_last)
            except Exception as error:  # noqa: BLE001  # a thread that ended would leave people untold for good
                self._report(Delivery(channel=courier.name, ok=False, why=why_not(error)))
                pause = self._pace.poll
            if is_last:
                return
            wake.wait(min(pause, self._pace.poll))


def _forget_others(journal: Journal, names: Sequence[str]) -> None:
    """A channel that is not in the settings any more begins anew if it comes back: nobody wants the news of a year."""
    kept = [name for prefix in (CHANNEL_PREFIX, STATUS_PREFIX) for name in journal.bookmarks(prefix)]
    own = {f"{prefix}{name}" for prefix in (CHANNEL_PREFIX, STATUS_PREFIX) for name in names}
    gone = [name for name in kept if name not in own]
    if gone:
        journal.set_bookmarks(dict.fromkeys(gone, None))
