"""A server on 127.0.0.1 that answers exactly what a test tells it, however wrong; and clocks that only tests move."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from reconciler.model.allowance import REQUESTS, Allowance
from reconciler.particle.api import ParticleApi
from reconciler.particle.budget import RequestBudget
from reconciler.particle.http import CloudWire, WirePatience
from reconciler.particle.token import AccessToken

TOKEN = "5eC2e7" + "a" * 34
DEVICE = "e00fce68aaaaaaaaaaaaaaaa"


@dataclass
class Answer:
    """What to send back. `cut`: promise more bytes than come. `reset`: break the connection. `silent`: say nothing."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut: bool = False
    reset: bool = False
    silent: bool = False
    trickle: bool = False


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class PretendServer:
    """Answers in the order of `answers`; the last one for ever. `chosen` may pick one by the request instead."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [Answer()]
        self.chosen: Callable[[Seen], Answer | None] = lambda seen: None
        self.seen: list[Seen] = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                seen = Seen(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
                with outer.lock:
                    outer.seen.append(seen)
                    answer = outer.chosen(seen)
                    if answer is None:
                        answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                outer.give(self, answer)

            do_GET = do_PUT = do_POST = _any  # noqa: N815  # http.server looks for these names

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that go away are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def give(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.silent:
            self.closing.wait(5)
            handler.close_connection = True
            return
        if answer.reset:
            # SO_LINGER 0 makes close a reset instead of an orderly end.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            return
        handler.send_response_only(answer.status)
        handler.send_header("Content-Type", answer.content_type)
        handler.send_header("Content-Length", str(len(answer.body) + (1000 if answer.cut else 0)))
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if answer.trickle:
            for byte in answer.body:
                if self.closing.wait(0.002):
                    break
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
        elif handler.command != "HEAD":
            handler.wfile.write(answer.body)
        if answer.cut:
            handler.close_connection = True

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class TestClock:
    """Time that passes only by sleeping; every pause is remembered. For one thread or many."""

    __test__ = False

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.pauses.append(seconds)
            self.now += seconds


FAST = WirePatience(connect=2.0, read=0.1, write=0.1, read_tries=2)


def new_wire(
    url: str, clock: TestClock, *, allowance: Allowance = REQUESTS, patience: WirePatience = FAST
) -> CloudWire:
    budget = RequestBudget(clock=clock, sleep=clock.sleep, requests=allowance)
    return CloudWire(
        api_url=url,
        token=AccessToken(TOKEN),
        budget=budget,
        clock=clock,
        sleep=clock.sleep,
        dice=random.Random(7),
        patience=patience,
    )


@contextlib.contextmanager
def pretend_cloud(**options: Any) -> Iterator[tuple[PretendServer, ParticleApi, TestClock]]:
    server, clock = PretendServer(), TestClock()
    wire = new_wire(server.url, clock, **options)
    try:
        yield server, ParticleApi(wire, page_size=2), clock
    finally:
        wire.close()
        server.close()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
