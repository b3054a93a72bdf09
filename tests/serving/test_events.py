"""The stream of events: what happens reaches who reads, who comes back goes on, and nobody slow holds anything up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any

import pytest
import requests

from reconciler.model.event import Troubled
from reconciler.serving.events import READERS_MAX, EventBuffer
from reconciler.serving.problem import RequestError
from reconciler.settings.settings import Role, ServingSettings
from tests.fleet_samples import NOW
from tests.serving.desk import Client, serving


def event(what: str) -> Troubled:
    return Troubled(at=NOW, what=what, code="PFR6501", message="it is down\nand out")


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 20))


def said(block: bytes) -> list[dict[str, Any]]:
    lines = block.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def ids(block: bytes) -> list[str]:
    return [line.removeprefix("id: ") for line in block.decode().splitlines() if line.startswith("id: ")]


async def rest_of(reader: AsyncGenerator[bytes]) -> bytes:
    return b"".join([block async for block in reader])


# --- the buffer ---


def test_a_reader_gets_what_happens_from_now_on_in_its_order() -> None:
    async def scene() -> None:
        buffer = EventBuffer("p")
        buffer.tell(event("before"))
        reader = buffer.read()
        await anext(reader)
        buffer.tell(event("one"))
        buffer.tell(event("two"))
        block = await anext(reader)
        assert [each["what"] for each in said(block)] == ["one", "two"]
        assert ids(block) == ["p-2", "p-3"]
        await reader.aclose()
        assert buffer.readers == 0

    run(scene())


def test_a_reader_that_comes_back_goes_on_after_the_event_that_it_saw() -> None:
    async def scene() -> None:
        buffer = EventBuffer("p")
        for what in "abc":
            buffer.tell(event(what))
        reader = buffer.read("p-1")
        assert said(await anext(reader)) == []
        assert [each["what"] for each in said(await anext(reader))] == ["b", "c"]
        await reader.aclose()

    run(scene())


def test_a_reader_that_goes_before_the_first_event_misses_nothing_when_it_comes_back() -> None:
    async def scene() -> None:
        buffer = EventBuffer("p")
        buffer.tell(event("before"))
        first = buffer.read()
        (name,) = ids(await anext(first))
        await first.aclose()
        buffer.tell(event("meanwhile"))
        second = buffer.read(name)
        await anext(second)
        assert [each["what"] for each in said(await anext(second))] == ["meanwhile"]
        await second.aclose()

    run(scene())


@pytest.mark.parametrize("last", ["old-7", "p-0", "p-99", "p-x", "nonsense", "p-" + "9" * 400, "-", "p-\u0663"])
def test_a_reader_that_has_missed_something_is_told_so_and_gets_the_oldest_that_there_is(last: str) -> None:
    async def scene() -> None:
        buffer = EventBuffer("p", events_max=2)
        for what in "abc":
            buffer.tell(event(what))
        reader = buffer.read(last)
        (first,) = said(await anext(reader))
        assert first["event"] == "missed"
        assert [each["what"] for each in said(await anext(reader))] == ["b", "c"]
        await reader.aclose()

    run(scene())


def test_a_reader_that_is_too_slow_is_told_so_and_dropped() -> None:
    async def scene() -> None:
        buffer = EventBuffer("p", events_max=4)
        reader = buffer.read()
        await anext(reader)
        for number in range(6):
            buffer.tell(event(str(number)))
        (last,) = said(await rest_of(reader))
        assert last["event"] == "missed"
        assert "too slowly" in last["message"]
        assert buffer.readers == 0

    run(scene())


def test_what_is_kept_is_bounded_in_bytes_too() -> None:
    async def scene() -> None:
        buffer = EventBuffer("p")
        for _ in range(20):
            buffer.tell(event("x" * 500_000))
        reader = buffer.read("p-1")
        assert said(await anext(reader))[0]["event"] == "missed"
        assert len(await anext(reader)) < 4_500_000
        await reader.aclose()

    run(scene())


def test_silence_is_broken_so_that_no_proxy_takes_it_for_the_end() -> None:
    async def scene() -> None:
        reader = EventBuffer("p", keep_alive_seconds=0.01).read()
        await anext(reader)
        assert (await anext(reader)).startswith(b":")
        await reader.aclose()

    run(scene())


def test_a_stream_ends_after_a_while_so_that_a_token_that_was_taken_back_ends_it() -> None:
    async def scene() -> None:
        buffer = EventBuffer("p", keep_alive_seconds=0.01, stream_seconds_max=0.05)
        await rest_of(buffer.read())
        assert buffer.readers == 0

    run(scene())


def test_at_the_end_every_reader_is_told_and_no_other_comes() -> None:
    async def scene() -> None:
        buffer = EventBuffer("p")
        reader = buffer.read()
        await anext(reader)
        buffer.tell(event("last"))
        buffer.close()
        assert [each["event"] for each in said(await rest_of(reader))] == ["troubled", "closed"]
        with pytest.raises(RequestError, match="stops"):
            buffer.read()

    run(scene())


def test_no_more_than_so_many_read_at_once() -> None:
    async def scene() -> None:
        buffer = EventBuffer("p")
        readers = [buffer.read() for _ in range(READERS_MAX)]
        for reader in readers:
            await anext(reader)
        with pytest.raises(RequestError, match="256 readers") as caught:
            buffer.read()
        assert caught.value.status == 503
        await readers[0].aclose()
        buffer.read()
        for reader in readers:
            await reader.aclose()

    run(scene())


def test_telling_never_waits_for_a_reader_nor_fails_when_its_loop_is_gone() -> None:
    buffer = EventBuffer("p")

    async def scene() -> None:
        await anext(buffer.read())

    with contextlib.suppress(RuntimeError):
        asyncio.run(scene())
    for _ in range(3):
        buffer.tell(event("afterwards"))


# --- over HTTP ---


def following(client: Client, last: str | None = None) -> requests.Response:
    headers = {} if last is None else {"Last-Event-ID": last}
    stream = client.get("/v1/events", Role.READ, headers=headers, stream=True)
    assert stream.status_code == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    return stream


def happenings(stream: requests.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every event that comes, with its id."""
    name = ""
    for line in stream.iter_lines(chunk_size=1):
        if line.startswith(b"id: "):
            name = line.removeprefix(b"id: ").decode()
        if line.startswith(b"data: "):
            yield name, json.loads(line.removeprefix(b"data: "))


def test_what_happens_is_followed_over_http_and_gone_on_with(client: Client) -> None:
    with following(client) as stream:
        happening = happenings(stream)
        client.desk.happens("one")
        name, first = next(happening)
        assert (first["event"], first["what"]) == ("troubled", "one")
    client.desk.happens("two")
    with following(client, name) as stream:
        assert next(happenings(stream))[1]["what"] == "two"


def test_two_hundred_idle_readers_all_hear_what_happens_and_others_are_answered(client: Client) -> None:
    streams = [following(client) for _ in range(200)]
    try:
        assert client.get("/v1/status").status_code == 200
        client.desk.happens("it")
        assert all(next(happenings(stream))[1]["what"] == "it" for stream in streams)
    finally:
        for stream in streams:
            stream.close()


def test_readers_are_told_the_end_when_the_server_stops(settings: ServingSettings) -> None:
    heard: list[str] = []
    with serving(settings) as client:
        stream = following(client)
        listening = threading.Thread(target=lambda: heard.extend(each["event"] for _, each in happenings(stream)))
        listening.start()
        client.desk.happens("last")
        assert client.server.stop()
        listening.join(10)
        stream.close()
    assert heard == ["troubled", "closed"]
    assert client.desk.listeners == []
