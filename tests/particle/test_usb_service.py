"""How control requests travel: replies, waiting, taking back; whatever is answered, an error is a typed one."""

from __future__ import annotations

import contextlib
import errno
import struct
from typing import Any

import pytest
import usb.core
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator.bench.faults import BenchFault, FaultKind, TransferKind
from reconciler.particle.usb import CloudStatus
from reconciler.particle.usb_clock import Deadline, UsbClock
from reconciler.particle.usb_error import (
    UsbBusyError,
    UsbError,
    UsbGarbledError,
    UsbGoneError,
    UsbPermissionError,
    UsbStalledError,
    UsbTimeoutError,
    UsbTransferError,
)
from reconciler.particle.usb_pipe import UsbPipe, decode_text, translated
from reconciler.particle.usb_service import ControlChannel, ReplyStatus, parse_reply
from tests.pretend_bench import PretendBench


def fault(kind: FaultKind, of: TransferKind, transfer: int = 1, times: int = 1) -> BenchFault:
    return BenchFault(kind=kind, of=of, transfer=transfer, times=times)


def test_a_reply_has_what_its_flags_say() -> None:
    reply = parse_reply(struct.pack("<IHHIi", 15, 0, 7, 300, -1340))
    assert (reply.status, reply.id, reply.size, reply.result) == (ReplyStatus.OK, 7, 300, -1340)
    assert parse_reply(struct.pack("<IHi", 9, 0, -120)).result == -120
    assert parse_reply(struct.pack("<IH", 1, 3)).status is ReplyStatus.BUSY


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1\0\0",
        struct.pack("<I", 1),
        struct.pack("<IH", 0, 0),
        struct.pack("<IH", 1, 6),
        struct.pack("<IH", 17, 0),
    ],
)
def test_what_is_no_reply_is_garbled(data: bytes) -> None:
    with pytest.raises(UsbGarbledError):
        parse_reply(data)


@given(data=st.binary(max_size=80))
@settings(deadline=None)
def test_no_bytes_of_a_reply_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(UsbGarbledError):
        parse_reply(data)


@given(data=st.binary(max_size=260))
@settings(deadline=None)
def test_no_string_descriptor_raises_anything_else_and_no_text_draws_on_a_terminal(data: bytes) -> None:
    with contextlib.suppress(UsbGarbledError):
        assert decode_text(data, "port 1").isprintable()


class Answering:
    """A device of pyusb that answers with what it is given, in a circle."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.transfers = 0

    def ctrl_transfer(self, kind: int, request: int, value: int, index: int, data: Any, timeout: int) -> Any:
        self.transfers += 1
        if not kind & 0x80:
            return len(data)
        return self.answers[self.transfers % len(self.answers)][:data]


REPLIES = st.builds(
    lambda status, request_id, size, result: struct.pack("<IHHIi", 15, status, request_id, size, result),
    status=st.integers(0, 5),
    request_id=st.integers(0, 9),
    size=st.sampled_from([0, 1, 64, 70_000, 2**32 - 1]),
    result=st.sampled_from([0, -110, -120, -1340, -1801, 5]),
)


@given(
    answers=st.lists(st.one_of(st.binary(max_size=64), REPLIES), min_size=1, max_size=8),
    payload=st.binary(max_size=100),
)
@settings(deadline=None)
def test_whatever_a_device_answers_a_request_ends_in_time_with_bytes_or_a_typed_error(
    answers: list[bytes], payload: bytes
) -> None:
    seconds = [0.0]

    def sleep(pause: float) -> None:
        seconds[0] += pause

    device = Answering(answers)
    channel = ControlChannel(UsbPipe(device, "port 1", out_needs_data=False))
    deadline = Deadline(UsbClock(now=lambda: seconds[0], sleep=sleep), 5.0, "a request")
    with contextlib.suppress(UsbError):
        assert isinstance(channel.request(90, payload, deadline), bytes)
    assert seconds[0] <= 7.0
    assert device.transfers < 1000


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, UsbPermissionError),
        (errno.EBUSY, UsbBusyError),
        (errno.ENODEV, UsbGoneError),
        (errno.ENOENT, UsbGoneError),
        (errno.EPIPE, UsbStalledError),
        (errno.ETIMEDOUT, UsbTimeoutError),
        (errno.EIO, UsbTransferError),
        (errno.EOVERFLOW, UsbTransferError),
        (None, UsbTransferError),
    ],
)
def test_a_failure_of_the_library_becomes_ours(number: int | None, kind: type[UsbError]) -> None:
    found = translated(usb.core.USBError("words of the library", -99, number), "port 1")
    assert type(found) is kind
    assert found.message.startswith("port 1")
    assert not found.may_have_changed


@pytest.mark.parametrize(
    ("spoilt", "kind"),
    [
        (fault(FaultKind.STALL, TransferKind.CHECK, times=99), UsbStalledError),
        (fault(FaultKind.SILENCE, TransferKind.INIT, times=99), UsbTimeoutError),
        (fault(FaultKind.GARBAGE, TransferKind.CHECK), UsbGarbledError),
        (fault(FaultKind.SHORT, TransferKind.CHECK), UsbGarbledError),
        (fault(FaultKind.SHORT, TransferKind.RECV), UsbTransferError),
        (fault(FaultKind.UNPLUG, TransferKind.RECV), UsbGoneError),
        (fault(FaultKind.BUSY, TransferKind.INIT, times=999), UsbBusyError),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else each.kind.value,
)
def test_a_fault_of_the_bus_is_a_typed_error_within_the_deadline(spoilt: BenchFault, kind: type[UsbError]) -> None:
    bench = PretendBench(faults=[spoilt])
    bench.plug("boron", "4.0.0")
    with pytest.raises(kind), bench.normal().control() as session:
        session.modules()
    assert bench.seconds < 70


def test_a_device_that_is_busy_for_a_while_is_waited_for() -> None:
    bench = PretendBench(faults=[fault(FaultKind.BUSY, TransferKind.INIT, times=5)])
    bench.plug("boron", "4.0.0")
    with bench.normal().control() as session:
        assert session.cloud_status() is CloudStatus.CONNECTED


def test_after_a_lost_answer_the_device_has_room_for_the_next_requests() -> None:
    bench = PretendBench(faults=[fault(FaultKind.LOST, TransferKind.CHECK, times=6)])
    bench.plug("boron", "4.0.0")
    with bench.normal().control() as session:
        for _ in range(6):
            with pytest.raises(UsbTimeoutError):
                session.modules()
        assert len(session.modules().modules) == 4


def test_what_an_earlier_program_left_open_does_not_fill_the_device() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    handle: Any = bench.normal()
    for _ in range(4):
        handle.handle.ctrl_transfer(0xC0, 1, 500, 253, 64, 1000)
    with bench.normal().control() as session:
        assert session.system_version() == "4.0.0"
        assert session.cloud_status() is CloudStatus.CONNECTED
