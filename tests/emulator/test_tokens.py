"""Tokens, who holds them, and how often one may ask (facts 5.2, 5.12)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from reconciler.emulator.message import Answer, Request

WORLD = """
users: [{username: ann@example.com, password: secret}]
clients: [{id: robot, secret: wheels}]
products:
  - {id: 200, slug: a, platform: boron, groups: [eu], firmware: [{version: 1, deviceOS: "2.0.1"}]}
  - {id: 201, slug: b, platform: boron}
devices:
  - {id: e00fce680000000000000001, product: a, platform: boron, deviceOS: "2.0.1", application: 1}
  - {id: e00fce680000000000000002, platform: boron, deviceOS: "2.0.1"}
"""
PASSWORD = {"grant_type": "password", "username": "ann@example.com", "password": "secret", "client_id": "tool"}


@pytest.fixture
def bench(make_bench: Callable[..., Any]) -> Any:
    return make_bench(WORLD)


def form(bench: Any, path: str, fields: dict[str, str], method: str = "POST", **headers: str) -> Answer:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    request = Request(method=method, path=path, headers=kind | headers, body=urlencode(fields).encode())
    answer: Answer = bench.cloud.handle(request, bench.now)
    return answer


def log_in(bench: Any, **fields: str) -> Answer:
    return form(bench, "/oauth/token", PASSWORD | fields)


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def test_a_token_lives_as_long_as_was_asked(bench: Any) -> None:
    token = json.loads(log_in(bench, expires_in="100").body)["access_token"]
    bench.advance(99)
    assert bench.call("GET", "/v1/devices", token=token).status == 200
    bench.advance(1)
    assert bench.call("GET", "/v1/devices", token=token).status == 401


@pytest.mark.parametrize(("given", "seconds"), [({}, 7_776_000), ({"expires_at": "2027-01-15T09:00:00Z"}, 3600)])
def test_without_a_wish_90_days_and_otherwise_until_then(bench: Any, given: dict[str, str], seconds: int) -> None:
    assert json.loads(log_in(bench, **given).body)["expires_in"] == seconds


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"password": "guess"}, "invalid_grant"),
        ({"username": "nobody"}, "invalid_grant"),
        ({"client_id": ""}, "invalid_client"),
        ({"client_id": "robot", "client_secret": "guess"}, "invalid_client"),
        ({"grant_type": "refresh_token"}, "unsupported_grant_type"),
        ({"expires_in": "soon"}, "invalid_request"),
        ({"expires_in": "999999999999"}, "invalid_request"),
        ({"expires_at": "soon"}, "invalid_request"),
    ],
)
def test_a_wrong_login_is_refused(bench: Any, fields: dict[str, str], error: str) -> None:
    answer = log_in(bench, **fields)
    assert (answer.status, json.loads(answer.body)["error"]) == (400, error)


def test_tokens_are_asked_for_in_forms_alone(bench: Any) -> None:
    assert bench.call("POST", "/oauth/token", PASSWORD, token=None).status == 400


def test_a_client_may_say_its_name_in_the_header(bench: Any) -> None:
    answer = form(bench, "/oauth/token", {"grant_type": "client_credentials"}, **basic("robot", "wheels"))
    assert answer.status == 200
    assert form(bench, "/oauth/token", {"grant_type": "client_credentials"}, **basic("robot", "x")).status == 400


def test_tokens_are_listed_for_a_password_and_not_for_a_token(bench: Any) -> None:
    token = json.loads(log_in(bench).body)["access_token"]
    listed = json.loads(form(bench, "/v1/access_tokens", {}, "GET", **basic("ann@example.com", "secret")).body)
    assert {one["token"] for one in listed} == {token, "1" * 40}
    assert {one["client"] for one in listed} == {"tool", "particle"}
    assert bench.call("GET", "/v1/access_tokens").status == 401


def test_one_ends_all_of_ones_tokens_and_not_those_of_others(bench: Any) -> None:
    mine = json.loads(log_in(bench).body)["access_token"]
    client = form(bench, "/oauth/token", {"grant_type": "client_credentials"}, **basic("robot", "wheels"))
    others = json.loads(client.body)["access_token"]
    assert bench.call("DELETE", "/v1/access_tokens", token=mine).status == 200
    states = [bench.call("GET", "/v1/devices", token=token).status for token in (mine, "1" * 40, others)]
    assert states == [401, 401, 200]


def test_a_token_may_also_come_in_the_query_or_a_form(bench: Any) -> None:
    assert bench.call("GET", "/v1/devices", token=None, access_token="1" * 40).status == 200
    path = "/v1/devices/e00fce680000000000000002"
    assert form(bench, path, {"access_token": "1" * 40, "name": "two"}, "PUT").status == 200
    assert form(bench, path, {"name": "two"}, "PUT").status == 401


def test_the_log_does_not_show_the_token_that_is_ended(bench: Any) -> None:
    token = json.loads(log_in(bench).body)["access_token"]
    assert bench.call("DELETE", f"/v1/access_tokens/{token}", token=None).status == 200
    text = json.dumps(bench.get("/_emulator/requests"))
    assert token not in text
    assert "/v1/access_tokens/***" in text


def test_an_api_user_of_a_product_sees_no_other_and_no_own_devices(bench: Any) -> None:
    body = {"friendly_name": "robot", "scopes": ["devices:list", "products:list", "events:get"]}
    made = json.loads(bench.call("POST", "/v1/products/a/team", body).body)["created"]
    token = made["tokens"][0]["token"]
    assert bench.call("GET", "/v1/products/a/devices", token=token).status == 200
    assert bench.call("GET", "/v1/products/b/devices", token=token).status == 403
    assert bench.call("GET", "/v1/devices", token=token).status == 403
    assert bench.call("GET", "/v1/orgs/emulated/events", token=token).status == 403
    shown = json.loads(bench.call("GET", "/v1/products", token=token).body)["products"]
    assert [product["slug"] for product in shown] == ["a"]
    assert bench.call("GET", "/v1/device-os/versions/latest", token=token, platform_id=13).status == 200
    assert bench.call("GET", f"/v1/products/b/team/{made['username']}").status in (404, 405)
    assert bench.call("DELETE", f"/v1/products/b/team/{made['username']}").status == 404


@pytest.mark.parametrize("scopes", [None, [], ["everything"], [5], "devices:list"])
def test_an_api_user_has_scopes(bench: Any, scopes: object) -> None:
    body = {"friendly_name": "robot", "scopes": scopes}
    assert bench.call("POST", "/v1/products/a/team", body).status == 400


def test_the_same_scopes_keep_the_token_of_an_api_user(bench: Any) -> None:
    made = json.loads(
        bench.call("POST", "/v1/orgs/emulated/team", {"friendly_name": "r", "scopes": ["devices:list"]}).body
    )
    user = made["created"]
    path = f"/v1/orgs/emulated/team/{user['username']}"
    changed = json.loads(bench.call("PUT", path, {"friendly_name": "another"}).body)["updated"]
    assert (changed["friendly_name"], changed["tokens"]) == ("another", user["tokens"])
    assert bench.call("GET", "/v1/products/a/devices", token=user["tokens"][0]["token"]).status == 200


def test_an_organisation_that_is_another_one_is_not_there(bench: Any) -> None:
    assert bench.call("GET", "/v1/orgs/emulated/products").status == 200
    assert bench.call("GET", "/v1/orgs/another/products").status == 404
    assert [one["slug"] for one in bench.get("/v1/orgs")["organizations"]] == ["emulated"]


def test_ten_wrong_logins_in_a_row_lock_everybody_out_for_half_an_hour(bench: Any) -> None:
    for _ in range(9):
        assert log_in(bench, password="guess").status == 400
    assert log_in(bench).status == 200
    for _ in range(10):
        assert log_in(bench, password="guess").status == 400
    refused = log_in(bench)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1800")
    bench.advance(1800)
    assert log_in(bench).status == 200


@pytest.mark.parametrize("limit", ["tokens: 2", "requests: 2"])
def test_tokens_are_counted_apart_and_together(make_bench: Callable[..., Any], limit: str) -> None:
    limits = {"requests": "1000", "seconds": "300"} | dict([limit.split(": ")])
    text = ", ".join(f"{name}: {value}" for name, value in limits.items())
    bench = make_bench(f"{WORLD}\nrateLimit: {{{text}}}")
    assert [log_in(bench).status for _ in range(3)] == [200, 200, 429]
    other = bench.call("GET", "/v1/devices").status
    assert other == (200 if limit.startswith("tokens") else 429)
    bench.advance(300)
    assert log_in(bench).status == 200


def test_streams_are_counted_when_they_open_and_while_they_are_open(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(f"{WORLD}\nrateLimit: {{requests: 1000, seconds: 300, streamOpenings: 3, streams: 2}}")
    first, second, third = (bench.call("GET", "/v1/devices/events") for _ in range(3))
    assert (first.status, second.status, third.status) == (200, 200, 429)
    assert int(third.headers["Retry-After"]) > 0
    first.listener.close()
    assert bench.call("GET", "/v1/devices/events").status == 200
    second.listener.close()
    refused = bench.call("GET", "/v1/devices/events")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "300")


def test_the_vendors_numbers_stand_where_a_world_names_the_requests_alone(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(f"{WORLD}\nrateLimit: {{requests: 10000, seconds: 300}}")
    assert [bench.call("GET", "/v1/devices/events").status for _ in range(101)].count(429) == 1
    assert [log_in(bench).status for _ in range(101)].count(429) == 1


def test_serial_numbers_are_looked_up_fifty_times_an_hour(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(f"{WORLD}\nrateLimit: {{requests: 10000, seconds: 300}}")
    serial = bench.get("/v1/products/a/devices")["devices"][0]["serial_number"]
    answers = [bench.call("GET", f"/v1/serial_numbers/{serial}") for _ in range(51)]
    assert [answer.status for answer in answers].count(200) == 50
    assert answers[50].headers["Retry-After"] == "3600"
