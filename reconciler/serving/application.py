"""The application over a desk: every request is checked, admitted and read the same way, whatever it asks for."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.controller.desk import Desk
from reconciler.model.error import BugError, ReconcilerError
from reconciler.serving.endpoint import Answers, Call, Endpoint
from reconciler.serving.events import EventBuffer
from reconciler.serving.hosts import Hosts
from reconciler.serving.openapi import openapi_document
from reconciler.serving.problem import RequestError, problem_response
from reconciler.serving.reading import Readings
from reconciler.serving.speaking import webhook_endpoints, word_endpoints
from reconciler.serving.tokens import Bearer, Tokens, Tries
from reconciler.settings.settings import GitSettings, ServingSettings

_LOG: Final = logging.getLogger(__name__)

BODY_SECONDS_MAX: Final = 10.0
"""For a whole body to come."""

_THREADS: Final = 8
"""Answers that are made at once. Each may read the journal for a while; the loop needs the machine more."""

_PROBES: Final = 2
"""Answers to health, readiness and metrics at once, in threads of their own: whoever else asks does not delay them."""

_WEBHOOKS_AT_ONCE_MAX: Final = 16
"""Their bodies are read before it is known who sends them; this many of the largest are what anybody can fill."""

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


def application(
    desk: Desk,
    settings: ServingSettings,
    *,
    metrics: CollectorRegistry | None = None,
    followed: GitSettings | None = None,
    events: EventBuffer | None = None,
    clock: Callable[[], float] = time.monotonic,
    body_seconds_max: float = BODY_SECONDS_MAX,
) -> Starlette:
    """What a controller answers. `followed` tells pushes that matter from others; `clock` only ever rises.

    `events` may be given to keep fewer of them, and has to be new.
    """
    buffer = events if events is not None else EventBuffer(secrets.token_hex(4))
    endpoints = (
        *Readings(desk, buffer, metrics).endpoints(),
        *word_endpoints(desk),
        *webhook_endpoints(desk, settings.webhooks, followed),
    )
    description = _description(endpoints)
    door = _Door(Tokens(settings.tokens), Tries(clock), body_seconds_max=body_seconds_max)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        unsubscribe = desk.subscribe(buffer.tell)
        try:
            yield
        finally:
            unsubscribe()
            buffer.close()

    made = Starlette(
        routes=[
            Route(each.path, partial(door.answer, each), methods=[each.method], name=each.name)
            for each in (*endpoints, description)
        ],
        middleware=[Middleware(_Outermost, hosts=Hosts(settings))],
        exception_handlers={HTTPException: _no_route},
        lifespan=lifespan,
    )
    made.router.redirect_slashes = False
    made.state.events = buffer
    return made


def event_buffer_of(made: Starlette) -> EventBuffer:
    """The events of an application, which its server closes first when it stops."""
    buffer = made.state.events
    assert isinstance(buffer, EventBuffer)
    return buffer


def _description(endpoints: Sequence[Endpoint]) -> Endpoint:
    def described(_: Call) -> Response:
        return Response(text, media_type="application/json")

    endpoint = Endpoint(
        method="GET",
        path="/v1/openapi.json",
        name="openapi",
        summary="This description.",
        role=None,
        answers={200: Answers(meaning="An OpenAPI document.", schema="Description")},
        handle=described,
    )
    text = json.dumps(openapi_document([*endpoints, endpoint]), sort_keys=True)
    return endpoint


class _Door:
    """Admits, reads and answers."""

    def __init__(self, tokens: Tokens, tries: Tries, *, body_seconds_max: float) -> None:
        self._tokens = tokens
        self._tries = tries
        self._body_seconds_max = body_seconds_max
        self._webhooks = asyncio.Semaphore(_WEBHOOKS_AT_ONCE_MAX)
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._probes = anyio.CapacityLimiter(_PROBES)

    async def answer(self, endpoint: Endpoint, request: Request) -> Response:
        """The answer, or a problem."""
        try:
            bearer = await self._admitted(endpoint, request)
            return await self._answered(endpoint, request, bearer)
        except ReconcilerError as error:
            if isinstance(error, BugError):
                _LOG.error("%s %s: %s", endpoint.method, endpoint.path, error)
            return problem_response(error)

    async def _admitted(self, endpoint: Endpoint, request: Request) -> Bearer | None:
        if endpoint.role is None:
            return None
        try:
            return self._tokens.admitted(request.headers.get("authorization"), endpoint.role)
        except RequestError as error:
            if error.code == _UNKNOWN and "authorization" in request.headers:
                await self._slow_down(request, error.message)
            raise

    async def _answered(self, endpoint: Endpoint, request: Request, bearer: Bearer | None) -> Response:
        if endpoint.role is not None:
            _check_query(endpoint, request)
        call = partial(
            Call,
            path=request.path_params,
            query=dict(request.query_params),
            headers={name.lower(): value for name, value in request.headers.items()},
            bearer=bearer,
        )
        if not endpoint.body_bytes_max:
            return await self._in_thread(endpoint, call())
        if not endpoint.is_signed:
            return await self._in_thread(endpoint, call(body=await self._read(endpoint, request)))
        if self._webhooks.locked():
            raise RequestError("PFR6925", "too many webhooks at once", status=503, headers={"Retry-After": "10"})
        try:
            async with self._webhooks:
                return await self._in_thread(endpoint, call(body=await self._read(endpoint, request)))
        except RequestError as error:
            if error.code == _UNSIGNED:
                await self._slow_down(request, error.message)
            raise

    async def _read(self, endpoint: Endpoint, request: Request) -> bytes:
        return await _whole_body(request, endpoint.body_bytes_max, self._body_seconds_max)

    async def _in_thread(self, endpoint: Endpoint, call: Call) -> Response:
        # A thread that is at work when the server stops ends by itself; nobody waits for it.
        limiter = self._probes if endpoint.role is None and not endpoint.is_signed else self._threads
        return await anyio.to_thread.run_sync(endpoint.handle, call, abandon_on_cancel=True, limiter=limiter)

    async def _slow_down(self, request: Request, why: str) -> None:
        address = "" if request.client is None else request.client.host
        _LOG.warning("refused for %s: %s", address, why)
        seconds = self._tries.failed(address)
        if seconds:
            with self._tries.waiting():
                await asyncio.sleep(seconds)


def _check_query(endpoint: Endpoint, request: Request) -> None:
    """Raises RequestError PFR6916: a parameter that is not known would be left out without a word, or is there twice.

    Probes, metrics and webhooks are asked by programs that add parameters of their own.
    """
    known = [parameter.name for parameter in endpoint.parameters if parameter.place == "query"]
    names = [name for name, _ in request.query_params.multi_items()]
    step = f"the parameters are: {', '.join(known)}" if known else "leave it out: there are no parameters here"
    for name in names:
        if name not in known:
            raise RequestError("PFR6916", f"{name[:100]!r} is not known here", status=400, next_step=step)
        if names.count(name) > 1:
            raise RequestError("PFR6916", f"{name!r} is given more than once", status=400, next_step=step)


_UNKNOWN: Final = "PFR6911"
_UNSIGNED: Final = "PFR6924"


async def _whole_body(request: Request, bytes_max: int, seconds_max: float) -> bytes:
    """The whole body. Raises RequestError PFR6915: too large; PFR6917: too slow."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:15]) > bytes_max:
        raise _too_large(bytes_max)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds_max):
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError:
        message = f"the body did not come within {seconds_max:g} seconds"
        raise RequestError("PFR6917", message, status=408, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise RequestError("PFR6917", "the client has gone", status=408) from None
    return b"".join(chunks)


def _too_large(bytes_max: int) -> RequestError:
    message = f"the body is larger than {bytes_max:,} bytes"
    return RequestError("PFR6915", message, status=413, headers={"Connection": "close"})


def _no_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:  # noqa: PLR2004  # as Starlette has it
        problem = RequestError("PFR6914", "this cannot be done there", status=405, headers=error.headers)
    else:
        problem = RequestError("PFR6913", "nothing is answered at this path", status=404, next_step=_SEE)
    return problem_response(problem)


_SEE: Final = "GET /v1/openapi.json has all paths"


class _Outermost:
    """Refuses names that are not ours, adds the headers of every answer, and lets no mistake of ours out."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        if not self._hosts.are_ours(host):
            await problem_response(_not_ours()).__call__(scope, receive, sent)
            return
        try:
            await self._app(scope, receive, sent)
        except asyncio.CancelledError:
            # The time to stop is over: the last thing that is said to whoever still waits.
            if not begun:
                await problem_response(_cut_off()).__call__(scope, receive, sent)
        except Exception as error:
            # Frames, and not the error's own words: there may be a secret in them.
            frames = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("%s %s: %s\n%s", scope["method"], scope["path"], type(error).__name__, frames)
            if begun:
                raise
            message = f"something that must not happen has happened: {type(error).__name__}"
            problem = BugError("PFR9701", message, next_step="please report it with the log of the controller")
            await problem_response(problem).__call__(scope, receive, sent)


def _cut_off() -> RequestError:
    message = "the controller stopped before this was answered; a word may have been said all the same"
    next_step = "ask again; a word with the same Idempotency-Key is not said twice"
    return RequestError("PFR6927", message, status=503, next_step=next_step, headers={"Connection": "close"})


def _not_ours() -> RequestError:
    next_step = "ask by the controller's own address, or add the name under `serving.hosts` in its settings"
    return RequestError("PFR6919", "this is not the name of the controller", status=421, next_step=next_step)
