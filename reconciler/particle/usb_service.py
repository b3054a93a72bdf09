"""Control requests on the bus: how a request and its payload travel to a device, and its answer back (facts 7.2).

A request is announced (INIT), its payload sent (SEND), its state asked for (CHECK) until there is a result, and its
answer fetched (RECV), which ends it; RESET ends it early. The device holds up to four at a time; we have one.

The vendor's client waits 50 ms before it first asks. We ask at once and then less and less often: an update is a
thousand requests (ADR 0043).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from reconciler.particle.usb_clock import Deadline
from reconciler.particle.usb_error import (
    UsbBusyError,
    UsbError,
    UsbGarbledError,
    UsbGoneError,
    UsbProtectedError,
    UsbRefusedError,
    UsbTimeoutError,
    UsbTransferError,
    UsbUnsupportedError,
)
from reconciler.particle.usb_pipe import CHUNK_BYTES_MAX, UsbPipe

PAYLOAD_BYTES_MAX: Final = 0xFFFF

_TO_DEVICE: Final = 0x40
_FROM_DEVICE: Final = 0xC0
_INIT, _CHECK, _SEND, _RECV, _RESET = range(1, 6)
_RAW: Final = ord("P")
_ALL: Final = 0
_REPLY_BYTES: Final = 64
"""What is asked for of a reply; a device with less than 64 bytes to fill refuses."""
_PAUSES_SECONDS: Final = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.05, 0.1, 0.1, 0.25, 0.25, 0.5, 0.5)
_PAUSE_SECONDS_MAX: Final = 1.0
_RESET_SECONDS: Final = 2.0

_NOT_SUPPORTED: Final = -120
_BUSY: Final = -110
_PROTECTED: Final = -1801
_WORDS: Final = {
    -130: "not allowed",
    -160: "its own time-out",
    -170: "not found",
    -210: "wrong state",
    -260: "no memory",
    -270: "invalid argument",
    -290: "out of range",
    -1300: "it has no place for such a module",
    -1310: "such a module is not supported",
    -1320: "the module is not valid",
    -1330: "the module is broken (integrity)",
    -1340: "a dependency of the module is not met",
    -1350: "the address of the module is wrong",
    -1351: "the module is too large",
    -1360: "the module is for another platform",
    -1370: "the format of the module is not supported",
    -1380: "updates are disabled",
    -1390: "the update failed",
}
"""Facts 6.2 and the vendor's list of system errors."""


class ReplyStatus(IntEnum):
    """How a device takes a service request."""

    OK = 0
    ERROR = 1
    PENDING = 2
    BUSY = 3
    NO_MEMORY = 4
    NOT_FOUND = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a service request; None for what it does not carry. `size` is bytes, `result` the device's own."""

    status: ReplyStatus
    id: int | None
    size: int | None
    result: int | None


def parse_reply(data: bytes) -> Reply:
    """Read a reply: flags that say what follows, the status, and then what the flags say.

    Raises:
        UsbGarbledError: It is too short for its flags, has flags or a status that nobody knows, or more bytes than it
            should (a device may fill up with zeros).
    """
    fields: list[int | None] = []
    offset = 4
    flags = int.from_bytes(data[:4], "little")
    if len(data) < offset or flags & ~0b1111:
        raise UsbGarbledError(f"a reply of {len(data)} bytes with the flags {flags:#x}")
    for bit, layout in enumerate(("<H", "<H", "<I", "<i")):
        if not flags & 1 << bit:
            fields.append(None)
            continue
        size = struct.calcsize(layout)
        if offset + size > len(data):
            raise UsbGarbledError(f"a reply of {len(data)} bytes is too short for its flags {flags:#x}")
        fields += struct.unpack_from(layout, data, offset)
        offset += size
    status, request_id, payload_size, result = fields
    if status is None or status not in ReplyStatus.__members__.values():
        raise UsbGarbledError(f"a reply with the status {status}")
    if any(data[offset:]):
        raise UsbGarbledError(f"a reply with {len(data) - offset} bytes too many")
    return Reply(status=ReplyStatus(status), id=request_id, size=payload_size, result=result)


class ControlChannel:
    """Requests to one device, one after the other."""

    def __init__(self, pipe: UsbPipe) -> None:
        self._pipe = pipe

    def request(self, kind: int, payload: bytes, deadline: Deadline) -> bytes:
        """Send a request and wait for its answer.

        Raises:
            UsbUnsupportedError, UsbProtectedError, UsbBusyError, UsbRefusedError: The result that the device gave.
            UsbError: Any other; the request is taken back where the device can still be reached.
        """
        request_id, ready = self._announce(kind, len(payload), deadline)
        try:
            if payload:
                if not ready:
                    self._wait(request_id, deadline)
                self._send(request_id, payload, deadline)
            reply = self._wait(request_id, deadline)
            _judge(kind, reply.result, self._pipe.name)
            return self._receive(request_id, reply.size or 0, deadline)
        except UsbGoneError:
            raise
        except UsbError:
            self._take_back(request_id, deadline)
            raise

    def forget_all(self, deadline: Deadline) -> None:
        """End whatever an earlier program left behind."""
        self._service(_RESET, 0, _ALL, deadline)

    def raw_text(self, kind: int, deadline: Deadline) -> str:
        """A request of the low level: a text, without the ceremony (facts 7.2)."""
        data = self._pipe.read(_FROM_DEVICE, _RAW, 0, kind, _REPLY_BYTES, deadline)
        return data.split(b"\0", 1)[0].decode("ascii", errors="replace")

    def _announce(self, kind: int, size: int, deadline: Deadline) -> tuple[int, bool]:
        """The id of the new request, and whether the device has room for its payload already."""
        if size > PAYLOAD_BYTES_MAX:
            raise UsbUnsupportedError(f"{self._pipe.name}: a request of {size} bytes is too large")
        for pause in _pauses():
            reply = self._service(_INIT, size, kind, deadline)
            if reply.status is not ReplyStatus.BUSY:
                break
            _pause(deadline, pause, UsbBusyError(f"{self._pipe.name}: the device is busy with other requests"))
        ready = reply.status is ReplyStatus.OK
        if not ready and not (reply.status is ReplyStatus.PENDING and size):
            raise self._unexpected(kind, reply)
        if not reply.id:
            raise UsbGarbledError(f"{self._pipe.name}: request {kind} got no id")
        return reply.id, ready

    def _wait(self, request_id: int, deadline: Deadline) -> Reply:
        for pause in _pauses():
            deadline.pause(pause)
            reply = self._service(_CHECK, 0, request_id, deadline)
            if reply.status is ReplyStatus.OK:
                return reply
            if reply.status is not ReplyStatus.PENDING:
                raise self._unexpected(request_id, reply)
        raise AssertionError

    def _send(self, request_id: int, payload: bytes, deadline: Deadline) -> None:
        for offset in range(0, len(payload), CHUNK_BYTES_MAX):
            chunk = payload[offset : offset + CHUNK_BYTES_MAX]
            self._pipe.write(_TO_DEVICE, _SEND, 0, request_id, chunk, deadline)

    def _receive(self, request_id: int, size: int, deadline: Deadline) -> bytes:
        if size > PAYLOAD_BYTES_MAX:
            raise UsbGarbledError(f"{self._pipe.name}: an answer of {size} bytes")
        data = bytearray()
        while len(data) < size:
            wanted = min(CHUNK_BYTES_MAX, size - len(data))
            chunk = self._pipe.read(_FROM_DEVICE, _RECV, 0, request_id, wanted, deadline)
            if len(chunk) != wanted:
                raise UsbTransferError(f"{self._pipe.name}: {len(chunk)} of {wanted} bytes came through")
            data += chunk
        return bytes(data)

    def _service(self, service: int, value: int, index: int, deadline: Deadline) -> Reply:
        try:
            return parse_reply(self._pipe.read(_FROM_DEVICE, service, value, index, _REPLY_BYTES, deadline))
        except UsbGarbledError as error:
            raise UsbGarbledError(f"{self._pipe.name}: {error.message}") from None

    def _take_back(self, request_id: int, deadline: Deadline) -> None:
        with contextlib.suppress(UsbError):
            self._service(_RESET, 0, request_id, deadline.another(_RESET_SECONDS, "taking a request back"))

    def _unexpected(self, what: int, reply: Reply) -> UsbError:
        match reply.status:
            case ReplyStatus.NO_MEMORY:
                return UsbBusyError(f"{self._pipe.name}: the device has no memory for request {what}")
            case ReplyStatus.NOT_FOUND:
                return UsbGoneError(f"{self._pipe.name}: the device has forgotten request {what}: it restarted")
            case _:
                return UsbGarbledError(f"{self._pipe.name}: request {what} got the status {reply.status.name}")


def _judge(kind: int, result: int | None, name: str) -> None:
    if result is None:
        raise UsbGarbledError(f"{name}: request {kind} ended without a result")
    if result == _NOT_SUPPORTED:
        raise UsbUnsupportedError(f"{name}: its Device OS does not know request {kind}")
    if result == _PROTECTED:
        raise UsbProtectedError(f"{name}: the device is protected and refuses request {kind}")
    if result == _BUSY:
        raise UsbBusyError(f"{name}: the device is busy and refuses request {kind}")
    if result != 0:
        words = _WORDS.get(result, "it does not say more")
        raise UsbRefusedError(f"{name}: the device refuses request {kind} with {result}: {words}", result=result)


def _pauses() -> Iterator[float]:
    yield from _PAUSES_SECONDS
    while True:
        yield _PAUSE_SECONDS_MAX


def _pause(deadline: Deadline, seconds: float, otherwise: UsbError) -> None:
    try:
        deadline.pause(seconds)
        deadline.seconds_left()
    except UsbTimeoutError:
        raise otherwise from None
