"""What a bootloader says of itself, read: memory layouts, configurations, statuses, or any bytes instead."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.emulator.bench.memory import memories
from reconciler.model.platform import Platform
from reconciler.model.usb_ids import USB_IDS
from reconciler.particle.dfu_layout import parse_configuration, parse_layout
from reconciler.particle.usb_dfu import DfuState, parse_status
from reconciler.particle.usb_error import UsbGarbledError

WITH_MODULES = [ids.platform for ids in USB_IDS if ids.platform.layout]


@pytest.mark.parametrize("each", WITH_MODULES, ids=str)
def test_the_layout_is_that_of_the_memory(each: Platform) -> None:
    for memory in memories(each):
        _, segments = parse_layout(memory.text)
        assert segments[0].start == memory.start
        assert segments[-1].end == memory.end
        for segment in segments:
            assert memory.sector(segment.start) == (segment.start, segment.sector_bytes)
            assert memory.sector(segment.end - 1)[0] == segment.end - segment.sector_bytes


def test_letters_of_a_layout_are_read_as_bits() -> None:
    _, segments = parse_layout("@Flash /0x0/1*1Ka,1*1Kb,1*1Kc,1*1Kd,1*1Ke,1*1Kf,1*1Kg")
    bits = [(segment.readable, segment.erasable, segment.writable) for segment in segments]
    assert bits == [(bool(n & 1), bool(n & 2), bool(n & 4)) for n in range(1, 8)]


def test_several_regions_in_one_text_are_read() -> None:
    name, segments = parse_layout("@Two parts /0x1000/2*001Kg/0x8000/1*512 e, 3*2Mg")
    assert name == "Two parts"
    assert [(segment.start, segment.end, segment.sector_bytes) for segment in segments] == [
        (0x1000, 0x1800, 1024),
        (0x8000, 0x8200, 512),
        (0x8200, 0x8200 + 6 * 1024 * 1024, 2 * 1024 * 1024),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Internal Flash",
        "@",
        "@x/0x0",
        "@x/0x0/",
        "@x/0x0/1*1Kz",
        "@x/0x0/0*4Kg",
        "@x/0x0/1*0Kg",
        "@x/zz/1*4Kg",
        "@x/0xffffffff/2*4Mg",
        "@x/0x0/1*4Kg,,2*4Kg",
        "@x/0x0/1*4Kg/0x1000",
        "@x/0x0/\u0661*4Kg",
    ],
)
def test_a_text_that_describes_no_memory_is_garbled(text: str) -> None:
    with pytest.raises(UsbGarbledError):
        parse_layout(text)


LAYOUTS = st.lists(
    st.sampled_from(["@x ", "/", "0x", "0", "1", "9", "*", "K", "M", " ", ",", "a", "g", "é"]), max_size=40
)


@given(text=st.one_of(st.text(max_size=120), LAYOUTS.map("".join).map("@x".__add__)))
@example("@x/0x0/" + "1*1Kg," * 40)
@example("@x/0x0/1*1K" + " " * 250)
@settings(deadline=None)
def test_no_text_of_a_layout_raises_anything_else_or_describes_more_than_memory(text: str) -> None:
    try:
        _, segments = parse_layout(text)
    except UsbGarbledError:
        return
    assert all(0 <= segment.start < segment.end <= 1 << 32 for segment in segments)
    assert all((segment.end - segment.start) % segment.sector_bytes == 0 for segment in segments)


CONFIGURATION = (
    bytes.fromhex("09022d00010100c032") + bytes.fromhex("0904000000fe010206") + bytes.fromhex("09210bff0000101a01")
)


def test_a_configuration_has_its_settings_and_its_transfer_size() -> None:
    interface = parse_configuration(CONFIGURATION)
    assert interface.transfer_bytes == 4096
    assert [(alternate.number, alternate.text_number) for alternate in interface.alternates] == [(0, 6)]


@given(data=st.one_of(st.binary(max_size=120), st.binary(max_size=60).map(CONFIGURATION.__add__)))
@settings(deadline=None)
def test_no_bytes_of_a_configuration_raise_anything_else(data: bytes) -> None:
    with suppress(UsbGarbledError):
        assert 64 <= parse_configuration(data).transfer_bytes <= 4096


@given(place=st.integers(0, len(CONFIGURATION) - 1), value=st.integers(0, 255))
@settings(deadline=None)
def test_no_single_wrong_byte_of_a_configuration_raises_anything_else(place: int, value: int) -> None:
    with suppress(UsbGarbledError):
        parse_configuration(CONFIGURATION[:place] + bytes((value,)) + CONFIGURATION[place + 1 :])


@given(data=st.binary(max_size=12))
@settings(deadline=None)
def test_no_bytes_of_a_status_raise_anything_else_or_ask_for_endless_patience(data: bytes) -> None:
    try:
        status = parse_status(data)
    except UsbGarbledError:
        return
    assert 0 <= status.poll_seconds <= 10
    assert status.state in DfuState
