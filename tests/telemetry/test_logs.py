"""The log: one line an event, bounded, without secrets, and what libraries say in the same form."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import urllib3

from reconciler.model.device import DeviceId
from reconciler.model.event import DeviceArrived, Event, Finding, PassEnded, RolloutMoved
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import WaveStarted
from reconciler.particle.token import AccessToken, without_tokens
from reconciler.telemetry.levels import Level
from reconciler.telemetry.logs import LINE_MAX, Log
from tests.particle.pretend import unused_port
from tests.telemetry.world_of_news import halted, recovered, refused, set_aside, troubled

TOKEN = "5eC2e7" + "b" * 34
PASS = PassEnded(at=Instant(5), product="cold-chain", seconds=2.34, devices=1200, started_steps=1)
FAILED_PASS = PassEnded(at=Instant(5), product="cold-chain", seconds=2.34, devices=0, started_steps=0, code="PFR3001")
ARRIVED = DeviceArrived(at=Instant(6), fleet="eu", device_id=DeviceId("d1"))


def lines_of(*events: Event, form: str = "json", level: str = "debug") -> list[str]:
    stream = io.StringIO()
    log = Log(stream, form=form, level=level, redact=without_tokens)
    for event in events:
        log.tell(event)
    return stream.getvalue().splitlines()


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    end = Log(stream, form="json", redact=without_tokens).hear_libraries()
    yield stream
    end()


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (troubled(), "error"),
        (refused(), "error"),
        (RolloutMoved(at=Instant(1), entry=halted()), "error"),
        (set_aside("d1"), "warning"),
        (FAILED_PASS, "warning"),
        (Finding(at=Instant(1), code="PFR2303", message="m"), "warning"),
        (recovered(), "info"),
        (ARRIVED, "info"),
        (PASS, "debug"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_bad_news_are_warnings_or_errors(event: Event, level: str) -> None:
    (line,) = lines_of(event)
    assert json.loads(line)["level"] == level
    assert f" {level}" in lines_of(event, form="text")[0]


def test_json_has_the_event_as_its_document_says() -> None:
    (line,) = lines_of(troubled(at=5.5))
    assert json.loads(line) == {
        "at": "1970-01-01T00:00:05.500Z",
        "level": "error",
        "event": "troubled",
        "what": "the source",
        "code": "PFR6505",
        "message": "it cannot be reached",
    }


def test_text_is_for_people() -> None:
    assert lines_of(PASS, FAILED_PASS, ARRIVED, form="text") == [
        "1970-01-01T00:00:05Z debug   cold-chain: 1,200 devices looked at in 2.3 s",
        "1970-01-01T00:00:05Z warning cold-chain: the pass ended after 2.3 s by PFR3001",
        "1970-01-01T00:00:06Z info    d1 of eu has arrived",
    ]


def test_what_is_below_the_level_is_not_written() -> None:
    assert lines_of(PASS, ARRIVED, recovered(), level="warning") == []
    assert len(lines_of(PASS, ARRIVED, troubled(), level="info")) == 2


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_token_is_in_a_line(form: str) -> None:
    token = AccessToken(TOKEN)
    words = f"refused: {token.header()} and {TOKEN[3:30]}"
    (line,) = lines_of(Finding(at=Instant(1), code="PFR1", message=words), form=form)
    assert "b" * 12 not in line
    assert "[access token]" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_is_one_line_and_bounded_whatever_strangers_write(form: str) -> None:
    message = "a\nb\r\x1b[31m\x00\u2028\u202e" + "x" * 100_000
    wave = WaveStarted(
        fleet="y" * 3000,
        at=Instant(1),
        wave=message,
        devices=9,
        members=frozenset(DeviceId(f"e00fce68{number:016x}") for number in range(5000)),
    )
    stream = io.StringIO()
    log = Log(stream, form=form)
    log.tell(Finding(at=Instant(1), code="PFR1", message=message))
    log.tell(RolloutMoved(at=Instant(1), entry=wave))
    log.say(Level.ERROR, message * 2, more=[message] * 50)
    lines = stream.getvalue().split("\n")
    assert len(lines) == 4
    for line in lines[:3]:
        assert 10 < len(line) <= LINE_MAX
        assert all(character.isprintable() for character in line)
        if form == "json":
            assert json.loads(line)["level"] in {"warning", "info", "error"}


def test_what_libraries_warn_of_has_the_same_form(heard: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").error("no such %s", "thing")
    logging.getLogger("uvicorn.access").info("GET /metrics")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", stacklevel=1)
    said = [json.loads(line) for line in heard.getvalue().splitlines()]
    assert [(each["level"], each["logger"]) for each in said] == [
        ("error", "uvicorn.error"),
        ("warning", "py.warnings"),
    ]
    assert said[0]["event"] == "no such thing"


def test_a_library_that_names_a_token_is_redacted(heard: io.StringIO) -> None:
    kept = AccessToken(TOKEN)
    pool = urllib3.PoolManager(retries=urllib3.Retry(2, backoff_factor=0))
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        pool.request("GET", f"http://127.0.0.1:{unused_port()}/?access_token={TOKEN}")
    assert "Retrying" in heard.getvalue()
    assert TOKEN not in heard.getvalue()
    assert repr(kept) == "AccessToken([access token])"


def test_an_error_of_a_library_is_one_line_with_where_it_was(heard: io.StringIO) -> None:
    try:
        _ = 1 / len(heard.getvalue())
    except ZeroDivisionError:
        logging.getLogger("starlette").exception("it broke")
    (line,) = heard.getvalue().splitlines()
    assert "ZeroDivisionError" in json.loads(line)["exception"]


def test_libraries_log_as_before_when_it_is_over() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    Log(io.StringIO()).hear_libraries()()
    assert (root.handlers, root.level) == before


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    stream = io.StringIO()
    log = Log(stream)
    stream.close()
    log.tell(troubled())
