"""A server in a thread of the controller: it starts or says why not, and it stops within its time."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette

from reconciler.model.error import OperatorError
from reconciler.serving.application import event_buffer_of
from reconciler.serving.certificate import Certificate
from reconciler.serving.connection import HEAD_BYTES_MAX, HEAD_SECONDS_MAX, LimitedConnection
from reconciler.serving.loopback import is_loopback
from reconciler.settings.settings import ServingSettings

_LOG: Final = logging.getLogger(__name__)

_START_SECONDS_MAX: Final = 10.0
_CANCELLED_SECONDS_MAX: Final = 1.0
"""After the time to stop is over and what is left was cancelled."""
_BACKLOG: Final = 128


class Server:
    """Serves an application by the settings. `url` is where, once it is started.

    `grace_seconds`: from `stop` on, requests that are under way may end. `connection` is for tests with other limits.
    """

    def __init__(
        self,
        application: Starlette,
        settings: ServingSettings,
        *,
        grace_seconds: float = 5.0,
        connection: type[LimitedConnection] = LimitedConnection,
    ) -> None:
        self._settings = settings
        self._grace_seconds = grace_seconds
        self._events = event_buffer_of(application)
        self._certificate: Certificate | None = None
        if settings.certificate_file is not None or settings.key_file is not None:
            self._certificate = Certificate(settings.certificate_file or "", settings.key_file or "")
        self._started = threading.Event()
        self._server = _UvicornServer(self._config(application), connection, when_started=self._started.set)
        self._thread = threading.Thread(target=self._run, name="serving", daemon=True)
        self.url = ""

    def start(self) -> None:
        """Listen and serve, in a thread. Raises OperatorError PFR6926: the address cannot be had."""
        listening = _listening(self._settings)
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'http' if self._certificate is None else 'https'}://{shown}:{port}"
        if self._certificate is None and not is_loopback(self._settings.host):
            _LOG.warning("%s is reached by other machines without TLS: tokens can be read on the way", self.url)
        self._server.listening = listening
        self._server.tls = None if self._certificate is None else self._certificate.context()
        self._thread.start()
        self._started.wait(_START_SECONDS_MAX)
        if not self._server.started:
            self.stop()
            raise OperatorError("PFR6926", f"{self.url} was not served within {_START_SECONDS_MAX:g} seconds")

    def stop(self) -> bool:
        """Take no more, let what is under way end for the time of grace, and cut the rest off. Whether it has ended."""
        self._events.close()
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(self._grace_seconds + _CANCELLED_SECONDS_MAX)
        return not self._thread.is_alive()

    @property
    def is_serving(self) -> bool:
        """Whether the thread lives and answers."""
        return self._thread.is_alive() and self._server.started

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _config(self, application: Starlette) -> uvicorn.Config:
        return uvicorn.Config(
            application,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=max(1, round(self._grace_seconds)),
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve())
        finally:
            self._server.listening.close()
            self._started.set()


class _UvicornServer(uvicorn.Server):
    """uvicorn with our connections on our socket. In a thread that is not the main one it leaves signals alone."""

    listening: socket.socket
    tls: ssl.SSLContext | None = None

    def __init__(
        self, config: uvicorn.Config, connection: type[LimitedConnection], *, when_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._connection = connection
        self._when_started = when_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  # as uvicorn has it
        """As uvicorn's own, with a limit on the handshake of TLS, which it leaves at a minute."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            self.should_exit = True
            return
        server = await asyncio.get_running_loop().create_server(
            self._connected,
            sock=self.listening,
            backlog=_BACKLOG,
            ssl=self.tls,
            ssl_handshake_timeout=None if self.tls is None else HEAD_SECONDS_MAX,
        )
        self.servers = [server]
        self.started = True
        self._when_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own; who is still there when the time is over is cut off."""
        await super().shutdown(sockets)
        for connection in [*self.server_state.connections]:
            connection.transport.abort()
        await asyncio.sleep(0)

    def _connected(self) -> LimitedConnection:
        return self._connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _listening(settings: ServingSettings) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        # asyncio sends small answers at once only on sockets that name their protocol.
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise OperatorError(
            "PFR6926",
            f"{settings.host} port {settings.port} cannot be had: {error.strerror or type(error).__name__}",
            next_step="end what listens there, or give another `serving.host` or `serving.port`",
        ) from None
    return listening
