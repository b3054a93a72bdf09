from __future__ import annotations

import json

import pytest

from reconciler.model.device import DeviceId
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.particle.api import MODULE_BYTES_MAX, DeviceOsReleaseRecord, ReleaseModuleRecord
from reconciler.particle.error import GarbledError, MayHaveArrivedError, OversizedError
from tests.particle.pretend import DEVICE, Answer, pretend_cloud

ID = DeviceId(DEVICE)
TWO = ApplicationVersion(2)


def test_own_devices_are_a_bare_array() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=json.dumps([{"id": DEVICE, "platform_id": 13}, {"id": 5}]).encode())]
        listing = api.own_devices()
        assert [record.platform_id for record in listing.records] == [13]
        assert not listing.complete
        assert server.seen[0].path == "/v1/devices"


def test_a_device_that_the_cloud_does_not_know_is_none() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=404, body=b'{"error":"Device not found."}')]
        assert api.device(ID, "logger") is None
        assert server.seen[0].path == f"/v1/products/logger/devices/{DEVICE}"


def test_another_device_than_the_one_asked_for_is_garbled() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b'{"id":"e00fce68bbbbbbbbbbbbbbbb"}')]
        with pytest.raises(GarbledError):
            api.device(ID)


def test_one_device_keeps_what_can_be_read_of_it() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=json.dumps({"id": DEVICE, "name": 5, "platform_id": 13}).encode())]
        found = api.device(ID)
        assert found is not None
        assert found.record.platform_id == 13
        assert found.record.name is None
        assert len(found.findings) == 1


def test_a_flash_is_one_file_that_says_it_is_binary() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=json.dumps({"id": DEVICE, "status": "Update started"}).encode())]
        assert api.flash(ID, b"\0module\r\n", product="logger") == "Update started"
        [seen] = server.seen
        assert (seen.method, seen.path) == ("PUT", f"/v1/products/logger/devices/{DEVICE}")
        assert seen.headers["Content-Type"].startswith("multipart/form-data")
        assert seen.body.count(b"\0module\r\n") == 1
        assert b'name="file"; filename="firmware.bin"' in seen.body
        assert b'name="file_type"\r\n\r\nbinary' in seen.body


@pytest.mark.parametrize(
    ("flash", "body"),
    [(True, {"desired_firmware_version": 2, "flash": True}), (False, {"desired_firmware_version": 2})],
)
def test_a_lock_names_the_version_and_whether_to_flash(flash: bool, body: object) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=json.dumps({"id": DEVICE, "desired_firmware_version": 2}).encode())]
        assert api.lock(ID, TWO, product="logger", flash=flash) == "locked to 2"
        assert json.loads(server.seen[0].body) == body


@pytest.mark.parametrize("body", [b'{"online":true,"ok":true}', b'{"online":false,"ok":true}', b'{"online":1}'])
def test_a_ping_says_whether_the_device_answered(body: bytes) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=body)]
        assert api.ping(ID) is (b"true," in body)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_product_may_stand_alone_or_in_a_member(wrapped: bool) -> None:
    product = {"id": 12345, "slug": "logger", "platform_id": 13, "settings": {}}
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=json.dumps({"product": product} if wrapped else product).encode())]
        found = api.product("logger")
        assert found is not None
        assert (found.id, found.slug) == (12345, "logger")


def test_firmware_versions_are_listed_and_found() -> None:
    firmware = {"_id": "x", "version": 2, "title": "two", "size": 1000, "groups": ["eu"], "product_default": False}
    with pretend_cloud() as (server, api, _):
        server.answers = [
            Answer(body=json.dumps([firmware]).encode()),
            Answer(body=json.dumps(firmware).encode()),
            Answer(status=404),
        ]
        assert [record.version for record in api.product_firmware("logger")] == [2]
        assert api.product_firmware_version("logger", TWO) is not None
        assert api.product_firmware_version("logger", TWO) is None


def test_an_upload_carries_version_title_and_binary() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=201, body=b'{"version":2,"title":"two"}')]
        assert api.upload_product_firmware("logger", TWO, title="two", binary=b"application").version == 2
        [seen] = server.seen
        assert (seen.method, seen.path) == ("POST", "/v1/products/logger/firmware")
        assert b'name="version"\r\n\r\n2' in seen.body
        assert b"application" in seen.body


def test_an_upload_whose_answer_is_no_firmware_may_have_arrived() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=201, body=b'{"hello":"there"}')]
        with pytest.raises(MayHaveArrivedError):
            api.upload_product_firmware("logger", TWO, title="two", binary=b"application")


def test_a_release_is_asked_for_by_version_and_platform() -> None:
    release = {
        "version": "2.3.1",
        "base_url": "https://example.invalid/v2.3.1",
        "modules": [
            {
                "filename": "a.bin",
                "prefixInfo": {"moduleFunction": "system-part", "moduleIndex": 1, "moduleVersion": "2302"},
            }
        ],
    }
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=json.dumps(release).encode())]
        found = api.device_os_release(DeviceOsVersion("2.3.1"), 6)
        assert found is not None
        assert found.modules[0].prefix_info is not None
        assert found.modules[0].prefix_info.module_function == "system-part"
        assert server.seen[0].path == "/v1/device-os/versions/2.3.1?platform_id=6"


def test_a_release_that_is_not_there_is_none() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=404)]
        assert api.device_os_release(DeviceOsVersion("9.9.9"), 6) is None


@pytest.mark.parametrize("relative", [True, False])
def test_a_module_is_got_from_the_named_address(relative: bool) -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b"module")]
        base = "/files/v1/" if relative else f"{server.url}/files/v1"
        release = DeviceOsReleaseRecord(version="2.3.1", base_url=base)
        assert api.device_os_module(release, ReleaseModuleRecord(filename="a b.bin")) == b"module"
        assert server.seen[0].path == "/files/v1/a%20b.bin"


def test_a_module_larger_than_any_is_refused() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b"x" * (MODULE_BYTES_MAX + 1))]
        release = DeviceOsReleaseRecord(version="2.3.1", base_url=server.url)
        with pytest.raises(OversizedError):
            api.device_os_module(release, ReleaseModuleRecord(filename="a.bin"))


@pytest.mark.parametrize(("product", "place"), [(None, "/v1"), ("logger", "/v1/products/logger")])
def test_vitals_are_read_as_they_were_sent_and_asked_for(product: str | None, place: str) -> None:
    with pretend_cloud() as (server, api, _):
        payload = b'{"device":{"system":{"uptime":5}}}'
        body = b'{"diagnostics":{"updated_at":"2026-11-22T09:00:00Z","deviceID":"%b","payload":%b}}'
        server.answers = [Answer(body=body % (DEVICE.encode(), payload)), Answer(status=202, body=b'{"ok":true}')]
        record = api.last_vitals(ID, product)
        assert record is not None
        assert (bytes(record.payload), record.updated_at) == (payload, "2026-11-22T09:00:00Z")
        assert api.refresh_vitals(ID, product)
        assert [(seen.method, seen.path) for seen in server.seen] == [
            ("GET", f"{place}/diagnostics/{DEVICE}/last"),
            ("POST", f"{place}/diagnostics/{DEVICE}/update"),
        ]


def test_a_device_without_vitals_has_none_and_one_that_is_away_cannot_be_asked() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=404, body=b"{}"), Answer(status=404, body=b"{}")]
        assert api.last_vitals(ID) is None
        assert not api.refresh_vitals(ID)
