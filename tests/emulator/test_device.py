"""The device's own rules (facts 4.3), as a table of what it takes and what it boots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.artifact import Artifact, Garbage, read_payload
from reconciler.emulator.device import boot_mode, install, transfer_error, unmet
from reconciler.firmware.known import known_catalog
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import PLATFORMS, platform_by_name
from reconciler.model.version import DeviceOsVersion


def shipped(platform_name: str, version: str, slot: str) -> Artifact:
    platform = platform_by_name(platform_name)
    assert platform is not None
    release = known_catalog().release(platform, DeviceOsVersion(version))
    assert release is not None
    module = next(m.module for m in release.modules if str(m.module.slot) == slot)
    return Artifact(platform_id=platform.id, module=module, size=1000)


def device_of(make_bench: Callable[..., Any], platform: str, device_os: str, **modules: int) -> Any:
    overrides = ", ".join(f"{slot.replace('_at_', '/')}: {version}" for slot, version in modules.items())
    bench = make_bench(f'devices: [{{platform: {platform}, deviceOS: "{device_os}", modules: {{{overrides}}}}}]')
    (device,) = bench.cloud.state.devices.values()
    return device


@pytest.mark.parametrize(
    ("platform", "running", "release", "slot", "code"),
    [
        # Boron: the bootloader is the first dependency and comes first.
        ("boron", "2.0.1", "6.3.4", "bootloader/0", None),
        ("boron", "2.0.1", "6.3.4", "system_part/1", -1340),
        ("boron", "6.2.0", "6.3.4", "system_part/1", None),
        # Argon since 3.0: the radio stack is first, the bootloader second and skipped.
        ("argon", "2.0.1", "6.3.4", "system_part/1", None),
        # From before 1.3.1: the radio stack needs system and bootloader, the system needs the radio stack.
        ("boron", "1.1.0", "6.3.4", "system_part/1", -1340),
        ("boron", "1.1.0", "1.3.1", "bootloader/0", None),
        ("boron", "1.1.0", "1.5.2", "radio_stack/0", -1340),
        # The Photon's circle: 0.7.0 is the way in, and within a release part 1 comes first.
        ("photon", "0.6.3", "2.3.1", "system_part/1", -1340),
        ("photon", "0.6.3", "2.3.1", "system_part/2", -1340),
        ("photon", "0.6.3", "0.7.0", "system_part/1", None),
        ("photon", "0.7.0", "2.3.1", "system_part/1", None),
        ("photon", "0.7.0", "2.3.1", "system_part/2", -1340),
        # An older part 1 would break what part 2 needs of it.
        ("photon", "2.3.1", "2.2.0", "system_part/1", -1340),
        ("photon", "2.3.1", "2.2.0", "system_part/2", None),
        # The Electron: index 3 needs index 2 of 0.6.4.
        ("electron", "0.6.3", "1.2.1", "system_part/3", -1340),
        ("electron", "0.6.4", "1.2.1", "system_part/3", None),
        ("electron", "0.6.4", "1.2.1", "system_part/1", -1340),
        # The Tracker's circle, and its dependency on itself before the replacement.
        ("tracker", "2.3.1", "3.0.0", "ncp_firmware/0", -1340),
        ("tracker", "2.3.1", "5.5.0", "system_part/1", -1340),
        ("tracker", "2.3.1", "5.6.0", "system_part/1", -1340),
        # Realtek: prebootloader part 1, bootloader, system part.
        ("p2", "5.0.0", "6.3.4", "bootloader/0", -1340),
        ("p2", "5.0.0", "6.3.4", "bootloader/2", None),
        ("p2", "5.0.0", "6.3.4", "system_part/1", -1340),
        # No general refusal of older modules (facts 4.5).
        ("boron", "6.3.4", "6.2.0", "system_part/1", None),
    ],
)
def test_a_transfer_is_judged_by_the_dependencies_of_what_is_installed(
    make_bench: Callable[..., Any], platform: str, running: str, release: str, slot: str, code: int | None
) -> None:
    error = transfer_error(device_of(make_bench, platform, running), shipped(platform, release, slot))
    assert (error.code if error else None) == code


def test_a_module_for_another_platform_is_refused(make_bench: Callable[..., Any]) -> None:
    error = transfer_error(device_of(make_bench, "boron", "2.0.1"), shipped("argon", "2.0.1", "bootloader/0"))
    assert error is not None
    assert error.code == -1360


@pytest.mark.parametrize(
    ("platform", "slot"), [("boron", "ncp_firmware/0"), ("p2", "bootloader/1"), ("boron", "asset/0")]
)
def test_a_module_without_a_place_is_refused(make_bench: Callable[..., Any], platform: str, slot: str) -> None:
    device = device_of(make_bench, platform, "5.9.0")
    artifact = Artifact(platform_id=device.platform.id, module=Module(slot=ModuleSlot.parse(slot), version=1), size=1)
    error = transfer_error(device, artifact)
    assert error is not None
    assert error.code == -1300


def test_a_broken_binary_is_refused(make_bench: Callable[..., Any], module_binary: Callable[..., bytes]) -> None:
    binary = bytearray(module_binary("boron", "2.0.1", "bootloader/0"))
    binary[3000] ^= 1
    payload = read_payload(bytes(binary))
    assert isinstance(payload, Garbage)
    error = transfer_error(device_of(make_bench, "boron", "2.0.1"), payload)
    assert error is not None
    assert error.code == -1330


def test_an_application_is_taken_whatever_it_needs_and_then_waits_in_safe_mode(
    make_bench: Callable[..., Any], application_binary: Callable[..., bytes]
) -> None:
    device = device_of(make_bench, "boron", "2.0.1")
    payload = read_payload(application_binary("boron", "6.3.4", (13, 2)))
    assert isinstance(payload, Artifact)
    assert transfer_error(device, payload) is None
    install(device, payload)
    assert boot_mode(device) == "safe_mode"


def test_a_device_holds_one_application_whichever_slot_it_came_in(
    make_bench: Callable[..., Any], application_binary: Callable[..., bytes]
) -> None:
    device = device_of(make_bench, "boron", "2.0.1")
    for release, slot in (("6.3.4", "user_part/2"), ("1.5.2", "user_part/1")):
        payload = read_payload(application_binary("boron", release, (13, 2)))
        assert isinstance(payload, Artifact)
        install(device, payload)
        applications = [str(s) for s in device.modules if s.function is ModuleFunction.USER_PART]
        assert applications == [slot]


@pytest.mark.parametrize("change", [{"bootloader_at_0": 1003}, {"radio_stack_at_0": 0}, {"bootloader_at_0": 0}])
def test_an_unmet_dependency_boots_into_safe_mode(make_bench: Callable[..., Any], change: dict[str, int]) -> None:
    assert boot_mode(device_of(make_bench, "boron", "2.0.1", **change)) == "safe_mode"


def test_the_second_dependency_counts_at_boot_though_not_at_the_transfer(make_bench: Callable[..., Any]) -> None:
    device = device_of(make_bench, "argon", "2.0.1")
    artifact = shipped("argon", "6.3.4", "system_part/1")
    assert transfer_error(device, artifact) is None
    install(device, artifact)
    assert boot_mode(device) == "safe_mode"


def test_every_published_release_boots_normally_with_what_it_ships() -> None:
    broken = [
        (platform.name, release.version.text)
        for platform in PLATFORMS
        for release in known_catalog().releases(platform)
        if release.published and not release.prerelease and unmet(m.module for m in release.modules)
    ]
    assert broken == []


def test_unmet_names_the_module_and_what_it_misses() -> None:
    slot, need = ModuleSlot(ModuleFunction.SYSTEM_PART, 1), Dependency(ModuleSlot(ModuleFunction.BOOTLOADER, 0), 5)
    module = Module(slot=slot, version=1, first_dependency=need)
    assert unmet([module]) == ((module, need),)
