"""Signs of how devices are: restarts that nobody asked for, events that fleets expect, and vitals, as they were heard.

Only devices that are watched are remembered, each of them in bounded memory. There is no clock here: what was heard
between two looks at the devices was heard at the later one, by the cloud's time of that look. So all times compare with
each other, whatever clocks say. What a device itself dated is kept beside it.

Events get lost (facts 5.8). So of every stream is known since when it has been listened to without a gap; who was not
listened to may have said anything.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from reconciler.model.device import DeviceId
from reconciler.model.health import unasked_reset
from reconciler.model.instant import NEVER, Instant
from reconciler.particle.stream import EVENT_PREFIX, CloudEvent

_RESETS_REMEMBERED: Final = 32
"""More than any policy counts (`resetLoop.resets` is 20 at most)."""

_VITALS_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Something that was heard at a look; `dated` by who sent it, None where it was not."""

    at: Instant
    dated: Instant | None
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSigns:
    """What was heard of one device: restarts in their order, by expected name the last event, and the last vitals.

    `vitals` are the wanted numbers by their path; one that the report lacks, or has as something else, is not there.
    """

    resets: tuple[Heard, ...] = ()
    events: Mapping[str, Heard] = field(default_factory=dict)
    vitals: Mapping[str, float] = field(default_factory=dict)
    vitals_heard: Heard | None = None


@dataclass(slots=True)
class _Told:
    """Something that was heard. `at` None: since the last look."""

    dated: Instant | None
    words: str = ""
    at: Instant | None = None

    def heard(self, looked_at: Instant) -> Heard:
        return Heard(at=looked_at if self.at is None else self.at, dated=self.dated, words=self.words)


@dataclass(slots=True)
class _Memory:
    resets: deque[_Told] = field(default_factory=lambda: deque(maxlen=_RESETS_REMEMBERED))
    events: dict[str, _Told] = field(default_factory=dict)
    vitals: Mapping[str, float] = field(default_factory=dict)
    vitals_told: _Told | None = None

    def all_told(self) -> Iterator[_Told]:
        yield from self.resets
        yield from self.events.values()
        if self.vitals_told is not None:
            yield self.vitals_told


class Signs:
    """A memory that several threads may tell and ask.

    `events` are the names (or how they begin) of the events that fleets expect; `paths` are the vitals that they want.
    """

    def __init__(self, *, events: Iterable[str] = (), paths: Iterable[str] = ()) -> None:
        self.events = tuple(dict.fromkeys(events))
        self._paths = tuple(dict.fromkeys(paths))
        self._lock = threading.Lock()
        self._watched: set[DeviceId] = set()
        self._memories: dict[DeviceId, _Memory] = {}
        self._ears: dict[str, Callable[[], bool]] = {}
        self._unbroken_since: dict[str, Instant] = {}
        self._looked_at = NEVER

    @property
    def streams(self) -> tuple[str, ...]:
        """How the names of the events begin that need a stream of their own, beside that of the cloud's own events."""
        return tuple(name for name in self.events if not name.startswith(EVENT_PREFIX))

    def expect(self, *, events: Iterable[str], paths: Iterable[str]) -> None:
        """From now on fleets expect these events and vitals; what was heard so far stays heard."""
        with self._lock:
            self.events = tuple(dict.fromkeys(events))
            self._paths = tuple(dict.fromkeys(paths))
            for prefix in self._ears.keys() - {EVENT_PREFIX, *self.streams}:
                self._ears.pop(prefix)
                self._unbroken_since.pop(prefix, None)

    def attach(self, prefix: str, connected: Callable[[], bool]) -> None:
        """A stream of the events with this prefix is there from now on; `connected` tells whether it is right now."""
        with self._lock:
            self._ears[prefix] = connected

    def miss(self, prefix: str) -> None:
        """Nobody listened to the stream of this prefix until now: give it to an EventStream as its `on_gap`."""
        with self._lock:
            self._unbroken_since.pop(prefix, None)

    def look(self, now: Instant) -> None:
        """There was a look at the devices: what was told since the last one was heard at this one."""
        with self._lock:
            self._looked_at = now
            for prefix, connected in self._ears.items():
                if not connected():
                    self._unbroken_since.pop(prefix, None)
                else:
                    self._unbroken_since.setdefault(prefix, now)
            for memory in self._memories.values():
                for told in memory.all_told():
                    told.at = now if told.at is None else told.at

    def listening_since(self, name: str) -> Instant | None:
        """Since which look an event of this name cannot have been missed; None: nobody listened at the last one."""
        with self._lock:
            return self._unbroken_since.get(EVENT_PREFIX if name.startswith(EVENT_PREFIX) else name)

    def watch(self, devices: Iterable[DeviceId]) -> None:
        """From now on these devices are watched, and no others: what was heard of others is forgotten."""
        with self._lock:
            self._watched = set(devices)
            for device_id in self._memories.keys() - self._watched:
                del self._memories[device_id]

    @property
    def watched(self) -> frozenset[DeviceId]:
        """The devices that are watched."""
        with self._lock:
            return frozenset(self._watched)

    def watch_also(self, device_id: DeviceId) -> None:
        """From now on this device is watched too."""
        with self._lock:
            self._watched.add(device_id)

    def hear(self, event: CloudEvent) -> bool:
        """Remember what an event says of a watched device. Whether it is bad news: a restart that nobody asked for."""
        with self._lock:
            if event.device_id is None or event.device_id not in self._watched:
                return False
            told = _Told(event.published_at)
            memory = self._memories.setdefault(event.device_id, _Memory())
            for name in self.events:
                if event.name.startswith(name):
                    memory.events[name] = told
            match event.name:
                case "spark/device/last_reset":
                    return _remember_reset(memory, event.data, told)
                case "spark/device/diagnostics/update" if self._paths and len(event.data) <= _VITALS_BYTES_MAX:
                    self._remember_vitals(memory, event.data, told)
                case _:
                    pass
            return False

    def keep_vitals(self, device_id: DeviceId, payload: str, dated: Instant | None) -> None:
        """A report that was read, not heard, and when the cloud had it; an older one than is known changes nothing."""
        with self._lock:
            memory = self._memories.setdefault(device_id, _Memory())
            known = memory.vitals_told
            if known is None or known.dated is None or dated is None or known.dated < dated:
                self._remember_vitals(memory, payload, _Told(dated))

    def of(self, device_id: DeviceId) -> DeviceSigns:
        """What was heard of a device since it is watched."""
        with self._lock:
            memory, now = self._memories.get(device_id), self._looked_at
            if memory is None:
                return DeviceSigns()
            return DeviceSigns(
                resets=tuple(told.heard(now) for told in memory.resets),
                events={name: told.heard(now) for name, told in memory.events.items()},
                vitals=memory.vitals,
                vitals_heard=None if memory.vitals_told is None else memory.vitals_told.heard(now),
            )

    def _remember_vitals(self, memory: _Memory, payload: str, told: _Told) -> None:
        try:
            document = msgspec.json.decode(payload.encode("utf-8", errors="replace"))
        except (msgspec.DecodeError, RecursionError):
            return
        found = {path: _number_at(document, path) for path in self._paths}
        memory.vitals = {path: number for path, number in found.items() if number is not None}
        memory.vitals_told = told


def _remember_reset(memory: _Memory, said: str, told: _Told) -> bool:
    """An event that comes twice is one restart: no device restarts twice at one moment."""
    reason = unasked_reset(said)
    is_known = told.dated is not None and any(reset.dated == told.dated for reset in memory.resets)
    if reason is None or is_known:
        return False
    memory.resets.append(_Told(told.dated, reason))
    return True


def _number_at(document: Any, path: str) -> float | None:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    is_number = isinstance(document, int | float) and not isinstance(document, bool)
    return float(document) if is_number else None
