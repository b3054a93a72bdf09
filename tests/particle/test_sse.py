from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.particle.sse import LINE_BYTES_MAX, EventParser, ServerEvent

SAMPLE = b':ok\n\nevent: spark/status\r\ndata: {"a":1}\r\n\r\n:keep-alive\n\nevent:b\rdata:1\rdata:2\r\rdata: 3\n\n'
EVENTS = [
    ServerEvent(name="spark/status", data='{"a":1}'),
    ServerEvent(name="b", data="1\n2"),
    ServerEvent(name="message", data="3"),
]


def parsed(*portions: bytes) -> list[ServerEvent]:
    parser = EventParser()
    return [event for portion in portions for event in parser.feed(portion)]


def test_events_are_read_with_every_kind_of_line_end() -> None:
    assert parsed(SAMPLE) == EVENTS


@given(st.lists(st.integers(0, len(SAMPLE))))
def test_the_same_bytes_in_any_portions_give_the_same_events(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(SAMPLE)]
    assert parsed(*(SAMPLE[a:b] for a, b in itertools.pairwise(borders))) == EVENTS


@given(st.lists(st.binary()))
def test_no_bytes_make_it_raise(portions: list[bytes]) -> None:
    parsed(*portions)


def test_an_event_without_data_is_none() -> None:
    assert parsed(b"event: a\n\ndata: 1\n\n") == [ServerEvent(name="message", data="1")]


def test_an_event_that_is_not_ended_does_not_count() -> None:
    assert parsed(b"event: a\ndata: 1\n") == []


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert parsed(b"data: \xff\n\n") == [ServerEvent(name="message", data="\ufffd")]


@pytest.mark.parametrize("line", [b"x" * 100, b"data: 1\n" * 20])
def test_an_endless_event_is_dropped_and_the_next_one_is_read(line: bytes) -> None:
    parser = EventParser()
    events: list[ServerEvent] = []
    for _ in range(LINE_BYTES_MAX // len(line) + 10):
        events += parser.feed(line)
        assert len(parser._line) + parser._held <= LINE_BYTES_MAX + len(line)
    events += parser.feed(b"\n\nevent: b\ndata: 2\n\n")
    assert events == [ServerEvent(name="b", data="2")]
