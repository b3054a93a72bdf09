"""The whole controller where not everything is as usual: clocks that jump, drift that is left, no product, no fleet."""

from __future__ import annotations

import json

import pytest

from reconciler.controller.daemon import Daemon
from reconciler.emulator.message import Request
from reconciler.journal.memory import MemoryJournal
from reconciler.model.event import ConsoleChanged, PassEnded, Troubled
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Halted, Resumed
from tests.simulation.stage import PERSON_TOKEN, manifests_for, world_text
from tests.simulation.test_controller import HOUR, WORLD, fleet, releases
from tests.simulation.virtual import VirtualCloud
from tests.simulation.virtual_controller import PretendSource, VirtualController

DAY = 24 * HOUR
OWN = """
tokens: [{name: operator, token: "7e577e577e577e577e577e577e577e577e577e57"}]
products: []
devices:
  - {count: 3, platform: argon, deviceOS: "1.5.2"}
  - {count: 1, platform: photon, deviceOS: "0.6.3"}
"""


class Crooked(VirtualCloud):
    """A cloud that knows the time, and a machine beside it whose wall clock somebody sets."""

    ahead_seconds = 0.0

    def clock(self) -> Instant:
        return Instant(self.now + self.ahead_seconds)


@pytest.mark.parametrize("jump", [400 * DAY, 3 * HOUR, -3 * HOUR, -400 * DAY])
def test_a_clock_that_jumps_in_the_midst_of_a_rollout_changes_nothing_of_what_is_done(jump: float) -> None:
    virtual = Crooked(WORLD)
    source, journal = PretendSource(clock=virtual.clock), MemoryJournal()
    controller = VirtualController(virtual, source, journal)
    source.push(fleet(more="  rollout: {waves: [{name: first, size: 2, soak: 1h}, {name: rest, size: remaining}]}\n"))
    controller.run_for(HOUR, until=lambda: len(journal.open_attempts()) > 0)
    virtual.ahead_seconds = jump
    controller.run_for(600.0)
    journal.note([Halted(fleet="eu", at=virtual.clock(), reason="smoke", by="ada")])
    controller.run_for(2 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    assert sum(device.reported_device_os == "3.0.0" for device in virtual.cloud.state.devices.values()) == 2
    virtual.ahead_seconds = 0.0
    journal.note([Resumed(fleet="eu", at=virtual.clock(), by="ada")])
    passes = len(controller.told(PassEnded))
    controller.run_for(12 * HOUR)
    assert sum(device.reported_device_os == "3.0.0" for device in virtual.cloud.state.devices.values()) == 6
    assert len(controller.told(PassEnded)) - passes < 12 * 120
    assert controller.told(Troubled) == []
    assert virtual.cloud.violations() == ()


@pytest.mark.parametrize(("mode", "ends_at"), [("detect", 1), ("correct", 2)])
def test_what_somebody_else_changes_is_told_and_where_drift_is_only_detected_it_is_left(
    mode: str, ends_at: int
) -> None:
    virtual = VirtualCloud(
        world_text('\n  - {count: 2, product: cold-chain, platform: boron, deviceOS: "1.5.2", application: 1}\n')
    )
    source, journal = PretendSource(clock=virtual.clock), MemoryJournal()
    controller = VirtualController(virtual, source, journal)
    files = manifests_for(("cold-chain",), delivery="{release: never}")
    files["cold-chain.yaml"] = files["cold-chain.yaml"].replace(
        "select: {groups: [all]}", "select: {platforms: [boron]}"
    )
    source.push({**files, "cold-chain.yaml": f"{files['cold-chain.yaml']}  drift: {{mode: {mode}}}\n"})
    controller.run_for(6 * HOUR)
    device = next(iter(virtual.cloud.state.devices.values()))

    def runs() -> int | None:
        return None if device.application is None else device.application.product_version

    assert runs() == 2
    begun = len(journal.attempts())
    put = Request(
        method="PUT",
        path=f"/v1/products/{device.product_id}/devices/{device.id}",
        headers={"authorization": f"Bearer {PERSON_TOKEN}", "content-type": "application/json"},
        body=json.dumps({"desired_firmware_version": 1, "flash": True}).encode(),
    )
    virtual.cloud.handle(put, virtual.now)
    controller.run_for(6 * HOUR)
    assert runs() == ends_at
    assert (len(journal.attempts()) > begun) is (mode == "correct")
    assert {change.change.device_id for change in controller.told(ConsoleChanged)} == {device.id}
    (fell,) = virtual.cloud.violations()
    assert fell.detail.startswith("the application fell from 2 to 1"), "by the person's request, and nothing else"


def test_an_intent_without_any_fleet_has_nothing_to_do_and_says_so() -> None:
    virtual = VirtualCloud(WORLD)
    source, journal = PretendSource(clock=virtual.clock), MemoryJournal()
    controller = VirtualController(virtual, source, journal)
    commit = source.push({})
    controller.run_for(HOUR)
    assert journal.intents() == ()
    journal.set_bookmark("accept/pretend", json.dumps({"commit": commit[:12], "by": "ada", "at": virtual.now}))
    controller.run_for(12 * HOUR)
    assert [intent.fleets for intent in journal.intents()] == [()]
    assert controller.told(PassEnded) == []
    assert controller.connection.api.wire.traffic().requests == 0
    desk = Daemon(controller.loop.means, traffic=controller.connection.api.wire.totals, holder="a test")
    desk.loop.begin()
    desk.loop.turn()
    assert all(check.ok for check in desk.checks())
    assert desk.status()["blind_because"] == "the manifests have no fleet"
    source.push(fleet())
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]


def test_devices_of_the_tokens_owner_alone_follow_like_those_of_a_product() -> None:
    virtual = VirtualCloud(OWN)
    source, journal = PretendSource(clock=virtual.clock), MemoryJournal()
    controller = VirtualController(virtual, source, journal)
    source.push({"own.yaml": manifests_for((), own=True, device_os={"argon": "2.1.0"})["own.yaml"]})
    controller.run_for(200.0)
    controller.leave()
    controller = VirtualController(virtual, source, journal, seed=8)
    controller.run_for(12 * HOUR)
    assert releases(virtual) == ["0.6.3", "2.1.0"]
    assert controller.told(Troubled) == []
    assert journal.open_attempts() == ()
    assert virtual.cloud.violations() == ()
