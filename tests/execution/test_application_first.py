"""A lock that leaves Device OS to the cloud's healer: safe mode is on the way, the deadline alone ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.execution.binaries import CloudBinaries
from reconciler.execution.cloud import CloudExecutor
from reconciler.execution.evidence import HeardTransfer, judge
from reconciler.execution.executor import Accepted
from reconciler.firmware.known import known_catalog
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.hearing import Hearing, TransferStatus
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion
from reconciler.particle.connect import connect_api, connect_stream
from reconciler.particle.token import AccessToken
from tests.fleet_samples import LOCK, NOW, ONE, attempt, device

WORLD = """
tokens: [{name: operator, token: "1111111111111111111111111111111111111111"}]
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [],
     firmware: [{version: 1, deviceOS: "4.0.0"}, {version: 2, deviceOS: "4.1.0"}]}
devices:
  - {id: e00fce680000000000000001, product: cold-chain, platform: boron, deviceOS: "4.0.0", application: 1,
     healer: HEALER}
"""
PATIENCE_SECONDS = 30.0
SPEED = 600.0
HEALED = replace(LOCK, boots_into=DeviceMode.SAFE_MODE)
DEADLINE = 1800.0


class Cloud:
    """The pretend cloud with one device, and our eyes, ears and hands."""

    def __init__(self, server: EmulatorServer) -> None:
        token = AccessToken("1" * 40)
        self.hearing = Hearing(clock=lambda: Instant(time.time()))
        self.api = connect_api(server.url, token)
        self.stream = connect_stream(server.url, token, "cold-chain", on_event=self.hearing.hear)
        self.stream.start()
        assert self.stream.wait_connected(PATIENCE_SECONDS), self.stream.trouble
        self.eyes = CloudInventory(
            self.api, product="cold-chain", hearing=self.hearing, clock=lambda: Instant(time.time())
        )
        self.hands = CloudExecutor(self.api, product="cold-chain", binaries=CloudBinaries(self.api))

    def look(self) -> ObservedDevice:
        seen = self.eyes.observe_device(ONE)
        assert seen is not None
        return seen

    def lock(self) -> Attempt:
        before = self.look()
        step = LockApplication(application=ApplicationVersion(2), boots_into=DeviceMode.SAFE_MODE)
        assert isinstance(self.hands.send(before, step), Accepted)
        intended = attempt(step=step, intended_at=before.observed_at, handshake_before=before.last_handshake_at)
        return intended.sent(before.observed_at)

    def heard(self, since: Instant) -> HeardTransfer | None:
        ends = [t for t in self.hearing.transfers_since(ONE, 0) if t.status.is_end and t.at >= since]
        return HeardTransfer(ends[-1].status is TransferStatus.SUCCESS, ends[-1].at) if ends else None

    def judged_to_the_end(self, sent: Attempt, deadline_seconds: float) -> tuple[Attempt, set[DeviceMode | None]]:
        """The attempt when it has ended, and every mode that was seen until then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        modes: set[DeviceMode | None] = set()
        while True:
            seen = self.look()
            modes.add(seen.mode)
            now = judge(sent, seen, self.heard(sent.began_at), known_catalog(), deadline_seconds=deadline_seconds)
            if not now.is_open:
                return now, modes
            assert time.monotonic() < deadline, seen
            time.sleep(0.02)  # virtual time goes on by itself, 12 seconds meanwhile


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    world = load_world(WORLD.replace("HEALER", request.param))
    with EmulatorServer(world, speed=SPEED) as server:
        connected = Cloud(server)
        try:
            yield connected
        finally:
            connected.stream.stop()
            connected.api.wire.close()


@pytest.mark.parametrize("cloud", ["true"], indirect=True)
def test_the_healer_brings_device_os_and_the_lock_is_done_when_the_application_runs(cloud: Cloud) -> None:
    # A day of virtual time: however slow this machine is, the deadline does not matter here.
    ended, modes = cloud.judged_to_the_end(cloud.lock(), 86_400.0)
    assert (ended.state, ended.evidence, ended.detail) == (AttemptState.VERIFIED, Evidence.EFFECT, "")
    assert DeviceMode.SAFE_MODE in modes
    seen = cloud.look()
    assert (seen.device_os, seen.application, seen.mode) == ("4.1.0", 2, DeviceMode.NORMAL)


@pytest.mark.parametrize("cloud", ["false"], indirect=True)
def test_without_a_healer_the_deadline_ends_it(cloud: Cloud) -> None:
    ended, modes = cloud.judged_to_the_end(cloud.lock(), DEADLINE)
    assert (ended.state, ended.failure) == (AttemptState.FAILED, FailureClass.BOOT)
    assert DeviceMode.SAFE_MODE in modes
    assert ended.ended_at is not None
    assert ended.ended_at - ended.began_at > DEADLINE


def seen(after_seconds: float, **fields: Any) -> ObservedDevice:
    session = {"last_handshake_at": Instant(NOW + 200), "mode": DeviceMode.SAFE_MODE}
    return device(observed_at=Instant(NOW + after_seconds), **(session | fields))


def verdict(
    of_device: ObservedDevice, *, step: LockApplication = HEALED, heard: tuple[bool, float] | None = (True, 90.0)
) -> AttemptState | FailureClass:
    transfer = None if heard is None else HeardTransfer(heard[0], Instant(NOW + heard[1]))
    sent = attempt(step=step).sent(NOW)
    after = judge(sent, of_device, transfer, known_catalog(), deadline_seconds=DEADLINE)
    return after.failure or after.state


def test_safe_mode_is_on_the_way_for_this_lock_and_a_failure_for_any_other() -> None:
    assert verdict(seen(300)) is AttemptState.SENT
    assert verdict(seen(300), step=LOCK) is FailureClass.BOOT


def test_a_failed_transfer_of_the_healer_is_on_the_way_too() -> None:
    assert verdict(seen(300), heard=(False, 250.0)) is AttemptState.SENT


def test_after_the_deadline_safe_mode_is_a_failure() -> None:
    assert verdict(seen(DEADLINE + 1)) is FailureClass.BOOT


def test_after_the_deadline_nothing_is_concluded_of_a_device_that_is_offline() -> None:
    assert verdict(seen(DEADLINE + 1, online=False)) is AttemptState.SENT


def test_back_in_normal_mode_without_the_application_is_a_failure() -> None:
    assert verdict(seen(300, mode=DeviceMode.NORMAL)) is FailureClass.INSTALL


def test_between_two_sessions_of_the_healing_nothing_is_concluded() -> None:
    """The last module has arrived, the restart is under way, and the session that was seen last is an older one."""
    assert verdict(seen(300, mode=DeviceMode.NORMAL, online=False)) is AttemptState.SENT


def test_the_application_in_normal_mode_is_the_effect() -> None:
    assert verdict(seen(300, mode=DeviceMode.NORMAL, application=44)) is AttemptState.VERIFIED
