"""The API's answers: shapes, pages, errors (facts 5)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

ONE = "e00fce680000000000000001"
PRODUCT = "/v1/products/12345"
MANY = """
tokens: [{name: operator, token: "1111111111111111111111111111111111111111"},
         {name: reader, token: "2222222222222222222222222222222222222222", scopes: ["devices:list"]}]
products: [{id: 200, slug: many, platform: boron, groups: [a, b], firmware: [{version: 1, deviceOS: "1.5.2"}]}]
devices:
  - {count: 60, names: "many-{n}", product: many, platform: boron, deviceOS: "2.0.1", application: 1, groups: [a]}
  - {count: 3, product: many, platform: boron, deviceOS: "2.0.1", application: 1, groups: [b]}
  - {count: 4, platform: photon, deviceOS: "1.5.2", application: 5}
"""


@pytest.fixture
def many(make_bench: Callable[..., Any]) -> Any:
    return make_bench(MANY)


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["error"]


def test_own_devices_are_a_bare_array_and_their_product_is_their_platform(many: Any) -> None:
    devices = many.get("/v1/devices")
    assert len(devices) == 4
    assert {(device["product_id"], device["platform_id"]) for device in devices} == {(6, 6)}
    handshakes = [device["last_handshake_at"] for device in devices]
    assert handshakes == sorted(handshakes, reverse=True)


@pytest.mark.parametrize("size_parameter", ["perPage", "per_page"])
def test_pages_together_show_every_device_once(many: Any, size_parameter: str) -> None:
    first = many.get("/v1/products/many/devices", **{size_parameter: 20})
    assert first["meta"]["total_pages"] == 4
    seen = [
        device["id"]
        for page in range(1, 5)
        for device in many.get("/v1/products/many/devices", page=page, **{size_parameter: 20})["devices"]
    ]
    assert len(seen) == len(set(seen)) == 63


def test_a_page_has_25_devices_by_default_and_a_page_beyond_the_last_none(many: Any) -> None:
    assert len(many.get("/v1/products/many/devices")["devices"]) == 25
    assert many.get("/v1/products/many/devices", page=9)["devices"] == []


@pytest.mark.parametrize(
    ("query", "count"), [({"groups": "b"}, 3), ({"deviceName": "many-1"}, 11), ({"groups": "c"}, 0)]
)
def test_lists_are_filtered(many: Any, query: dict[str, str], count: int) -> None:
    assert many.get("/v1/products/many/devices", **query)["meta"]["total"] == count


def test_a_product_goes_by_slug_or_number(many: Any) -> None:
    assert many.get("/v1/products/many") == many.get("/v1/products/200")
    assert many.get("/v1/products")["products"][0]["slug"] == "many"


def test_a_device_of_a_product_has_the_documented_fields(bench: Any) -> None:
    record = bench.look(ONE)
    expected = {
        "id": ONE,
        "name": "one",
        "product_id": 12345,
        "platform_id": 13,
        "online": True,
        "system_firmware_version": "2.0.1",
        "firmware_version": 1,
        "firmware_product_id": 12345,
        "status": "normal",
        "groups": ["eu"],
        "development": False,
        "desired_firmware_version": None,
        "firmware_updates_enabled": True,
        "firmware_updates_forced": False,
    }
    assert expected.items() <= record.items()
    assert "targeted_firmware_release_version" not in record
    assert record["last_handshake_at"].endswith("Z")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/devices/e00fce680000000000000099", 404),
        ("GET", f"/v1/devices/{ONE}", 404),
        ("GET", "/v1/products/nothing", 404),
        ("GET", f"{PRODUCT}/firmware/77", 404),
        ("DELETE", "/v1/devices", 405),
        ("GET", "/v1/events", 400),
        ("GET", "/v1/device-os/versions/6.3.4", 400),
        ("GET", "/v1/firmware/device-os/v6.3.4/nothing.bin", 404),
    ],
)
def test_what_is_not_there_is_an_error_in_json(bench: Any, method: str, path: str, status: int) -> None:
    answer = bench.call(method, path)
    assert answer.status == status
    assert json.loads(answer.body)["ok"] is False


def test_without_a_right_token_nothing_is_told(bench: Any) -> None:
    for token in (None, "3" * 40):
        answer = bench.call("GET", "/v1/devices", token=token)
        assert error_of(answer) == (401, "invalid_token")


def test_a_token_may_do_what_its_scopes_say(many: Any) -> None:
    reader = "2" * 40
    assert many.call("GET", "/v1/products/many/devices", token=reader).status == 200
    assert many.call("GET", "/v1/products/many/firmware", token=reader).status == 403
    answer = many.call("GET", "/v1/access_tokens/current", token=reader)
    assert json.loads(answer.body)["scopes"] == ["devices:list"]


def test_ping_says_whether_the_device_is_there(bench: Any) -> None:
    assert json.loads(bench.call("PUT", bench.path(ONE) + "/ping").body) == {"online": True, "ok": True}


def test_groups_are_assigned_absolutely_and_one_that_is_new_is_made(bench: Any) -> None:
    bench.call("PUT", bench.path(ONE), {"groups": ["us", "new"]})
    assert bench.look(ONE)["groups"] == ["us", "new"]
    assert [group["name"] for group in bench.get(f"{PRODUCT}/groups")["groups"]] == ["eu", "us", "new"]
    body = {"action": "groups", "devices": [ONE], "metadata": {"add": ["eu"], "remove": ["us"]}}
    assert bench.call("PUT", f"{PRODUCT}/devices", body).status == 200
    assert bench.look(ONE)["groups"] == ["new", "eu"]


def test_a_device_is_renamed(bench: Any) -> None:
    bench.call("PUT", bench.path(ONE), {"name": "another"})
    assert bench.look(ONE)["name"] == "another"


@pytest.mark.parametrize(
    "body",
    [{}, {"desired_firmware_version": "x"}, {"development": "perhaps"}, {"groups": 5}, {"groups": [""]}, ["a", "list"]],
)
def test_a_body_that_means_nothing_is_a_bad_request(bench: Any, body: Any) -> None:
    before = bench.look(ONE)
    assert bench.call("PUT", bench.path(ONE), body).status == 400
    assert bench.look(ONE) == before


def test_a_lock_to_a_version_that_the_product_lacks_is_refused(bench: Any) -> None:
    assert bench.lock(ONE, 77).status == 404
    assert bench.look(ONE)["desired_firmware_version"] is None


def test_an_uploaded_version_can_be_had_again(bench: Any, application_binary: Callable[..., bytes]) -> None:
    binary = application_binary("boron", "6.3.4", (12345, 7))
    answer = bench.send_file("POST", f"{PRODUCT}/firmware", binary, version=7, title="seven")
    assert answer.status == 201
    assert json.loads(answer.body)["title"] == "seven"
    assert bench.call("GET", f"{PRODUCT}/firmware/7/binary").body == binary
    assert [firmware["version"] for firmware in bench.get(f"{PRODUCT}/firmware")] == [7, 3, 2, 1]


@pytest.mark.parametrize(
    ("platform", "release", "product", "version"),
    [
        ("argon", "6.3.4", (12345, 7), 7),
        ("boron", "6.3.4", (999, 7), 7),
        ("boron", "6.3.4", (12345, 8), 7),
        ("boron", "6.3.4", (12345, 1), 1),
    ],
)
def test_an_upload_must_be_what_it_says(
    bench: Any,
    application_binary: Callable[..., bytes],
    platform: str,
    release: str,
    product: tuple[int, int],
    version: int,
) -> None:
    binary = application_binary(platform, release, product)
    assert bench.send_file("POST", f"{PRODUCT}/firmware", binary, version=version).status == 400


def test_an_upload_of_something_else_is_refused(bench: Any, module_binary: Callable[..., bytes]) -> None:
    for content in (b"", b"text", module_binary("boron", "6.3.4", "bootloader/0")):
        assert bench.send_file("POST", f"{PRODUCT}/firmware", content, version=7).status == 400


def test_a_version_is_released_only_after_it_has_run(bench: Any) -> None:
    release = {"version": 2, "product_default": True}
    assert bench.call("PUT", f"{PRODUCT}/firmware/release", release).status == 400
    bench.lock(ONE, 2)
    bench.advance(120)
    assert bench.call("PUT", f"{PRODUCT}/firmware/release", release).status == 200
    assert bench.get(f"{PRODUCT}/firmware/2")["product_default"] is True


@pytest.mark.parametrize("name", ["6.3.4", "6305"])
def test_a_release_is_found_by_version_and_by_number(bench: Any, name: str) -> None:
    release = bench.get(f"/v1/device-os/versions/{name}", platform_id=13)
    assert release["version"] == "6.3.4"
    shown = {(m["prefixInfo"]["moduleFunction"], m["prefixInfo"]["moduleVersion"]) for m in release["modules"]}
    assert shown == {("bootloader", 3200), ("system_part", 6305), ("radio_stack", 202)}


def test_the_latest_release_is_the_newest_stable_one(bench: Any) -> None:
    assert bench.get("/v1/device-os/versions/latest", platform_id=6)["version"] == "3.3.1"


def test_a_module_is_served_without_a_token(bench: Any, module_binary: Callable[..., bytes]) -> None:
    release = bench.get("/v1/device-os/versions/6.3.4", platform_id=13)
    name = next(m["filename"] for m in release["modules"] if m["prefixInfo"]["moduleFunction"] == "bootloader")
    answer = bench.call("GET", f"/v1/firmware/device-os/v6.3.4/{name}", token=None)
    assert answer.body == module_binary("boron", "6.3.4", "bootloader/0")


def test_the_list_of_releases_has_only_published_ones_of_the_platform(bench: Any) -> None:
    answer = bench.get("/v1/device-os/versions", platform_id=32, per_page=100)
    versions = [entry["version"] for entry in answer["versions"]]
    assert "6.3.4" in versions
    assert "6.0.0" not in versions


def test_the_rate_limit_answers_429_with_a_time_and_ends(make_bench: Callable[..., Any]) -> None:
    bench = make_bench('devices: [{platform: boron, deviceOS: "2.0.1"}]\nrateLimit: {requests: 3, seconds: 60}')
    answers = [bench.call("GET", "/v1/devices") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[3].headers["Retry-After"] == "60"
    bench.advance(60)
    assert bench.call("GET", "/v1/devices").status == 200


def test_the_log_names_the_token_and_never_shows_it(bench: Any) -> None:
    bench.look(ONE)
    text = json.dumps(bench.get("/_emulator/requests"))
    assert '"token": "operator"' in text
    assert "1" * 40 not in text


def test_the_control_door_shows_the_truth(bench: Any) -> None:
    (device,) = bench.get("/_emulator/devices", id=ONE)
    assert device["modules"]["bootloader/0"] == 1005
    assert (device["mode"], device["online"], device["transfers"], device["restarts"]) == ("normal", True, 0, 0)


def test_the_control_door_lets_a_device_come_and_go(bench: Any) -> None:
    bench.call("POST", "/_emulator/devices", {"id": ONE, "online": False})
    assert bench.look(ONE)["online"] is False


@pytest.mark.parametrize(
    "body",
    [
        {"fault": "gremlins"},
        {"fault": "html", "rate": 2},
        {"fault": "html", "count": 0},
        {"fault": "html", "rate": "a"},
    ],
)
def test_the_control_door_refuses_a_fault_that_cannot_be(bench: Any, body: Any) -> None:
    assert bench.call("POST", "/_emulator/faults", body).status == 400
    assert bench.get("/_emulator/faults")["active"] == []
