"""A token in a file that is replaced while it is in use."""

from __future__ import annotations

import copy
import os
import pickle
import queue
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.error import OperatorError
from reconciler.particle.budget import RequestBudget
from reconciler.particle.error import UnauthorisedError
from reconciler.particle.http import CloudWire
from reconciler.particle.stream import EventStream, StreamPatience
from reconciler.particle.token import without_tokens
from reconciler.particle.token_file import TokenFile
from tests.particle.pretend import FAST, Answer, PretendServer, Seen, TestClock
from tests.simulation.secrecy import shows

OLD, NEW = "0ld5ec2e7" + "a1" * 16, "4e35ec2e7" + "b2" * 16
REFUSED = Answer(status=401, body=b'{"error": "invalid_token"}')


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{OLD}\n")
    return path


@pytest.fixture
def server() -> Iterator[PretendServer]:
    started = PretendServer()
    yield started
    started.close()


@pytest.fixture
def wire(server: PretendServer, file: Path) -> Iterator[CloudWire]:
    clock = TestClock()
    budget = RequestBudget(clock=clock, sleep=clock.sleep)
    dice = random.Random(7)
    made = CloudWire(
        api_url=server.url,
        token=TokenFile(file),
        budget=budget,
        clock=clock,
        sleep=clock.sleep,
        dice=dice,
        patience=FAST,
    )
    yield made
    made.close()


def only(token: str) -> Callable[[Seen], Answer]:
    """A cloud to which one token is good."""
    return lambda seen: Answer() if seen.headers["Authorization"] == f"Bearer {token}" else REFUSED


def tokens_sent(server: PretendServer) -> list[str]:
    return [seen.headers["Authorization"].removeprefix("Bearer ") for seen in server.seen]


def replaced(file: Path, text: str) -> None:
    """As a person does it who knows that it must be there at every moment."""
    beside = file.with_name("beside")
    beside.write_text(text)
    beside.replace(file)


def test_a_token_that_was_replaced_goes_with_the_next_request(
    wire: CloudWire, server: PretendServer, file: Path
) -> None:
    wire.read_json("/v1/user", dict)
    replaced(file, NEW)
    wire.read_json("/v1/user", dict)
    assert tokens_sent(server) == [OLD, NEW]


def test_a_token_behind_links_that_are_swapped_is_followed(tmp_path: Path) -> None:
    for name, text in (("..1", OLD), ("..2", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    source = TokenFile(tmp_path / "token")
    assert source.current().header() == f"Bearer {OLD}"
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert source.current().header() == f"Bearer {NEW}"


@pytest.mark.parametrize("write", [False, True])
def test_a_refused_request_goes_again_with_a_token_that_looks_like_the_old_one(
    wire: CloudWire, server: PretendServer, file: Path, write: bool
) -> None:
    before = file.stat()
    server.chosen = only(NEW)
    file.write_text(f"{NEW}\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with wire.noting_writes() as noted:
        if write:
            server.chosen = lambda seen: Answer(body=b'{"ok": true}') if NEW in str(seen.headers) else REFUSED
            assert wire.write("PUT", "/v1/devices/a") == {"ok": True}
        else:
            assert wire.read_json("/v1/user", dict) == {}
    assert tokens_sent(server) == [OLD, NEW]
    assert [each.status for each in noted] == ([401, 200] if write else [])


def test_a_token_that_stays_refused_costs_one_request_and_one_more_when_it_is_replaced(
    wire: CloudWire, server: PretendServer, file: Path
) -> None:
    server.answers = [REFUSED]
    for _ in range(3):
        with pytest.raises(UnauthorisedError):
            wire.read_json("/v1/user", dict)
    assert tokens_sent(server) == [OLD] * 3
    server.chosen = lambda seen: replaced(file, NEW) if len(server.seen) == 4 else None  # type: ignore[func-returns-value]  # None: no answer of its own
    with pytest.raises(UnauthorisedError):
        wire.read_json("/v1/user", dict)
    assert tokens_sent(server)[3:] == [OLD, NEW]


@pytest.mark.parametrize("text", ["", "two words", "\x00\xff"])
def test_what_is_no_token_leaves_the_last_one_in_use_and_says_so(file: Path, text: str) -> None:
    source = TokenFile(file)
    replaced(file, text)
    assert source.current().header() == f"Bearer {OLD}"
    assert source.trouble
    assert not source.renewed(source.current())
    replaced(file, NEW)
    assert source.current().header() == f"Bearer {NEW}"
    assert source.trouble is None


def test_a_file_that_is_gone_for_a_moment_ends_nothing(file: Path) -> None:
    source = TokenFile(file)
    file.unlink()
    assert source.current().header() == f"Bearer {OLD}"
    assert source.trouble is not None
    assert "cannot be read" in source.trouble.message
    file.write_text(OLD)
    assert source.current().header() == f"Bearer {OLD}"
    assert source.trouble is None


@pytest.mark.parametrize(("text", "code"), [("", "PFR3001"), ("a b", "PFR3010"), (None, "PFR3012")])
def test_without_a_token_to_begin_with_there_is_no_source(file: Path, text: str | None, code: str) -> None:
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(OperatorError) as caught:
        TokenFile(file)
    assert caught.value.code == code


def test_neither_the_token_nor_a_former_one_is_shown(file: Path) -> None:
    source = TokenFile(file)
    replaced(file, NEW)
    source.current()
    said = f"old {OLD} and new {NEW}"
    for text in (source.redacted(said), without_tokens(said), repr(source), str(source)):
        assert not shows(text, OLD)
        assert not shows(text, NEW)


@pytest.mark.parametrize("way", [pickle.dumps, copy.deepcopy, copy.copy])
def test_a_source_does_not_leave_the_process(file: Path, way: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        way(TokenFile(file))


def test_an_event_stream_opens_again_with_the_new_token(server: PretendServer, file: Path) -> None:
    stream_of = Answer(content_type="text/event-stream", body=b"\n")
    server.chosen = lambda seen: stream_of if NEW in seen.headers["Authorization"] else REFUSED
    gaps: queue.Queue[None] = queue.Queue()
    stream = EventStream(
        api_url=server.url,
        token=TokenFile(file),
        product=None,
        on_event=print,
        on_gap=lambda: gaps.put(None),
        clock=time.monotonic,
        dice=random.Random(1),
        patience=StreamPatience(pause_first=0.01, pause_max=0.02),
    )
    stream.start()
    try:
        gaps.get(timeout=20)
        assert stream.connections == 0
        replaced(file, NEW)
        assert stream.wait_connected(20) or stream.connections
    finally:
        stream.stop()
    assert tokens_sent(server)[0] == OLD
    assert tokens_sent(server)[-1] == NEW
