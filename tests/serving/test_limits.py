"""Whoever asks may be slow, many or large: each is cut off by a limit, and the others are answered."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.serving.connection import LimitedConnection
from reconciler.serving.endpoint import WEBHOOK_BYTES_MAX, WORD_BYTES_MAX
from reconciler.settings.settings import Role, ServingSettings
from tests.serving.desk import FLEET, TOKENS, Client, FakeDesk, serving, settings_in

HEAD = f"POST /v1/words/halt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKENS[Role.OPERATE]}\r\n"


class Impatient(LimitedConnection):
    head_seconds_max = 1.0
    write_seconds_max = 0.3


class Few(LimitedConnection):
    connections_max = 3


@contextlib.contextmanager
def connected(client: Client, **options: Any) -> Iterator[socket.socket]:
    made = socket.socket()
    for name, value in options.items():
        made.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    made.settimeout(20)
    made.connect(client.address)
    with made:
        yield made


def until_closed(connection: socket.socket) -> bytes:
    """All that comes; a test that is not cut off fails by the socket's own time-out."""
    found = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while chunk := connection.recv(65536):
            found += chunk
    return found


@pytest.fixture
def impatient(settings: ServingSettings) -> Iterator[Client]:
    with serving(settings, connection=Impatient, body_seconds_max=1.0) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "most"), [("/v1/words/halt", WORD_BYTES_MAX), ("/v1/webhooks/github", WEBHOOK_BYTES_MAX)]
)
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(client: Client, path: str, most: int) -> None:
    with connected(client) as connection:
        head = HEAD.replace("/v1/words/halt", path) + f"Content-Length: {most + 1}\r\n\r\n"
        connection.sendall(head.encode())
        answer = until_closed(connection)
    assert b" 413 " in answer.splitlines()[0]
    assert b"PFR6915" in answer


def test_a_body_that_turns_out_too_large_is_refused_too(client: Client) -> None:
    with connected(client) as connection:
        connection.sendall((HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode())
        for _ in range(5):
            connection.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        assert b" 413 " in until_closed(connection).splitlines()[0]


def test_a_body_of_just_the_limit_is_read(client: Client) -> None:
    body = b'{"fleets": ["%s"]}' % FLEET.encode()
    headers = {"Content-Type": "application/json"}
    said = client.ask("POST", "/v1/words/halt", headers=headers, data=body.ljust(WORD_BYTES_MAX))
    assert said.status_code == 200


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\n", b"G"])
def test_a_head_that_does_not_come_ends_the_connection(impatient: Client, sent: bytes) -> None:
    with connected(impatient) as connection:
        connection.sendall(sent)
        assert until_closed(connection) == b""


def test_a_head_that_trickles_ends_the_connection(impatient: Client) -> None:
    with connected(impatient) as connection:
        ended = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    connection.sendall(b"X")

        trickling = threading.Thread(target=trickle)
        trickling.start()
        assert until_closed(connection) == b""
        ended.set()
        trickling.join()


def test_the_second_head_of_a_connection_has_the_same_time(impatient: Client) -> None:
    with connected(impatient) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in connection.recv(65536)
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert b"HTTP" not in until_closed(connection)


def test_a_head_that_is_too_large_is_refused(client: Client) -> None:
    with connected(client) as connection, contextlib.suppress(OSError):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000)
        assert b"200" not in until_closed(connection)


def test_a_body_that_does_not_come_is_answered(impatient: Client) -> None:
    with connected(impatient) as connection:
        connection.sendall((HEAD + "Content-Length: 9\r\n\r\n{").encode())
        answer = until_closed(connection)
    assert b" 408 " in answer.splitlines()[0]
    assert b"PFR6917" in answer


def test_a_body_that_nobody_reads_does_not_keep_the_connection(impatient: Client) -> None:
    with connected(impatient) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        ended = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    connection.sendall(b"X")

        trickling = threading.Thread(target=trickle)
        trickling.start()
        assert b"200 OK" in until_closed(connection)
        ended.set()
        trickling.join()


class LargeDesk(FakeDesk):
    def plan_text(self, fleet: str | None = None) -> str | None:
        return "x" * 50_000_000


def test_a_client_that_does_not_take_its_answer_is_cut_off(tmp_path: Path) -> None:
    ask = HEAD.replace("POST /v1/words/halt", "GET /v1/plans") + "Accept: text/plain\r\n\r\n"
    settings = settings_in(tmp_path)
    with (
        serving(settings, LargeDesk(), connection=Impatient) as client,
        connected(client, SO_RCVBUF=4096) as connection,
    ):
        connection.sendall(ask.encode())
        assert connection.recv(16) == b"HTTP/1.1 200 OK\r"
        held = client.server._server.server_state.connections
        deadline = time.monotonic() + 20
        while held and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not held
        assert client.get("/healthz").status_code == 200
        assert len(until_closed(connection)) < 50_000_000


def test_one_connection_too_many_is_closed_and_the_next_may_come_when_one_has_gone(settings: ServingSettings) -> None:
    with serving(settings, connection=Few) as client, contextlib.ExitStack() as stack:
        first = [stack.enter_context(connected(client)) for _ in range(3)]
        for connection in first:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in connection.recv(65536)
        with connected(client) as refused:
            assert until_closed(refused) == b""
        first[0].close()
        deadline = time.monotonic() + 20
        answered = False
        while not answered and time.monotonic() < deadline:
            with connected(client) as another, contextlib.suppress(OSError):
                another.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answered = b"200 OK" in another.recv(65536)
        assert answered


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"]
)
def test_what_is_no_http_harms_nobody(impatient: Client, junk: bytes) -> None:
    with connected(impatient) as connection:
        connection.sendall(junk)
        assert b"200" not in until_closed(connection).split(b"\r\n")[0]
    assert impatient.get("/healthz").status_code == 200


def test_an_upgrade_to_another_protocol_is_not_made(client: Client) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"}
    assert client.get("/v1/status", headers=headers).status_code == 200
