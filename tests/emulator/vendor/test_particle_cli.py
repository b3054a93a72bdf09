"""The vendor's particle-cli, run as people run it, against the served emulator.

This version has no command for product firmware, and of groups only the filter of a list; those calls are shown by
`test_particle_api_js.py`.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.version import DeviceOsVersion
from tests.particle_cli import PACKAGE, VERSION, ParticleCli, particle_cli

pytestmark = pytest.mark.real


TOKEN = "1" * 40
OWN, SPARE = "e00fce68000000000000000a", "e00fce68000000000000000b"
MEMBER, SECOND = "e00fce680000000000000001", "e00fce680000000000000002"
WORLD = f"""
users: [{{username: operator@example.com, password: secret, otp: "123456"}}]
tokens: [{{name: operator, token: "{TOKEN}"}}]
products:
  - {{id: 12345, slug: cold-chain, platform: boron, groups: [eu, us], firmware: [{{version: 1, deviceOS: "6.3.4"}}]}}
devices:
  - {{id: {OWN}, name: own, platform: boron, deviceOS: "6.3.4", application: 1}}
  - {{id: {SPARE}, name: spare, platform: boron, deviceOS: "6.3.4", application: 1, online: false}}
  - {{id: {MEMBER}, name: cold-1, product: 12345, platform: boron, deviceOS: "6.3.4", application: 1, groups: [eu],
     claimed: true}}
  - {{id: {SECOND}, name: cold-2, product: 12345, platform: boron, deviceOS: "6.3.4", application: 1, groups: [us]}}
"""
COMMAND_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A person at a command line, in a folder of their own."""

    server: EmulatorServer
    tool: ParticleCli
    folder: Path

    def run(self, *arguments: str, fails: bool = False) -> str:
        """What a command says."""
        done = subprocess.run(
            [*self.tool.command, *arguments],
            env=dict(self.tool.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def truth(self, device_id: str) -> tuple[int | None, dict[str, int]]:
        """What a device really runs: the version of its application, and its modules."""
        with self.server.locked() as cloud:
            device = cloud.state.devices[device_id]
            return device.application_version, {str(slot): version for slot, version in device.versions.items()}


@pytest.fixture
def shell(vendor_modules: Callable[..., Path], tmp_path: Path) -> Iterator[Shell]:
    """A person who is logged in."""
    vendor_modules(PACKAGE, VERSION)
    with EmulatorServer(load_world(WORLD), speed=0.0) as server:
        yield Shell(server=server, tool=particle_cli(tmp_path, url=server.url, token=TOKEN), folder=tmp_path)


def boron() -> Platform:
    found = platform_by_name("boron")
    assert found is not None
    return found


def test_one_logs_in_by_token_by_password_and_out(shell: Shell) -> None:
    assert "Successfully completed login" in shell.run("login", "--token", TOKEN)
    assert "operator@example.com" in shell.run("whoami")
    assert "logged out" in shell.run("logout")
    assert "credentials are invalid" in shell.run(
        "login", "--username", "operator@example.com", "--password", "guess", fails=True
    )
    name = ("--username", "operator@example.com", "--password", "secret", "--otp", "123456")
    assert "Successfully completed login" in shell.run("login", *name)
    assert OWN in shell.run("list")


def test_a_token_is_revoked_by_whoever_knows_it(shell: Shell) -> None:
    with shell.server.locked() as cloud:
        found = cloud.state.keyring.find(TOKEN, shell.server.now())
    assert found is not None
    assert "No such token" in shell.run("token", "revoke", "2" * 40, fails=False)
    assert "Successfully revoked" in shell.run("token", "revoke", TOKEN, "--force")
    with shell.server.locked() as cloud:
        assert cloud.state.keyring.find(TOKEN, shell.server.now()) is None


def test_own_devices_are_listed_named_and_signalled(shell: Shell) -> None:
    listed = shell.run("list")
    assert f"own [{OWN}] (Boron) is online" in listed
    assert f"spare [{SPARE}] (Boron) is offline" in listed
    assert f"cold-1 [{MEMBER}] (Product 12345) is online" in listed
    assert SECOND not in listed
    assert "Successfully renamed" in shell.run("cloud", "name", OWN, "kitchen")
    assert "kitchen" in shell.run("list", OWN)
    shell.run("cloud", "nyan", OWN)


def test_a_device_is_flashed_with_a_module_a_known_application_and_sources(shell: Shell) -> None:
    content = shell.server.binaries.module(boron(), DeviceOsVersion("6.4.0"), ModuleSlot.parse("bootloader/0"))
    assert content is not None
    (shell.folder / "bootloader.bin").write_bytes(content)
    (shell.folder / "app.ino").write_text("PRODUCT_VERSION(9)\nvoid setup() {}\n", encoding="utf-8")
    before = shell.truth(OWN)[1]["bootloader/0"]
    assert "Flash success!" in shell.run("cloud", "flash", OWN, "bootloader.bin")
    shell.server.advance(600)
    assert shell.truth(OWN)[1]["bootloader/0"] > before
    # The tool sends the vendor's real Tinker, from its own package.
    shell.run("cloud", "flash", OWN, "tinker")
    shell.server.advance(600)
    assert shell.truth(OWN)[0] == 3
    assert "Flash success!" in shell.run("cloud", "flash", OWN, "app.ino")
    shell.server.advance(600)
    assert shell.truth(OWN)[0] == 9
    assert "not currently connected" in shell.run("cloud", "flash", SPARE, "bootloader.bin", fails=True)


def test_a_bundle_of_an_application_and_its_assets_is_flashed(shell: Shell) -> None:
    content = shell.server.binaries.application(boron(), DeviceOsVersion("6.3.4"), product=(13, 21))
    (shell.folder / "app.bin").write_bytes(content)
    (shell.folder / "sounds").mkdir()
    (shell.folder / "sounds" / "hello.wav").write_bytes(b"hello " * 100)
    shell.run("bundle", "app.bin", "--assets", "sounds", "--saveTo", "app.zip")
    assert "Flash success!" in shell.run("cloud", "flash", OWN, "app.zip")
    shell.server.advance(600)
    assert shell.truth(OWN)[0] == 21


def test_a_device_of_a_product_is_found_by_its_owner_and_marked_before_it_is_flashed(shell: Shell) -> None:
    assert "as a development device" in shell.run("cloud", "flash", MEMBER, "tinker")
    shell.server.advance(600)
    assert shell.truth(MEMBER)[0] == 3
    with shell.server.locked() as cloud:
        assert cloud.state.devices[MEMBER].development


def test_sources_are_compiled_for_a_release_and_the_binary_is_what_it_says(shell: Shell) -> None:
    (shell.folder / "app.ino").write_text("PRODUCT_VERSION(9)\nvoid setup() {}\n", encoding="utf-8")
    (shell.folder / "broken.ino").write_text("#error no such luck\n", encoding="utf-8")
    compiled = shell.run("cloud", "compile", "boron", "app.ino", "--target", "6.3.4", "--saveTo", "app.bin")
    assert "Compile succeeded" in compiled
    inspected = shell.run("binary", "inspect", "app.bin")
    assert "CRC is ok" in inspected
    assert "firmware for product id 13 at version 9" in inspected
    assert "depends on a system module number 1 at version 6305" in inspected
    assert "no such luck" in shell.run("cloud", "compile", "boron", "broken.ino", fails=True)
    wrong = shell.run("cloud", "compile", "boron", "app.ino", "--target", "9.9.9", fails=True)
    assert "Invalid build target version" in wrong


def test_devices_of_a_product_are_listed_by_page_group_and_name(shell: Shell) -> None:
    def ids(*options: str) -> list[str]:
        answer: dict[str, Any] = json.loads(shell.run("product", "device", "list", "12345", "--json", *options))
        return sorted(device["id"] for device in answer["data"])

    assert ids() == [MEMBER, SECOND]
    assert ids("--groups", "us") == [SECOND]
    assert ids("--name", "cold-1") == [MEMBER]
    assert len(ids("--limit", "1", "--page", "2")) == 1
    assert MEMBER in shell.run("product", "device", "list", "12345", MEMBER)


def test_devices_come_into_a_product_and_leave_it(shell: Shell) -> None:
    (shell.folder / "more.txt").write_text(f"{SPARE}\n{'f' * 24}\n", encoding="utf-8")
    added = shell.run("product", "device", "add", "12345", "--file", "more.txt")
    assert added.index("Includes") < added.index(SPARE) < added.index("Skipped Invalid") < added.index("f" * 24)
    assert "Success!" in shell.run("product", "device", "remove", "12345", SPARE)
    assert "Okay!" in shell.run("cloud", "remove", SPARE, "--yes")
    assert "Successfully claimed" in shell.run("cloud", "claim", SPARE)


@pytest.mark.parametrize(
    ("where", "device"), [(["--product", "12345"], SECOND), (["--device", OWN], OWN), ([], OWN), (["--all"], OWN)]
)
def test_events_are_heard_as_they_happen(shell: Shell, where: list[str], device: str) -> None:
    process = subprocess.Popen(
        [*shell.tool.command, "subscribe", "spark/status", *where, "--max", "1"],
        env=dict(shell.tool.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        come_and_go(shell.server, device, until=lambda: process.poll() is not None)
        said, _ = process.communicate(timeout=COMMAND_SECONDS_MAX)
    finally:
        process.kill()
        process.wait()
    (line,) = [line for line in said.splitlines() if line.startswith("{")]
    event = json.loads(line)
    assert (event["name"], event["coreid"]) == ("spark/status", device)
    assert event["data"] in ("online", "offline")


def test_an_event_is_published(shell: Shell) -> None:
    assert "Published private event: hello" in shell.run("publish", "hello", "world", "--product", "12345")


def come_and_go(server: EmulatorServer, device: str, *, until: Callable[[], bool]) -> None:
    """Let a device come and go until the tool has heard of it; what comes before its first look is lost."""
    deadline = time.monotonic() + COMMAND_SECONDS_MAX
    while not until():
        assert time.monotonic() < deadline, "nobody has heard of the device"
        with server.locked() as cloud:
            one = cloud.state.devices[device]
            cloud.state.life.set_online(one, not one.online, server.now())
        time.sleep(0.1)
