"""The stream of events as server-sent events: a buffer of the latest, and readers that go along it at their own pace.

Every event is written once, as text, whoever reads it. A reader is a place in the buffer and holds nothing else, so a
slow one costs nothing; when the buffer has moved past its place, it is told so and dropped. An event's id says which
process it is of: after a restart the numbers begin anew, and a reader that comes back learns what it has missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final

from reconciler.model.event import Event
from reconciler.render.event_json import event_document
from reconciler.serving.problem import RequestError

EVENTS_KEPT_MAX: Final = 4096
BYTES_KEPT_MAX: Final = 4 * 1024 * 1024
READERS_MAX: Final = 256
KEEP_ALIVE_SECONDS: Final = 15.0
"""Proxies cut what is silent for longer, most of them after 30 or 60 seconds."""

STREAM_SECONDS_MAX: Final = 900.0
"""Then a reader has to come back, with a token that still counts. It misses nothing."""

_AT_ONCE_MAX: Final = 64
"""Events in one write: a reader that comes back does not make one block of megabytes."""

_DIGITS_MAX: Final = 15

MISSED: Final = "missed"
"""The kind of event that tells a reader that it has not seen everything."""


class EventBuffer:
    """The latest events. `tell` may be called on any thread and never waits; readers live on one event loop.

    `process` is a word that no other process has.
    """

    def __init__(
        self,
        process: str,
        *,
        events_max: int = EVENTS_KEPT_MAX,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        stream_seconds_max: float = STREAM_SECONDS_MAX,
    ) -> None:
        self._process = process
        self._events_max = events_max
        self._keep_alive_seconds = keep_alive_seconds
        self._stream_seconds_max = stream_seconds_max
        self._lock = threading.Lock()
        self._kept: deque[bytes] = deque()
        self._bytes = 0
        self._next = 1
        self._readers: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_waking = False
        self._closed = False

    @property
    def readers(self) -> int:
        """How many read now."""
        with self._lock:
            return len(self._readers)

    def tell(self, event: Event) -> None:
        """Keep an event for those who read."""
        document = event_document(event)
        with self._lock:
            block = _block(str(document["event"]), document, f"{self._process}-{self._next}")
            self._next += 1
            self._kept.append(block)
            self._bytes += len(block)
            while len(self._kept) > self._events_max or self._bytes > BYTES_KEPT_MAX:
                self._bytes -= len(self._kept.popleft())
        self._wake_all()

    def close(self) -> None:
        """Every reader is told that this is the end, and no other comes."""
        with self._lock:
            self._closed = True
        self._wake_all()

    def read(self, last_event_id: str | None = None) -> AsyncGenerator[bytes]:
        """What follows an event, or from now on; ends after a while, when the reader is too slow, or at `close`.

        Raises RequestError PFR6925: too many read already, or the controller stops.
        """
        with self._lock:
            if self._closed or len(self._readers) >= READERS_MAX:
                why = "the controller stops" if self._closed else f"{READERS_MAX} readers follow the events already"
                raise RequestError("PFR6925", why, status=503, headers={"Retry-After": "10"})
            place, first = self._place_after(last_event_id)
        return self._blocks(place, first)

    async def _blocks(self, place: int, first: bytes) -> AsyncGenerator[bytes]:
        loop, wake, is_last = asyncio.get_running_loop(), asyncio.Event(), False
        ends_at = loop.time() + self._stream_seconds_max
        with self._lock:
            self._loop = loop
            self._readers.add(wake)
        try:
            yield first
            while not is_last and loop.time() < ends_at:
                wake.clear()
                found, place, is_last = self._after(place)
                if not found:
                    found = await self._waited(wake)
                if found:
                    yield found
        finally:
            with self._lock:
                self._readers.discard(wake)

    async def _waited(self, wake: asyncio.Event) -> bytes:
        """Nothing when there is news; after a long silence, that we are still here."""
        try:
            await asyncio.wait_for(wake.wait(), self._keep_alive_seconds)
        except TimeoutError:
            return b": still here\n\n"
        return b""

    def _place_after(self, last_event_id: str | None) -> tuple[int, bytes]:
        """The number of the next event for a reader, and what it is told first."""
        if not last_event_id:
            return self._next, self._hello(self._next)
        process, _, number = last_event_id.rpartition("-")
        oldest = self._next - len(self._kept)
        if process == self._process and number.isascii() and number.isdigit() and len(number) <= _DIGITS_MAX:
            place = int(number) + 1
            if oldest <= place <= self._next:
                return place, self._hello(place)
        gap = self._missed("what followed that event is not kept any more: these are the oldest")
        return oldest, self._hello(oldest) + gap

    def _after(self, place: int) -> tuple[bytes, int, bool]:
        """What a reader at a place gets next, its next place, and whether that was the end."""
        with self._lock:
            oldest = self._next - len(self._kept)
            if place < oldest:
                return self._missed("you read too slowly: come back with Last-Event-ID, or ask for the status"), 0, True
            start = place - oldest
            found = [self._kept[number] for number in range(start, min(start + _AT_ONCE_MAX, len(self._kept)))]
            if not found and self._closed:
                return _block("closed", {"event": "closed", "message": "the controller stops"}, None), place, True
            return b"".join(found), place + len(found), False

    def _hello(self, place: int) -> bytes:
        """With an id, so that who comes back before the first event has a place as well."""
        return f": events follow\nid: {self._process}-{place - 1}\nretry: 3000\n\n".encode()

    @staticmethod
    def _missed(why: str) -> bytes:
        return _block(MISSED, {"event": MISSED, "message": why}, None)

    def _wake_all(self) -> None:
        """Once, however many events there are before the readers come to it."""
        with self._lock:
            loop = None if self._is_waking or not self._readers else self._loop
            self._is_waking = self._is_waking or loop is not None
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and its readers with it
                loop.call_soon_threadsafe(self._wake_readers)

    def _wake_readers(self) -> None:
        with self._lock:
            self._is_waking = False
            for wake in self._readers:
                wake.set()


def _block(kind: str, document: dict[str, Any], name: str | None) -> bytes:
    # JSON has no line breaks of its own, so that one line of data is enough.
    mark = "" if name is None else f"id: {name}\n"
    return f"{mark}event: {kind}\ndata: {json.dumps(document, sort_keys=True)}\n\n".encode()
