from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.fleet import Completeness, Via
from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.route import Found, NoRoute, find_route
from tests.fleet_samples import device, module, modules, platform, situation


def search(of_device: ObservedDevice, device_os: str, **asked: Any) -> Found | NoRoute:
    start = situation(of_device)
    questions: dict[str, Any] = {"via": Via.CLOUD, "completeness": Completeness.REQUIRED, "allow_prerelease": False}
    catalog = asked.pop("catalog", known_catalog())
    return find_route(platform(start.platform), start, DeviceOsVersion(device_os), catalog, **{**questions, **asked})


def route(of_device: ObservedDevice, device_os: str, **asked: Any) -> Found:
    found = search(of_device, device_os, **asked)
    assert isinstance(found, Found), found
    return found


def because(of_device: ObservedDevice, device_os: str, **asked: Any) -> str:
    found = search(of_device, device_os, **asked)
    assert isinstance(found, NoRoute), found
    return found.because


def hops(found: Found) -> list[str]:
    return [hop.text for hop in found.hops]


def slots(found: Found) -> list[str]:
    return [f"{step.device_os} {step.module.slot}" for step in found.steps]


def test_an_electron_over_the_cloud_stops_at_every_station() -> None:
    found = route(device(platform_name="electron", device_os="0.5.2"), "2.0.0")
    assert hops(found) == ["0.5.5", "0.6.4", "0.7.0", "1.2.1", "2.0.0"]


def test_an_electron_over_usb_does_not() -> None:
    found = route(device(platform_name="electron", device_os="0.5.2"), "2.0.0", via=Via.USB)
    assert not {"0.5.5", "1.2.1"} & set(hops(found))


def test_a_station_that_is_the_start_is_not_stopped_at_again() -> None:
    assert hops(route(device(platform_name="electron", device_os="0.6.4"), "0.7.0")) == ["0.7.0"]


def test_a_station_that_may_not_be_passed_closes_the_way() -> None:
    releases = (
        replace(release, published=False) if release.version.text == "1.2.1" else release
        for release in known_catalog().all_releases
    )
    closed = Catalog(releases, known_catalog().all_stations)
    words = because(device(platform_name="electron", device_os="1.0.1"), "2.0.0", catalog=closed)
    assert "station" in words


def test_a_hop_in_progress_is_finished_first() -> None:
    begun = device(platform_name="photon", modules=modules(bootloader_0=401, system_part_1=1512, system_part_2=1321))
    found = route(begun, "2.0.0")
    assert slots(found)[0] == "1.5.2 system_part/2"
    assert hops(found) == ["1.5.2", "2.0.0"]


def test_a_hop_in_progress_to_the_desired_release_is_just_finished() -> None:
    begun = device(platform_name="photon", modules=modules(bootloader_0=401, system_part_1=1512, system_part_2=1321))
    assert slots(route(begun, "1.5.2")) == ["1.5.2 system_part/2"]


def test_a_device_in_safe_mode_is_first_sent_what_its_running_release_ships_and_it_lacks() -> None:
    broken = device(
        mode=DeviceMode.SAFE_MODE, modules=modules(bootloader_0=1101, radio_stack_0=202, system_part_1=6305)
    )
    assert slots(route(broken, "6.3.4")) == ["6.3.4 bootloader/0"]


def test_a_device_in_normal_mode_is_sent_nothing_of_its_running_release() -> None:
    assert route(device(device_os="6.3.4"), "6.3.4", completeness=Completeness.FULL).steps == ()


def test_a_device_in_safe_mode_with_all_needs_met_gets_nothing_of_it_either() -> None:
    whole = device(mode=DeviceMode.SAFE_MODE, modules=modules(bootloader_0=3200, radio_stack_0=202, system_part_1=6305))
    assert route(whole, "6.3.4").steps == ()


def test_full_sends_every_module_that_is_lower_than_the_desired_release_ships() -> None:
    start = device(device_os="6.2.0")
    assert slots(route(start, "6.3.4")) == ["6.3.4 system_part/1"]
    assert slots(route(start, "6.3.4", completeness=Completeness.FULL)) == ["6.3.4 bootloader/0", "6.3.4 system_part/1"]


def test_a_prerelease_is_desired_only_when_it_is_allowed() -> None:
    assert "may be desired" in because(device(device_os="2.0.1"), "5.5.0-rc.1")
    assert hops(route(device(device_os="2.0.1"), "5.5.0-rc.1", allow_prerelease=True))[-1] == "5.5.0-rc.1"


def test_no_prerelease_is_passed_on_the_way_even_where_one_is_allowed() -> None:
    found = route(device(platform_name="electron", device_os="0.5.2"), "3.1.0-rc.1", allow_prerelease=True)
    assert not any("-" in hop for hop in hops(found)[:-1])


def test_a_release_that_was_never_published_may_not_be_desired() -> None:
    assert "may be desired" in because(device(platform_name="p2", device_os="5.9.0"), "6.0.0")


def test_a_realtek_device_goes_from_5_9_0_to_6_2_0_in_one_hop() -> None:
    assert hops(route(device(platform_name="p2", device_os="5.9.0"), "6.2.0")) == ["6.2.0"]


def test_a_running_release_that_was_never_published_is_a_fine_start() -> None:
    assert hops(route(device(platform_name="p2", device_os="6.0.0"), "6.2.0")) == ["6.2.0"]


def test_an_old_boron_passes_a_release_without_a_radio_stack_need_on_the_way() -> None:
    found = route(device(device_os="1.1.0"), "6.3.4")
    assert "1.3.1" in hops(found)
    assert found.safe_mode_boots == 0


def test_a_tracker_on_2_x_has_no_route_to_3_0_0_and_the_sentence_names_both_sides_of_the_circle() -> None:
    words = because(device(platform_name="tracker", device_os="2.0.1"), "3.0.0")
    assert "ncp_firmware/0 >= 7" in words
    assert "system_part/1 >= 3000" in words
    assert "nothing above" in words


def test_the_sentence_names_no_need_that_could_be_met_on_the_way() -> None:
    words = because(device(platform_name="tracker", device_os="2.0.1"), "6.3.4")
    assert "bootloader" not in words
    assert "radio_stack" not in words


def test_a_tracker_in_safe_mode_with_the_ncp_firmware_passes() -> None:
    parts = modules(bootloader_0=1005, radio_stack_0=202, ncp_firmware_0=7, system_part_1=2011)
    assert hops(route(device(platform_name="tracker", modules=parts), "3.0.0")) == ["3.0.0"]


def test_an_installed_application_that_needs_more_than_is_desired_forbids_the_route() -> None:
    needs = Dependency(ModuleSlot.parse("system_part/1"), 4200)
    application = Module(slot=ModuleSlot.parse("user_part/1"), version=6, first_dependency=needs)
    parts = modules(bootloader_0=1101, radio_stack_0=202, system_part_1=4006)
    needy = device(mode=DeviceMode.SAFE_MODE, modules=(*parts, application))
    assert "needs system_part/1 >= 4200, 4.1.0 brings 4100" in because(needy, "4.1.0")
    assert hops(route(needy, "4.2.0")) == ["4.2.0"]


def test_a_device_on_the_desired_release_has_a_route_without_steps() -> None:
    found = route(device(device_os="6.3.4"), "6.3.4")
    assert (found.steps, found.hops, found.safe_mode_boots) == ((), (), 0)


def test_a_lower_release_is_no_route() -> None:
    assert isinstance(search(device(device_os="6.3.4"), "2.0.1"), NoRoute)


def test_what_we_put_there_shortens_the_route() -> None:
    learnt = device(device_os="2.0.1", learnt=(module("boron", "6.3.4", "bootloader/0"),))
    assert slots(route(learnt, "6.3.4")) == ["6.3.4 system_part/1"]
