"""Calls about groups, releases, membership, vitals and compiling, where the vendor's tools do not look (facts 5)."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.message import Request
from reconciler.emulator.world import WorldError, load_world
from reconciler.firmware.binary import parse_module
from reconciler.model.platform import PLATFORMS

ONE, TWO, THREE = (f"e00fce68000000000000000{number}" for number in (1, 2, 3))
DEVELOPED, LOCKED, WAITING, OWNED = (f"e00fce68000000000000000{number}" for number in (4, 5, 6, 7))
PHOTON = "e00fce680000000000000008"
A = "/v1/products/a"
WORLD = f"""
products:
  - {{id: 200, slug: a, platform: boron, groups: [eu, us], default: 1,
     firmware: [{{version: 1, deviceOS: "2.0.1"}}, {{version: 2, deviceOS: "2.0.1"}},
                {{version: 3, deviceOS: "2.0.1"}}]}}
devices:
  - {{id: {ONE}, product: a, platform: boron, deviceOS: "2.0.1", application: 1, groups: [eu]}}
  - {{id: {TWO}, product: a, platform: boron, deviceOS: "2.0.1", application: 1, groups: [us]}}
  - {{id: {THREE}, product: a, platform: boron, deviceOS: "2.0.1", application: 2}}
  - {{id: {DEVELOPED}, product: a, platform: boron, deviceOS: "2.0.1", application: 1, groups: [eu], development: true}}
  - {{id: {LOCKED}, product: a, platform: boron, deviceOS: "2.0.1", application: 1, groups: [eu], locked: 1}}
  - {{id: {WAITING}, product: a, platform: boron, deviceOS: "2.0.1", application: 1, quarantined: true}}
  - {{id: {OWNED}, product: a, platform: boron, deviceOS: "2.0.1", application: 1, claimed: true}}
  - {{id: {PHOTON}, platform: photon, deviceOS: "2.3.1"}}
"""


@pytest.fixture
def fleet(make_bench: Callable[..., Any]) -> Any:
    return make_bench(WORLD)


def impact(fleet: Any, **query: object) -> dict[int, int]:
    query = {"action": "edit_groups_for_firmware", **query}
    update = fleet.get(A + "/impact", **query)["devices"]["firmware_update"]
    by_version = {one["version"]: one["total"] for one in update["by_version"]}
    assert sum(by_version.values()) == update["total"]
    return by_version


def release(fleet: Any, **body: object) -> int:
    status: int = fleet.call("PUT", A + "/firmware/release", body).status
    return status


def test_an_impact_counts_who_would_be_sent_something_else(fleet: Any) -> None:
    """In group eu one device is for development and one is locked; the device without a group runs 2 already."""
    assert impact(fleet, firmware_version=3, groups="eu") == {3: 1}
    assert impact(fleet, firmware_version=3, groups="eu,us") == {3: 2}
    assert impact(fleet, firmware_version=2, product_default="true") == {2: 3}
    assert impact(fleet, firmware_version=1, groups="eu") == {}
    assert fleet.get(A)["product"]["groups"] == ["eu", "us"]


def test_an_impact_counts_who_would_fall_back(fleet: Any) -> None:
    assert release(fleet, version=2, groups=["eu", "us"]) == 200
    fleet.device(ONE).reported_application = fleet.device(TWO).reported_application = 2
    assert impact(fleet, firmware_version=2, groups="us") == {1: 1}
    assert impact(fleet, firmware_version=2) == {1: 2}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"action": "guess", "firmware_version": 2}, 400),
        ({"action": "edit_groups_for_firmware"}, 400),
        ({"action": "edit_groups_for_firmware", "firmware_version": 9}, 404),
        ({"action": "edit_groups_for_firmware", "firmware_version": 2, "groups": "mars"}, 400),
    ],
)
def test_an_impact_of_nothing_is_refused(fleet: Any, query: dict[str, object], status: int) -> None:
    assert fleet.call("GET", A + "/impact", **query).status == status


def test_a_release_names_all_its_groups_and_can_take_the_default_back(fleet: Any) -> None:
    assert release(fleet, version=2, groups=["eu", "us"], product_default=True) == 200
    assert release(fleet, version=2, groups=["us"]) == 200
    assert fleet.get(A + "/firmware/2")["groups"] == ["us"]
    assert fleet.get(A + "/firmware/2")["product_default"] is True
    assert release(fleet, version=2, product_default=False) == 200
    assert fleet.get(A + "/firmware/2")["product_default"] is False
    assert fleet.get(A + "/firmware/2")["groups"] == ["us"]


def test_a_version_that_was_released_once_is_released_again_untested_and_never_deleted(fleet: Any) -> None:
    assert release(fleet, version=2, groups=["eu"]) == 200
    assert release(fleet, version=2, groups=[]) == 200
    fleet.device(THREE).reported_application = 1
    assert release(fleet, version=2, groups=["us"]) == 200
    assert [fleet.call("DELETE", f"{A}/firmware/{version}").status for version in (1, 2, 3)] == [400, 400, 204]


def test_an_upload_and_a_release_are_told_on_the_products_stream(
    fleet: Any, application_binary: Callable[..., bytes]
) -> None:
    listener = fleet.call("GET", A + "/events/particle/firmware").listener
    binary = application_binary("boron", "2.0.1", (200, 7))
    assert fleet.send_file("POST", A + "/firmware", binary, version=7).status == 201
    assert release(fleet, version=2, groups=["eu"], intelligent=True) == 200
    blocks = [block for block in listener.take().decode().split("\n\n") if block]
    told = [(block.split("\n")[0], json.loads(block.split("data: ")[1])) for block in blocks]
    assert [(name, event["coreid"], json.loads(event["data"])) for name, event in told] == [
        ("event: particle/firmware/create", "api", {"version": "7"}),
        ("event: particle/firmware/release", "api", {"immediate": True, "version": 2}),
    ]


def test_a_group_keeps_its_release_and_devices_when_it_is_renamed_and_loses_them_when_it_goes(fleet: Any) -> None:
    assert release(fleet, version=2, groups=["eu"]) == 200
    renamed = json.loads(fleet.call("PUT", A + "/groups/eu", {"name": "europe"}).body)["group"]
    assert (renamed["fw_version"], renamed["device_count"]) == (2, 3)
    assert fleet.look(ONE)["targeted_firmware_release_version"] == 2
    assert fleet.call("DELETE", A + "/groups/europe").status == 204
    assert fleet.look(ONE)["groups"] == []
    assert fleet.look(ONE)["targeted_firmware_release_version"] == 1
    assert fleet.call("GET", A + "/groups/europe").status == 404


@pytest.mark.parametrize("body", [{}, {"name": "us"}, {"name": "New York"}, {"name": 5}])
def test_a_group_is_not_edited_into_what_cannot_be(fleet: Any, body: dict[str, object]) -> None:
    assert fleet.call("PUT", A + "/groups/eu", body).status == 400
    assert [group["name"] for group in fleet.get(A + "/groups")["groups"]] == ["eu", "us"]


def test_a_form_may_bring_groups_one_by_one(fleet: Any) -> None:
    headers = {"authorization": "Bearer " + "1" * 40, "content-type": "application/x-www-form-urlencoded"}
    body = b"groups[]=us&groups[]=new"
    request = Request(method="PUT", path=f"{A}/devices/{ONE}", headers=headers, body=body)
    assert fleet.cloud.handle(request, fleet.now).status == 200
    assert fleet.look(ONE)["groups"] == ["us", "new"]


def test_a_device_in_quarantine_is_seen_and_otherwise_left_alone(fleet: Any) -> None:
    def ids(**query: str) -> set[str]:
        return {device["id"] for device in fleet.get(A + "/devices", **query)["devices"]}

    assert ids(quarantined="true") == {WAITING}
    assert ids() - ids(quarantined="false") == {WAITING}
    path = f"{A}/devices/{WAITING}"
    assert fleet.get(path)["quarantined"] is True
    assert fleet.call("PUT", path, {"development": True}).status == 403
    assert fleet.call("PUT", path + "/ping").status == 403
    assert WAITING not in {device["id"] for device in fleet.get("/v1/devices")}
    listener = fleet.call("GET", "/v1/devices/events").listener
    fleet.cloud.state.life.set_online(fleet.device(WAITING), False, fleet.now)
    assert listener.take() == b""
    assert fleet.call("POST", A + "/devices", {"id": WAITING}).status == 200
    assert fleet.get(path)["quarantined"] is False


def test_a_device_is_added_by_any_of_its_numbers_and_only_to_its_platforms_products(fleet: Any) -> None:
    assert fleet.call("DELETE", f"{A}/devices/{TWO}").status == 204
    assert fleet.call("GET", f"/v1/devices/{TWO}").status == 404
    serial = fleet.get(f"{A}/devices/{ONE}")["serial_number"]
    imei = f"3527530900{int(TWO[-8:], 16):05d}"
    answer = fleet.call("POST", A + "/devices", {"id": [serial, imei, PHOTON, "nonsense"]})
    found = json.loads(answer.body)
    assert (found["existingDeviceIds"], found["updatedDeviceIds"]) == ([ONE], [TWO])
    assert found["invalidDeviceIds"] == [PHOTON, "nonsense"]
    assert fleet.call("POST", A + "/devices", {}).status == 400


def test_an_added_device_is_sent_the_release_at_once(fleet: Any) -> None:
    assert release(fleet, version=2, product_default=True) == 200
    fleet.call("POST", A + "/devices", {"id": WAITING})
    fleet.advance(300)
    assert fleet.device(WAITING).application_version == 2


def test_a_device_of_a_product_that_is_claimed_is_its_owners_too(fleet: Any) -> None:
    own = {device["id"]: device for device in fleet.get("/v1/devices")}
    assert own.keys() == {OWNED, PHOTON}
    assert own[OWNED]["product_id"] == 200
    assert fleet.look(OWNED)["owner"] == "operator@example.com"
    assert "owner" not in fleet.look(ONE)
    streams = [fleet.call("GET", path).listener for path in ("/v1/devices/events", A + "/events")]
    fleet.cloud.state.life.set_online(fleet.device(OWNED), False, fleet.now)
    assert [stream.take().count(b"spark/status") for stream in streams] == [1, 1]
    assert fleet.call("DELETE", f"{A}/devices/{OWNED}/owner").status == 200
    assert fleet.call("GET", f"/v1/devices/{OWNED}").status == 404
    assert fleet.look(OWNED)["product_id"] == 200


def test_vitals_are_kept_for_30_days_and_shown_by_date(fleet: Any) -> None:
    path = f"{A}/diagnostics/{ONE}"
    for _ in range(2):
        assert fleet.call("POST", path + "/update", {}).status == 202
        fleet.advance(3600)
    both = fleet.get(path)["diagnostics"]
    assert len(both) == 2
    between = both[1]["updated_at"]
    assert fleet.get(path, start_date=between)["diagnostics"] == both[1:]
    assert fleet.get(path, end_date=between)["diagnostics"] == both[:1]
    assert fleet.call("GET", path, start_date="soon").status == 400
    assert fleet.call("GET", path, start_date="2020-01-01T00:00:00Z").status == 400
    fleet.advance(31 * 86_400)
    assert fleet.get(path)["diagnostics"] == []


def test_who_is_offline_or_leaves_in_between_reports_nothing(fleet: Any) -> None:
    path = f"{A}/diagnostics/{ONE}"
    fleet.call("POST", path + "/update", {})
    fleet.cloud.state.life.set_online(fleet.device(ONE), False, fleet.now)
    fleet.advance(60)
    assert fleet.call("GET", path + "/last").status == 404
    assert fleet.call("POST", path + "/update", {}).status == 404


def test_vitals_come_as_an_event_and_as_a_table(fleet: Any) -> None:
    listener = fleet.call("GET", A + "/events/spark/device/diagnostics").listener
    fleet.call("POST", f"{A}/diagnostics/{ONE}/update", {})
    fleet.advance(10)
    event = json.loads(listener.take().decode().split("data: ")[1])
    assert json.loads(event["data"]) == fleet.get(f"{A}/diagnostics/{ONE}/last")["diagnostics"]["payload"]
    headers = {"authorization": "Bearer " + "1" * 40, "accept": "text/csv"}
    table = fleet.cloud.handle(
        Request(method="GET", path=f"{A}/diagnostics/{ONE}", headers=headers), fleet.now
    ).body.decode()
    assert table.splitlines()[0] == "updated_at,deviceID,payload"
    assert ONE in table.splitlines()[1]


def test_only_tinker_is_a_known_application(fleet: Any) -> None:
    path = f"/v1/devices/{PHOTON}"
    assert fleet.call("PUT", path, {"app_id": "minesweeper"}).status == 400
    assert fleet.device(PHOTON).transfers == 0
    assert fleet.call("PUT", path, {"app_id": "tinker"}).status == 200
    fleet.advance(300)
    installed = fleet.device(PHOTON).application
    assert (installed.product_id, installed.product_version) == (6, 3)


def compile_form(fleet: Any, path: str, source: str, method: str = "POST", **fields: object) -> Any:
    body = "".join(f'--B\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items())
    body += '--B\r\nContent-Disposition: form-data; name="file"; filename="a.ino"\r\n\r\n' + source + "\r\n--B--\r\n"
    headers = {"authorization": "Bearer " + "1" * 40, "content-type": "multipart/form-data; boundary=B"}
    answer = fleet.cloud.handle(Request(method=method, path=path, headers=headers, body=body.encode()), fleet.now)
    return answer.status, json.loads(answer.body)


def test_sources_become_an_application_of_the_product_and_version_that_they_declare(fleet: Any) -> None:
    status, compiled = compile_form(fleet, "/v1/binaries", "PRODUCT_VERSION(12);", platform_id=13, product_id=200)
    assert (status, compiled["build_target_version"]) == (200, "6.5.0")
    binary = fleet.call("GET", compiled["binary_url"]).body
    assert parse_module(binary).product == (200, 12)
    fleet.advance(3600)
    assert fleet.call("GET", compiled["binary_url"]).status == 404


@pytest.mark.parametrize(
    "fields", [{"platform_id": 99}, {}, {"platform_id": 13, "build_target_version": "9.9.9"}, {"platform_id": "x"}]
)
def test_nothing_is_compiled_for_what_does_not_exist(fleet: Any, fields: dict[str, object]) -> None:
    assert compile_form(fleet, "/v1/binaries", "void setup() {}", **fields)[0] == 400


def test_a_source_with_an_error_changes_no_device(fleet: Any) -> None:
    status, answer = compile_form(fleet, f"/v1/devices/{PHOTON}", "#error no", "PUT", latest="true")
    assert (status, answer["ok"], answer["errors"]) == (200, False, ["a.ino: error: #error no"])
    assert fleet.device(PHOTON).transfers == 0


def test_build_targets_name_prereleases_and_defaults(fleet: Any) -> None:
    targets = fleet.get("/v1/build_targets")
    by_version = {one["version"]: one for one in targets["targets"]}
    assert by_version["6.3.4"]["prereleases"] == []
    assert by_version["2.0.0-rc.1"]["prereleases"] == by_version["2.0.0-rc.1"]["platforms"] != []
    assert (targets["default_versions"]["6"], targets["platforms"]["Photon"]) == ("3.3.1", 6)
    assert len(fleet.get("/v1/build_targets", featured="true")["targets"]) < len(targets["targets"]) / 10


def zipped(**files: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_bin", ".bin"), content)
    return written.getvalue()


def test_a_bundle_is_its_application(fleet: Any, application_binary: Callable[..., bytes]) -> None:
    application = application_binary("boron", "2.0.1", (200, 9))
    bundle = zipped(app_bin=application, assets__hello=b"hello")
    assert fleet.send_file("POST", A + "/firmware", bundle, version=9).status == 201
    assert fleet.call("GET", A + "/firmware/9/binary").body == bundle
    assert fleet.lock(ONE, 9).status == 200
    fleet.advance(300)
    assert fleet.device(ONE).application_version == 9


@pytest.mark.parametrize(
    "bundle",
    [
        b"PK\x03\x04nonsense",
        zipped(),
        zipped(a_bin=b"x", b_bin=b"y"),
        zipped(assets__app_bin=b"x"),
        zipped(app_bin=b"x"),
    ],
    ids=["broken", "empty", "two applications", "none at the top", "no application"],
)
def test_what_is_no_bundle_is_no_application(fleet: Any, bundle: bytes) -> None:
    assert fleet.send_file("POST", A + "/firmware", bundle, version=9).status == 400


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_every_published_release_of_a_platform_can_be_asked_for(fleet: Any, platform: Any) -> None:
    listed = fleet.get("/v1/device-os/versions", platform_id=platform.id, per_page=1000)["versions"]
    for one in listed[::5] + listed[-1:]:
        found = fleet.get(f"/v1/device-os/versions/{one['version']}", platform_id=platform.id)
        assert found["modules"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('platform: boron, deviceOS: "2.0.1", claimed: true', "claimed and quarantined are for devices of a product"),
        ('product: a, platform: boron, deviceOS: "2.0.1", quarantined: true, groups: [eu]', "in quarantine"),
    ],
)
def test_a_world_says_who_belongs_where_without_contradiction(line: str, words: str) -> None:
    with pytest.raises(WorldError, match=words):
        load_world(f"products: [{{id: 200, slug: a, platform: boron, groups: [eu]}}]\ndevices: [{{{line}}}]")
