"""Applications whose version is right, and that are bad all the same."""

from __future__ import annotations

import pytest

from reconciler.emulator.faults import FaultOrder
from reconciler.emulator.message import Request
from reconciler.emulator.records import Moment
from reconciler.model.device import DeviceMode
from tests.simulation.stage import TOKEN, world_text
from tests.simulation.virtual import VirtualCloud

PRODUCT = "/v1/products/cold-chain"
LINE = """
  - {count: 1, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 1, groups: [all],
     publishes: {event: app/alive, everySeconds: 300}}
"""


class Bench:
    """One device, and an ear on all that is said."""

    def __init__(self) -> None:
        self.virtual = VirtualCloud(world_text(LINE))
        (self.device,) = self.virtual.cloud.state.devices.values()
        listener = self.call("GET", f"{PRODUCT}/events").listener
        assert listener is not None
        self.listener = listener

    def call(self, method: str, path: str, body: bytes = b"{}") -> object:
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        return self.virtual.cloud.handle(
            Request(method=method, path=path, headers=headers, body=body), self.virtual.now
        )

    def fault(self, name: str, **order: object) -> None:
        self.virtual.cloud.order_fault(FaultOrder(fault=name, **order), self.virtual.now)

    def bring(self, version: int) -> None:
        body = f'{{"desired_firmware_version": {version}, "flash": true}}'.encode()
        self.call("PUT", f"{PRODUCT}/devices/{self.device.id}", body)
        self.virtual.sleep(120)
        assert self.device.reported_application == version

    def said(self) -> str:
        return self.listener.take().decode()

    def sessions(self) -> list[float]:
        return [entry.at for entry in self.device.history if entry.moment is Moment.SESSION]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_application_publishes_after_its_start_and_again_and_again(bench: Bench) -> None:
    bench.bring(2)
    bench.said()
    bench.virtual.sleep(3000)
    assert bench.said().count("event: app/alive") == 10


def test_a_crash_loop_begins_after_a_while_and_does_not_end(bench: Bench) -> None:
    bench.fault("crash-loop")
    bench.bring(2)
    (start,) = bench.sessions()
    bench.virtual.sleep(start + 290 - bench.virtual.now)
    assert bench.sessions() == [start]
    bench.said()
    bench.virtual.sleep(900)
    crashes = bench.sessions()[1:]
    assert len(crashes) >= 5
    assert bench.said().count('{"data":"panic, hard_fault"') == len(crashes)
    assert bench.device.mode is DeviceMode.NORMAL
    assert bench.device.reported_application == 2


def test_another_application_ends_the_loop(bench: Bench) -> None:
    bench.fault("crash-loop", count=1)
    bench.bring(2)
    bench.virtual.sleep(600)
    before = len(bench.sessions())
    assert before > 2
    bench.call("PUT", f"{PRODUCT}/devices/{bench.device.id}", b'{"desired_firmware_version": 1}')
    bench.virtual.sleep(900)
    assert bench.device.application_version == 1
    after = len(bench.sessions())
    bench.virtual.sleep(900)
    assert len(bench.sessions()) == after


def test_a_silent_application_publishes_nothing_of_its_own(bench: Bench) -> None:
    bench.fault("silent-application")
    bench.bring(2)
    bench.said()
    bench.virtual.sleep(3000)
    assert "app/alive" not in bench.said()


def test_vitals_may_tell_of_a_device_at_its_end(bench: Bench) -> None:
    bench.fault("vitals-low", count=1)
    bench.call("POST", f"{PRODUCT}/diagnostics/{bench.device.id}/update")
    bench.virtual.sleep(5)
    assert '\\"charge\\":3.0' in bench.said()
