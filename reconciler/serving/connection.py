"""One connection, with the limits that uvicorn leaves out: slow heads, readers that do not read, and their number.

uvicorn waits for the head of a request for ever, and for a client to take its answer for ever. Each would hold a file
handle of the controller, which needs them for its journal and for Git.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_BYTES_MAX: Final = 16 * 1024
CONNECTIONS_MAX: Final = 512
HEAD_SECONDS_MAX: Final = 10.0
WRITE_SECONDS_MAX: Final = 30.0
"""For a client to take what fills the buffer of its connection, some 64 kB."""


class LimitedConnection(H11Protocol):
    """A connection that ends by itself when its client is too slow, and at once when there are too many.

    `head_seconds_max` and `write_seconds_max` are of the class, for tests.
    """

    head_seconds_max: float = HEAD_SECONDS_MAX
    write_seconds_max: float = WRITE_SECONDS_MAX
    connections_max: int = CONNECTIONS_MAX

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_due: asyncio.TimerHandle | None = None
        self._write_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """See asyncio. One too many is closed without a word: a word would have to wait for its request."""
        super().connection_made(transport)
        if len(self.connections) > self.connections_max:
            transport.abort()
            return
        _drop_when_unheard(transport, self.write_seconds_max)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._head_due is None and self._is_between_requests():
            self._expect_head()
        super().data_received(data)
        if not self._is_between_requests():
            self._stop_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._stop_head()
        self._stop_write()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not take what it is sent."""
        super().pause_writing()
        self._write_due = self.loop.call_later(self.write_seconds_max, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        self._stop_write()
        super().resume_writing()

    def _is_between_requests(self) -> bool:
        # None until the first request has come, whatever uvicorn's types say.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _stop_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _stop_write(self) -> None:
        if self._write_due is not None:
            self._write_due.cancel()
            self._write_due = None

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(self.head_seconds_max, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_due = None
        if self._is_between_requests():
            self.transport.abort()


def _drop_when_unheard(transport: asyncio.Transport, seconds: float) -> None:
    """Have the system end a connection whose client acknowledges nothing, also when too little is left to fill it."""
    connected = transport.get_extra_info("socket")
    if connected is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
