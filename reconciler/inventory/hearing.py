"""What the event stream told: a short memory that several threads may ask.

Everything heard gets the next ordinal of one running counter. Whoever sends something notes the ordinal first and later
asks what came after it. Events get lost and may come twice (facts 5.8): what was heard happened; what was not heard may
have happened too. So a gap, in which nobody listened, has an ordinal as well: the first end of a transfer that is heard
behind one need not be the first that there was.

Of devices with a step under way it also says at once that there is news, so that nobody need look every second. And a
pass says here what the next look must show, to eyes that do not look at everything every time (`watching.py`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from reconciler.inventory.signs import Signs
from reconciler.model.device import DeviceId, ModuleReport
from reconciler.model.instant import Instant
from reconciler.particle.describe import modules_from_describe
from reconciler.particle.stream import EVENT_PREFIX, CloudEvent

_GAPS_REMEMBERED: Final = 1024
_REMEMBERED_PER_DEVICE: Final = 16
"""Transfers remembered of one device; a route has fewer steps than that between two looks at it."""


class TransferStatus(StrEnum):
    """What `spark/flash/status` says. SUCCESS means that the transfer ended, no more (facts 5.8)."""

    STARTED = "started"
    SUCCESS = "success"
    FAILED = "failed"

    @property
    def is_end(self) -> bool:
        """Whether the transfer is over."""
        return self is not TransferStatus.STARTED


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardTransfer:
    """A transfer's status, in the order of hearing; `at` by the cloud's clock, or ours where it gave no time."""

    ordinal: int
    status: TransferStatus
    at: Instant


@dataclass(slots=True)
class _Memory:
    transfers: deque[HeardTransfer] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_PER_DEVICE))
    report: ModuleReport | None = None


class Hearing:
    """Give `hear` to an EventStream as its callback. `clock` is wall time, for events without a time.

    `on_news` is called, on the stream's thread, when a device that is listened for has ended a transfer badly, has
    begun a session, or has told of its modules: then another look at it may settle something. `signs` remembers what
    tells of health; bad news there is news too.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], Instant],
        on_news: Callable[[], None] = lambda: None,
        signs: Signs | None = None,
    ) -> None:
        self.signs = signs or Signs()
        self._clock = clock
        self._on_news = on_news
        self._lock = threading.Lock()
        self._ordinal = 0
        self._devices: dict[DeviceId, _Memory] = {}
        self._gaps: deque[int] = deque(maxlen=_GAPS_REMEMBERED)
        self._awaited: set[DeviceId] = set()
        self._told: dict[DeviceId, None] | None = None
        self._all_asked = False
        self.awaits_product = False
        """Whether something is under way on the product as a whole, so that every look has to show what it holds."""

    def hear(self, event: CloudEvent) -> None:
        """Remember what an event says; events of no use to us are not kept."""
        if event.device_id is None:
            return
        at = self._clock() if event.published_at is None else event.published_at
        with self._lock:
            self._ordinal += 1
            self._remember(event, event.device_id, at)
            is_news = event.device_id in self._awaited and _may_settle(event)
            if self._told is not None and _may_change_record(event):
                self._told[event.device_id] = None
        if self.signs.hear(event) or is_news:
            self._on_news()

    def listen_for(self, devices: Iterable[DeviceId]) -> None:
        """From now on news of these devices is waited for, and of no others."""
        with self._lock:
            self._awaited = set(devices)

    def listen_also_for(self, device_id: DeviceId) -> None:
        """From now on news of this device is waited for too."""
        with self._lock:
            self._awaited.add(device_id)
        self.signs.watch_also(device_id)

    @property
    def awaited(self) -> frozenset[DeviceId]:
        """The devices of which news is waited for: those with a step under way."""
        with self._lock:
            return frozenset(self._awaited)

    def follow(self) -> None:
        """From now on it is remembered of whom something was told, until `take_told`. Without this nobody asks."""
        with self._lock:
            self._told = {} if self._told is None else self._told

    def take_told(self) -> tuple[DeviceId, ...]:
        """The devices whose record may be another since this was asked last, the one first that was told of first."""
        with self._lock:
            told, self._told = tuple(self._told or ()), {}
            return told

    def ask_for_all(self) -> None:
        """The next look has to be at everything: something is about to be done that rests on it."""
        self._all_asked = True

    def take_all_asked(self) -> bool:
        """Whether somebody asked for that since the last time."""
        with self._lock:
            asked, self._all_asked = self._all_asked, False
            return asked

    def miss(self) -> None:
        """Nobody listens from now on, or did not until now: give it to an EventStream as its `on_gap`.

        What was missed may have been news, so it counts as news while any device is listened for.
        """
        with self._lock:
            self._ordinal += 1
            self._gaps.append(self._ordinal)
            is_news = bool(self._awaited)
        self.signs.miss(EVENT_PREFIX)
        if is_news:
            self._on_news()

    def first_gap_since(self, ordinal: int) -> int | None:
        """The ordinal of the first gap after this one, None when there was none. What is forgotten counts as a gap."""
        with self._lock:
            if len(self._gaps) == _GAPS_REMEMBERED and ordinal < self._gaps[0]:
                return ordinal
            return next((gap for gap in self._gaps if gap > ordinal), None)

    @property
    def ordinal(self) -> int:
        """The ordinal of what was heard last. Note it before sending something."""
        with self._lock:
            return self._ordinal

    def transfers_since(self, device_id: DeviceId, ordinal: int) -> tuple[HeardTransfer, ...]:
        """All statuses of transfers to this device heard after that ordinal, in order, the last 16 at most."""
        with self._lock:
            memory = self._devices.get(device_id)
            return tuple(t for t in memory.transfers if t.ordinal > ordinal) if memory else ()

    def receiving_since(self, device_id: DeviceId) -> Instant | None:
        """When the transfer began that is under way to this device, as far as was heard; None: there is none."""
        with self._lock:
            memory = self._devices.get(device_id)
            last = memory.transfers[-1] if memory and memory.transfers else None
            return last.at if last is not None and not last.status.is_end else None

    def module_report(self, device_id: DeviceId) -> ModuleReport | None:
        """The last account of its modules that the device gave, or None. One that cannot be read says no modules."""
        with self._lock:
            memory = self._devices.get(device_id)
            return memory.report if memory else None

    def keep_report(self, report: ModuleReport) -> None:
        """Remember an account from an earlier run, unless a newer one was heard."""
        with self._lock:
            memory = self._devices.setdefault(report.device_id, _Memory())
            if memory.report is None or memory.report.reported_at < report.reported_at:
                memory.report = report

    def module_reports(self) -> tuple[ModuleReport, ...]:
        """All accounts that are remembered, in the order of their devices' ids."""
        with self._lock:
            return tuple(m.report for _, m in sorted(self._devices.items()) if m.report is not None)

    def _remember(self, event: CloudEvent, device_id: DeviceId, at: Instant) -> None:
        words = event.data.strip().lower()
        memory = self._devices.get(device_id) or _Memory()
        match event.name:
            case "spark/flash/status":
                # The vendor's own tests look at how the word begins; real samples have a space behind it.
                status = next((s for s in TransferStatus if words.startswith(s.value)), None)
                if status is None:
                    return
                memory.transfers.append(HeardTransfer(ordinal=self._ordinal, status=status, at=at))
            case "spark/status/safe-mode":
                memory.report = ModuleReport(
                    device_id=device_id, modules=modules_from_describe(event.data), reported_at=at
                )
            case _:
                return
        self._devices[device_id] = memory


def _may_change_record(event: CloudEvent) -> bool:
    """Whether the cloud's record of the device may be another after this event. A transfer is no part of it."""
    if event.name == "spark/flash/status":
        return event.data.strip().lower().startswith(TransferStatus.FAILED.value)
    return event.name in {"spark/status", "spark/status/safe-mode"}


def _may_settle(event: CloudEvent) -> bool:
    """Whether something may be known after this event that was not known before it."""
    words = event.data.strip().lower()
    match event.name:
        case "spark/flash/status":
            return words.startswith(TransferStatus.FAILED.value)
        case "spark/status":
            return words == "online"
        case name:
            return name == "spark/status/safe-mode"
