"""The vendor's particle-api-js against the served emulator: every call of its that a fleet tool makes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator.identity import serial_number
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.version import DeviceOsVersion

pytestmark = pytest.mark.real


CLIENT = ("particle-api-js", "12.0.3")
TOKEN = "1" * 40
OWN, SPARE = "e00fce68000000000000000a", "e00fce68000000000000000b"
MEMBER, SECOND = "e00fce680000000000000001", "e00fce680000000000000002"
WAITING, DENIED = "e00fce6800000000000000c1", "e00fce6800000000000000c2"
WORLD = f"""
start: "2026-11-22T09:00:00Z"
organisation: acme
tokens: [{{name: operator, token: "{TOKEN}"}}]
users:
  - {{username: operator@example.com, password: secret}}
  - {{username: careful@example.com, password: secret, otp: "123456"}}
clients: [{{id: robot, secret: wheels}}]
products:
  - {{id: 12345, slug: cold-chain, platform: boron, groups: [eu, us, lab],
     firmware: [{{version: 1, deviceOS: "2.0.1"}}, {{version: 2, deviceOS: "2.0.1"}}]}}
  - {{id: 12346, slug: other, platform: boron}}
devices:
  - {{id: {OWN}, name: own, platform: boron, deviceOS: "6.3.4", application: 1}}
  - {{id: {SPARE}, name: spare, platform: boron, deviceOS: "2.0.1", application: 1}}
  - {{id: {MEMBER}, name: cold-1, product: 12345, platform: boron, deviceOS: "2.0.1", application: 2, groups: [eu]}}
  - {{id: {SECOND}, name: cold-2, product: 12345, platform: boron, deviceOS: "2.0.1", application: 2, groups: [us]}}
  - {{product: cold-chain, name: cold-3, platform: boron, deviceOS: "2.0.1", reported: false}}
  - {{id: {WAITING}, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: 2, quarantined: true}}
  - {{id: {DENIED}, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: 2, quarantined: true}}
"""
LIMITED_WORLD = """
devices: []
rateLimit: {requests: 5, seconds: 300, tokens: 1, streamOpenings: 1, streams: 1}
"""


def boron() -> Platform:
    found = platform_by_name("boron")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files that the story sends."""
    folder = tmp_path_factory.mktemp("files")
    with EmulatorServer(load_world(WORLD), speed=0.0) as server:
        module = server.binaries.module(boron(), DeviceOsVersion("6.3.4"), ModuleSlot.parse("bootloader/0"))
        upload = server.binaries.application(boron(), DeviceOsVersion("2.0.1"), product=(12345, 7))
    assert module is not None
    texts = {"source": b"PRODUCT_VERSION(3)\nvoid setup() {}\n", "broken": b"#error no such luck\n"}
    files = {"module": module, "upload": upload, **texts}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in files}


@pytest.fixture(scope="module")
def told(run_node: Callable[..., Any], contents: dict[str, Path]) -> dict[str, Any]:
    """What every call of the story came to, by its name."""
    with (
        EmulatorServer(load_world(WORLD), speed=0.0) as server,
        EmulatorServer(load_world(LIMITED_WORLD), speed=0.0) as limited,
    ):
        question = {
            "url": server.url,
            "limited": limited.url,
            "token": TOKEN,
            "files": {name: str(path) for name, path in contents.items()},
            "own": OWN,
            "spare": SPARE,
            "member": MEMBER,
            "second": SECOND,
            "waiting": WAITING,
            "denied": DENIED,
            "platform": boron().id,
            "serial": serial_number(server.cloud.state.devices[MEMBER]),
        }
        results: dict[str, Any] = run_node("drive_api.js", CLIENT, question)
    return results


def body(told: dict[str, Any], name: str, status: int = 200) -> Any:
    assert told[name].get("status") == status, (name, told[name])
    return told[name]["body"]


def error(told: dict[str, Any], name: str) -> tuple[int, str]:
    seen = told[name]["error"]
    return seen["statusCode"], seen["body"]["error"]


def test_a_person_logs_in_for_a_while_or_for_ever_or_not_at_all(told: dict[str, Any]) -> None:
    given = body(told, "login")
    assert (given["token_type"], given["expires_in"], len(given["access_token"])) == ("bearer", 3600, 40)
    assert body(told, "loginForEver")["expires_in"] == 0
    assert error(told, "loginWrong") == (400, "invalid_grant")
    assert error(told, "afterExpiry") == (401, "invalid_token")


def test_who_has_a_login_code_is_asked_for_it(told: dict[str, Any]) -> None:
    assert error(told, "loginAsksForCode") == (403, "mfa_required")
    assert error(told, "sendOtpWrong") == (400, "invalid_grant")
    assert body(told, "sendOtp")["expires_in"] == 7_776_000


def test_a_client_has_a_token_of_its_own(told: dict[str, Any]) -> None:
    assert body(told, "loginAsClientOwner")["token_type"] == "bearer"
    assert {device["id"] for device in body(told, "listWithClientToken")} == {OWN, SPARE}
    assert error(told, "loginAsUnknownClient") == (400, "invalid_client")


def test_a_token_tells_of_itself_and_ends(told: dict[str, Any]) -> None:
    shown = body(told, "currentToken")
    assert (shown["client_id"], shown["expires_at"]) == ("particle-api", "2026-11-22T10:51:00Z")
    assert [one["slug"] for one in shown["orgs"]] == ["acme"]
    assert body(told, "getUserInfo")["username"] == "operator@example.com"
    for name in ("deleteCurrentAccessToken", "deleteAccessToken", "deleteActiveAccessTokens"):
        assert body(told, name) == {"ok": True}
    for name in ("afterDeleteCurrent", "afterDeleteAccessToken"):
        assert error(told, name) == (401, "invalid_token")


def test_an_api_user_may_do_what_its_scopes_say_in_its_product(told: dict[str, Any]) -> None:
    made = body(told, "createApiUser")["created"]
    assert made["is_programmatic"] is True
    assert made["username"].endswith("@api.particle.io")
    assert body(told, "apiUserMay")["devices"]
    assert error(told, "apiUserMayNot")[0] == error(told, "apiUserElsewhere")[0] == 403
    assert error(told, "oldTokenOfApiUser") == (401, "invalid_token")
    assert body(told, "newTokenOfApiUser")
    programs = [one["username"] for one in body(told, "listTeamMembers")["team"] if one.get("is_programmatic")]
    assert programs == [made["username"]]
    assert body(told, "removeTeamMember") == {"ok": True}
    assert error(told, "afterRemoveTeamMember") == (401, "invalid_token")
    assert body(told, "createOrgUser")["created"]["product_id"] is None


def test_own_devices_are_a_list_and_a_products_are_pages(told: dict[str, Any]) -> None:
    assert {device["id"] for device in body(told, "listOwnDevices")} == {OWN, SPARE}
    page = body(told, "listProductDevices")
    assert (page["meta"], len(page["devices"])) == ({"total_pages": 3, "page": 2, "per_page": 2, "total": 5}, 2)
    assert [device["id"] for device in body(told, "listByName")["devices"]] == [SECOND]
    assert [device["id"] for device in body(told, "listByGroups")["devices"]] == [SECOND]
    assert [device["id"] for device in body(told, "listById")["devices"]] == [MEMBER]


def test_a_device_has_the_fields_that_its_kind_of_list_has(told: dict[str, Any]) -> None:
    own, member, waiting = (body(told, name) for name in ("getOwnDevice", "getProductDevice", "getQuarantined"))
    assert (own["product_id"], own["platform_id"], own["system_firmware_version"]) == (13, 13, "6.3.4")
    assert "groups" not in own
    assert (member["product_id"], member["groups"], member["desired_firmware_version"]) == (12345, ["eu"], None)
    assert {"imei", "iccid", "serial_number", "last_ip_address", "status"} <= member.keys() & own.keys()
    assert (waiting["quarantined"], waiting["denied"], waiting["firmware_product_id"]) == (True, False, 12345)
    assert not {"groups", "functions", "firmware_version", "desired_firmware_version"} & waiting.keys()


def test_what_is_not_there_and_who_may_not_look_are_errors_that_the_client_reads(told: dict[str, Any]) -> None:
    assert error(told, "getMissing") == (404, "Device not found")
    assert told["getMissing"]["error"]["shortErrorDescription"] == "No such device here"
    assert error(told, "getWithoutToken") == (401, "invalid_token")


def test_a_device_is_pinged_named_noted_signalled_and_marked(told: dict[str, Any]) -> None:
    assert body(told, "ping") == {"online": True, "ok": True}
    assert body(told, "renameDevice")["name"] == "kitchen"
    assert body(told, "signalDevice") == {"id": OWN, "connected": True, "signaling": True}
    assert body(told, "setDeviceNotes")["notes"] == "roof"
    assert body(told, "lookupSerialNumber")["deviceID"] == MEMBER
    assert body(told, "markAsDevelopmentDevice")["development"] is True
    assert body(told, "unmarkDevelopmentDevice")["development"] is False
    assert body(told, "forceUpdates") == {"id": SECOND, "firmware_updates_forced": True}
    assert body(told, "updateDevice") == {
        "id": MEMBER,
        "name": "cold-1b",
        "notes": "wall",
        "updated_at": "2026-11-22T09:00:00Z",
    }


def test_devices_come_into_a_product_and_leave_it(told: dict[str, Any]) -> None:
    assert body(told, "addDeviceToProduct")["updatedDeviceIds"] == [SPARE]
    listed = body(told, "addDevicesByFile")
    assert (listed["updated"], listed["updatedDeviceIds"]) == (1, [WAITING])
    assert (listed["existingDeviceIds"], listed["invalidDeviceIds"]) == ([SPARE], ["f" * 24])
    assert body(told, "removeDeviceFromProduct", 204) == {}
    assert body(told, "denyDevice", 204) == {}
    assert body(told, "getDenied")["denied"] is True
    assert body(told, "unclaimDevice") == {"ok": True}
    assert error(told, "getUnclaimed")[0] == 404
    assert body(told, "claimDevice")["claimed"] is True
    assert body(told, "getClaimed")["id"] == SPARE


def test_product_firmware_is_uploaded_edited_downloaded_and_deleted(
    told: dict[str, Any], contents: dict[str, Path]
) -> None:
    assert [one["slug"] for one in body(told, "listProducts")["products"]] == ["cold-chain", "other"]
    assert body(told, "getProduct")["product"]["platform_id"] == 13
    uploaded = body(told, "uploadProductFirmware", 201)
    assert (uploaded["version"], uploaded["title"], uploaded["description"]) == (7, "seven", "the seventh")
    assert error(told, "uploadAgain") == (400, "Version exists")
    assert [one["version"] for one in body(told, "listProductFirmware")] == [7, 2, 1]
    assert body(told, "updateProductFirmware")["title"] == "lucky seven"
    assert body(told, "getProductFirmware")["title"] == "lucky seven"
    binary = contents["upload"].read_bytes()
    assert told["downloadProductFirmware"] == {"bytes": len(binary), "sha256": hashlib.sha256(binary).hexdigest()}
    assert error(told, "deleteReleased")[0] == 400
    assert body(told, "deleteProductFirmware", 204) == {}
    assert error(told, "getDeletedFirmware")[0] == 404


def test_a_version_is_locked_runs_and_is_then_released_to_a_group(told: dict[str, Any]) -> None:
    assert error(told, "releaseUntested")[0] == 400
    assert body(told, "lockDeviceProductFirmware")["desired_firmware_version"] == 7
    locked = body(told, "getLocked")
    assert (locked["firmware_version"], locked["targeted_firmware_release_version"]) == (7, 7)
    counts = body(told, "impact")["devices"]["firmware_update"]
    assert counts == {"total": 1, "by_version": [{"version": 7, "total": 1}]}
    released = body(told, "releaseProductFirmware")
    assert (released["groups"], released["product_default"], released["intelligent"]) == (["us"], False, True)
    assert body(told, "getReleased")["firmware_version"] == 7
    assert body(told, "unlockDeviceProductFirmware")["desired_firmware_version"] is None


def test_a_device_is_flashed_with_a_binary_a_known_application_or_sources(told: dict[str, Any]) -> None:
    assert body(told, "flashDevice") == {"id": OWN, "status": "Update started"}
    assert error(told, "flashBusy")[0] == 409
    assert body(told, "flashKnownApp")["status"] == "Update started"
    assert body(told, "flashSource") == {"ok": True, "message": "Update started"}
    assert error(told, "flashOffline") == (404, "device not currently connected")
    after = next(device for device in body(told, "listWithClientToken") if device["id"] == OWN)
    assert (after["firmware_product_id"], after["firmware_version"]) == (13, 3)


def test_sources_are_compiled_and_the_binary_downloaded(told: dict[str, Any]) -> None:
    compiled = body(told, "compileCode")
    assert (compiled["ok"], compiled["build_target_version"]) == (True, "6.3.4")
    assert told["downloadFirmwareBinary"]["bytes"] > 10_000
    assert body(told, "compileBroken")["errors"] == ["app.ino: error: #error no such luck"]
    targets = body(told, "listBuildTargets")
    newest = next(one for one in targets["targets"] if 13 in one["platforms"])
    assert newest["version"] == targets["default_versions"]["13"]
    assert targets["platforms"]["Boron"] == 13


def test_the_catalogue_has_pages_details_and_files(told: dict[str, Any]) -> None:
    listed = body(told, "listDeviceOsVersions")
    assert len(listed["versions"]) == 5
    assert {one["platform_id"] for one in listed["versions"]} == {13}
    latest = body(told, "getDeviceOsVersion")
    assert latest["version"] == listed["versions"][0]["version"]
    assert {one["prefixInfo"]["moduleFunction"] for one in latest["modules"]} >= {"bootloader", "system_part"}
    assert told["downloadFile"]["bytes"] > 10_000
    assert error(told, "getDeviceOsMissing")[0] == 404


def test_groups_are_made_filled_renamed_and_deleted(told: dict[str, Any]) -> None:
    made = body(told, "createGroup", 201)["group"]
    assert (made["name"], made["color"], made["description"]) == ("asia", "#34495e", "A")
    assert error(told, "createGroupWrong")[0] == 400
    assert body(told, "batchGroups") == {"ok": True}
    assert body(told, "editGroup")["group"]["device_count"] == 2
    assert [group["name"] for group in body(told, "listGroups")["groups"]] == ["far-east"]
    assert body(told, "getGroup")["group"]["device_count"] == 2
    assert body(told, "assignGroups")["groups"] == ["far-east", "new"]
    assert body(told, "deleteGroup", 204) == {}
    assert body(told, "getAfterDeleteGroup")["groups"] == ["new"]


def test_vitals_are_asked_for_and_come(told: dict[str, Any]) -> None:
    assert error(told, "vitalsBefore")[0] == 404
    assert body(told, "refreshVitals", 202) == {"ok": True}
    last = body(told, "lastVitals")["diagnostics"]
    assert last["deviceID"] == MEMBER
    assert 0 <= last["payload"]["device"]["network"]["signal"]["strength"] <= 100
    assert body(told, "allVitals")["diagnostics"] == [last]
    assert body(told, "vitalsMetadata")["diagnostics_metadata"]["device"]["power"]["battery"]


def test_each_stream_carries_what_its_address_says(told: dict[str, Any]) -> None:
    heard = {
        name: [(event["name"], event["coreid"][-4:]) for event in events] for name, events in told["events"].items()
    }
    offline = {device: ("spark/status", device[-4:]) for device in (OWN, MEMBER, SECOND)}
    assert heard["all"] == [offline[OWN]]
    assert heard["mine"] == [offline[OWN], ("weather", "api")]
    assert heard["device"] == [offline[OWN]]
    both = [offline[MEMBER], offline[SECOND], ("weather-report", "api")]
    assert heard["product"] == heard["organisation"] == both
    assert heard["productDevice"] == [offline[SECOND]]
    assert heard["nothing"] == [("weather", "api")]
    assert error(told, "eventsWithoutPrefix") == (400, "event prefix filter is required")


def test_too_much_is_answered_with_429_and_a_time(told: dict[str, Any]) -> None:
    for name, seconds in (("tooManyTokens", "300"), ("tooManyRequests", "300")):
        seen = told[name]["error"]
        assert (seen["statusCode"], seen["retryAfter"]) == (429, seconds)
    assert told["tooManyStreams"]["error"]["statusCode"] == 429
    assert told["lastRequest"]["status"] == 200
