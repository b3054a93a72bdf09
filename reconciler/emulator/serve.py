"""The emulator on a port of this machine: the only place of the room that has a clock, a thread and a socket.

One event loop answers requests and lets happen what is due; one lock keeps the world whole while another thread looks
into it. Virtual time is in the `Date` header of every answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import uvicorn
from starlette.datastructures import Headers, QueryParams

from reconciler.emulator.binaries import EmulatedBinaries, real_files_in
from reconciler.emulator.clock import VirtualClock
from reconciler.emulator.cloud import Cloud
from reconciler.emulator.events import Listener
from reconciler.emulator.message import Answer, ApiError, Manner, Request
from reconciler.emulator.records import RequestRecord
from reconciler.emulator.settlers import ReadFile
from reconciler.emulator.world import World, WorldError
from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import known_catalog
from reconciler.model.instant import Instant

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_TICK_SECONDS: Final = 0.05
"""Real seconds between two looks at the agenda; what is due still happens at its own virtual instant."""
_KEEP_ALIVE_SECONDS: Final = 5.0
"""Real seconds; clients of the vendor hold 15 s of silence for the end (facts 5.8)."""
_BODY_MAX: Final = 8 * 1024 * 1024
_START_SECONDS_MAX: Final = 10.0
_STOP_SECONDS_MAX: Final = 5


class _ServerClock:
    """Virtual time on this machine's monotonic clock."""

    def __init__(self, start: Instant, speed: float) -> None:
        self._clock = VirtualClock(start=start, speed=speed, real_now=time.monotonic())

    @property
    def speed(self) -> float:
        return self._clock.speed

    def now(self) -> Instant:
        return self._clock.now(time.monotonic())

    def set_speed(self, speed: float) -> None:
        self._clock.set_speed(speed, time.monotonic())

    def advance(self, seconds: float) -> None:
        self._clock.advance(seconds)

    def real_seconds_until(self, instant: Instant) -> float | None:
        return self._clock.real_seconds_until(instant, time.monotonic())


class EmulatorServer:
    """Serves a world; a context manager that runs in the background, or `serve_forever` in the foreground.

    - `speed`: virtual seconds per real second. `seed`: one seed, one history.
    - `firmware`: a folder of real binaries, FOLDER/<platform>/<Device OS version>/*.bin.
    - `read_file`: reads the files that the world names.
    - `on_request` is told of every request, on the server's thread.
    - `start`: virtual time of the beginning; the world's own, else the present.

    Raises:
        WorldError: PFR6204 for a file of the world; PFR6205 when the port cannot be had.
    """

    def __init__(
        self,
        world: World,
        *,
        port: int = 0,
        speed: float = 60.0,
        seed: int = 7,
        start: Instant | None = None,
        catalog: Catalog | None = None,
        firmware: Path | None = None,
        read_file: ReadFile | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self._lock = threading.RLock()
        begin = start if start is not None else world.start
        # Time stands still until the world is built, so that one seed gives one beginning.
        self._clock = _ServerClock(begin if begin is not None else Instant(time.time()), speed=0.0)
        self.binaries = EmulatedBinaries(catalog or known_catalog(), real_files_in(firmware) if firmware else None)
        self.cloud = Cloud(
            world,
            start=self._clock.now(),
            seed=seed,
            binaries=self.binaries,
            read_file=read_file or _no_file,
            clock=self._clock,
            on_request=on_request,
        )
        self._socket = _bound_socket(port)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.cloud.state.base_url = self.url
        self._application = _Application(self.cloud, self._clock, self._lock)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._application,
                log_level="critical",
                access_log=False,
                lifespan="off",
                ws="none",
                http="h11",
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=_STOP_SECONDS_MAX,
            )
        )
        self._thread: threading.Thread | None = None
        self._clock.set_speed(speed)

    @property
    def catalog(self) -> Catalog:
        """The catalog that goes with the binaries that are served."""
        return self.binaries.catalog

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""
        return self._clock.speed

    def now(self) -> Instant:
        """Virtual time."""
        return self._clock.now()

    @contextlib.contextmanager
    def locked(self) -> Iterator[Cloud]:
        """The cloud, as of now, while nothing else moves it."""
        with self._lock:
            self.cloud.run_until(self._clock.now())
            yield self.cloud

    def set_speed(self, speed: float) -> None:
        """Go on at another speed."""
        with self._lock:
            self._clock.set_speed(speed)

    def advance(self, seconds: float) -> None:
        """Skip virtual seconds; all that is due in them has happened on return."""
        with self._lock:
            self._clock.advance(seconds)
            self.cloud.run_until(self._clock.now())

    def serve_forever(self) -> None:
        """Serve in the foreground, until the process is interrupted."""
        try:
            asyncio.run(self._serve())
        finally:
            self.close()

    def close(self) -> None:
        """Give the port back, if the server was never started. Leaving the context does it too."""
        self._socket.close()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="emulator", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS_MAX
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise WorldError("PFR6206", "the emulator did not start", next_step="Try again on another port.")
            time.sleep(0.002)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        self.close()

    async def _serve(self) -> None:
        ticking = asyncio.create_task(self._tick())
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking

    async def _tick(self) -> None:
        """Let happen what is due, and let go of everybody when the server is to stop."""
        while not self._server.should_exit:
            with self._lock:
                self.cloud.run_until(self._clock.now())
                next_at = self.cloud.next_at
                wait = self._clock.real_seconds_until(next_at) if next_at is not None else None
            await asyncio.sleep(_TICK_SECONDS if wait is None else min(max(wait, 0.005), _TICK_SECONDS))
        self._application.let_go()


class _Application:
    """The ASGI side: HTTP messages in and out of the cloud's own values."""

    def __init__(self, cloud: Cloud, clock: _ServerClock, lock: threading.RLock) -> None:
        self._cloud = cloud
        self._clock = clock
        self._lock = lock
        self._stopping = False
        self._waiting: set[asyncio.Event] = set()

    def let_go(self) -> None:
        """End every stream and every silence."""
        self._stopping = True
        for event in self._waiting:
            event.set()

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        assert scope["type"] == "http"
        body = await _read_all(receive)
        if body is None:
            answer = ApiError(413, "Payload too large").answer()
        else:
            request = Request(
                method=scope["method"],
                path=scope["raw_path"].decode("ascii"),
                query=dict(QueryParams(scope["query_string"])),
                headers=dict(Headers(scope=scope)),
                body=body,
            )
            with self._lock:
                answer = self._cloud.handle(request, self._clock.now())
        await self._send(answer, receive, send)

    async def _send(self, answer: Answer, receive: _Receive, send: _Send) -> None:
        if answer.listener is not None:
            await self._stream(answer.listener, receive, send)
            return
        if answer.delay_seconds:
            await self._pause(answer.delay_seconds)
        match answer.manner:
            case Manner.SILENT:
                await self._silence(receive)
                await self._break_off(send)
            case Manner.BROKEN:
                await self._break_off(send)
            case Manner.PROPER:
                length = (b"content-length", str(len(answer.body)).encode())
                extra = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
                await send(self._head(answer.status, answer.content_type, [length, *extra], answer.date_skew_seconds))
                await send({"type": "http.response.body", "body": answer.body})

    async def _stream(self, listener: Listener, receive: _Receive, send: _Send) -> None:
        loop, wake = asyncio.get_running_loop(), asyncio.Event()

        def wake_up() -> None:
            loop.call_soon_threadsafe(wake.set)

        with self._lock:
            listener.wake = wake_up
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: wake.set())
        self._waiting.add(wake)
        try:
            await send(self._head(200, "text/event-stream", [(b"cache-control", b"no-cache")]))
            await send({"type": "http.response.body", "body": b":ok\n\n", "more_body": True})
            while not gone.done() and not self._stopping:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), _KEEP_ALIVE_SECONDS)
                wake.clear()
                with self._lock:
                    block = listener.take()
                await send({"type": "http.response.body", "body": block or b":\n\n", "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._waiting.discard(wake)
            with self._lock:
                listener.wake = None
                listener.close()
            gone.cancel()

    async def _break_off(self, send: _Send) -> None:
        """Send less than was promised, upon which the server closes the connection in the middle of the answer."""
        await send(self._head(200, "application/json", [(b"content-length", b"4096")]))
        await send({"type": "http.response.body", "body": b'{"', "more_body": True})

    async def _silence(self, receive: _Receive) -> None:
        """Say nothing until the client has had enough."""
        wake = asyncio.Event()
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: wake.set())
        self._waiting.add(wake)
        try:
            await wake.wait()
        finally:
            self._waiting.discard(wake)
            gone.cancel()

    async def _pause(self, seconds: float) -> None:
        wake = asyncio.Event()
        self._waiting.add(wake)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), seconds)
        self._waiting.discard(wake)

    def _head(
        self, status: int, content_type: str, headers: list[tuple[bytes, bytes]], skew_seconds: float = 0.0
    ) -> _Message:
        date = formatdate(self._clock.now() + skew_seconds, usegmt=True).encode()
        common = [(b"content-type", content_type.encode()), (b"date", date)]
        return {"type": "http.response.start", "status": status, "headers": [*common, *headers]}


async def _read_all(receive: _Receive) -> bytes | None:
    """The whole body, or None when it is too large."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= _BODY_MAX:
            chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks) if size <= _BODY_MAX else None


async def _disconnected(receive: _Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _bound_socket(port: int) -> socket.socket:
    # asyncio sends small answers at once only on sockets that name their protocol; else each one waits 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.listen(512)
    except OSError as error:
        bound.close()
        raise WorldError(
            "PFR6205",
            f"port {port} cannot be had: {error.strerror}",
            next_step="Give another --port, or 0 for a free one.",
        ) from error
    return bound


def _no_file(name: str) -> bytes:
    raise FileNotFoundError(2, "the world was given without its files", name)
