"""A cloud without server or clock: a test says what time it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.cloud import Cloud
from reconciler.emulator.device import Device
from reconciler.emulator.faults import FaultOrder
from reconciler.emulator.message import Answer, Request
from reconciler.emulator.world import World, demo_world, load_world
from reconciler.firmware.known import known_catalog
from reconciler.model.instant import Instant
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion

TOKEN = "1" * 40
START = Instant(1_800_000_000.0)
BORON_WORLD = """
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu, us],
     firmware: [{version: 1, deviceOS: "1.5.2"}, {version: 2, deviceOS: "2.0.1"}, {version: 3, deviceOS: "6.3.4"}]}
devices:
  - {id: e00fce680000000000000001, name: one, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: 1,
     groups: [eu]}
"""
ONE = "e00fce680000000000000001"


@cache
def binaries() -> EmulatedBinaries:
    return EmulatedBinaries(known_catalog())


def no_file(name: str) -> bytes:
    raise FileNotFoundError(2, "no such file", name)


class Bench:
    """A cloud, and the time on it."""

    def __init__(self, world: str | World, *, seed: int = 7) -> None:
        self.now = START
        world = load_world(world) if isinstance(world, str) else world
        self.cloud = Cloud(world, start=START, seed=seed, binaries=binaries(), read_file=no_file)

    def advance(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)
        self.cloud.run_until(self.now)

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **query: object) -> Answer:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        content = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers["content-type"] = "application/json"
        texts = {name: str(value) for name, value in query.items()}
        return self.cloud.handle(
            Request(method=method, path=path, query=texts, headers=headers, body=content), self.now
        )

    def send_file(self, method: str, path: str, content: bytes, **fields: object) -> Answer:
        body = b""
        for name, value in fields.items():
            body += f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        body += b'--B\r\nContent-Disposition: form-data; name="file"; filename="firmware.bin"\r\n'
        body += b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--B--\r\n"
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "multipart/form-data; boundary=B"}
        return self.cloud.handle(Request(method=method, path=path, headers=headers, body=body), self.now)

    def get(self, path: str, **query: object) -> Any:
        answer = self.call("GET", path, **query)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def flash(self, device: str, content: bytes) -> Answer:
        return self.send_file("PUT", self.path(device), content, file_type="binary")

    def lock(self, device: str, version: int | None, *, flash: bool = True) -> Answer:
        return self.call("PUT", self.path(device), {"desired_firmware_version": version, "flash": flash})

    def look(self, device: str) -> Any:
        return self.get(self.path(device))

    def path(self, device: str) -> str:
        product = self.device(device).product_id
        return f"/v1/devices/{device}" if product is None else f"/v1/products/{product}/devices/{device}"

    def device(self, device: str) -> Device:
        return self.cloud.state.devices[device]

    def version(self, device: str, slot: str) -> int:
        return self.device(device).versions.get(ModuleSlot.parse(slot), 0)

    def fault(self, name: str, *, device: str = "*", rate: float = 1.0, count: int | None = None) -> None:
        self.cloud.order_fault(FaultOrder(fault=name, device=device, rate=rate, count=count), self.now)

    def laws(self) -> list[str]:
        return [violation.law for violation in self.cloud.violations()]


@pytest.fixture
def bench() -> Bench:
    return Bench(BORON_WORLD)


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return Bench


@pytest.fixture
def demo_bench() -> Callable[[], Bench]:
    return lambda: Bench(demo_world())


@pytest.fixture
def module_binary() -> Callable[[str, str, str], bytes]:
    """A binary of the catalog: platform, release, slot."""

    def build(platform_name: str, version: str, slot: str) -> bytes:
        platform = platform_by_name(platform_name)
        assert platform is not None
        binary = binaries().module(platform, DeviceOsVersion(version), ModuleSlot.parse(slot))
        assert binary is not None
        return binary

    return build


@pytest.fixture
def application_binary() -> Callable[..., bytes]:
    """An application: platform, release, product."""

    def build(platform_name: str, version: str, product: tuple[int, int]) -> bytes:
        platform = platform_by_name(platform_name)
        assert platform is not None
        return binaries().application(platform, DeviceOsVersion(version), product=product)

    return build
