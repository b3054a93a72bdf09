"""A careless proxy in front of a cloud: it passes requests on, and now and then sends back what it was sent."""

from __future__ import annotations

import itertools
import json
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Echo = tuple[int, str, bytes, dict[str, str]]
"""Status, type, body, headers."""


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


ECHOES: dict[str, Callable[[str], Echo]] = {
    "a refusal in JSON": lambda sent: (400, "application/json", json.dumps({"error": f"bad: {sent}"}).encode(), {}),
    "JSON with escapes": lambda sent: (400, "application/json", f'{{"error":"{_escaped(sent)}"}}'.encode(), {}),
    "a page": lambda sent: (200, "text/html", f"<pre>Authorization: {sent}</pre>".encode(), {"X-Echo": sent}),
    "a page in base64": lambda sent: (502, "text/html", b"<p>" + b64encode(f"sent: {sent}".encode()) + b"</p>", {}),
    "a page that wraps": lambda sent: (500, "text/html", f"<pre>{sent[:27]}\n{sent[27:]}</pre>".encode(), {}),
    "a page that is cut off": lambda sent: (503, "text/html", sent[:-9].encode(), {}),
    "too many requests": lambda sent: (429, "text/plain", sent.encode(), {"Retry-After": "0"}),
    "a way on": lambda sent: (302, "text/plain", b"", {"Location": f"http://127.0.0.1:9/?was={sent.split()[-1]}"}),
    "a time-out": lambda sent: (408, "application/json", json.dumps({"info": sent}).encode(), {}),
    "JSON of another shape": lambda sent: (200, "application/json", json.dumps({"you": sent}).encode(), {}),
    "a yes in its words": lambda sent: (
        200,
        "application/json",
        json.dumps({"ok": True, "status": sent, "desired_firmware_version": sent, "version": sent}).encode(),
        {},
    ),
    "a no": lambda sent: (401, "application/json", json.dumps({"error_description": sent}).encode(), {"X": sent}),
}


class EchoingProxy:
    """`turn` picks the echo for a request, or None: it is passed on. `echoed` counts what was sent back."""

    def __init__(self, upstream: str) -> None:
        self.turn: Callable[[str, str], str | None] = lambda _method, _path: None
        self.echoed: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                name = outer.turn(self.command, self.path)
                if name is not None and "Authorization" in self.headers:
                    outer.echoed.append(name)
                    self._give(*ECHOES[name](self.headers["Authorization"]))
                    return
                passed = {
                    each: self.headers[each] for each in ("Authorization", "Content-Type") if each in self.headers
                }
                request = urllib.request.Request(
                    upstream + self.path, data=body or None, headers=passed, method=self.command
                )
                try:
                    with urllib.request.urlopen(request, timeout=20) as answer:
                        self._give(answer.status, answer.headers["Content-Type"], answer.read(), _date(answer.headers))
                except urllib.error.HTTPError as error:
                    self._give(error.code, error.headers["Content-Type"], error.read(), _date(error.headers))

            do_GET = do_PUT = do_POST = _any  # noqa: N815  # http.server looks for these names

            def _give(self, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
                self.send_response_only(status)
                for header in ({"Content-Type": kind, "Content-Length": str(len(body))} | headers).items():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(body)

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

    def echo_every(self, number: int, *names: str) -> None:
        """Answer every so many-th request, and every opening of a stream, with one of these echoes in turn."""
        requests, turns = itertools.count(1), itertools.cycle(names)
        self.turn = lambda _method, path: next(turns) if "/events/" in path or next(requests) % number == 0 else None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _date(headers: Any) -> dict[str, str]:
    return {"Date": headers["Date"]} if headers["Date"] else {}


@contextmanager
def echoing_proxy(upstream: str) -> Iterator[EchoingProxy]:
    """A proxy for as long as the context lasts."""
    proxy = EchoingProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
