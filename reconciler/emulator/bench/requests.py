"""The control requests of a Device OS, as far as the bus sees them: announce, send, check, receive, reset (facts 7.2).

After `usb_control_request_channel.cpp` of the vendor: four requests at a time; a payload of up to 64 bytes has a place
at once, a larger one later; a request is over when its result, or all of its answer, was fetched. What is to happen
after an answer happens only then.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from reconciler.emulator.bench.transfer import Failure, Outcome, Setup

_INIT, _CHECK, _SEND, _RECV, _RESET = range(1, 6)
_RAW: Final = ord("P")
_REPLY_BYTES_MIN: Final = 64
_ACTIVE_MAX: Final = 4
_POOLED_BYTES_MAX: Final = 64
_OK, _, _PENDING, _BUSY, _, _NOT_FOUND = range(6)
_ID_MAX: Final = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a Device OS answers: a result (0 is well), a payload, how long it took, and what happens afterwards."""

    result: int = 0
    payload: bytes = b""
    seconds: float = 0.0
    afterwards: Callable[[float], None] | None = None


class _State(Enum):
    ALLOCATING = auto()
    RECEIVING = auto()
    WORKING = auto()


@dataclass(slots=True, kw_only=True)
class _Request:
    kind: int
    size: int
    state: _State
    received: bytearray
    answer: Answer | None = None
    ready_at: float = 0.0
    sent: int = 0


class RequestChannel:
    """All requests of one device since its start. `handler` is the Device OS behind it."""

    def __init__(self, handler: Callable[[int, bytes, float], Answer], raw: Callable[[int], bytes | None]) -> None:
        self._handler = handler
        self._raw = raw
        self._active: dict[int, _Request] = {}
        self._last_id = 0

    def transfer(self, setup: Setup, data: bytes, now: float) -> Outcome:
        """One control transfer of vendor type."""
        if setup.request == _RAW:
            text = self._raw(setup.index) if setup.to_host else None
            return Failure.STALL if text is None else text[: setup.length]
        if setup.request == _SEND:
            return Failure.STALL if setup.to_host else self._send(setup, data, now)
        if not setup.to_host:
            return Failure.STALL
        if setup.request == _RECV:
            return self._receive(setup, now)
        if setup.length < _REPLY_BYTES_MIN:
            return Failure.STALL
        match setup.request:
            case 1:
                return self._init(setup, now)
            case 2:
                return self._check(setup.index, now)
            case 5:
                return self._reset(setup.index, now)
            case _:
                return Failure.STALL

    def _init(self, setup: Setup, now: float) -> Outcome:
        if len(self._active) >= _ACTIVE_MAX:
            return _reply(_BUSY)
        request_id = self._last_id = self._last_id % _ID_MAX + 1
        pooled = setup.value <= _POOLED_BYTES_MAX
        state = _State.RECEIVING if pooled else _State.ALLOCATING
        request = _Request(kind=setup.index, size=setup.value, state=state, received=bytearray())
        self._active[request_id] = request
        if not request.size:
            self._work(request, now)
        return _reply(_OK if pooled else _PENDING, request_id=request_id)

    def _check(self, request_id: int, now: float) -> Outcome:
        request = self._active.get(request_id)
        if request is None:
            return _reply(_NOT_FOUND)
        match request.state:
            case _State.ALLOCATING:
                request.state = _State.RECEIVING
                return _reply(_PENDING)
            case _State.RECEIVING:
                return _reply(_OK)
        assert request.answer is not None
        if now < request.ready_at:
            return _reply(_PENDING)
        size = len(request.answer.payload)
        if not size:
            self._finish(request_id, now)
        return _reply(_OK, result=request.answer.result, size=size or None)

    def _send(self, setup: Setup, data: bytes, now: float) -> Outcome:
        request = self._active.get(setup.index)
        if request is None or request.state is not _State.RECEIVING:
            return Failure.STALL
        if len(request.received) + len(data) > request.size:
            return Failure.STALL
        request.received += data
        if len(request.received) == request.size:
            self._work(request, now)
        return b""

    def _receive(self, setup: Setup, now: float) -> Outcome:
        request = self._active.get(setup.index)
        if request is None or request.answer is None or now < request.ready_at or not setup.length:
            return Failure.STALL
        if request.sent + setup.length > len(request.answer.payload):
            return Failure.STALL
        part = request.answer.payload[request.sent :][: setup.length]
        request.sent += len(part)
        if request.sent == len(request.answer.payload):
            self._finish(setup.index, now)
        return part

    def _reset(self, request_id: int, now: float) -> Outcome:
        if request_id and request_id not in self._active:
            return _reply(_NOT_FOUND)
        for each in [request_id] if request_id else list(self._active):
            self._finish(each, now)
        return _reply(_OK)

    def _work(self, request: _Request, now: float) -> None:
        request.state = _State.WORKING
        request.answer = self._handler(request.kind, bytes(request.received), now)
        request.ready_at = now + request.answer.seconds

    def _finish(self, request_id: int, now: float) -> None:
        answer = self._active.pop(request_id).answer
        if answer is not None and answer.afterwards is not None:
            # The vendor's code does it for a request that was taken back too.
            answer.afterwards(now)


def busy_reply() -> bytes:
    """What a device says that has no room for another request."""
    return _reply(_BUSY)


def _reply(status: int, *, request_id: int | None = None, size: int | None = None, result: int | None = None) -> bytes:
    flags, body = 1, struct.pack("<H", status)
    for bit, layout, value in ((2, "<H", request_id), (4, "<I", size), (8, "<i", result)):
        if value is not None:
            flags |= bit
            body += struct.pack(layout, value)
    return struct.pack("<I", flags) + body
