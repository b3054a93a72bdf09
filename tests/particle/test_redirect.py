from __future__ import annotations

import pytest

from reconciler.particle.error import OversizedError, RateLimitedError, RefusedError, UnauthorisedError
from reconciler.particle.redirect import leads_to
from tests.particle.pretend import TOKEN, Answer, PretendServer, Seen, pretend_cloud

BINARY = b"an application"


def moved(where: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"Location": where})


def serve(server: PretendServer, pages: dict[str, Answer]) -> None:
    def chosen(seen: Seen) -> Answer:
        return pages[seen.path]

    server.chosen = chosen


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_read_without_the_token_is_led_on(status: int) -> None:
    with pretend_cloud() as (server, api, _):
        serve(server, {"/a.bin": moved("/b/b.bin", status), "/b/b.bin": Answer(body=BINARY)})
        assert api.wire.read_bytes(f"{server.url}/a.bin", bytes_max=100, authorised=False) == BINARY


def test_the_token_goes_to_no_such_address() -> None:
    with pretend_cloud() as (server, api, _), pretend_cloud() as (elsewhere, _, _):
        server.answers = [moved(f"{elsewhere.url}/b.bin")]
        elsewhere.answers = [Answer(body=BINARY)]
        assert api.wire.read_bytes(f"{server.url}/a.bin", bytes_max=100, authorised=False) == BINARY
        assert [TOKEN in str(seen.headers) for seen in (*server.seen, *elsewhere.seen)] == [False, False]


def test_a_read_with_the_token_is_not_led_on() -> None:
    with pretend_cloud() as (server, api, _):
        serve(server, {"/v1/a": moved("/v1/b")})
        with pytest.raises(Exception, match="302"):
            api.wire.read_bytes("/v1/a", bytes_max=100)


def test_a_circle_has_an_end_and_is_not_tried_again() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [moved("/again")]
        with pytest.raises(RefusedError, match=r"GET http://127.0.0.1/again: 302"):
            api.wire.read_bytes(f"{server.url}/a.bin", bytes_max=100, authorised=False)
        assert len(server.seen) == 6


def test_what_a_read_is_led_to_keeps_the_limit_of_its_size() -> None:
    with pretend_cloud() as (server, api, _):
        serve(server, {"/a.bin": moved("/b.bin"), "/b.bin": Answer(body=b"x" * 101)})
        with pytest.raises(OversizedError):
            api.wire.read_bytes(f"{server.url}/a.bin", bytes_max=100, authorised=False)


@pytest.mark.parametrize("status", [401, 403])
def test_an_address_that_wants_a_login_says_nothing_of_the_token(status: int) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=status)]
        with pytest.raises(RefusedError, match=r"GET http://127\.0\.0\.1/a\.bin: ") as caught:
            api.wire.read_bytes(f"{server.url}/a.bin?signature=secret", bytes_max=100, authorised=False)
        assert not isinstance(caught.value, UnauthorisedError)
        assert caught.value.code == "PFR3005"
        assert "without the access token" in caught.value.next_step
        assert "secret" not in str(caught.value)


def test_a_strangers_wish_for_silence_does_not_silence_the_cloud() -> None:
    with pretend_cloud() as (server, api, clock), pretend_cloud() as (stranger, _, _):
        server.answers = [Answer(body=b"[]")]
        stranger.answers = [Answer(status=429, headers={"Retry-After": "600"})]
        with pytest.raises(RateLimitedError):
            api.wire.read_bytes(f"{stranger.url}/a.bin", bytes_max=100, authorised=False)
        api.own_devices()
        assert sum(clock.pauses) < 60


@pytest.mark.parametrize("address", ["ftp://x/a.bin", "http://[::1", "http://", "javascript:1"])
def test_a_location_that_is_no_address_leads_nowhere(address: str) -> None:
    assert leads_to("https://x/a.bin", 302, {"location": address}) is None


def test_what_began_encrypted_stays_encrypted() -> None:
    assert leads_to("https://x/a", 302, {"Location": "http://x/b"}) is None
    assert leads_to("https://x/a", 302, {"Location": "//y/b"}) == "https://y/b"
    assert leads_to("http://x/a", 302, {"Location": "https://x/b"}) == "https://x/b"


@pytest.mark.parametrize(("status", "headers"), [(200, {"Location": "/b"}), (302, {}), (304, {"Location": "/b"})])
def test_other_answers_lead_nowhere(status: int, headers: dict[str, str]) -> None:
    assert leads_to("https://x/a", status, headers) is None
