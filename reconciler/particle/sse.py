"""Server-sent events, parsed as they come in (facts 5.8; WHATWG HTML, server-sent events).

Why not a library: `requests-sse` sleeps on its own between reconnections, with pauses that only grow, so that it can
neither be stopped nor say that there was a gap; it splits a line end that falls between two chunks; it raises on bytes
that are not UTF-8; and it holds back the events of a server that sends without chunks until 512 bytes are there. What
would be left of it is this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LINE_BYTES_MAX: Final = 1024 * 1024
"""A describe of a device is about 3 KB; a longer line is dropped with the event that it belongs to."""

_LINE_OVERHEAD_BYTES: Final = 64
"""What a line costs in memory besides its text: a million empty ones are not free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event as it stood in the stream."""

    name: str
    data: str


class EventParser:
    """Feed it bytes in any portions: the same bytes give the same events. It never raises, and holds little."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_return = False
        self._name = ""
        self._data: list[str] = []
        self._held = 0
        self._broken = False

    def feed(self, portion: bytes) -> list[ServerEvent]:
        """The events that this portion completes."""
        if self._after_return and portion:
            self._after_return = False
            portion = portion.removeprefix(b"\n")
        if portion.endswith(b"\r"):
            # Whether this is half of \r\n shows only with the next portion.
            self._after_return = True
        lines = portion.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        found: list[ServerEvent] = []
        for line in lines[:-1]:
            self._extend(line)
            event = self._end_of_line()
            if event is not None:
                found.append(event)
        self._extend(lines[-1])
        return found

    def _extend(self, piece: bytes) -> None:
        if not self._broken and len(self._line) + len(piece) + self._held > LINE_BYTES_MAX:
            self._broken = True
        self._line += piece
        if self._broken:
            # The event is lost; of its lines only matters whether they are blank, for a blank one ends it.
            del self._line[1:]

    def _end_of_line(self) -> ServerEvent | None:
        raw = bytes(self._line)
        self._line.clear()
        if not raw:
            return self._dispatched()
        if self._broken:
            return None
        field, _, value = raw.decode("utf-8", errors="replace").partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
                self._held += len(raw) + _LINE_OVERHEAD_BYTES
            case _:
                pass
        return None

    def _dispatched(self) -> ServerEvent | None:
        whole = bool(self._data) and not self._broken
        event = ServerEvent(name=self._name or "message", data="\n".join(self._data)) if whole else None
        self._name = ""
        self._data = []
        self._held = 0
        self._broken = False
        return event
