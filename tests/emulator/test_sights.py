"""What a client is shown that is not so: stale devices, lists that change under the reader, events as they like."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

ONE = "e00fce680000000000000001"
LIST = "/v1/products/200/devices"
TEN = """
products: [{id: 200, slug: a, platform: boron, groups: [x], firmware: [{version: 1, deviceOS: "1.5.2"}]}]
devices: [{count: 10, product: a, platform: boron, deviceOS: "2.0.1", application: 1}]
"""


@pytest.fixture
def ten(make_bench: Callable[..., Any]) -> Any:
    return make_bench(TEN)


def ids_on(bench: Any, page: int, *, size: int = 3, **query: object) -> list[str]:
    wish = {"sortAttr": "deviceId", **query}
    return [device["id"] for device in bench.get(LIST, page=page, per_page=size, **wish)["devices"]]


def test_a_stale_device_lags_behind_its_list(bench: Any) -> None:
    bench.fault("stale-device")
    bench.advance(100)
    bench.cloud.state.life.set_online(bench.device(ONE), False, bench.now)
    assert bench.look(ONE)["online"] is True
    assert bench.get("/v1/products/12345/devices")["devices"][0]["online"] is False
    bench.advance(61)
    assert bench.look(ONE)["online"] is False


def test_a_stale_answer_shows_a_new_lock_after_a_minute(bench: Any) -> None:
    bench.fault("stale-device")
    bench.lock(ONE, 2, flash=False)
    assert bench.look(ONE)["desired_firmware_version"] is None
    bench.advance(61)
    assert bench.look(ONE)["desired_firmware_version"] == 2


def test_a_list_without_faults_shows_everybody_once(ten: Any) -> None:
    seen = [device for page in (1, 2, 3, 4) for device in ids_on(ten, page)]
    assert seen == sorted(ten.cloud.state.devices)


def test_a_list_that_shifts_misses_a_device_or_shows_one_twice(ten: Any) -> None:
    whole = sorted(ten.cloud.state.devices)
    ten.fault("list-shifts")
    pages = [ids_on(ten, 2) for _ in range(12)]
    assert {whole.index(page[0]) for page in pages} == {2, 4}
    assert {ten.get(LIST, page=2, per_page=3)["meta"]["total"] for _ in range(12)} == {9, 11}
    assert ids_on(ten, 1) == whole[:3], "nothing is in front of the first page"


def test_a_page_in_no_order_has_the_same_devices(ten: Any) -> None:
    in_order = ids_on(ten, 2)
    ten.fault("list-unordered")
    without = ids_on(ten, 2)
    assert (without == in_order, sorted(without) == in_order) == (False, True)


def test_filters_and_orders_leave_the_right_devices(ten: Any) -> None:
    whole = sorted(ten.cloud.state.devices)
    ten.call("PUT", ten.path(whole[4]), {"groups": ["x"]})
    assert ids_on(ten, 1, groups="x,y") == [whole[4]]
    ten.call("PUT", ten.path(whole[4]), {"groups": []})
    assert ids_on(ten, 1, groups="x,y") == []
    assert ids_on(ten, 1, deviceId=whole[7][-6:].upper()) == [whole[7]]
    downwards = [
        device for page in (1, 2, 3, 4, 5) for device in ids_on(ten, page, sortDir="desc", sortAttr="deviceId")
    ]
    assert downwards == whole[::-1]
    by_connection = ids_on(ten, 1, sortAttr="lastConnection", size=10)
    handshakes = [ten.device(device).last_handshake_at for device in by_connection]
    assert handshakes == sorted(handshakes)


# --- events


def published(stream: Any) -> list[tuple[str, str]]:
    """Device and data of every event that a listener has been handed."""
    blocks = [block for block in stream.take().decode().split("\n\n") if block]
    documents = [json.loads(block.split("data: ", 1)[1]) for block in blocks]
    return [(document["coreid"], document["data"]) for document in documents]


def come_and_go(bench: Any, device: str, *, online: bool) -> None:
    bench.cloud.state.life.set_online(bench.device(device), online, bench.now)


def test_a_late_event_comes_late_and_tells_when_it_was(ten: Any) -> None:
    first = min(ten.cloud.state.devices)
    stream = ten.call("GET", "/v1/products/a/events/spark/status").listener
    ten.fault("events-late", count=1)
    said_at = ten.now
    come_and_go(ten, first, online=False)
    ten.advance(25)
    assert published(stream) == []
    ten.advance(300)
    assert published(stream) == [(first, "offline")]
    assert ten.now > said_at


def test_an_overtaken_event_comes_behind_the_next_one(ten: Any) -> None:
    first, second = sorted(ten.cloud.state.devices)[:2]
    stream = ten.call("GET", "/v1/products/a/events/spark/status").listener
    ten.fault("events-out-of-order", count=1)
    come_and_go(ten, first, online=False)
    come_and_go(ten, second, online=False)
    assert published(stream) == [(second, "offline"), (first, "offline")]


def test_an_event_that_nothing_overtakes_is_not_lost(ten: Any) -> None:
    first = min(ten.cloud.state.devices)
    stream = ten.call("GET", "/v1/products/a/events/spark/status").listener
    ten.fault("events-out-of-order", count=1)
    come_and_go(ten, first, online=False)
    ten.advance(60)
    assert published(stream) == [(first, "offline")]
