from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

ONE = "e00fce680000000000000001"
TWO_OWNERS = """
products: [{id: 200, slug: a, platform: boron}]
devices:
  - {id: e00fce680000000000000001, product: a, platform: boron, deviceOS: "2.0.1"}
  - {id: e00fce680000000000000002, product: a, platform: boron, deviceOS: "2.0.1"}
  - {id: e00fce680000000000000003, platform: boron, deviceOS: "2.0.1"}
"""


@pytest.mark.parametrize(
    ("path", "heard"),
    [
        ("/v1/devices/events", {"3"}),
        ("/v1/events/spark/status", {"3"}),
        ("/v1/products/a/events", {"1", "2"}),
        ("/v1/products/200/events/spark", {"1", "2"}),
        ("/v1/products/a/devices/e00fce680000000000000002/events", {"2"}),
        ("/v1/devices/e00fce680000000000000003/events/spark%2Fstatus", {"3"}),
        ("/v1/products/a/events/nothing", set()),
    ],
)
def test_a_stream_carries_the_events_of_its_address(make_bench: Callable[..., Any], path: str, heard: set[str]) -> None:
    bench = make_bench(TWO_OWNERS)
    listener = bench.call("GET", path).listener
    assert listener is not None
    for device in bench.cloud.state.devices.values():
        bench.cloud.state.life.set_online(device, False, bench.now)
    blocks = [block for block in listener.take().decode().split("\n\n") if block]
    assert {json.loads(block.split("data: ", 1)[1])["coreid"][-1] for block in blocks} == heard
    assert all(block.startswith("event: spark/status\ndata: ") for block in blocks)


def test_a_product_stream_tells_the_product_and_the_version_that_runs(bench: Any) -> None:
    listener = bench.call("GET", "/v1/products/12345/events").listener
    bench.cloud.state.life.set_online(bench.device(ONE), False, bench.now)
    document = json.loads(listener.take().decode().split("data: ", 1)[1])
    assert (document["data"], document["productID"], document["version"]) == ("offline", 12345, 1)


def test_who_has_left_hears_nothing(bench: Any) -> None:
    listener = bench.call("GET", "/v1/products/12345/events").listener
    listener.close()
    bench.cloud.state.life.set_online(bench.device(ONE), False, bench.now)
    assert listener.take() == b""
    assert bench.cloud.state.hub.listener_count == 0


def test_a_stream_needs_a_token(bench: Any) -> None:
    assert bench.call("GET", "/v1/products/12345/events", token=None).status == 401
    assert bench.cloud.state.hub.listener_count == 0


@pytest.mark.parametrize(("fault", "times"), [("events-dropped", 0), ("events-doubled", 2)])
def test_events_are_dropped_and_doubled(bench: Any, fault: str, times: int) -> None:
    listener = bench.call("GET", "/v1/products/12345/events").listener
    bench.fault(fault)
    bench.cloud.state.life.set_online(bench.device(ONE), False, bench.now)
    assert listener.take().count(b"event: ") == times
