from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from reconciler.model.allowance import Allowance
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.particle.budget import RequestBudget
from reconciler.particle.sse import ServerEvent
from reconciler.particle.stream import CloudEvent, EventStream, StreamPatience, event_from
from reconciler.particle.token import AccessToken
from tests.particle.pretend import DEVICE, TOKEN, Answer, PretendServer, unused_port

WAIT = 5.0
"""Seconds until a test gives up; every wait ends as soon as what it waits for is there."""


class StreamServer:
    """Sends what a test puts into `lines`; None ends the connection. `statuses` are answered first."""

    def __init__(self) -> None:
        self.lines: queue.Queue[bytes | None] = queue.Queue()
        self.statuses: list[int] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.asked_again = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                outer.headers.append(dict(self.headers.items()))
                if len(outer.paths) > 1:
                    outer.asked_again.set()
                self.send_response_only(outer.statuses.pop(0) if outer.statuses else 200)
                self.send_header("Content-Type", "text/event-stream; charset=utf-8")
                self.end_headers()
                self.wfile.write(b":ok\n\n")
                while (line := outer.lines.get()) is not None:
                    self.wfile.write(line)
                    self.wfile.flush()

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        for _ in range(20):
            self.lines.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT)


@pytest.fixture
def server() -> Iterator[StreamServer]:
    server = StreamServer()
    yield server
    server.close()


class Listener:
    def __init__(
        self,
        url: str,
        *,
        product: str | None = "logger",
        idle: float = WAIT,
        raising: bool = False,
        prefix: str = "spark",
        budget: RequestBudget | None = None,
    ) -> None:
        self.heard: queue.Queue[CloudEvent] = queue.Queue()
        self.told: queue.Queue[str] = queue.Queue()
        self.raising = raising
        self.stream = EventStream(
            api_url=url,
            token=AccessToken(TOKEN),
            product=product,
            prefix=prefix,
            on_event=self.hear,
            on_gap=self.miss,
            clock=time.monotonic,
            dice=random.Random(1),
            budget=budget,
            patience=StreamPatience(connect=WAIT, idle=idle, pause_first=0.01, pause_max=0.02),
        )
        self.stream.start()

    def miss(self) -> None:
        self.told.put("gap")
        if self.raising:
            raise RuntimeError("a listener's own fault")

    def hear(self, event: CloudEvent) -> None:
        self.told.put(event.data)
        self.heard.put(event)
        if self.raising:
            raise RuntimeError("a listener's own fault")


def block(name: str, data: str, **more: object) -> bytes:
    envelope = {"data": data, "ttl": 60, "published_at": "2026-11-22T09:00:00.500Z", "coreid": DEVICE, **more}
    return f"event: {name}\ndata: {json.dumps(envelope)}\n\n".encode()


def test_events_reach_the_listener_typed(server: StreamServer) -> None:
    listener = Listener(server.url)
    server.lines.put(block("spark/flash/status", "success "))
    event = listener.heard.get(timeout=WAIT)
    assert event == CloudEvent(
        name="spark/flash/status",
        data="success ",
        device_id=DeviceId(DEVICE),
        published_at=Instant(1795338000.5),
    )
    listener.stream.stop()


def test_another_stream_asks_for_the_events_of_its_prefix(server: StreamServer) -> None:
    listener = Listener(server.url, prefix="app/alive")
    assert listener.stream.wait_connected(WAIT)
    listener.stream.stop()
    assert server.paths[0].partition("?")[0] == "/v1/products/logger/events/app%2Falive"


@pytest.mark.parametrize(
    ("product", "path"), [("logger", "/v1/products/logger/events/spark"), (None, "/v1/devices/events/spark")]
)
def test_the_stream_asks_for_what_the_cloud_and_device_os_say(
    server: StreamServer, product: str | None, path: str
) -> None:
    listener = Listener(server.url, product=product)
    assert listener.stream.wait_connected(WAIT)
    listener.stream.stop()
    assert server.paths[0].partition("?")[0] == path
    assert server.headers[0]["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in server.paths[0]


def test_a_stream_that_ends_is_opened_again(server: StreamServer) -> None:
    listener = Listener(server.url)
    assert listener.stream.wait_connected(WAIT)
    server.lines.put(None)
    server.lines.put(block("spark/status", "online"))
    assert listener.heard.get(timeout=WAIT).data == "online"
    assert listener.stream.connections == 2
    listener.stream.stop()


@pytest.mark.parametrize("raising", [False, True])
def test_a_gap_is_told_before_the_first_event_of_a_connection_and_when_it_has_ended(
    server: StreamServer, raising: bool
) -> None:
    listener = Listener(server.url, raising=raising)
    server.lines.put(block("spark/status", "online"))
    server.lines.put(None)
    server.lines.put(block("spark/status", "offline"))
    told = [listener.told.get(timeout=WAIT) for _ in range(5)]
    assert told == ["gap", "online", "gap", "gap", "offline"]
    listener.stream.stop()


def test_a_connection_that_cannot_be_made_is_a_gap_each_time() -> None:
    listener = Listener(f"http://127.0.0.1:{unused_port()}")
    assert [listener.told.get(timeout=WAIT) for _ in range(3)] == ["gap"] * 3
    listener.stream.stop()


def test_silence_ends_a_connection(server: StreamServer) -> None:
    listener = Listener(server.url, idle=0.05)
    assert server.asked_again.wait(WAIT)
    listener.stream.stop()


def test_refusals_are_told_and_tried_again(server: StreamServer) -> None:
    server.statuses = [401, 500, 404]
    for _ in range(3):
        server.lines.put(None)
    listener = Listener(server.url)
    assert listener.stream.wait_connected(WAIT)
    assert len(server.paths) == 4
    listener.stream.stop()


def test_a_listener_that_fails_does_not_end_the_stream(server: StreamServer) -> None:
    listener = Listener(server.url, raising=True)
    server.lines.put(block("spark/status", "online"))
    server.lines.put(block("spark/status", "offline"))
    assert [listener.heard.get(timeout=WAIT).data for _ in range(2)] == ["online", "offline"]
    listener.stream.stop()


def test_garbage_between_events_is_passed_over(server: StreamServer) -> None:
    listener = Listener(server.url)
    server.lines.put(b"data: {no json\n\n\xff\xfe\n\nevent: x\ndata: [1]\n\n" + block("spark/status", "online"))
    assert listener.heard.get(timeout=WAIT).data == "online"
    listener.stream.stop()


def test_stopping_wakes_a_connection_that_waits(server: StreamServer) -> None:
    listener = Listener(server.url, idle=60.0)
    assert listener.stream.wait_connected(WAIT)
    before = time.monotonic()
    listener.stream.stop()
    listener.stream.stop()
    assert not listener.stream._thread.is_alive()
    assert time.monotonic() - before < WAIT


def test_a_stream_that_cannot_connect_says_why_and_can_be_stopped() -> None:
    listener = Listener(f"http://127.0.0.1:{unused_port()}")
    assert not listener.stream.wait_connected(0.1)
    listener.stream.stop()
    assert listener.stream.trouble == "no connection could be made"
    assert not listener.stream._thread.is_alive()


def test_a_stream_that_was_never_started_can_be_stopped() -> None:
    EventStream(
        api_url="http://127.0.0.1:1",
        token=AccessToken(TOKEN),
        product=None,
        on_event=lambda event: None,
        clock=lambda: 0.0,
        dice=random.Random(1),
    ).stop()


@pytest.mark.parametrize("data", ["", "null", "[]", "{", '{"coreid":5}', '{"data":{}}', "\ud800", "[" * 100_000])
def test_an_envelope_of_another_shape_is_no_event(data: str) -> None:
    assert event_from(ServerEvent(name="spark/status", data=data)) is None


@pytest.mark.parametrize("published", ["yesterday", "", "0001-01-01T00:00:00+23:59"])
def test_an_event_with_a_senseless_time_has_none(published: str) -> None:
    event = event_from(ServerEvent(name="a", data=json.dumps({"coreid": "api", "published_at": published})))
    assert event == CloudEvent(name="a", data="", device_id=None, published_at=None) or published.startswith("0001")


class OneOpening(RequestBudget):
    """A budget on a clock that stands still, with one opening; it notes for how long somebody is told to wait."""

    def __init__(self) -> None:
        openings = Allowance(requests=2, window_seconds=300, at_once=1)
        super().__init__(clock=lambda: 1000.0, sleep=lambda _: None, openings=openings)
        self.told_to_wait: queue.Queue[float] = queue.Queue()

    def take_opening(self) -> float:
        pause = super().take_opening()
        if pause:
            self.told_to_wait.put(pause)
        return pause


def test_streams_of_one_address_share_what_may_be_opened(server: StreamServer) -> None:
    budget = OneOpening()
    first = Listener(server.url, budget=budget)
    assert first.stream.wait_connected(WAIT)
    second = Listener(server.url, product="other", budget=budget)
    assert budget.told_to_wait.get(timeout=WAIT) == 300
    second.stream.stop()
    first.stream.stop()
    assert len(server.paths) == 1
    assert not second.stream._thread.is_alive(), "waiting for a slot does not keep it from being stopped"


def test_a_stream_that_is_turned_away_as_one_too_many_keeps_the_silence_that_the_cloud_asks_for() -> None:
    server, budget = PretendServer(), OneOpening()
    server.answers = [Answer(status=429, headers={"Retry-After": "77"})]
    listener = Listener(server.url, budget=budget)
    assert budget.told_to_wait.get(timeout=WAIT) >= 77
    listener.stream.stop()
    server.close()
    assert len(server.seen) == 1
