"""What a fleet costs in requests, counted by the pretend cloud: idle devices cost list pages, a step costs one.

`apply` looks twice at a fleet that is as desired: once to plan, once to see that there is nothing to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.emulator.records import RequestRecord
from reconciler.particle.api import PAGE_SIZE
from tests.simulation.stage import Stage, set_stage

IDLE = 350
PAGES = -(-IDLE // PAGE_SIZE)
DEVICES = f"""
  - {{count: {IDLE - 3}, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 2, groups: [all]}}
  - {{count: 3, product: cold-chain, platform: boron, deviceOS: "{{device_os}}", application: 1, groups: [all]}}
"""
ROLLOUT = '{maxConcurrent: "100%", maxFailures: "100%", stepDeadline: 15m}'
FIRST_LOOK = 1
"""At a device before anything is sent to it; later steps go by the list (docs/adr/0028)."""


def stage_with(folder: Path, device_os: str) -> Iterator[Stage]:
    devices = DEVICES.replace("{device_os}", device_os)
    with set_stage(folder, devices=devices, products=("cold-chain",), rollout=ROLLOUT, speed=400.0) as stage:
        yield stage


def what(request: RequestRecord) -> str:
    """The call, without what differs from one device or module to the next."""
    path = request.path.partition("?")[0].removeprefix("/v1/")
    if "device-os" in path:
        return "download"
    if "events" in path:
        return "stream"
    parts = ["*" if part == request.device else part for part in path.split("/")]
    return f"{request.method} {'/'.join(parts)}"


def counted(requests: list[RequestRecord]) -> Counter[str]:
    return Counter(map(what, requests))


LIST, FIRMWARE = "GET products/cold-chain/devices", "GET products/cold-chain/firmware"


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_idle_devices_cost_list_pages_only(tmp_path: Path, command: str) -> None:
    for stage in stage_with(tmp_path, "5.5.0"):
        assert stage.run("apply").code == 0
        before = len(stage.requests())
        assert stage.run(command).code == 0
        looks = {"plan": 1, "apply": 2}[command]
        found = counted(stage.requests()[before:])
        found.pop("stream", None)
        assert found == {LIST: looks * PAGES, FIRMWARE: looks, "GET products/cold-chain": 1}


@pytest.mark.parametrize(("device_os", "steps"), [("6.3.4", 1), ("5.5.0", 3), ("0.9.0", 6)])
def test_a_device_costs_one_request_for_every_step_and_one_to_begin(tmp_path: Path, device_os: str, steps: int) -> None:
    for stage in stage_with(tmp_path, device_os):
        assert stage.run("apply").code == 0
        attempts = stage.attempts()
        assert len(attempts) == 3 * steps
        of_devices = Counter(request.device for request in stage.requests() if request.device)
        assert len(of_devices) == 3
        assert set(of_devices.values()) == {FIRST_LOOK + steps}
        found = counted(stage.requests())
        shared = found["download"] + found["PUT products/cold-chain/firmware/release"]
        # Whatever the number of devices: every module is asked for and downloaded once, and the release is one request.
        assert shared <= 2 * steps + 1
        looks = found[FIRMWARE]
        assert found[LIST] == looks * PAGES
        rest = len(stage.requests()) - found["stream"] - found[LIST] - looks - sum(of_devices.values()) - shared
        assert rest <= 5, found
