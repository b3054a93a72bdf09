"""Every call against every wrong answer: only typed errors leave, writes go out once, reads are repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.model.device import DeviceId
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.particle.api import DeviceOsReleaseRecord, ParticleApi, ReleaseModuleRecord
from reconciler.particle.error import (
    GarbledError,
    MayHaveArrivedError,
    NoAnswerError,
    RateLimitedError,
    RefusedError,
    UnauthorisedError,
)
from tests.particle.pretend import DEVICE, FAST, TOKEN, Answer, pretend_cloud

Call = Callable[[ParticleApi], object]
ID = DeviceId(DEVICE)
TWO = ApplicationVersion(2)

READS: dict[str, Call] = {
    "own devices": lambda api: api.own_devices(),
    "product devices": lambda api: api.product_devices("logger"),
    "one device": lambda api: api.device(ID, "logger"),
    "product": lambda api: api.product("logger"),
    "firmware list": lambda api: api.product_firmware("logger"),
    "firmware": lambda api: api.product_firmware_version("logger", TWO),
    "token": lambda api: api.token_info(),
    "device os release": lambda api: api.device_os_release(DeviceOsVersion("6.3.4"), 13),
}
BINARY_READS: dict[str, Call] = {
    "firmware binary": lambda api: api.product_firmware_binary("logger", TWO),
    "device os module": lambda api: api.device_os_module(
        DeviceOsReleaseRecord(version="6.3.4", base_url=f"{api.wire.api_url}/files"),
        ReleaseModuleRecord(filename="a.bin"),
    ),
}
WRITES: dict[str, Call] = {
    "flash": lambda api: api.flash(ID, b"module", product="logger"),
    "own flash": lambda api: api.flash(ID, b"module"),
    "lock": lambda api: api.lock(ID, TWO, product="logger", flash=True),
    "ping": lambda api: api.ping(ID),
    "upload": lambda api: api.upload_product_firmware("logger", TWO, title="logger 2", binary=b"application"),
}
ALL_READS = READS | BINARY_READS
WITH_TOKEN = {name: call for name, call in (ALL_READS | WRITES).items() if name != "device os module"}

HTML = Answer(body=b"<html><body>Please log in to the guest network</body></html>", content_type="text/html")
GARBAGE = {
    "html": HTML,
    "empty": Answer(body=b""),
    "truncated json": Answer(body=b'{"devices": [{"id": "e00f'),
    "wrong type": Answer(body=b'"a string"'),
    "not utf-8": Answer(body=b'{"name": "\xff\xfe"}'[:-1]),
    "deeply nested": Answer(body=b"[" * 100_000),
    "redirect": Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}, body=b""),
}
NO_ANSWERS = {
    "500": Answer(status=500, body=b"oh no"),
    "502 html": Answer(status=502, body=HTML.body, content_type="text/html"),
    "503 empty": Answer(status=503, body=b""),
    "reset": Answer(reset=True),
    "silence": Answer(silent=True),
    "cut off": Answer(body=b'{"ok": true', cut=True),
}


@pytest.mark.parametrize("call", READS.values(), ids=READS.keys())
@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_read_with_a_garbled_answer_is_repeated_and_then_garbled(call: Call, answer: Answer) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [answer]
        with pytest.raises(GarbledError):
            call(api)
        assert len(server.seen) == FAST.read_tries


@pytest.mark.parametrize("call", ALL_READS.values(), ids=ALL_READS.keys())
@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_a_read_without_answer_is_repeated_and_then_given_up(call: Call, answer: Answer) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [answer]
        with pytest.raises(NoAnswerError):
            call(api)
        assert len(server.seen) == FAST.read_tries


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize("answer", (GARBAGE | NO_ANSWERS).values(), ids=(GARBAGE | NO_ANSWERS).keys())
def test_a_write_without_a_clear_yes_may_have_arrived_and_goes_out_once(call: Call, answer: Answer) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [answer]
        with pytest.raises(MayHaveArrivedError):
            call(api)
        assert len(server.seen) == 1


@pytest.mark.parametrize("call", WITH_TOKEN.values(), ids=WITH_TOKEN.keys())
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_ends_every_call_at_once(call: Call, status: int) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=status, body=b'{"error":"invalid_token","error_description":"expired"}')]
        with pytest.raises(UnauthorisedError, match="invalid_token: expired"):
            call(api)
        assert len(server.seen) == 1


@pytest.mark.parametrize("call", (ALL_READS | WRITES).values(), ids=(ALL_READS | WRITES).keys())
@pytest.mark.parametrize("body", [b'{"ok":false,"errors":["too bad"]}', b'{"info":"too bad"}', b"<p>too bad</p>"])
def test_a_refusal_says_what_the_cloud_said_and_is_not_repeated(call: Call, body: bytes) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=400, body=body)]
        with pytest.raises(RefusedError, match="too bad"):
            call(api)
        assert len(server.seen) == 1


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
def test_a_write_that_is_one_too_many_is_not_done_and_not_repeated(call: Call) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=429, headers={"Retry-After": "7"})]
        with pytest.raises(RateLimitedError) as caught:
            call(api)
        assert caught.value.retry_after_seconds == 7
        assert len(server.seen) == 1


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
def test_a_write_that_timed_out_in_the_cloud_may_have_arrived(call: Call) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=408, body=b'{"error":"Timed out."}')]
        with pytest.raises(MayHaveArrivedError):
            call(api)


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
def test_a_write_whose_answer_says_not_ok_was_refused(call: Call) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b'{"ok":false,"errors":["no such file"]}')]
        with pytest.raises(RefusedError, match="no such file"):
            call(api)


@pytest.mark.parametrize("call", BINARY_READS.values(), ids=BINARY_READS.keys())
def test_an_empty_binary_is_garbled(call: Call) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b"")]
        with pytest.raises(GarbledError):
            call(api)


def test_a_read_succeeds_when_the_cloud_recovers() -> None:
    with pretend_cloud(patience=replace(FAST, read_tries=3)) as (server, api, clock):
        server.answers = [Answer(status=503), HTML, Answer(body=b"[]")]
        assert api.own_devices().records == ()
        assert len(clock.pauses) == 2


@pytest.mark.parametrize("call", (ALL_READS | WRITES).values(), ids=(ALL_READS | WRITES).keys())
def test_the_token_goes_into_the_header_and_the_module_download_goes_without(call: Call) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=400)]
        with pytest.raises(RefusedError):
            call(api)
        [seen] = server.seen
        is_module = seen.path.startswith("/files/")
        assert seen.headers.get("Authorization") == (None if is_module else f"Bearer {TOKEN}")
        assert TOKEN not in seen.path
        assert TOKEN.encode() not in seen.body
