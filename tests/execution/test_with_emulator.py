"""Eyes, ears and hands together against the pretend cloud, over real HTTP: what one hop needs, end to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.execution.binaries import CloudBinaries
from reconciler.execution.cloud import CloudExecutor
from reconciler.execution.executor import Accepted, NotSent
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.hearing import Hearing, TransferStatus
from reconciler.model.attempt import FailureClass
from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.platform import platform_by_name
from reconciler.model.step import FlashModule, LockApplication
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.particle.api import ParticleApi
from reconciler.particle.connect import connect_api, connect_stream
from reconciler.particle.error import UnauthorisedError
from reconciler.particle.token import AccessToken

WORLD = """
tokens: [{name: operator, token: "1111111111111111111111111111111111111111"}]
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu],
     firmware: [{version: 1, deviceOS: "4.0.0"}, {version: 2, deviceOS: "4.1.0"}]}
devices:
  - {id: e00fce680000000000000001, product: cold-chain, platform: boron, deviceOS: "4.0.0", application: 1,
     groups: [eu]}
  - {id: e00fce680000000000000002, product: cold-chain, platform: boron, deviceOS: "4.0.0", application: 1,
     online: false}
  - {id: e00fce680000000000000003, product: cold-chain, platform: boron, deviceOS: "4.0.0", application: 1,
     healer: false, modules: {bootloader/0: 501}}
  - {count: 30, product: cold-chain, platform: boron, deviceOS: "4.0.0", application: 1}
  - {id: e00fce680000000000000004, platform: argon, deviceOS: "4.0.0"}
"""
ONLINE, OFFLINE, BROKEN, OWN = (DeviceId(f"e00fce68000000000000000{n}") for n in (1, 2, 3, 4))
PATIENCE_SECONDS = 20.0


@dataclass
class Reach:
    server: EmulatorServer
    api: ParticleApi
    hearing: Hearing
    eyes: CloudInventory
    hands: CloudExecutor

    def until(self, device_id: DeviceId, wanted: Callable[[ObservedDevice], bool]) -> ObservedDevice:
        """The device as soon as it is as wanted; virtual time runs fast, so this takes a moment."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            device = self.eyes.observe_device(device_id)
            assert device is not None
            if wanted(device):
                return device
            assert time.monotonic() < deadline, device
            time.sleep(0.02)


@pytest.fixture
def reach() -> Iterator[Reach]:
    token = AccessToken("1" * 40)
    hearing = Hearing(clock=lambda: Instant(time.time()))
    with EmulatorServer(load_world(WORLD), speed=600.0) as server:
        api = connect_api(server.url, token)
        stream = connect_stream(server.url, token, "cold-chain", on_event=hearing.hear)
        stream.start()
        assert stream.wait_connected(PATIENCE_SECONDS), stream.trouble
        eyes = CloudInventory(api, product="cold-chain", hearing=hearing, clock=lambda: Instant(time.time()))
        hands = CloudExecutor(api, product="cold-chain", binaries=CloudBinaries(api))
        try:
            yield Reach(server, api, hearing, eyes, hands)
        finally:
            stream.stop()
            api.wire.close()


def step(reach: Reach, slot: ModuleSlot, release: str) -> FlashModule:
    platform = platform_by_name("boron")
    assert platform is not None
    version = DeviceOsVersion(release)
    known = reach.server.catalog.release(platform, version)
    assert known is not None
    [shipped] = [shipped for shipped in known.modules if shipped.module.slot == slot]
    return FlashModule(module=shipped.module, device_os=version, boots_into=DeviceMode.NORMAL, size=shipped.size)


def test_one_hop_by_flash_and_one_application_by_lock(reach: Reach) -> None:
    observation = reach.eyes.observe()
    assert len(observation.devices) == 33
    assert observation.complete
    assert [(product.id, product.slug) for product in observation.products] == [(12345, "cold-chain")]

    for slot in (ModuleSlot(ModuleFunction.BOOTLOADER, 0), ModuleSlot(ModuleFunction.SYSTEM_PART, 1)):
        before = reach.eyes.observe_device(ONLINE)
        assert before is not None
        assert before.last_handshake_at is not None
        noted, handshake = reach.hearing.ordinal, before.last_handshake_at
        assert isinstance(reach.hands.send(before, step(reach, slot, "4.1.0")), Accepted)
        reach.until(ONLINE, lambda device, since=handshake: device.online and (device.last_handshake_at or 0) > since)
        ends = [heard.status for heard in reach.hearing.transfers_since(ONLINE, noted) if heard.status.is_end]
        assert ends == [TransferStatus.SUCCESS]
    done = reach.until(ONLINE, lambda device: device.device_os == "4.1.0" and device.mode is DeviceMode.NORMAL)

    assert isinstance(reach.hands.send(done, LockApplication(application=ApplicationVersion(2))), Accepted)
    reach.until(ONLINE, lambda device: device.application == 2)
    traffic = reach.api.wire.traffic()
    assert traffic.writes == 3
    assert traffic.devices[ONLINE].bytes_sent == traffic.bytes_sent > 100_000


def test_a_device_that_is_offline_is_not_sent_to(reach: Reach) -> None:
    device = reach.eyes.observe_device(OFFLINE)
    assert device is not None
    assert not device.online
    outcome = reach.hands.send(device, step(reach, ModuleSlot(ModuleFunction.BOOTLOADER, 0), "4.1.0"))
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.OFFLINE


def test_a_version_that_the_product_does_not_hold_is_not_locked_to(reach: Reach) -> None:
    device = reach.eyes.observe_device(ONLINE)
    assert device is not None
    outcome = reach.hands.send(device, LockApplication(application=ApplicationVersion(9)))
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.REFUSED
    assert reach.api.wire.traffic().writes == 0


def test_a_device_in_safe_mode_comes_to_show_its_own_modules(reach: Reach) -> None:
    device = reach.until(BROKEN, lambda device: device.modules is not None)
    assert device.mode is DeviceMode.SAFE_MODE
    assert device.modules is not None
    assert {module.slot: module.version for module in device.modules}[ModuleSlot(ModuleFunction.BOOTLOADER, 0)] == 501


def test_own_devices_are_seen_apart_from_products(reach: Reach) -> None:
    own = CloudInventory(reach.api, product=None, hearing=None, clock=lambda: Instant(0.0)).observe()
    assert [device.id for device in own.devices] == [OWN]


def test_another_token_is_refused(reach: Reach) -> None:
    api = connect_api(reach.server.url, AccessToken("2" * 40))
    with pytest.raises(UnauthorisedError):
        api.own_devices()
    api.wire.close()
