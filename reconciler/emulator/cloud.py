"""The pretend cloud in motion: a request and the time go in, an answer comes out.

One request goes this way: what is due by now happens; then faults that keep a request from its effect; then limit,
token and scope; then the call itself; then faults that keep the answer from the client; then what a person does; then
the log. There are no threads in here, and no clock but the `now` that every call brings; `serve.py` has both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Final

from reconciler.emulator import device_calls, device_lists, product_calls
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.clock import Agenda
from reconciler.emulator.console import Act, Console
from reconciler.emulator.control_door import PREFIX, AdjustableClock, answer_at_door
from reconciler.emulator.device import Device
from reconciler.emulator.dice import Dice
from reconciler.emulator.events import Hub
from reconciler.emulator.evidence import Violation
from reconciler.emulator.faults import FaultOrder, Faults
from reconciler.emulator.keyring import Credential, Keyring
from reconciler.emulator.life import Life
from reconciler.emulator.limits import Kind, Limiter
from reconciler.emulator.message import Answer, ApiError, Manner, Request, bearer_token
from reconciler.emulator.noting import Noting, cloud_stations, intentions, product_named, reached
from reconciler.emulator.products import Product
from reconciler.emulator.records import Moment, RequestKind, RequestRecord
from reconciler.emulator.referee import judge
from reconciler.emulator.register import Register
from reconciler.emulator.router import Route, find_route
from reconciler.emulator.settlers import ReadFile, product_of, settle
from reconciler.emulator.state import Call, State
from reconciler.emulator.world import World
from reconciler.model.instant import Instant

SLOW_SECONDS: Final = (1.0, 4.0)
"""Real seconds that a slow answer takes."""

_PROXY_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Bad gateway</title></head>"
    b"<body><h1>The server is taking a break</h1><p>Please try again later.</p></body></html>"
)
_ABOUT_DEVICES: Final = (
    device_lists.list_own,
    device_lists.list_of_product,
    device_calls.get_device,
    device_calls.put_device,
)
_SERVER_ERRORS: Final = 500
_STALE: Final = ("stale-list", "stale-device")
_SKEW_SECONDS: Final = (300.0, 1800.0)
_SAYS_NOTHING: Final = ("garbage", "html", "device-timeout")
"""Faults whose answer does not say whether the request took effect."""


class Cloud:
    """A world that lives.

    `on_request` is told of every request after it is answered; `clock` is what the control door may adjust.
    """

    def __init__(
        self,
        world: World,
        *,
        start: Instant,
        seed: int,
        binaries: EmulatedBinaries,
        read_file: ReadFile,
        clock: AdjustableClock | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self._ordinals = count(1)
        self._agenda = Agenda()
        self._limiter = Limiter(world.rate_limit)
        self._clock = clock
        self._on_request = on_request
        self._revoked = False
        self._requests: list[RequestRecord] = []
        self._noting = Noting(binaries)
        self.rules = world.rules
        faults = Faults(seed)
        self._dice = faults.dice("requests", None)
        self._skew_seconds = _skew_seconds(faults.dice("clock-skew", None))
        claimed: dict[str, None] = {}
        hub = Hub(faults, self._next_ordinal, self._agenda, claimed)
        products = {line.id: product_of(line, binaries, read_file, start) for line in world.products}
        life = Life(
            products=products,
            binaries=binaries,
            hub=hub,
            agenda=self._agenda,
            faults=faults,
            ordinal=self._next_ordinal,
        )
        devices = Register(settle(world, products, binaries, claimed=claimed, seed=seed, now=start))
        self.state = State(
            keyring=Keyring.of_world(world.tokens, world.users, world.clients, faults.dice("tokens", None)),
            organisation=world.organisation,
            products=products,
            devices=devices,
            claimed=claimed,
            life=life,
            hub=hub,
            agenda=self._agenda,
            faults=faults,
            binaries=binaries,
            direct_system_flash=world.direct_system_flash,
        )
        self._console = Console(
            products=products,
            register=devices,
            faults=faults,
            life=life,
            agenda=self._agenda,
            ordinal=self._next_ordinal,
        )
        self._begin(world.faults, start)

    @property
    def requests(self) -> Sequence[RequestRecord]:
        """Every request so far."""
        return self._requests

    @property
    def acts(self) -> Sequence[Act]:
        """What people did in the console so far."""
        return self._console.acts

    @property
    def next_at(self) -> Instant | None:
        """When something happens next by itself, or None."""
        return self._agenda.next_at

    def run_until(self, now: Instant) -> None:
        """Let everything happen that is due by `now`."""
        self._agenda.run_until(now)

    def handle(self, request: Request, now: Instant) -> Answer:
        """Answer a request."""
        self.run_until(now)
        if request.path.startswith(PREFIX):
            try:
                return answer_at_door(request, self, self._clock, now)
            except ApiError as error:
                return error.answer()
        call = Call(
            request=request, ordinal=self._next_ordinal(), now=now, state=self.state, token=self._token(request, now)
        )
        answer, fault = self._answer(call)
        self._write_down(call, answer, fault)
        return answer

    def violations(self) -> tuple[Violation, ...]:
        """What the referee finds in all that has happened."""
        histories = {device.id: device.history for device in self.state.devices.values()}
        return judge(
            self._requests,
            histories,
            self.state.hub.deliveries,
            rules=self.rules,
            stations=cloud_stations(self.state.binaries.catalog),
        )

    def order_fault(self, order: FaultOrder, now: Instant) -> None:
        """Put a fault in place, or lift it with a rate of 0."""
        self.state.faults.order(order)
        if order.fault in _STALE:
            for device in self.state.devices.values():
                self._remember_record(device, now)
        self._console.open(now)
        if not self.state.faults.possible("token-revoked"):
            self._revoked = False

    def _begin(self, faults: Iterable[FaultOrder], start: Instant) -> None:
        """Let the devices live, and the world's faults be there."""
        life = self.state.life
        life.on_moment(self._after_moment)
        for device in self.state.devices.values():
            life.begin(device, start)
        for order in faults:
            self.order_fault(order, start)

    def _answer(self, call: Call) -> tuple[Answer, str | None]:
        """The answer, and the fault that spoilt it."""
        try:
            route = find_route(call)
        except ApiError as error:
            return error.answer(), None
        if route.handler in _ABOUT_DEVICES:
            device_calls.note_attempt(call)
        self._noting.note_more(call)
        stopped = self._without_effect(call)
        if stopped is not None:
            return stopped
        answer = self._carried_out(call, route)
        if call.request.method != "GET" and self.state.faults.strikes("doubled-request", call.device_id):
            ended: tuple[Answer, str | None] = self._carried_out(call, route), "doubled-request"
        else:
            ended = self._after_effect(call, answer)
        self._let_person_act(call)
        return ended

    def _carried_out(self, call: Call, route: Route) -> Answer:
        try:
            self._limiter.check(route.kind, call.now, self.state.hub.listener_count)
            self._check_token(call, route)
            before = intentions(call)
            answer = route.handler(call)
            call.reaches = call.reaches or reached(before, intentions(call))
        except ApiError as error:
            answer = error.answer()
        if route.kind is Kind.TOKEN_CREATION:
            self._limiter.note_login(answer.status, call.now)
        return answer

    def _let_person_act(self, call: Call) -> None:
        name = call.parameters.get("product")
        if name is None:
            return
        device = self.state.devices.get(call.device_id) if call.device_id is not None else None
        product = self._product_of(device) if device is not None else self._named_product(name)
        self._console.after_request(product, device, call.now)

    def _named_product(self, name: str) -> Product | None:
        try:
            return self.state.product(name)
        except ApiError:
            return None

    def _product_of(self, device: Device) -> Product | None:
        return self.state.products.get(device.product_id) if device.product_id is not None else None

    def _without_effect(self, call: Call) -> tuple[Answer, str] | None:
        """Faults that strike before the request has any effect."""
        strikes, device = self.state.faults.strikes, call.device_id
        if strikes("lost-request", device):
            return self._lost(), "lost-request"
        if strikes("html", device):
            return Answer(status=200, body=_PROXY_PAGE, content_type="text/html"), "html"
        if strikes("error-500", device):
            return ApiError(500, "server_error", "Something went wrong").answer(), "error-500"
        if strikes("rate-limit-storm", device):
            return ApiError(429, "Too many requests", "Slow down", Retry_After="2").answer(), "rate-limit-storm"
        if strikes("token-revoked", device):
            self._revoked = True
        if self.state.faults.possible("silence") and self._dice.coin() and strikes("silence", device):
            return Answer(status=200, manner=Manner.SILENT), "silence"
        if self._may_time_out(call) and self._dice.coin() and strikes("device-timeout", device):
            return _timed_out(), "device-timeout"
        return None

    def _after_effect(self, call: Call, answer: Answer) -> tuple[Answer, str | None]:
        """Faults that strike between the effect and the client."""
        strikes, device = self.state.faults.strikes, call.device_id
        if answer.listener is not None:
            return answer, None
        if self._may_time_out(call) and strikes("device-timeout", device):
            return _timed_out(), "device-timeout"
        if strikes("lost-answer", device):
            return self._lost(), "lost-answer"
        if strikes("silence", device):
            return replace(answer, manner=Manner.SILENT), "silence"
        if strikes("garbage", device):
            return Answer(status=200, body=b'{"devices": [{"id": "e00f\xff\xfe'), "garbage"
        if strikes("slow-answer", device):
            return replace(answer, delay_seconds=self._dice.uniform(*SLOW_SECONDS)), "slow-answer"
        if strikes("clock-skew", device):
            return replace(answer, date_skew_seconds=self._skew_seconds), "clock-skew"
        return answer, None

    def _may_time_out(self, call: Call) -> bool:
        return call.kind is RequestKind.FLASH and self.state.faults.possible("device-timeout")

    def _lost(self) -> Answer:
        if self._dice.coin():
            return Answer(status=200, manner=Manner.BROKEN)
        return Answer(status=502, body=_PROXY_PAGE, content_type="text/html")

    def _token(self, request: Request, now: Instant) -> Credential | None:
        token = bearer_token(request)
        return self.state.keyring.find(token, now) if token is not None else None

    def _check_token(self, call: Call, route: Route) -> None:
        scope = route.scope
        if scope is None:
            return
        token = call.token
        if token is None or self._revoked:
            raise ApiError(401, "invalid_token", "The access token provided is invalid.")
        if scope and token.scopes is not None and scope not in token.scopes:
            raise ApiError(403, "insufficient_scope", f"The token lacks the scope {scope}")
        if scope and token.product_id is not None and route.handler is not product_calls.list_products:
            product = call.product
            if product is None or product.id != token.product_id:
                raise ApiError(403, "insufficient_scope", "The token is good for one product alone, and not for this")

    def _write_down(self, call: Call, answer: Answer, fault: str | None) -> None:
        product = product_named(call)
        sent = answer.manner is Manner.PROPER
        readable = sent and fault not in _SAYS_NOTHING and answer.status < _SERVER_ERRORS
        record = RequestRecord(
            ordinal=call.ordinal,
            at=call.now,
            method=call.request.method,
            path=call.path_without_secrets,
            token=call.token.name if call.token else None,
            status=answer.status if sent else None,
            bytes=len(call.request.body),
            kind=call.kind,
            device=call.device_id,
            answered=readable,
            shows=call.shows if readable else (),
            artifact=call.artifact,
            lock_version=call.lock_version,
            flash_now=call.flash_now,
            reaches=call.reaches,
            product_id=product.id if product else None,
            product_platform_id=product.platform.id if product else None,
            fault=fault,
        )
        self._requests.append(record)
        if self._on_request is not None:
            self._on_request(record)

    def _after_moment(self, device: Device, now: Instant) -> None:
        self.state.devices.touched(device)
        if device.history[-1].moment is Moment.MARKED:
            self.state.devices.changed()
        self._remember_record(device, now)

    def _remember_record(self, device: Device, now: Instant) -> None:
        """While answers may be stale, keep how each device looked."""
        if self.state.faults.possible(*_STALE):
            record = device_lists.device_record(self.state, device, self._product_of(device))
            device.keep_record(now, record)

    def _next_ordinal(self) -> int:
        return next(self._ordinals)


def _skew_seconds(dice: Dice) -> float:
    """How far a clock is off, forwards or backwards."""
    return dice.uniform(*_SKEW_SECONDS) * (1 if dice.coin() else -1)


def _timed_out() -> Answer:
    return ApiError(408, "Timed out", "The device did not answer in time").answer()
