"""The event stream of one product, or of the token's own devices, kept open by a thread of its own (facts 5.8).

The rules:
- Events are hints and get lost: the cloud repeats nothing that was missed. Nobody may rely on hearing one.
- Nothing that the cloud or the network does reaches the caller as an exception. The stream tries for ever, with pauses
  that grow while connections do not last. Every opening takes a slot of the budget, which all streams of an address
  share: the vendor's limit is 100 in 5 minutes (facts 5.12), however many products there are.
- Silence for 30 s ends a connection; the cloud sends keep-alives far more often.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import random
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec
import requests
import urllib3.exceptions

from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.particle.budget import RequestBudget
from reconciler.particle.failure import clause, retry_after_seconds
from reconciler.particle.records import usable_device_id
from reconciler.particle.session import checked_api_url, new_session
from reconciler.particle.sse import EventParser, ServerEvent
from reconciler.particle.token import AccessToken, TokenSource

EVENT_PREFIX: Final = "spark"
"""Only what the cloud and Device OS say; the events of applications can be many and say nothing to us. Those that a
fleet expects have a stream of their own for each name: two streams of a few events cost less than one of all."""

_CHUNK_BYTES: Final = 64 * 1024
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One event. `data` is as sent; `published_at` by the cloud's clock, None when it is missing or no date."""

    name: str
    data: str
    device_id: DeviceId | None
    published_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPatience:
    """Seconds. A pause doubles from `pause_first` to `pause_max` until a connection has lasted `lasting`."""

    connect: float = 15.0
    idle: float = 30.0
    pause_first: float = 2.0
    pause_max: float = 60.0
    lasting: float = 30.0


class _Envelope(msgspec.Struct, frozen=True):
    data: str | None = None
    coreid: str | None = None
    published_at: str | None = None


def event_from(event: ServerEvent) -> CloudEvent | None:
    """What an event of the stream says, or None when its envelope is not the documented one."""
    try:
        envelope = msgspec.json.decode(event.data.encode("utf-8", errors="replace"), type=_Envelope)
    except (msgspec.DecodeError, RecursionError):
        return None
    published_at = None
    if envelope.published_at is not None:
        with contextlib.suppress(ValueError, OverflowError):
            published_at = instant_from_iso(envelope.published_at)
    device_id = usable_device_id(envelope.coreid or "")
    return CloudEvent(
        name=event.name,
        data=envelope.data or "",
        device_id=None if device_id is None else DeviceId(device_id),
        published_at=published_at,
    )


class EventStream:
    """Listens from `start` to `stop`. The callbacks run on the stream's own thread and must be quick.

    `on_gap` is called whenever there is a gap in what is heard: before the first event of a connection, and when one
    has ended or was not made. Nothing that was missed is repeated: only a look at the devices tells.

    `prefix` is how the names of the events begin that are heard.
    `budget` is that of the address; without one this stream believes itself to be alone there.
    `clock` is monotonic in seconds; `dice` spreads the pauses. `trouble` says why there is no connection, or is empty.
    """

    def __init__(
        self,
        *,
        api_url: str,
        token: TokenSource,
        product: str | None,
        prefix: str = EVENT_PREFIX,
        on_event: Callable[[CloudEvent], object],
        on_gap: Callable[[], None] = lambda: None,
        clock: Callable[[], float],
        dice: random.Random,
        budget: RequestBudget | None = None,
        patience: StreamPatience | None = None,
        proxies: Mapping[str, str] | None = None,
        trust: str | None = None,
    ) -> None:
        scope = "devices" if product is None else f"products/{quote(product, safe='')}"
        self._url = f"{checked_api_url(api_url)}/v1/{scope}/events/{quote(prefix, safe='')}"
        self._token = token
        self._on_event = on_event
        self._on_gap = on_gap
        self._clock = clock
        self._dice = dice
        self._patience = patience or StreamPatience()
        self._budget = budget or RequestBudget(clock=clock, sleep=lambda _: None)
        self._session = new_session(proxies=proxies, trust=trust)
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._lock = threading.Lock()
        self._response: requests.Response | None = None
        self._connections = 0
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="particle-events", daemon=True)

    def start(self) -> None:
        """Begin to listen. Returns at once; `wait_connected` says when there is a connection."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End the connection and the thread. After it the callback is not called any more. Safe to call twice."""
        self._stopping.set()
        with self._lock:
            response = self._response
        if response is not None:
            # Closing does not wake a thread that waits for bytes; ending the socket's read side does.
            with contextlib.suppress(ValueError, RuntimeError, OSError):
                response.raw.shutdown()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)
        self._session.close()

    def wait_connected(self, timeout_seconds: float) -> bool:
        """Wait for a connection; whether there is one."""
        return self._connected.wait(timeout_seconds)

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now."""
        return self._connected.is_set()

    @property
    def connections(self) -> int:
        """How many connections were made so far."""
        return self._connections

    @property
    def trouble(self) -> str:
        """Why the last connection ended or was not made; empty while connected."""
        return "" if self.connected else self._trouble

    def _run(self) -> None:
        failures = 0
        while self._may_open():
            opened_at = self._clock()
            self._listen_once()
            self._connected.clear()
            if not self._stopping.is_set():
                self._guarded(self._on_gap)
            failures = 0 if self._clock() - opened_at >= self._patience.lasting else failures + 1
            pause = min(self._patience.pause_max, self._patience.pause_first * 2 ** min(max(failures - 1, 0), 16))
            self._stopping.wait(pause * self._dice.uniform(0.75, 1.25))

    def _may_open(self) -> bool:
        """Wait for a slot; False: the stream was stopped."""
        while not self._stopping.is_set():
            pause = self._budget.take_opening()
            if not pause:
                return True
            self._stopping.wait(pause)
        return False

    def _listen_once(self) -> None:
        try:
            token = self._token.current()
            response = self._session.get(
                self._url,
                params={"nonce": self._dice.randrange(1 << 32)},
                headers={"Accept": "text/event-stream"},
                auth=token.authorise,
                stream=True,
                allow_redirects=False,
                timeout=(self._patience.connect, self._patience.idle),
            )
            try:
                self._follow(response, token)
            finally:
                with self._lock:
                    self._response = None
                response.close()
        except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            self._trouble = self._token.redacted(clause(error))
        except Exception:  # noqa: BLE001  # the thread must outlive whatever a stranger sends; what it was is logged
            self._trouble = "an error of ours, see the log"
            self._log("the event stream met an error of ours")

    def _follow(self, response: requests.Response, token: AccessToken) -> None:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if response.status_code != HTTPStatus.OK or kind != "text/event-stream":
            said = self._token.redacted(kind) or "without a type"
            self._trouble = f"the cloud answered {response.status_code} {said}"
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                self._budget.open_none(retry_after_seconds(response.headers) or 0.0)
            elif response.status_code == HTTPStatus.UNAUTHORIZED:
                self._token.renewed(token)
            return
        with self._lock:
            self._response = response
        if self._stopping.is_set():
            return
        self._connections += 1
        self._guarded(self._on_gap)
        self._connected.set()
        parser = EventParser()
        while portion := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            for event in map(event_from, parser.feed(portion)):
                if self._stopping.is_set():
                    return
                if event is not None:
                    self._guarded(self._on_event, event)
        self._trouble = "the cloud ended the stream"

    def _guarded(self, callback: Callable[..., object], *told: CloudEvent) -> None:
        try:
            callback(*told)
        except Exception:  # noqa: BLE001  # a listener's error must not end the listening of the others
            self._log("a listener of the event stream failed")

    def _log(self, what: str) -> None:
        """Where it happened, without the token: the frames of libraries and their words may hold the header."""
        _LOG.error("%s\n%s", what, self._token.redacted(traceback.format_exc()))
