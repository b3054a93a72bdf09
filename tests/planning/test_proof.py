from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.error import BugError
from reconciler.model.step import FlashModule
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.proof import prove
from tests.fleet_samples import device, flash, module, modules, platform, situation

BOOTLOADER = flash(slot="bootloader/0")
SYSTEM = flash(slot="system_part/1")
BORON = device(device_os="2.0.1")


def check(of_device: ObservedDevice, desired: str, *steps: FlashModule, hops: tuple[str, ...] | None = None) -> None:
    start = situation(of_device)
    named = tuple(dict.fromkeys(step.device_os for step in steps)) if hops is None else map(DeviceOsVersion, hops)
    prove(platform(start.platform), start, DeviceOsVersion(desired), steps, tuple(named), known_catalog())


def broken(of_device: ObservedDevice, desired: str, *steps: FlashModule, hops: tuple[str, ...] | None = None) -> str:
    with pytest.raises(BugError) as raised:
        check(of_device, desired, *steps, hops=hops)
    assert raised.value.code == "PFR9002"
    return raised.value.message


def test_a_sound_route_is_proven() -> None:
    check(BORON, "6.3.4", BOOTLOADER, SYSTEM)


def test_a_route_without_steps_is_proven_when_the_device_is_there() -> None:
    check(device(device_os="6.3.4"), "6.3.4")


def test_a_route_that_does_not_arrive_is_broken() -> None:
    assert "leaves system_part/1 at 2011" in broken(BORON, "6.3.4")


def test_a_hop_that_leaves_a_system_part_out_is_broken() -> None:
    start = device(platform_name="electron", device_os="1.2.1")
    steps = [flash("electron", "2.0.0", slot) for slot in ("bootloader/0", "system_part/3", "system_part/1")]
    assert "leaves system_part/2" in broken(start, "2.0.0", *steps)


def test_a_step_that_sends_a_version_again_is_broken() -> None:
    assert "not higher" in broken(BORON, "6.3.4", BOOTLOADER, BOOTLOADER, SYSTEM)


def test_a_step_downwards_is_broken() -> None:
    start = device(modules=modules(bootloader_0=3301, radio_stack_0=202, system_part_1=2011))
    assert "not higher" in broken(start, "6.3.4", BOOTLOADER, SYSTEM)


def test_a_step_that_the_device_would_not_take_is_broken() -> None:
    assert "illegal step" in broken(BORON, "6.3.4", SYSTEM, BOOTLOADER)


def test_a_module_of_another_release_is_broken() -> None:
    stranger = replace(BOOTLOADER, module=module("boron", "6.4.1", "bootloader/0"))
    assert "does not ship" in broken(BORON, "6.3.4", stranger, SYSTEM)


def test_a_module_that_a_release_ships_with_other_needs_is_broken() -> None:
    needless = replace(SYSTEM, module=replace(SYSTEM.module, first_dependency=None))
    assert "does not ship" in broken(BORON, "6.3.4", BOOTLOADER, needless)


def test_a_boot_that_is_not_as_the_step_says_is_broken() -> None:
    dark = replace(SYSTEM, boots_into=DeviceMode.SAFE_MODE)
    assert "boots into" in broken(BORON, "6.3.4", BOOTLOADER, dark)


def test_a_boot_into_safe_mode_that_is_not_said_is_broken() -> None:
    start = device(platform_name="argon", device_os="2.0.1")
    steps = [flash("argon", "6.3.4", slot) for slot in ("system_part/1", "bootloader/0")]
    assert "boots into safe_mode" in broken(start, "6.3.4", *steps)


def test_hops_that_the_steps_do_not_make_are_broken() -> None:
    assert "mixes its hops" in broken(BORON, "6.3.4", BOOTLOADER, SYSTEM, hops=("6.3.4", "6.4.1"))


def test_hops_that_do_not_ascend_are_broken() -> None:
    steps = [flash(device_os="6.4.1", slot="bootloader/0"), flash(device_os="6.3.4")]
    assert "does not ascend" in broken(BORON, "6.3.4", *steps)


def test_steps_of_two_releases_mixed_are_broken() -> None:
    steps = (flash(device_os="5.9.0", slot="bootloader/0"), flash(device_os="6.3.4", slot="bootloader/0"))
    mixed = (*steps, flash(device_os="5.9.0"), SYSTEM)
    assert "mixes its hops" in broken(BORON, "6.3.4", *mixed)


def test_a_hop_to_a_release_that_nobody_knows_is_broken() -> None:
    assert "which is unknown" in broken(BORON, "6.3.4", replace(SYSTEM, device_os=DeviceOsVersion("6.3.1")))


def test_an_end_with_unmet_needs_is_broken() -> None:
    start = device(platform_name="argon", device_os="2.0.1")
    alone = replace(flash("argon", "6.3.4"), boots_into=DeviceMode.SAFE_MODE)
    assert "ends with unmet needs" in broken(start, "6.3.4", alone)


def test_a_device_in_safe_mode_with_an_application_whose_needs_stay_unmet_is_broken() -> None:
    needy = replace(
        modules(user_part_1=6)[0], first_dependency=module("boron", "6.4.1", "bootloader/0").first_dependency
    )
    need = module("boron", "6.3.4", "system_part/1").first_dependency
    assert need is not None
    needy = replace(needy, first_dependency=need._replace(slot=SYSTEM.module.slot, version=6401))
    parts = (*modules(bootloader_0=3200, radio_stack_0=202, system_part_1=6305), needy)
    assert "unmet" in broken(device(mode=DeviceMode.SAFE_MODE, modules=parts), "6.3.4")
