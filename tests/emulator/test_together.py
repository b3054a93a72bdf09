"""What one part of the pretend cloud does holds for the others: calls, lists, people, faults and the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ONE, TWO, OWNED, WAITING = (f"e00fce68000000000000000{number}" for number in (1, 2, 3, 4))
A = "/v1/products/a"
WORLD = f"""
products:
  - {{id: 200, slug: a, platform: boron, groups: [eu], default: 1,
     firmware: [{{version: 1, deviceOS: "4.0.1"}}, {{version: 2, deviceOS: "4.0.1"}}]}}
devices:
  - {{id: {ONE}, name: one, product: a, platform: boron, deviceOS: "4.0.1", application: 1, groups: [eu]}}
  - {{id: {TWO}, product: a, platform: boron, deviceOS: "4.0.1", application: 1, locked: 1}}
  - {{id: {OWNED}, product: a, platform: boron, deviceOS: "4.0.1", application: 1, claimed: true}}
  - {{id: {WAITING}, product: a, platform: boron, deviceOS: "4.0.1", application: 1, quarantined: true}}
"""


@pytest.fixture
def fleet(make_bench: Callable[..., Any]) -> Any:
    return make_bench(WORLD)


def ids(fleet: Any, **query: object) -> list[str]:
    return [device["id"] for device in fleet.get(A + "/devices", **query)["devices"]]


def test_a_filter_knows_new_names_and_groups_at_once(fleet: Any) -> None:
    assert (ids(fleet, groups="eu"), ids(fleet, deviceName="one")) == ([ONE], [ONE])
    assert fleet.call("PUT", A + "/groups/eu", {"name": "europe"}).status == 200
    assert (ids(fleet, groups="eu"), ids(fleet, groups="europe")) == ([], [ONE])
    assert fleet.call("PUT", fleet.path(ONE), {"name": "first"}).status == 200
    assert (ids(fleet, deviceName="one"), ids(fleet, deviceName="first")) == ([], [ONE])
    assert fleet.call("DELETE", A + "/groups/europe").status == 204
    assert ids(fleet, groups="europe") == []


def test_filters_look_into_the_quarantine_too(fleet: Any) -> None:
    serial = fleet.get(f"{A}/devices/{WAITING}")["serial_number"]
    assert ids(fleet, serialNumber=serial) == [WAITING]
    assert ids(fleet, serialNumber=serial, quarantined="false") == []
    assert ids(fleet, deviceId=ONE, quarantined="true") == []
    assert ids(fleet, sortAttr="deviceId") == [ONE, TWO, OWNED, WAITING]
    assert ids(fleet, sortAttr="deviceId", sortDir="desc", per_page=1) == [WAITING]


@pytest.mark.parametrize("quarantined", ["false", "true"])
def test_a_list_without_a_wish_begins_with_the_last_connection(fleet: Any, quarantined: str) -> None:
    if quarantined == "true":
        assert fleet.call("DELETE", f"{A}/devices/{TWO}").status == 204
        fleet.cloud.state.products[200].quarantine[TWO] = False
    for device in (ONE, TWO, WAITING):
        fleet.cloud.state.life.set_online(fleet.device(device), False, fleet.now)
        fleet.advance(10)
        fleet.cloud.state.life.set_online(fleet.device(device), True, fleet.now)
    last = {"false": [TWO, ONE, OWNED], "true": [WAITING, TWO]}
    assert ids(fleet, quarantined=quarantined) == last[quarantined]


@pytest.mark.parametrize("wish", [{"sortAttr": "colour"}, {"sortDir": "up"}])
def test_an_order_that_does_not_exist_is_refused(fleet: Any, wish: dict[str, str]) -> None:
    assert fleet.call("GET", A + "/devices", **wish).status == 400


def test_a_device_that_leaves_and_comes_back_is_on_its_products_list(fleet: Any) -> None:
    assert fleet.call("DELETE", f"{A}/devices/{TWO}").status == 204
    assert TWO not in ids(fleet)
    assert fleet.call("POST", A + "/devices", {"id": TWO}).status == 200
    assert ids(fleet, sortAttr="deviceId", quarantined="false") == [ONE, TWO, OWNED]
    device = fleet.device(TWO)
    assert (device.locked, device.locked_by_person) == (None, False), "a lock is the product's"


def test_the_log_knows_whom_an_import_reaches(fleet: Any) -> None:
    assert fleet.call("POST", A + "/devices", {"id": WAITING}).status == 200
    assert fleet.cloud.requests[-1].reaches == (WAITING,)


def test_a_stale_answer_to_the_owner_has_no_fields_of_the_product(fleet: Any) -> None:
    fleet.fault("stale-device")
    fleet.fault("stale-list")
    own = [device for device in fleet.get("/v1/devices") if device["id"] == OWNED]
    assert [record.keys() & {"groups", "development"} for record in (*own, fleet.get(f"/v1/devices/{OWNED}"))] == [
        set(),
        set(),
    ]
    waiting = fleet.get(A + "/devices", quarantined="true")["devices"]
    assert [(device["id"], device["quarantined"]) for device in waiting] == [(WAITING, True)]


def test_a_version_that_a_person_released_is_never_deleted(fleet: Any) -> None:
    fleet.fault("person-changes-release")
    fleet.advance(50 * 3600)
    assert any("released 2" in act.words for act in fleet.cloud.acts)
    assert fleet.call("DELETE", A + "/firmware/2").status == 400


def test_a_refused_device_os_is_refused_to_the_owner_of_a_products_device_too(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    fleet = make_bench(WORLD + "directSystemFlash: development-only")
    binary = module_binary("boron", "4.0.2", "system_part/1")
    answers = [
        fleet.send_file("PUT", f"{place}/devices/{OWNED}", binary, file_type="binary").status for place in (A, "/v1")
    ]
    assert answers == [400, 400]


def test_a_doubled_request_for_a_group_finds_it_made(fleet: Any) -> None:
    fleet.fault("doubled-request", count=1)
    assert fleet.call("POST", A + "/groups", {"name": "us"}).status == 400
    assert [group["name"] for group in fleet.get(A + "/groups")["groups"]] == ["eu", "us"]


def test_a_revoked_token_is_not_in_the_log(fleet: Any) -> None:
    fleet.fault("lost-request", count=1)
    fleet.call("DELETE", "/v1/access_tokens/" + "5" * 40)
    assert fleet.cloud.requests[-1].path == "/v1/access_tokens/***"
