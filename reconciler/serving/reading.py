"""The endpoints that only read: health, readiness, metrics, status, plans, history, devices and events."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from reconciler.controller.desk import Desk
from reconciler.controller.history import Asked, chapters_asked_for, document_of, read_history
from reconciler.controller.words.speaker import time_from_words
from reconciler.model.device import DeviceId, is_device_id
from reconciler.model.instant import iso_from_instant
from reconciler.render.history import last_of
from reconciler.serving.endpoint import Answers, Call, Endpoint, Parameter
from reconciler.serving.events import EventBuffer
from reconciler.serving.json_answer import json_response
from reconciler.serving.problem import RequestError
from reconciler.settings.settings import Role

_CHAPTERS: Final = 50
_CHAPTERS_MAX: Final = 1000
_TEXT: Final = "text/plain"

_NOT_THERE: Final = Answers(meaning="There is no such thing.", schema="Problem")

_NOT_READ: Final = Answers(meaning="The revision cannot be read.", schema="Problem")
_PROBLEMS: Final = Answers(meaning="The manifests of the revision have problems.", schema="Problem")

_REFERENCE: Final = Parameter(
    name="reference",
    place="query",
    meaning="A branch, tag or commit: the plan if it were desired, and what that changes. It is fetched first.",
)
_FLEET: Final = Parameter(name="fleet", place="query", meaning="Only this fleet.")
_LIMIT: Final = Parameter(
    name="limit",
    place="query",
    meaning="At most the last so many chapters.",
    schema={"type": "integer", "minimum": 1, "maximum": _CHAPTERS_MAX, "default": _CHAPTERS},
)
_SINCE: Final = Parameter(name="since", place="query", meaning="Only from then on: `2h`, `3d`, or an ISO 8601 time.")

READING_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Health": {
        "type": "object",
        "properties": {"alive": {"type": "boolean"}},
        "required": ["alive"],
        "additionalProperties": False,
    },
    "Readiness": {
        "type": "object",
        "properties": {
            "ready": {"type": "boolean", "description": "Whether every check is well."},
            "revision": {"type": ["string", "null"], "description": "What is desired now: `main@sha1:…`."},
            "checks": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "ok": {"type": "boolean"},
                        "message": {"type": "string"},
                        "since": {"type": ["string", "null"], "format": "date-time"},
                    },
                    "required": ["name", "ok", "message", "since"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["ready", "revision", "checks"],
        "additionalProperties": False,
    },
    "Description": {"type": "object", "properties": {"openapi": {"type": "string"}}, "required": ["openapi", "paths"]},
}


class Readings:
    """What is seen through a desk."""

    def __init__(self, desk: Desk, events: EventBuffer, metrics: CollectorRegistry | None) -> None:
        self._desk = desk
        self._events = events
        self._metrics = metrics
        self._previewing = threading.Lock()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them."""
        return (*self._of_the_controller(), *self._of_fleets(), *self._of_the_past())

    def _of_the_controller(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                method="GET",
                path="/healthz",
                name="health",
                summary="Whether the loop turns. If not, only a new start helps.",
                role=None,
                answers={
                    200: Answers(meaning="It does.", schema="Health"),
                    503: Answers(meaning="It does not.", schema="Health"),
                },
                handle=self._health,
            ),
            Endpoint(
                method="GET",
                path="/readyz",
                name="readiness",
                summary="Whether all is well that the controller needs, each by its name.",
                role=None,
                answers={
                    200: Answers(meaning="It is.", schema="Readiness"),
                    503: Answers(meaning="It is not.", schema="Readiness"),
                },
                handle=self._readiness,
            ),
            Endpoint(
                method="GET",
                path="/metrics",
                name="metrics",
                summary="Metrics, for Prometheus.",
                role=None,
                answers={200: Answers(meaning="Metrics.", media_type=_TEXT, others=("application/openmetrics-text",))},
                handle=self._metrics_text,
            ),
            Endpoint(
                method="GET",
                path="/v1/events",
                name="events",
                summary="What happens, as server-sent events. Each one's data is a JSON object with `event` and `at`.",
                role=Role.READ,
                parameters=(
                    Parameter(
                        name="Last-Event-ID",
                        place="header",
                        meaning="Go on after this event, as far as it is still kept; `missed` tells where it is not.",
                    ),
                ),
                answers={
                    200: Answers(meaning="The stream.", media_type="text/event-stream"),
                    503: Answers(meaning="Too many follow it already, or the controller stops.", schema="Problem"),
                },
                handle=self._event_stream,
            ),
        )

    def _of_fleets(self) -> tuple[Endpoint, ...]:
        plan = Answers(meaning="The plan.", schema="Plan", others=(_TEXT,))
        return (
            Endpoint(
                method="GET",
                path="/v1/status",
                name="status",
                summary="Where everything stands.",
                role=Role.READ,
                answers={200: Answers(meaning="The status.", schema="Status")},
                handle=lambda _: json_response(self._desk.status()),
            ),
            Endpoint(
                method="GET",
                path="/v1/fleets/{fleet:path}",
                name="fleet",
                summary="Where one fleet stands.",
                role=Role.READ,
                answers={200: Answers(meaning="Its status.", schema="Status_fleet"), 404: _NOT_THERE},
                handle=self._fleet,
            ),
            Endpoint(
                method="GET",
                path="/v1/plans",
                name="plan",
                summary="The last plan of all fleets, as text with `Accept: text/plain`; or that of another revision.",
                role=Role.READ,
                parameters=(_REFERENCE,),
                answers={200: plan, 404: _NOT_THERE, 409: _NOT_READ, 422: _PROBLEMS},
                handle=self._plan_of_all,
            ),
            Endpoint(
                method="GET",
                path="/v1/plans/{fleet:path}",
                name="fleetPlan",
                summary="The last plan of one fleet. As text with `Accept: text/plain`.",
                role=Role.READ,
                answers={200: plan, 404: _NOT_THERE},
                handle=lambda call: self._plan(call, call.path["fleet"]),
            ),
        )

    def _of_the_past(self) -> tuple[Endpoint, ...]:
        wrong = Answers(meaning="A parameter is wrong.", schema="Problem")
        return (
            Endpoint(
                method="GET",
                path="/v1/history",
                name="history",
                summary="What happened, rollout by rollout.",
                role=Role.READ,
                parameters=(
                    _FLEET,
                    Parameter(name="rollout", place="query", meaning="Only this rollout; its id, or how that begins."),
                    _SINCE,
                    _LIMIT,
                ),
                answers={200: Answers(meaning="The history.", schema="History"), 400: wrong, 404: _NOT_THERE},
                handle=self._history,
            ),
            Endpoint(
                method="GET",
                path="/v1/devices/{device}",
                name="device",
                summary="What happened to one device, by its id.",
                role=Role.READ,
                parameters=(_SINCE, _LIMIT),
                answers={200: Answers(meaning="Its history.", schema="History"), 400: wrong, 404: _NOT_THERE},
                handle=self._device,
            ),
        )

    def _health(self, _: Call) -> Response:
        alive = self._desk.alive()
        return json_response({"alive": alive}, status=200 if alive else 503)

    def _readiness(self, _: Call) -> Response:
        checks, revision = self._desk.checks(), self._desk.revision()
        ready = all(check.ok for check in checks)
        told = [
            {
                "name": check.name,
                "ok": check.ok,
                "message": check.message,
                "since": None if check.since is None else iso_from_instant(check.since),
            }
            for check in checks
        ]
        document = {"ready": ready, "revision": None if revision is None else revision.text, "checks": told}
        return json_response(document, status=200 if ready else 503)

    def _metrics_text(self, call: Call) -> Response:
        encode, content_type = choose_encoder(call.headers.get("accept", ""))
        registry = self._metrics if self._metrics is not None else CollectorRegistry()
        return Response(encode(registry), headers={"content-type": content_type})

    def _event_stream(self, call: Call) -> Response:
        return _EventStream(self._events.read(call.headers.get("last-event-id")))

    def _fleet(self, call: Call) -> Response:
        name = call.path["fleet"]
        for fleet in self._desk.status()["fleets"]:
            if fleet["name"] == name:
                return json_response(fleet)
        raise _no_such(f"no fleet {name} is desired, and in none of this name anything is open")

    def _plan(self, call: Call, fleet: str | None) -> Response:
        missing = "there is no plan yet" if fleet is None else f"there is no plan of a fleet {fleet}"
        if _prefers_text(call.headers.get("accept", "")):
            text = self._desk.plan_text(fleet)
            if text is None:
                raise _no_such(missing)
            return PlainTextResponse(text, headers={"Vary": "Accept"})
        document = self._desk.plan(fleet)
        if document is None:
            raise _no_such(missing)
        return json_response(document, headers={"Vary": "Accept"})

    def _plan_of_all(self, call: Call) -> Response:
        reference = call.query.get("reference")
        if reference is None:
            return self._plan(call, None)
        # It fetches and plans, which takes a while: others who ask would fill all threads.
        if not self._previewing.acquire(blocking=False):
            message = "the plan of another revision is being made for somebody else"
            raise RequestError("PFR6925", message, status=503, headers={"Retry-After": "10"})
        try:
            document = self._desk.plan_at(reference)
        finally:
            self._previewing.release()
        if document is None:
            raise _no_such("nothing was observed yet that a plan could be made on")
        return json_response(document)

    def _history(self, call: Call) -> Response:
        return self._told(call, Asked(fleet=call.query.get("fleet"), rollout=call.query.get("rollout")))

    def _device(self, call: Call) -> Response:
        device_id = DeviceId(call.path["device"].lower())
        if not is_device_id(device_id):
            raise RequestError("PFR6916", "a device is asked for by its id, 24 hexadecimal digits", status=400)
        journal = self._desk.journal
        if not journal.attempts(device_id=device_id, limit=1) and device_id not in journal.console_states():
            raise _no_such(f"the journal knows no device {device_id}")
        return self._told(call, Asked(device_id=device_id))

    def _told(self, call: Call, asked: Asked) -> Response:
        journal, now = self._desk.journal, self._desk.now()
        since = call.query.get("since")
        try:
            limit = int(call.query.get("limit", _CHAPTERS))
            begin = None if since is None else time_from_words(since, now=now, sign=-1)
        except ValueError as error:
            raise RequestError("PFR6916", f"a parameter is wrong: {error}", status=400) from None
        if not 1 <= limit <= _CHAPTERS_MAX:
            raise RequestError("PFR6916", f"limit is from 1 to {_CHAPTERS_MAX}", status=400)
        asked = Asked(fleet=asked.fleet, device_id=asked.device_id, rollout=asked.rollout, since=begin, each_alone=True)
        history, _ = read_history(journal, asked)
        chapters = last_of(chapters_asked_for(history, asked), limit)
        return json_response(document_of(journal, history, chapters, now))


class _EventStream(StreamingResponse):
    """Ends the reader's part, too, when the client goes in the midst of a write."""

    def __init__(self, blocks: AsyncGenerator[bytes]) -> None:
        super().__init__(blocks, media_type="text/event-stream")
        self._blocks = blocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._blocks.aclose()


def _no_such(message: str) -> RequestError:
    return RequestError("PFR6920", message, status=404, next_step="GET /v1/status has the names")


def _prefers_text(accept: str) -> bool:
    """Whether plain text is named, and JSON is not named before it."""
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return next((each == _TEXT for each in named if each in {_TEXT, "application/json"}), False)
