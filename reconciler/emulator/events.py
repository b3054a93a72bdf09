"""The event stream: who listens to what, and what is on the way to them.

Events are lossy, as the cloud's are: who does not listen at the moment misses them, and there is no replay.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

from reconciler.emulator.clock import Agenda
from reconciler.emulator.faults import Faults
from reconciler.model.instant import Instant, iso_from_instant

_QUEUE_MAX: Final = 20_000
_TIME_TO_LIVE_SECONDS: Final = 60
_LATE_SECONDS: Final = (30.0, 300.0)
_OVERTAKEN_SECONDS_MAX: Final = 30.0
FROM_API: Final = "api"
"""The device id of an event that no device sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that a device or the cloud published. `version` is the product firmware that ran, 0 for none."""

    name: str
    data: str
    device_id: str
    product_id: int | None
    version: int
    at: Instant

    def encode(self) -> bytes:
        """The block on the wire (facts 5.8)."""
        document: dict[str, object] = {
            "data": self.data,
            "ttl": _TIME_TO_LIVE_SECONDS,
            "published_at": iso_from_instant(self.at),
            "coreid": self.device_id,
        }
        if self.product_id is not None:
            document |= {"userid": "", "version": self.version, "public": False, "productID": self.product_id}
        return f"event: {self.name}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a listener hears. `product_id` None: the devices of the token's owner; `device_id` None: all of them.

    `any_product`: the devices of all products instead, as an organisation hears them.
    """

    product_id: int | None
    device_id: str | None = None
    prefix: str = ""
    any_product: bool = False

    def hears(self, event: Event, claimed: Container[str]) -> bool:
        """Whether an event is within the scope. `claimed`: the devices of the token's owner."""
        if self.device_id is not None and event.device_id != self.device_id:
            return False
        if not event.name.startswith(self.prefix):
            return False
        if self.any_product:
            return event.product_id is not None
        if self.product_id is not None:
            return event.product_id == self.product_id
        return event.device_id in claimed or (event.device_id == FROM_API and event.product_id is None)


class Listener:
    """One open stream. `wake` is called whenever something waits to be taken."""

    def __init__(self, scope: Scope, hub: Hub) -> None:
        self.scope = scope
        self.wake: Callable[[], None] | None = None
        self._hub = hub
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=_QUEUE_MAX)

    def put(self, device_id: str, block: bytes) -> None:
        """Let an event wait for the listener; the oldest gives way when too many do."""
        self._waiting.append((device_id, block))
        if self.wake is not None:
            self.wake()

    def take(self) -> bytes:
        """All that waits, as it goes on the wire. From here on the listener has heard it."""
        blocks = []
        while self._waiting:
            device_id, block = self._waiting.popleft()
            self._hub.heard(device_id)
            blocks.append(block)
        return b"".join(blocks)

    def close(self) -> None:
        """Listen no longer."""
        self._hub.forget(self)


class Hub:
    """Passes events on to whoever listens, and notes when a listener has heard of a device."""

    def __init__(self, faults: Faults, ordinal: Callable[[], int], agenda: Agenda, claimed: Container[str]) -> None:
        self._faults = faults
        self._claimed = claimed
        self._ordinal = ordinal
        self._agenda = agenda
        self._late_by = faults.dice("events-late", None)
        self._overtaken: list[tuple[Listener, str, bytes]] = []
        self._listeners: dict[Listener, None] = {}
        self.deliveries: dict[str, list[int]] = {}

    @property
    def listener_count(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    def listen(self, scope: Scope) -> Listener:
        """Open a stream."""
        listener = Listener(scope, self)
        self._listeners[listener] = None
        return listener

    def forget(self, listener: Listener) -> None:
        """Close a stream."""
        self._listeners.pop(listener, None)

    def heard(self, device_id: str) -> None:
        """A listener has been handed an event about a device."""
        self.deliveries.setdefault(device_id, []).append(self._ordinal())

    def publish(self, event: Event) -> None:
        """Pass an event on."""
        interested = [listener for listener in self._listeners if listener.scope.hears(event, self._claimed)]
        strikes, device_id = self._faults.strikes, event.device_id
        if not interested or strikes("events-dropped", device_id):
            return
        block = event.encode()
        times = 2 if strikes("events-doubled", device_id) else 1
        if strikes("events-late", device_id):
            at = Instant(event.at + self._late_by.uniform(*_LATE_SECONDS))
            self._agenda.at(at, lambda _: self._hand_over(interested, device_id, block, times))
        elif strikes("events-out-of-order", device_id):
            self._overtaken += [(listener, device_id, block) for listener in interested for _ in range(times)]
            self._agenda.at(Instant(event.at + _OVERTAKEN_SECONDS_MAX), lambda _: self._let_follow())
        else:
            self._hand_over(interested, device_id, block, times)
            self._let_follow()

    def _hand_over(self, interested: list[Listener], device_id: str, block: bytes, times: int) -> None:
        for listener in interested:
            for _ in range(times):
                listener.put(device_id, block)

    def _let_follow(self) -> None:
        """Events that were overtaken go out behind the one that overtook them."""
        overtaken, self._overtaken = self._overtaken, []
        for listener, device_id, block in overtaken:
            listener.put(device_id, block)
