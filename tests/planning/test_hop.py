from __future__ import annotations

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.release import Release
from reconciler.model.step import FlashModule
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.hop import HopEnd, Hops
from tests.fleet_samples import device, modules, platform, situation


def release(platform_name: str, device_os: str) -> Release:
    found = known_catalog().release(platform(platform_name), DeviceOsVersion(device_os))
    assert found is not None
    return found


def ends(of_device: ObservedDevice, device_os: str, *, full: bool = False) -> tuple[HopEnd, ...]:
    start = situation(of_device)
    hops = Hops(platform(start.platform), known_catalog())
    return hops.ends(hops.versions_of(start.modules), frozenset(), release(start.platform, device_os), full=full)


def outlines(found: tuple[HopEnd, ...]) -> list[list[str]]:
    return [[str(step.module.slot) for step in end.steps] for end in found]


def safest(found: tuple[HopEnd, ...]) -> HopEnd:
    return min(found, key=lambda end: (end.safe_mode_boots, len(end.steps)))


def boots(steps: tuple[FlashModule, ...]) -> list[DeviceMode]:
    return [step.boots_into for step in steps]


def test_bootloaders_come_first_wherever_that_is_legal() -> None:
    assert outlines((safest(ends(device(device_os="2.0.1"), "6.3.4")),)) == [["bootloader/0", "system_part/1"]]


def test_the_higher_bootloader_index_comes_first() -> None:
    start = device(platform_name="p2", device_os="5.9.0")
    assert outlines((safest(ends(start, "6.3.4")),)) == [["bootloader/2", "bootloader/0", "system_part/1"]]


def test_a_module_whose_first_dependency_does_not_hold_is_not_sent_before_it() -> None:
    # Boron lists its bootloader first, so no order sends the system part alone.
    assert all("bootloader/0" in outline for outline in outlines(ends(device(device_os="2.0.1"), "6.3.4")))


def test_a_second_dependency_on_a_bootloader_does_not_forbid_the_transfer_but_the_boot_is_into_safe_mode() -> None:
    # Argon lists the radio stack first and its bootloader second since 3.0.
    alone = [end for end in ends(device(platform_name="argon", device_os="2.0.1"), "6.3.4") if len(end.steps) == 1]
    assert outlines(tuple(alone)) == [["system_part/1"]]
    assert boots(alone[0].steps) == [DeviceMode.SAFE_MODE]
    assert alone[0].unmet


def test_the_safest_order_of_an_argon_never_boots_into_safe_mode() -> None:
    end = safest(ends(device(platform_name="argon", device_os="2.0.1"), "6.3.4"))
    assert outlines((end,)) == [["bootloader/0", "system_part/1"]]
    assert end.safe_mode_boots == 0


def test_an_electron_takes_part_3_then_1_then_2_and_its_bootloader_first() -> None:
    end = safest(ends(device(platform_name="electron", device_os="1.2.1"), "2.0.0"))
    assert outlines((end,)) == [["bootloader/0", "system_part/3", "system_part/1", "system_part/2"]]
    assert end.safe_mode_boots == 0


def test_a_photon_before_0_7_0_cannot_hop_past_it() -> None:
    assert ends(device(platform_name="photon", device_os="0.6.3"), "1.5.2") == ()
    assert ends(device(platform_name="photon", device_os="0.6.3"), "0.7.0")


def test_all_system_parts_of_the_release_are_in_every_end() -> None:
    found = ends(device(platform_name="electron", device_os="1.2.1"), "2.0.0")
    assert found
    assert all({"system_part/1", "system_part/2", "system_part/3"} <= set(outline) for outline in outlines(found))


def test_the_encrypted_bootloader_is_never_sent() -> None:
    found = ends(device(platform_name="p2", device_os="5.9.0"), "6.3.4", full=True)
    assert all("bootloader/1" not in outline for outline in outlines(found))


def test_a_full_hop_sends_all_that_is_higher() -> None:
    start = device(device_os="6.2.0")  # 6.3.4 ships bootloader 3200 and needs 3100
    assert ["system_part/1"] in outlines(ends(start, "6.3.4"))
    assert outlines(ends(start, "6.3.4", full=True)) == [["bootloader/0", "system_part/1"]]


def test_nothing_that_is_there_is_sent_again() -> None:
    start = device(modules=modules(bootloader_0=3200, radio_stack_0=202, system_part_1=2011))
    assert outlines(ends(start, "6.3.4")) == [["system_part/1"]]


def test_a_hop_to_a_lower_release_does_not_exist() -> None:
    assert ends(device(device_os="6.3.4"), "2.0.1") == ()


def test_a_hop_to_the_running_release_has_nothing_to_send_but_what_is_lower() -> None:
    assert outlines(ends(device(device_os="6.3.4"), "6.3.4")) == [["bootloader/0"]]


def test_an_unknown_size_counts_as_the_largest_known_of_that_module() -> None:
    hops = Hops(platform("boron"), known_catalog())
    nameless = [s for r in known_catalog().releases(platform("boron")) for s in r.modules if s.size is None]
    shipped = next(s for s in nameless if str(s.module.slot) == "system_part/1")
    largest = known_catalog().largest_size(platform("boron"), shipped.module.slot)
    assert largest > 0
    assert hops.cost_bytes(shipped) == largest


@pytest.mark.parametrize("platform_name", ["photon", "p1"])
def test_the_last_part_of_a_circular_pair_is_preceded_by_the_other(platform_name: str) -> None:
    end = safest(ends(device(platform_name=platform_name, device_os="0.7.0"), "1.5.2"))
    assert outlines((end,)) == [["bootloader/0", "system_part/1", "system_part/2"]]
    assert end.safe_mode_boots == 0
