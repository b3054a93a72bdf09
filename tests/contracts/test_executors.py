"""The promise of every pair of hands, against all of them: what left is said truly, once, and nothing is raised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import pytest

from reconciler.execution.cloud import CloudExecutor
from reconciler.execution.executor import Accepted, Executor, MayHaveArrived, NotSent
from reconciler.execution.usb import UsbExecutor
from reconciler.firmware.builder import build_module
from reconciler.inventory.usb_memory import BenchMemory
from reconciler.model.attempt import FailureClass
from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.error import FirmwareError
from reconciler.model.fleet import Via
from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.model.platform import Platform
from reconciler.model.step import FlashModule
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.particle.usb_error import UsbTimeoutError
from tests.bench.fake_bus import FakeBus, FakeDevice
from tests.fleet_samples import module
from tests.particle.pretend import DEVICE, Answer, pretend_cloud

BOOTLOADER = module("boron", "6.3.4", "bootloader/0")
SYSTEM = module("boron", "6.3.4", "system_part/1")


@dataclass
class Store:
    """Modules as they are asked for, or a failure to get them."""

    failure: FirmwareError | None = None

    def module(self, platform: Platform, step: FlashModule) -> bytes:
        if self.failure is not None:
            raise self.failure
        return build_module(platform, step.module, size=40 * 1024)

    def application(
        self, platform_name: str, application: ApplicationVersion, sha256: str | None = None
    ) -> bytes | None:
        raise AssertionError((platform_name, application))


class Rig(Protocol):
    """One pair of hands, with a world that can be told how to behave."""

    hands: Executor
    via: Via
    store: Store

    @property
    def device_id(self) -> DeviceId: ...

    def refuse(self) -> None:
        """The other side says no."""

    def be_gone(self) -> None:
        """The device is not there."""

    def cut(self) -> None:
        """The answer is lost, or the device goes, after something may have changed."""

    @property
    def changes(self) -> int:
        """How often something left that changes anything."""


@dataclass
class CloudRig:
    hands: Executor
    server: object
    store: Store
    via: Via = Via.CLOUD

    @property
    def device_id(self) -> DeviceId:
        return DeviceId(DEVICE)

    def _answer(self, answer: Answer) -> None:
        self.server.chosen = lambda _seen: answer  # type: ignore[attr-defined]  # the pretend server

    def refuse(self) -> None:
        self._answer(Answer(status=409, body=b'{"error":"no"}'))

    def be_gone(self) -> None:
        self._answer(Answer(status=404, body=b'{"error":"Did not get a reply"}'))

    def cut(self) -> None:
        self._answer(Answer(reset=True))

    @property
    def changes(self) -> int:
        return sum(seen.method != "GET" for seen in self.server.seen)  # type: ignore[attr-defined]  # as above


@dataclass
class UsbRig:
    hands: Executor
    device: FakeDevice
    store: Store
    via: Via = Via.USB

    @property
    def device_id(self) -> DeviceId:
        return self.device.id

    def refuse(self) -> None:
        self.device.refuses_updates = True

    def be_gone(self) -> None:
        self.device.plugged = False

    def cut(self) -> None:
        def pull(device: FakeDevice, moment: str) -> None:
            if moment.startswith(("half", "applied")):
                device.plugged = False

        self.device.at_moment = pull

    @property
    def changes(self) -> int:
        return sum(moment.startswith(("half", "apply")) for moment in self.device.moments)


@pytest.fixture(params=["cloud", "usb"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    store = Store()
    if request.param == "cloud":
        with pretend_cloud() as (server, api, _):
            server.chosen = lambda _seen: Answer(body=b'{"id":"x","status":"Update started"}')
            yield CloudRig(CloudExecutor(api, product=None, binaries=store), server, store)
        return
    bus = FakeBus()
    device = bus.plug(1, "boron", "2.0.1")
    yield UsbRig(UsbExecutor(bus, store, BenchMemory()), device, store)


def seen(rig: Rig) -> ObservedDevice:
    return ObservedDevice(id=rig.device_id, platform_id=13, online=True, observed_at=Instant(0.0))


def step(rig: Rig, brought: Module = BOOTLOADER) -> FlashModule:
    return FlashModule(module=brought, device_os=DeviceOsVersion("6.3.4"), boots_into=DeviceMode.NORMAL, via=rig.via)


@pytest.mark.parametrize("brought", [BOOTLOADER, SYSTEM], ids=str)
def test_what_is_taken_is_accepted_and_left_once(rig: Rig, brought: Module) -> None:
    assert isinstance(rig.hands.send(seen(rig), step(rig, brought)), Accepted)
    assert rig.changes == 1


def test_a_no_is_not_sent_with_a_reason(rig: Rig) -> None:
    rig.refuse()
    outcome = rig.hands.send(seen(rig), step(rig))
    assert isinstance(outcome, NotSent)
    assert outcome.detail


def test_a_device_that_is_not_there_is_offline(rig: Rig) -> None:
    rig.be_gone()
    outcome = rig.hands.send(seen(rig), step(rig))
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.OFFLINE


@pytest.mark.parametrize("brought", [BOOTLOADER, SYSTEM], ids=str)
def test_what_is_cut_off_may_have_arrived_and_is_not_repeated(rig: Rig, brought: Module) -> None:
    rig.cut()
    assert isinstance(rig.hands.send(seen(rig), step(rig, brought)), MayHaveArrived)
    assert rig.changes == 1


@pytest.mark.parametrize(("code", "failure"), [("PFR4401", FailureClass.INTEGRITY), ("PFR4402", FailureClass.REFUSED)])
def test_without_the_right_bytes_nothing_leaves(rig: Rig, code: str, failure: FailureClass) -> None:
    rig.store.failure = FirmwareError(code, "not these")
    outcome = rig.hands.send(seen(rig), step(rig))
    assert isinstance(outcome, NotSent)
    assert outcome.failure is failure
    assert rig.changes == 0


def test_an_unknown_platform_is_incompatible(rig: Rig) -> None:
    outcome = rig.hands.send(replace(seen(rig), platform_id=9999), step(rig))
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.INCOMPATIBLE


def test_over_usb_what_is_not_known_to_have_changed_anything_is_not_sent() -> None:
    """A device that does not answer before the first byte: certainly nothing happened."""
    bus = FakeBus()
    device = bus.plug(1, "boron", "2.0.1")

    def silent(_device: FakeDevice, moment: str) -> None:
        if moment.startswith("erase"):
            raise UsbTimeoutError("no answer")

    device.at_moment = silent
    rig = UsbRig(UsbExecutor(bus, Store(), BenchMemory()), device, Store())
    outcome = rig.hands.send(seen(rig), step(rig, SYSTEM))
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.TRANSPORT
