from __future__ import annotations

import copy
import gzip
import logging
import pickle
import socket
import threading
import traceback
from dataclasses import replace
from unittest.mock import Mock

import pytest

from reconciler.model.allowance import Allowance
from reconciler.model.device import DeviceId
from reconciler.model.error import WireError
from reconciler.particle.error import (
    GarbledError,
    MayHaveArrivedError,
    NoAnswerError,
    NotSentError,
    OversizedError,
    RateLimitedError,
    RefusedError,
)
from reconciler.particle.http import WirePatience
from reconciler.particle.session import checked_api_url
from reconciler.particle.token import AccessToken
from tests.particle.pretend import DEVICE, FAST, TOKEN, Answer, TestClock, new_wire, pretend_cloud, unused_port

ID = DeviceId(DEVICE)


def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    wire = new_wire(f"http://127.0.0.1:{unused_port()}", TestClock())
    with pytest.raises(NotSentError, match="no connection could be made"):
        wire.write("PUT", "/v1/devices/x", json={})


def test_an_unknown_host_means_that_nothing_was_sent() -> None:
    wire = new_wire("http://no-such-host.invalid", TestClock())
    with pytest.raises(NotSentError, match="the name of the host is not known"):
        wire.write("PUT", "/v1/devices/x", json={})


def test_a_host_that_speaks_no_tls_answers_nothing() -> None:
    with pretend_cloud() as (server, _, clock):
        wire = new_wire(server.url.replace("http:", "https:"), clock)
        with pytest.raises(NoAnswerError, match="encrypted connection failed"):
            wire.read_json("/v1/devices", list)


def test_a_read_waits_as_long_as_the_cloud_asks_for() -> None:
    with pretend_cloud() as (server, api, clock):
        server.answers = [Answer(status=429, headers={"Retry-After": "20"}), Answer(body=b"[]")]
        api.own_devices()
        assert sum(clock.pauses) >= 20


def test_a_date_to_wait_for_is_read_against_the_answers_own_date() -> None:
    with pretend_cloud() as (server, api, clock):
        headers = {"Date": "Sun, 22 Nov 2026 09:00:00 GMT", "Retry-After": "Sun, 22 Nov 2026 09:00:12 GMT"}
        server.answers = [Answer(status=429, headers=headers), Answer(body=b"[]")]
        api.own_devices()
        assert 12 <= sum(clock.pauses) < 14


@pytest.mark.parametrize("wish", ["", "soon", "nan", "-5", "inf", "Sun, 99 Nov 2026"])
def test_a_senseless_wish_to_wait_does_no_harm(wish: str) -> None:
    with pretend_cloud() as (server, api, clock):
        server.answers = [Answer(status=429, headers={"Retry-After": wish}), Answer(body=b"[]")]
        api.own_devices()
        assert sum(clock.pauses) < 5


def test_a_wish_to_wait_beyond_patience_ends_the_read_at_once() -> None:
    with pretend_cloud() as (server, api, clock):
        server.answers = [Answer(status=429, headers={"Retry-After": "600"})]
        with pytest.raises(RateLimitedError) as caught:
            api.own_devices()
        assert caught.value.retry_after_seconds == 600
        assert len(server.seen) == 1
        assert clock.pauses == []


def test_while_the_cloud_wants_silence_for_long_no_write_leaves() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=429, headers={"Retry-After": "600"})]
        with pytest.raises(RateLimitedError):
            api.ping(ID)
        server.answers = [Answer(body=b'{"online":true}')]
        with pytest.raises(RateLimitedError, match="was not sent"):
            api.ping(ID)
        assert len(server.seen) == 1


def test_a_write_waits_for_a_short_silence_to_end() -> None:
    with pretend_cloud() as (server, api, clock):
        server.answers = [Answer(status=429, headers={"Retry-After": "5"}), Answer(body=b'{"online":true}')]
        with pytest.raises(RateLimitedError):
            api.ping(ID)
        assert api.ping(ID)
        assert clock.pauses == [5]


def test_pauses_between_reads_grow_and_have_a_bound() -> None:
    patience = WirePatience(read_tries=8, read_total=1000, pause_first=1, pause_max=8)
    with pretend_cloud(patience=patience) as (server, api, clock):
        server.answers = [Answer(status=500)]
        with pytest.raises(NoAnswerError):
            api.own_devices()
        bounds = [1, 2, 4, 8, 8, 8, 8]
        assert all(bound / 2 <= pause <= bound for pause, bound in zip(clock.pauses, bounds, strict=True))


def test_a_read_gives_up_when_its_total_is_spent() -> None:
    patience = WirePatience(read_tries=1000, read_total=10, pause_first=1, pause_max=4)
    with pretend_cloud(patience=patience) as (server, api, clock):
        server.answers = [Answer(status=500)]
        with pytest.raises(NoAnswerError):
            api.own_devices()
        assert sum(clock.pauses) <= 10


def test_requests_wait_for_the_budget() -> None:
    with pretend_cloud(allowance=Allowance(requests=3, window_seconds=300, at_once=1)) as (server, api, clock):
        server.answers = [Answer(body=b"[]")]
        for _ in range(7):
            api.own_devices()
        assert len(server.seen) == 7
        assert clock.now - 1000 == pytest.approx(900)


def test_the_silence_that_the_cloud_asks_for_begins_with_its_answer_however_slowly_its_body_comes() -> None:
    with pretend_cloud() as (_, api, clock):
        still: list[float] = []

        def spy(chunk: int, *, decode_content: bool) -> bytes:
            clock.now += 4
            still.append(api.wire.budget.take(silence_seconds_max=0))
            return b""

        answer = Mock(status_code=429, headers={"Retry-After": "10"}, raw=Mock(read1=spy))
        api.wire._session = Mock(send=lambda *_, **__: answer, prepare_request=api.wire._session.prepare_request)
        with pytest.raises(RateLimitedError):
            api.ping(ID)
        assert still == [6]


def test_reads_and_writes_are_counted_with_the_bytes_of_their_bodies() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b'{"id":"%s"}' % DEVICE.encode()), Answer(body=b'{"status":"Update started"}')]
        api.device(ID)
        api.flash(ID, b"x" * 1000)
        traffic = api.wire.traffic()
        assert (traffic.requests, traffic.writes) == (2, 1)
        assert traffic.devices[ID].requests == 2
        assert traffic.bytes_sent == traffic.devices[ID].bytes_sent == len(server.seen[1].body)
        assert traffic.bytes_received == len(b'{"id":"%s"}' % DEVICE.encode()) + len(b'{"status":"Update started"}')


def test_where_months_are_counted_devices_are_not_told_apart() -> None:
    with pretend_cloud() as (server, api, _):
        api.wire.counted.by_device = False
        server.answers = [Answer(body=b'{"id":"%s"}' % DEVICE.encode())]
        api.device(ID)
        traffic = api.wire.traffic()
        assert (traffic.requests, dict(traffic.devices)) == (1, {})


def test_repeated_reads_are_counted_each_time() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=500), Answer(body=b"[]")]
        api.own_devices()
        assert api.wire.traffic().requests == 2


def test_an_answer_larger_than_its_limit_is_refused_without_holding_it() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b"x" * 200_001)]
        with pytest.raises(OversizedError):
            api.wire.read_bytes("/file", bytes_max=100_000)
        assert api.wire.traffic().bytes_received < 200_000


def test_a_compressed_answer_that_unfolds_beyond_the_limit_is_refused() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=gzip.compress(b"\0" * 50_000_000), headers={"Content-Encoding": "gzip"})]
        with pytest.raises(OversizedError):
            api.wire.read_bytes("/file", bytes_max=1_000_000)


def test_an_answer_that_trickles_for_ever_has_an_end() -> None:
    clock = TestClock()

    def ticking() -> float:
        clock.now += 1
        return clock.now

    with pretend_cloud() as (server, _, _):
        patience = replace(FAST, answer_total=20, read_tries=1)
        wire = new_wire(server.url, clock, patience=patience)
        wire._clock = ticking
        server.answers = [Answer(body=b" " * 2000 + b"[]", trickle=True)]
        with pytest.raises(NoAnswerError, match="did not end in time"):
            wire.read_json("/v1/devices", list)


def test_an_error_page_is_shown_as_one_short_line_that_a_terminal_survives() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=400, body=b"\x1b[2J<h1>\r\n" + b"no " * 100_000)]
        with pytest.raises(RefusedError) as caught:
            api.own_devices()
        assert len(caught.value.message) < 300
        assert caught.value.message.isprintable()


def test_an_empty_error_still_says_something() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=400, body=b"")]
        with pytest.raises(RefusedError, match=r"400 \(an empty body\)"):
            api.own_devices()


def test_an_error_whose_body_breaks_off_is_still_that_error() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=400, body=b'{"error":"bad', cut=True)]
        with pytest.raises(RefusedError):
            api.ping(ID)


def test_no_content_is_an_empty_object() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=204, body=b"")]
        assert api.wire.write("PUT", "/v1/x", json={}) == {}


def test_cookies_are_not_kept() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b"[]", headers={"Set-Cookie": "session=1; Path=/"})]
        api.own_devices()
        api.own_devices()
        assert "Cookie" not in server.seen[1].headers


def test_the_environment_neither_redirects_nor_authorises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b"[]")]
        api.own_devices()
        assert len(server.seen) == 1


def test_connections_are_reused_by_many_threads() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b"[]")]
        failed: list[WireError] = []

        def work() -> None:
            try:
                for _ in range(5):
                    api.own_devices()
            except WireError as error:
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert failed == []
        assert api.wire.traffic().requests == len(server.seen) == 40


def test_the_answers_own_date_is_known_to_the_thread_that_got_it() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b"[]", headers={"Date": "Sun, 22 Nov 2026 09:00:00 GMT"}), Answer(body=b"[]")]
        assert api.own_devices().dated == 1795338000
        assert api.own_devices().dated is None


def ours(error: BaseException) -> list[str]:
    """The whole traceback, and of our own frames every local variable."""
    frames = traceback.walk_tb(error.__traceback__)
    inside = [frame for frame, _ in frames if "/reconciler/" in frame.f_code.co_filename]
    assert inside
    shown = [f"{name} = {value!r}" for frame in inside for name, value in frame.f_locals.items()]
    return shown + traceback.format_exception(error)


@pytest.mark.parametrize("body", [b'{"error":"you sent Bearer %s"}', b"<pre>Authorization: Bearer %s</pre>"])
def test_the_token_is_in_no_error_log_repr_or_traceback(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = body % TOKEN.encode()
    hostile = [
        Answer(status=status, body=echo, headers={"X-Echo": TOKEN}) for status in (200, 302, 400, 401, 408, 429, 500)
    ] + [Answer(reset=True), Answer(silent=True), Answer(body=echo, cut=True)]
    told: list[str] = []
    with pretend_cloud() as (server, api, _):
        for answer in hostile:
            server.answers = [answer]
            for call in (api.own_devices, lambda: api.flash(ID, b"x"), lambda: api.product("x")):
                with pytest.raises(WireError) as caught:
                    call()
                told += [str(caught.value), repr(caught.value), repr(caught.value.args), caught.value.next_step]
                told += ours(caught.value)
                assert not isinstance(caught.value.__context__, OSError), "requests' errors hold the header"
        told += [repr(api), repr(api.wire), repr(vars(api.wire)), repr(api.wire.token), f"{api.wire.token}"]
    down = new_wire(f"http://127.0.0.1:{unused_port()}", TestClock())
    with pytest.raises(NotSentError) as refused:
        down.read_json("/v1/devices", list)
    told += ours(refused.value)
    told.append(caplog.text)
    assert [text for text in told if TOKEN in text] == []
    assert len(told) > 100


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "tab\t", "ü", "nul\0"])
def test_what_cannot_be_a_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(WireError) as caught:
        AccessToken(text)
    assert caught.value.code == "PFR3010"
    assert text == "" or text not in str(caught.value)


def test_a_token_does_not_leave_the_process() -> None:
    token = AccessToken(TOKEN)
    with pytest.raises(TypeError):
        pickle.dumps(token)
    with pytest.raises(TypeError):
        copy.deepcopy(token)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.particle.io",
        "ftp://x",
        "https://",
        "https://user:secret@x",
        "https://x/?q=1",
        "http://x:99999",
        "http://[::1",
    ],
)
def test_what_is_no_address_of_an_api_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(WireError) as caught:
        checked_api_url(text)
    assert caught.value.code == "PFR3011"
    assert "secret" not in str(caught.value)


def test_an_address_may_have_a_path_and_a_slash_at_the_end() -> None:
    assert checked_api_url("http://127.0.0.1:8089/proxy/") == "http://127.0.0.1:8089/proxy"


@pytest.mark.parametrize("name", [".", "..", ""])
def test_a_product_that_is_no_name_asks_nothing(name: str) -> None:
    with pretend_cloud() as (server, api, _):
        with pytest.raises(RefusedError):
            api.product_devices(name)
        assert server.seen == []


def test_ids_and_slugs_stay_one_segment_of_the_path() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=404)]
        assert api.product("a/../b?c#d") is None
        assert server.seen[0].path == "/v1/products/a%2F..%2Fb%3Fc%23d"


def test_a_module_address_that_is_no_http_is_not_followed() -> None:
    with pretend_cloud() as (server, api, _):
        with pytest.raises(GarbledError):
            api.wire.read_bytes("file:///etc/passwd", bytes_max=10, authorised=False)
        assert server.seen == []


def test_a_connection_that_is_accepted_and_closed_may_have_taken_a_write() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            connection.recv(100)
            connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        wire = new_wire(f"http://127.0.0.1:{listener.getsockname()[1]}", TestClock())
        with pytest.raises(MayHaveArrivedError):
            wire.write("PUT", "/v1/devices/x", json={"a": "b" * 1000})
        thread.join(5)
