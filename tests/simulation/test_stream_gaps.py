"""A stream that breaks off again and again, and events that get lost besides: looking at the devices is enough."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.simulation.stage import MIXED_DEVICES, Stage, set_stage

PRODUCTS = ("cold-chain", "home-hub", "door-sensors")


class CuttingProxy:
    """Passes everything on, and resets an event stream after so many bytes of it."""

    def __init__(self, url: str, stream_bytes: int) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname or "", parts.port or 0)
        self._stream_bytes = stream_bytes
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.streams = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._to) as server:
            request = client.recv(65536)
            is_stream = b"/events/" in request.partition(b"\r\n")[0]
            self.streams += is_stream
            server.sendall(request)
            if not is_stream:
                threading.Thread(target=self._copy, args=(client, server), daemon=True).start()
            self._copy(server, client, at_most=self._stream_bytes if is_stream else None)

    def _copy(self, source: socket.socket, sink: socket.socket, at_most: int | None = None) -> None:
        with contextlib.suppress(OSError):
            passed = 0
            while (at_most is None or passed < at_most) and (portion := source.recv(65536)):
                sink.sendall(portion)
                passed += len(portion)
            sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    rollout = '{maxConcurrent: "100%", maxFailures: "100%", stepDeadline: 15m}'
    with set_stage(tmp_path, devices=MIXED_DEVICES, products=PRODUCTS, speed=900.0, rollout=rollout) as stage:
        yield stage


@pytest.mark.parametrize("stream_bytes", [1, 2000])
def test_a_stream_that_is_reset_again_and_again_costs_no_module_and_no_truth(stage: Stage, stream_bytes: int) -> None:
    stage.fault("events-dropped", rate=0.5)
    proxy = CuttingProxy(stage.url, stream_bytes)
    try:
        ended = stage.run("apply", url=proxy.url)
    finally:
        proxy.close()
    assert ended.code == 0, ended.err
    assert proxy.streams > len(PRODUCTS)
    assert stage.installed_more_than_once() == {}
    assert stage.open_attempts() == ()
    assert stage.run("drift").code == 0
    stage.assert_nothing_wrong()
