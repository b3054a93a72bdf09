"""The whole client and the whole pretend cloud in one thread and in virtual time: no socket, no server, no waiting.

Everything between the API's methods and the controller is the client of production: typed calls, judging of answers,
retries, the budget, eyes, hands, evidence, journal, passes. Only three things are replaced: connections (a request goes
to the emulated cloud as a value), time (it moves where somebody waits, and nowhere else), and the pool (a step at a
time). One seed, one history; a virtual hour takes as long as its requests.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from reconciler.controller.agreement import Agreement, agreement_on
from reconciler.controller.apply import Rest, run_to_rest
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.pace import pause_after
from reconciler.controller.run import Run, Scope, Tools, ask_nobody
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.cloud import Cloud
from reconciler.emulator.events import Listener
from reconciler.emulator.message import Answer, Manner, Request
from reconciler.emulator.world import World, load_world
from reconciler.execution.binaries import CloudBinaries
from reconciler.execution.cloud import CloudExecutor
from reconciler.execution.executor import Executor
from reconciler.execution.product import CloudProductHands, ProductHands
from reconciler.firmware.known import known_catalog
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.inventory import Inventory
from reconciler.inventory.merge import merged
from reconciler.inventory.signs import Signs
from reconciler.inventory.vitals import CloudVitals
from reconciler.journal.journal import Journal
from reconciler.model.allowance import REQUESTS
from reconciler.model.event import Event
from reconciler.model.fleet import FleetSet
from reconciler.model.health import CheckAnswer, CheckQuestion, HealthCheck
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.particle.api import PAGE_SIZE, ParticleApi
from reconciler.particle.budget import RequestBudget
from reconciler.particle.http import CloudWire
from reconciler.particle.sse import EventParser
from reconciler.particle.stream import EVENT_PREFIX, CloudEvent, event_from
from reconciler.particle.token import AccessToken
from reconciler.planning.answer import Answers
from reconciler.planning.planner import plan_fleets
from reconciler.sources import read_manifests

TOKEN = "7e57" * 10
URL = "http://cloud.test"
_ASK_AGAIN_SECONDS = 10.0
START = Instant(1_795_338_000.0)


@cache
def synthetic_binaries() -> EmulatedBinaries:
    """The binaries of every emulated cloud here: building their catalog takes a second."""
    return EmulatedBinaries(known_catalog())


class VirtualCloud:
    """An emulated cloud, and the time on it, in seconds since 1970."""

    def __init__(
        self, world: str | World, *, seed: int = 7, page_size: int = PAGE_SIZE, start: Instant = START
    ) -> None:
        self.now = start
        self.cloud = Cloud(
            load_world(world) if isinstance(world, str) else world,
            start=start,
            seed=seed,
            binaries=synthetic_binaries(),
            read_file=_no_file,
        )
        self.cloud.state.base_url = URL
        self.page_size = page_size
        self.catalog = synthetic_binaries().catalog
        self._prepared: dict[object, requests.PreparedRequest] = {}
        self.ears: list[Callable[[], None]] = []
        """Called whenever time has moved: what the event streams have brought by then is heard."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now = Instant(self.now + seconds)
        self.cloud.run_until(self.now)
        for hear in self.ears:
            hear()

    def clock(self) -> Instant:
        """What time it is on the client's wall."""
        return self.now

    def monotonic(self) -> float:
        """A clock that nobody sets."""
        return self.now

    def before_request(self, request: Request) -> None:
        """A request is about to reach the cloud."""

    def after_request(self, request: Request) -> None:
        """The cloud has done what it does on a request; the client does not know yet."""

    def whole_seconds_of_quiet(self) -> float:
        """For how many whole seconds, at least one, nothing happens in the cloud by itself."""
        next_at = self.cloud.next_at
        return math.inf if next_at is None else max(1.0, math.ceil(next_at - self.now))

    def api(self, *, token: str = TOKEN, seed: int = 7) -> ParticleApi:
        """The client of production, with connections that lead here."""
        wire = CloudWire(
            api_url=URL,
            token=AccessToken(token),
            budget=RequestBudget(clock=self.monotonic, sleep=self.sleep),
            clock=self.monotonic,
            sleep=self.sleep,
            dice=random.Random(seed),
        )
        wire._session.mount("http://", _Connections(self))  # no sockets in virtual time
        _prepare_reads_once(wire._session, token, self._prepared)
        return ParticleApi(wire, page_size=self.page_size)

    def listen(self, product: str | None, hearing: Hearing) -> Callable[[], None]:
        """The event streams of a product, which never break off until the client closes them by what this returns.

        One that the cloud does not open is asked for again, as time goes on.
        """
        scope = "devices" if product is None else f"products/{product}"
        streams = [_Stream(self, f"/v1/{scope}/events/{quote(EVENT_PREFIX, safe='')}", hearing.hear, hearing.miss)]
        for prefix in hearing.signs.streams:
            path = f"/v1/{scope}/events/{quote(prefix, safe='')}"
            streams.append(_Stream(self, path, hearing.signs.hear, hearing.miss))
        for prefix, stream in zip((EVENT_PREFIX, *hearing.signs.streams), streams, strict=True):
            hearing.signs.attach(prefix, partial(getattr, stream, "is_open"))
            self.ears.append(stream.hear)

        def close() -> None:
            for stream in streams:
                self.ears.remove(stream.hear)
                stream.close()

        return close


class _Stream:
    """One stream, and what the client does with an event, or when it missed some."""

    def __init__(
        self,
        virtual: VirtualCloud,
        path: str,
        on_event: Callable[[CloudEvent], object],
        on_gap: Callable[[], object],
    ) -> None:
        self._request = Request(method="GET", path=path, headers=_authorised(TOKEN))
        self._virtual = virtual
        self._on_event = on_event
        self._on_gap = on_gap
        self._parser = EventParser()
        self._again_at = 0.0
        self._listener: Listener | None = None
        self._open()

    @property
    def is_open(self) -> bool:
        """Whether the client listens now."""
        return self._listener is not None

    def hear(self) -> None:
        """Take what has come by now."""
        if self._listener is None:
            if self._virtual.now >= self._again_at:
                self._open()
                self._on_gap()
            return
        for said in self._parser.feed(self._listener.take()):
            event = event_from(said)
            if event is not None:
                self._on_event(event)

    def close(self) -> None:
        """The connection is gone."""
        if self._listener is not None:
            self._listener.close()

    def _open(self) -> None:
        self._listener = self._virtual.cloud.handle(self._request, self._virtual.now).listener
        self._again_at = self._virtual.now + _ASK_AGAIN_SECONDS


class _Connections(BaseAdapter):
    """Requests as values to the emulated cloud, and its answers as the library would have received them."""

    def __init__(self, virtual: VirtualCloud) -> None:
        super().__init__()
        self._virtual = virtual
        self._one_at_a_time = threading.Lock()

    def send(self, request: requests.PreparedRequest, *_: Any, timeout: Any = None, **__: Any) -> requests.Response:
        """One request. Raises what the library raises for connections that break off or say nothing."""
        parts = urlsplit(request.url or "")
        body = request.body or b""
        asked = Request(
            method=request.method or "GET",
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body.encode() if isinstance(body, str) else body,
        )
        self._virtual.before_request(asked)
        # Pages of a list are read by several threads.
        with self._one_at_a_time:
            answer = self._virtual.cloud.handle(asked, self._virtual.now)
        self._virtual.after_request(asked)
        if answer.delay_seconds:
            self._virtual.sleep(answer.delay_seconds)
        match answer.manner:
            case Manner.SILENT:
                self._virtual.sleep(timeout[1])
                raise requests.exceptions.ReadTimeout(
                    ReadTimeoutError(urllib3.HTTPConnectionPool("cloud.test"), "", "")
                )
            case Manner.BROKEN:
                raise requests.exceptions.ConnectionError(ProtocolError("Connection broken"))
            case Manner.PROPER:
                return self._received(request, answer)

    def close(self) -> None:
        """Nothing to close."""

    def _received(self, request: requests.PreparedRequest, answer: Answer) -> requests.Response:
        response = requests.Response()
        response.request, response.url, response.status_code = request, request.url or "", answer.status
        response.headers.update(
            {"content-type": answer.content_type, "date": formatdate(self._virtual.now, usegmt=True)}
        )
        response.headers.update(answer.headers)
        response.raw = _Content(answer.body)
        return response


def _prepare_reads_once(session: requests.Session, token: str, known: dict[object, requests.PreparedRequest]) -> None:
    """A request that only reads is prepared by the library the first time, and the next time is the same one.

    In a play of days the same few lists are asked for again and again, by one process after another.
    """
    prepare = session.prepare_request

    def prepared(request: requests.Request) -> requests.PreparedRequest:
        if request.method != "GET":
            return prepare(request)
        asked = (request.url, tuple(sorted(dict(request.params).items())), token if request.auth else None)
        if asked not in known:
            known[asked] = prepare(request)
        return known[asked]

    session.prepare_request = prepared  # type: ignore[method-assign]  # of this object alone


class _Content:
    """What the library would read of an answer from a connection."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read1(self, size: int, *, decode_content: bool) -> bytes:  # the emulator encodes nothing
        """So much of it at most; nothing at its end."""
        taken, self._content = self._content[:size], self._content[size:]
        return taken

    def close(self) -> None:
        """Nothing to close."""


class OneAtATime(Pool):
    """A pool that does at once what it is given."""

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        """Do it, and keep what came of it."""
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except BaseException as error:  # noqa: BLE001  # whoever asks for the result gets it
            future.set_exception(error)
        return future


@dataclass(kw_only=True)
class Play:
    """One client over one virtual cloud: `agree` as a person would, then `carry_out` as `apply` does."""

    virtual: VirtualCloud
    fleets: FleetSet
    journal: Journal
    poll_seconds: float | None = None
    seed: int = 7
    hands: Callable[[Executor], Executor] = lambda executor: executor
    product_hands: Callable[[ProductHands], ProductHands] = lambda hands: hands
    sight: Callable[[Inventory], Inventory] = lambda eyes: eyes
    ids: Iterator[int] = field(default_factory=lambda: count(1))
    run: Run | None = None
    ask: Callable[[HealthCheck, CheckQuestion], CheckAnswer] = ask_nobody
    events: list[Event] = field(default_factory=list)
    answers: Answers | None = None

    def __post_init__(self) -> None:
        self.api = self.virtual.api(seed=self.seed)
        self.answers = self.answers or Answers(self.virtual.catalog)
        self.streams: list[tuple[str | None, Hearing, Callable[[], None]]] = []
        self._news: list[bool] = []
        self._eyes: list[CloudInventory] = []
        self.scopes = [self._scope(product) for product in sorted({f.product for f in self.fleets.fleets}, key=str)]

    def agree(self) -> tuple[Plan, Agreement]:
        """What would be done now."""
        observation = merged([scope.inventory.observe() for scope in self.scopes], now=self.virtual.clock())
        known = Knowledge(self.journal).added_to_all(observation)
        plan = plan_fleets(self.fleets, known, self.virtual.catalog, now=self.virtual.clock(), answers=self.answers)
        return plan, agreement_on("plan-virtual", plan)

    def begin(self, agreement: Agreement) -> Run:
        """A run that has made no pass yet."""
        tools = Tools(
            journal=self.journal,
            catalog=self.virtual.catalog,
            agreement=agreement,
            new_id=lambda: f"attempt-{next(self.ids)}",
            tell=self.events.append,
            pool=OneAtATime(),
            ask=self.ask,
        )
        run = Run(tools=tools, knowledge=Knowledge(self.journal))
        if self.answers is not None:
            run.answers = self.answers
        self.run = run
        return run

    def carry_out(self, agreement: Agreement) -> tuple[Run, Rest]:
        """Passes until there is nothing more to come back for."""
        run, rest = self.begin(agreement), Rest()
        run_to_rest(run, self.scopes, rest, pause=self._pause)
        return run, rest

    def leave(self) -> None:
        """The process is gone: nobody listens any more."""
        for _, _, close in self.streams:
            close()
        self.streams.clear()

    def _pause(self, silence_seconds: float) -> None:
        looks = sum(eyes.requests_a_look for eyes in self._eyes)
        pause = pause_after(looks, REQUESTS.per_second, poll_seconds=self.poll_seconds, silence=silence_seconds)
        self.virtual.sleep(pause.at_least)
        end = self.virtual.now + pause.at_most - pause.at_least
        while not self._news and self.virtual.now < end:
            self.virtual.sleep(min(self.virtual.whole_seconds_of_quiet(), end - self.virtual.now))
        self._news.clear()

    def _scope(self, product: str | None) -> Scope:
        policies = [fleet.rollout.health for fleet in self.fleets.fleets if fleet.product == product]
        signs = Signs(
            events=(event.name for policy in policies for event in policy.events),
            paths=(bound.path for policy in policies for bound in policy.vitals),
        )
        hearing = Hearing(clock=self.virtual.clock, on_news=lambda: self._news.append(True), signs=signs)
        eyes = CloudInventory(self.api, product=product, hearing=hearing, clock=self.virtual.clock)
        self._eyes.append(eyes)
        self.streams.append((product, hearing, self.virtual.listen(product, hearing)))
        binaries = CloudBinaries(self.api)
        on_product = None if product is None else CloudProductHands(self.api, product=product, binaries=binaries)
        executor = CloudExecutor(self.api, product=product, binaries=binaries)
        return Scope(
            product=product,
            fleets=FleetSet(fleets=tuple(fleet for fleet in self.fleets.fleets if fleet.product == product)),
            inventory=self.sight(eyes),
            hearing=hearing,
            executor=self.hands(executor),
            fetch=executor.fetch,
            answered_at=lambda: self.api.wire.answered_at,
            ask_vitals=CloudVitals(self.api, product=product, signs=signs).ask,
            product_hands=None if on_product is None else self.product_hands(on_product),
        )


def fleets_from(folder: Path, files: Mapping[str, str]) -> FleetSet:
    """Write manifests into a folder and compile them."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return read_manifests([str(folder)]).compile()


def _authorised(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _no_file(name: str) -> bytes:
    raise FileNotFoundError(2, "no such file", name)
