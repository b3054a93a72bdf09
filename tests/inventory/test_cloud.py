from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.hearing import Hearing
from reconciler.model.device import DeviceId, DeviceMode, HeldApplication, Product
from reconciler.model.error import WireError
from reconciler.model.fleet import FleetSet, Selector
from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.version import ApplicationVersion
from reconciler.particle.api import ParticleApi
from reconciler.particle.stream import CloudEvent
from reconciler.planning.planner import plan_fleets
from tests.fleet_samples import fleet
from tests.particle.pretend import Answer, PretendServer, Seen, pretend_cloud

ONE, TWO = "e00fce680000000000000001", "e00fce680000000000000002"
NOW = Instant(1_795_338_000.0)
HANDSHAKE = instant_from_iso("2026-11-22T01:00:00Z")
SAFE = {"id": ONE, "platform_id": 13, "status": "safe_mode", "last_handshake_at": "2026-11-22T01:00:00Z"}
DESCRIBE = json.dumps({"m": [{"l": "m", "f": "b", "n": "0", "v": 1101, "d": []}]})


class Cloud:
    """A product `logger` (12345) with some devices, and the same devices as the token's own."""

    def __init__(self, server: PretendServer, api: ParticleApi) -> None:
        self.devices: list[dict[str, Any]] = []
        self.product: dict[str, Any] | None = {"id": 12345, "slug": "logger"}
        self.date: dict[str, str] = {}
        self.firmware: object = []
        self.server, self.api = server, api
        self.hearing = Hearing(clock=lambda: NOW)
        server.chosen = self.answer

    def answer(self, seen: Seen) -> Answer:
        path = seen.path.partition("?")[0]
        body: object = self.devices
        if path in {"/v1/products/logger", "/v1/products/12345"}:
            if self.product is None:
                return Answer(status=403, body=b'{"error":"scope"}')
            body = {"product": self.product}
        elif path == "/v1/products/logger/firmware":
            body = self.firmware
        elif path.endswith("/binary"):
            return Answer(body=b"binary")
        elif path in {"/v1/products/logger/devices", "/v1/products/12345/devices"}:
            body = {"devices": self.devices, "meta": {"total_pages": 1}}
        elif path != "/v1/devices":
            found = [device for device in self.devices if path.endswith(device["id"])]
            if not found:
                return Answer(status=404, body=b'{"error":"Device not found."}')
            body = found[0]
        return Answer(body=json.dumps(body).encode(), headers=self.date)

    def inventory(self, product: str | None = "logger") -> CloudInventory:
        return CloudInventory(self.api, product=product, hearing=self.hearing, clock=lambda: NOW)

    def report(self, at: float) -> None:
        name = "spark/status/safe-mode"
        self.hearing.hear(CloudEvent(name=name, data=DESCRIBE, device_id=DeviceId(ONE), published_at=Instant(at)))


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with pretend_cloud() as (server, api, _):
        yield Cloud(server, api)


def test_a_products_devices_are_observed_with_its_number_and_slug(cloud: Cloud) -> None:
    cloud.devices = [{"id": TWO}, {"id": ONE, "platform_id": 13, "product_id": 12345, "groups": ["eu"]}]
    observation = cloud.inventory().observe()
    assert [device.id for device in observation.devices] == [ONE, TWO]
    assert observation.devices[0].groups == ("eu",)
    assert observation.products == (Product(id=12345, slug="logger", holds=()),)
    assert observation.source == "cloud"
    assert observation.complete


def test_a_product_whose_name_the_token_may_not_see_is_still_observed(cloud: Cloud) -> None:
    cloud.product = None
    cloud.devices = [{"id": ONE}]
    observation = cloud.inventory().observe()
    assert len(observation.devices) == 1
    assert observation.products == ()


def test_own_devices_are_those_whose_product_is_their_platform(cloud: Cloud) -> None:
    cloud.devices = [
        {"id": ONE, "platform_id": 13, "product_id": 13},
        {"id": TWO, "platform_id": 13, "product_id": 12345},
    ]
    assert [device.id for device in cloud.inventory(None).observe().devices] == [ONE]


def test_a_device_that_never_reported_has_nothing_that_is_zero(cloud: Cloud) -> None:
    cloud.devices = [{"id": ONE}]
    [device] = cloud.inventory().observe().devices
    assert (device.device_os, device.application, device.platform_id, device.last_handshake_at) == (None,) * 4
    assert not device.online
    assert device.modules is None


def test_an_observation_has_the_time_of_the_clouds_answer(cloud: Cloud) -> None:
    cloud.devices = [{"id": ONE}]
    cloud.date = {"Date": "Sun, 22 Nov 2026 05:00:00 GMT"}
    observation = cloud.inventory().observe()
    assert iso_from_instant(observation.observed_at) == "2026-11-22T05:00:00Z"
    single = cloud.inventory().observe_device(DeviceId(ONE))
    assert single is not None
    assert single.observed_at == observation.devices[0].observed_at == observation.observed_at


def test_an_answer_without_a_date_has_the_time_of_our_own_clock(cloud: Cloud) -> None:
    assert cloud.inventory().observe().observed_at == NOW


@pytest.mark.parametrize(("age", "attached"), [(-100.0, True), (0.0, True), (5.0, True), (5.1, False), (1000.0, False)])
def test_a_report_counts_only_when_it_is_of_this_session(cloud: Cloud, age: float, attached: bool) -> None:
    cloud.devices = [SAFE]
    cloud.report(HANDSHAKE - age)
    bootloader = Module(slot=ModuleSlot(ModuleFunction.BOOTLOADER, 0), version=1101)
    expected = (bootloader,) if attached else None
    assert cloud.inventory().observe().devices[0].modules == expected
    single = cloud.inventory().observe_device(DeviceId(ONE))
    assert single is not None
    assert single.modules == expected


@pytest.mark.parametrize("change", [{"status": "normal"}, {"status": "odd"}, {"last_handshake_at": None}])
def test_a_report_is_not_attached_to_a_device_that_it_may_not_describe(cloud: Cloud, change: dict[str, Any]) -> None:
    cloud.devices = [SAFE | change]
    cloud.report(HANDSHAKE + 1)
    assert cloud.inventory().observe().devices[0].modules is None


def test_a_device_that_cannot_be_read_makes_the_observation_incomplete(cloud: Cloud) -> None:
    cloud.devices = [{"id": ONE, "name": 5}, {"id": "broken"}]
    observation = cloud.inventory().observe()
    assert [device.id for device in observation.devices] == [ONE]
    assert not observation.complete
    assert len(observation.findings) == 2


def test_a_field_that_cannot_be_read_leaves_the_observation_complete(cloud: Cloud) -> None:
    cloud.devices = [{"id": ONE, "name": 5, "last_heard": "once"}]
    observation = cloud.inventory().observe()
    assert observation.complete
    assert len(observation.findings) == 2


def test_single_devices_are_found_or_not(cloud: Cloud) -> None:
    cloud.devices = [SAFE]
    found = cloud.inventory().observe_device(DeviceId(ONE))
    assert found is not None
    assert found.mode is DeviceMode.SAFE_MODE
    assert cloud.inventory().observe_device(DeviceId(TWO)) is None


def test_a_cloud_that_cannot_be_read_is_an_error_and_no_empty_fleet(cloud: Cloud) -> None:
    cloud.server.chosen = lambda seen: Answer(status=500)
    with pytest.raises(WireError):
        cloud.inventory().observe()
    with pytest.raises(WireError):
        cloud.inventory().observe_device(DeviceId(ONE))


@pytest.mark.parametrize("said", [777, 13])
def test_a_device_that_says_it_is_of_another_product_is_left_out_with_a_finding(cloud: Cloud, said: int) -> None:
    cloud.devices = [{"id": ONE, "product_id": 12345}, {"id": TWO, "platform_id": 13, "product_id": said}]
    inventory = cloud.inventory()
    observation = inventory.observe()
    assert inventory.observe_device(DeviceId(TWO)) is None
    assert [device.id for device in observation.devices] == [ONE]
    assert not observation.complete
    assert any(TWO in finding and f"says that it is of {said}" in finding for finding in observation.findings)


@pytest.mark.parametrize("product", ["logger", "12345"])
def test_a_device_that_does_not_say_whose_it_is_is_of_the_product_that_lists_it(cloud: Cloud, product: str) -> None:
    # A quarantined device comes with few fields (facts 5.3); as nobody's it would be taken for the owner's.
    cloud.devices = [{"id": ONE, "quarantined": True}]
    cloud.product = {"id": 12345, "slug": "logger"}
    inventory = cloud.inventory(product)
    [device] = inventory.observe().devices
    assert device.product_id == 12345
    assert inventory.observe_device(DeviceId(ONE)) == device


@pytest.mark.parametrize(
    "fields",
    [
        {"platform_id": 999},
        {"platform_id": "13"},
        {"status": "thinking"},
        {"status": 5},
        {"system_firmware_version": None},
        {"system_firmware_version": 6},
        {"platform_id": None, "status": None, "groups": None, "online": None},
    ],
)
def test_a_device_that_is_not_understood_is_seen_and_planned_to_nothing(cloud: Cloud, fields: dict[str, Any]) -> None:
    cloud.devices = [
        {"id": ONE, "platform_id": 13, "product_id": 12345, "system_firmware_version": "1.5.2", "online": True}
        | {"groups": ["eu"]}
        | fields
    ]
    observation = cloud.inventory().observe()
    assert [device.id for device in observation.devices] == [ONE]
    eu = fleet(select=Selector(devices=frozenset({ONE})))
    [planned] = plan_fleets(
        FleetSet(fleets=(replace(eu, product="logger"),)), observation, known_catalog(), now=NOW
    ).fleets
    assert planned.routes == ()
    assert planned.summary.devices == 1


# --- what the product holds ---


def test_what_the_product_holds_is_observed_with_one_request_a_look(cloud: Cloud) -> None:
    cloud.firmware = [
        {"version": 44, "groups": ["us", "eu"], "product_default": False},
        {"version": 12, "groups": [], "current": True},
    ]
    inventory = cloud.inventory()
    [product] = inventory.observe().products
    assert product.holds == (
        HeldApplication(version=ApplicationVersion(12), product_default=True),
        HeldApplication(version=ApplicationVersion(44), groups=("eu", "us")),
    )
    assert (product.released_to(None), product.released_to("eu"), product.released_to("lab")) == (12, 44, None)
    before = len(cloud.server.seen)
    inventory.observe()
    assert [seen.path.partition("?")[0] for seen in cloud.server.seen[before:]] == [
        "/v1/products/logger/firmware",
        "/v1/products/logger/devices",
    ]


def test_what_is_in_a_version_that_manifests_name_is_read_once(cloud: Cloud) -> None:
    inventory = CloudInventory(
        cloud.api, product="logger", hearing=None, clock=lambda: NOW, contents_of=[ApplicationVersion(44)]
    )
    cloud.firmware = [{"version": 12}]
    assert inventory.observe().products[0].held(ApplicationVersion(44)) is None
    cloud.firmware = [{"version": 12}, {"version": 44}]
    for _ in range(2):
        [product] = inventory.observe().products
        assert [held.sha256 for held in product.holds or ()] == [None, hashlib.sha256(b"binary").hexdigest()]
    assert sum("/44/binary" in seen.path for seen in cloud.server.seen) == 1


@pytest.mark.parametrize("firmware", [{"not": "a list"}, [{"version": "many"}]])
def test_a_product_whose_firmware_cannot_be_read_is_observed_and_what_it_holds_is_not_known(
    cloud: Cloud, firmware: object
) -> None:
    cloud.devices = [{"id": ONE}]
    cloud.firmware = firmware
    observation = cloud.inventory().observe()
    assert observation.products[0].holds is None
    assert "cannot be read" in observation.findings[0]
    assert (observation.complete, len(observation.devices)) == (True, 1)
