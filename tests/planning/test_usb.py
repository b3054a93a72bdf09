"""What is different over USB: no stations, DFU mode checks nothing and boots once, other modules as over the air."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.device import BENCH, DeviceMode
from reconciler.model.error import BugError
from reconciler.model.fleet import Completeness, Delivery, Fleet, FleetSet, Via
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.plan import FleetPlan, Knowledge, RefusalReason, Situation
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.step import FlashApplication, FlashModule, condition, goes_in_dfu_mode
from reconciler.model.version import DeviceOsVersion
from reconciler.planning import cost
from reconciler.planning.planner import plan_fleets
from reconciler.planning.proof import prove
from reconciler.planning.route import Found, NoRoute, RouteSearch, find_route
from reconciler.planning.situation import inferred_situation
from tests.fleet_samples import NOW, device, fleet, observation, own_binary

NORMAL, SAFE = DeviceMode.NORMAL, DeviceMode.SAFE_MODE


def named(platform: str) -> Platform:
    found = platform_by_name(platform)
    assert found is not None
    return found


def route(platform: str, start: str, desired: str, via: Via = Via.USB) -> Found | NoRoute:
    return find_route(
        named(platform),
        inferred_situation(named(platform), DeviceOsVersion(start), known_catalog()),
        DeviceOsVersion(desired),
        known_catalog(),
        via=via,
        completeness=Completeness.REQUIRED,
        allow_prerelease=False,
    )


def found(platform: str, start: str, desired: str) -> Found:
    answer = route(platform, start, desired)
    assert isinstance(answer, Found)
    return answer


def outline(steps: tuple[FlashModule, ...]) -> list[tuple[str, DeviceMode]]:
    return [(str(step.module.slot), step.boots_into) for step in steps]


def proven(platform: str, start: str, steps: tuple[FlashModule, ...], desired: str) -> None:
    situation = inferred_situation(named(platform), DeviceOsVersion(start), known_catalog())
    hops = tuple(dict.fromkeys(step.device_os for step in steps))
    prove(named(platform), situation, DeviceOsVersion(desired), steps, hops, known_catalog())


def test_a_tracker_on_2_x_that_the_cloud_cannot_help_gets_to_3_0_through_one_safe_mode() -> None:
    assert isinstance(route("tracker", "2.3.1", "3.0.0", Via.CLOUD), NoRoute)
    answer = found("tracker", "2.3.1", "3.0.0")
    assert outline(answer.steps) == [("system_part/1", SAFE), ("ncp_firmware/0", NORMAL)]
    assert answer.safe_mode_boots == 1


def test_a_tracker_on_2_x_gets_to_6_x_without_a_boot_into_safe_mode() -> None:
    assert isinstance(route("tracker", "2.3.1", "6.5.0", Via.CLOUD), NoRoute)
    assert outline(found("tracker", "2.3.1", "6.5.0").steps) == [("bootloader/0", NORMAL), ("system_part/1", NORMAL)]


def test_an_old_electron_needs_no_station() -> None:
    assert [hop.text for hop in found("electron", "0.5.1", "2.3.1").hops] == ["2.3.1"]


def test_every_step_says_that_it_goes_over_usb() -> None:
    assert {step.via for step in found("boron", "1.2.1", "6.3.4").steps} == {Via.USB}


def test_writes_in_dfu_mode_need_one_restart_together() -> None:
    """A radio stack and a system part; over the cloud every module restarts the device."""
    steps = found("boron", "1.2.1", "1.5.2").steps
    assert outline(steps) == [("bootloader/0", NORMAL), ("radio_stack/0", NORMAL), ("system_part/1", NORMAL)]
    assert cost.restarts(steps) == 2
    assert cost.restarts(tuple(replace(step, via=Via.CLOUD) for step in steps)) == 3


def test_writes_of_two_hops_are_two_visits_to_dfu_mode() -> None:
    steps = found("boron", "0.9.0", "2.0.0").steps
    assert [step.device_os.text for step in steps] == ["1.3.1", "1.3.1", "2.0.0", "2.0.0", "2.0.0"]
    assert cost.restarts(steps) == 4


def test_a_bootloader_over_usb_is_checked_like_one_over_the_air() -> None:
    steps = found("p2", "5.0.0", "6.5.0").steps
    assert [str(step.module.slot) for step in steps] == ["bootloader/2", "bootloader/0", "system_part/1"]
    first_stage, bootloader = steps[0].module.slot, steps[1]
    assert condition(bootloader, {first_stage: 1}) is not None
    assert condition(bootloader, {first_stage: steps[0].module.version}) is None


def test_a_system_part_over_usb_has_no_condition_but_that_it_is_higher() -> None:
    system = found("boron", "2.0.1", "6.3.4").steps[-1]
    assert goes_in_dfu_mode(system.module.slot.function, system.via)
    assert condition(system, {}) is None
    assert condition(replace(system, via=Via.CLOUD), {}) is not None
    assert condition(system, {system.module.slot: system.module.version}) is not None


@pytest.mark.parametrize("function", [ModuleFunction.BOOTLOADER, ModuleFunction.NCP_FIRMWARE])
def test_bootloaders_and_ncp_firmware_never_go_in_dfu_mode(function: ModuleFunction) -> None:
    assert not goes_in_dfu_mode(function, Via.USB)


def test_the_proof_takes_the_route_of_the_search() -> None:
    proven("boron", "1.2.1", found("boron", "1.2.1", "1.5.2").steps, "1.5.2")


@pytest.mark.parametrize("platform", ["argon", "boron", "electron", "photon", "p2", "tracker", "xenon"])
def test_the_proof_takes_every_route_of_the_search(platform: str) -> None:
    """From a release in five to every later one."""
    search = RouteSearch(named(platform), known_catalog(), Via.USB)
    releases = [r.version for r in known_catalog().releases(named(platform)) if r.published and not r.prerelease]
    for number, start in list(enumerate(releases))[::5]:
        situation = inferred_situation(named(platform), start, known_catalog())
        for desired in releases[number + 1 :]:
            answer = search.find(situation, desired, completeness=Completeness.REQUIRED, allow_prerelease=False)
            if start < desired:
                assert isinstance(answer, Found), (start, desired, answer)
                prove(named(platform), situation, desired, answer.steps, answer.hops, known_catalog())


def test_the_proof_refuses_writes_that_claim_another_boot_than_their_own() -> None:
    """Radio stack and system part share a boot: one of the two cannot say safe mode."""
    first, radio, system = found("boron", "1.2.1", "1.5.2").steps
    with pytest.raises(BugError, match="PFR9002"):
        proven("boron", "1.2.1", (first, replace(radio, boots_into=SAFE), system), "1.5.2")


def test_the_proof_refuses_a_bootloader_that_the_running_device_os_would_not_take() -> None:
    part, bootloader, system = found("p2", "5.0.0", "6.5.0").steps
    assert part.module.slot == ModuleSlot(ModuleFunction.BOOTLOADER, 2)
    with pytest.raises(BugError, match="illegal step"):
        proven("p2", "5.0.0", (bootloader, part, system), "6.5.0")


def test_the_proof_refuses_writes_without_the_boot_in_front_of_a_bootloader() -> None:
    """The system part first means a safe mode that the steps do not own up to."""
    bootloader, system = found("boron", "2.0.1", "6.3.4").steps
    with pytest.raises(BugError, match="boots into safe_mode"):
        proven("boron", "2.0.1", (system, bootloader), "6.3.4")


def without(platform: str, start: str, *slots: str) -> Situation:
    """A device of a release that is found in DFU mode and lacks these modules."""
    whole = inferred_situation(named(platform), DeviceOsVersion(start), known_catalog())
    left = tuple(module for module in whole.modules if str(module.slot) not in slots)
    return replace(whole, modules=left, device_os=None, mode=SAFE, knowledge=Knowledge.REPORTED)


@pytest.mark.parametrize("platform", ["argon", "boron", "electron", "photon", "p2", "tracker", "xenon"])
def test_a_device_that_lost_its_device_os_gets_its_parts_before_anything_that_a_running_one_must_take(
    platform: str,
) -> None:
    """From a release in four to every later one; what is written first makes a Device OS that runs."""
    search = RouteSearch(named(platform), known_catalog(), Via.USB)
    parts = {str(slot) for slot in named(platform).system_parts}
    releases = [r.version for r in known_catalog().releases(named(platform)) if r.published and not r.prerelease]
    for number, start in list(enumerate(releases))[::4]:
        situation = without(platform, start.text, *parts)
        for desired in releases[number::3]:
            answer = search.find(situation, desired, completeness=Completeness.REQUIRED, allow_prerelease=False)
            assert isinstance(answer, Found), (start, desired, answer)
            prove(named(platform), situation, desired, answer.steps, answer.hops, known_catalog())
            kinds = [goes_in_dfu_mode(step.module.slot.function, step.via) for step in answer.steps]
            first = answer.steps[: kinds.index(False)] if False in kinds else answer.steps
            shipped = known_catalog().release(named(platform), answer.hops[0])
            assert shipped is not None
            assert {str(s.module.slot) for s in shipped.modules} & parts <= {str(step.module.slot) for step in first}


@pytest.mark.parametrize("lost", ["system_part/1", "system_part/2"])
def test_a_photon_that_lost_one_of_two_parts_gets_that_one_first(lost: str) -> None:
    answer = find_route(
        named("photon"),
        without("photon", "1.5.2", lost),
        DeviceOsVersion("2.3.1"),
        known_catalog(),
        via=Via.USB,
        completeness=Completeness.REQUIRED,
        allow_prerelease=False,
    )
    assert isinstance(answer, Found)
    first = answer.steps[0]
    assert (str(first.module.slot), first.device_os.text) == (lost, "1.5.2")


def test_the_proof_refuses_a_bootloader_for_a_device_on_which_nothing_runs() -> None:
    situation = without("boron", "2.0.1", "system_part/1")
    bootloader, system = found("boron", "2.0.1", "6.3.4").steps
    with pytest.raises(BugError, match="no Device OS runs"):
        prove(
            named("boron"),
            situation,
            DeviceOsVersion("6.3.4"),
            (bootloader, system),
            (system.device_os,),
            known_catalog(),
        )


def plan_at_bench(of_fleet: Fleet) -> FleetPlan:
    seen = observation(device(device_os="2.0.1", updates_enabled=False), source=BENCH)
    return plan_fleets(FleetSet(fleets=(of_fleet,)), seen, known_catalog(), now=NOW).fleets[0]


@pytest.mark.parametrize("via", list(Via))
def test_at_the_bench_every_fleet_is_planned_for_usb_whatever_it_costs_and_whatever_the_devices_veto(via: Via) -> None:
    (route,) = plan_at_bench(fleet(delivery=Delivery(via=via, bytes_per_device_max=1))).routes
    assert {step.via for step in route.steps} == {Via.USB}
    assert route.requests == 0


def test_at_the_bench_an_application_is_flashed_from_a_file_and_never_locked() -> None:
    named_file = fleet(application=own_binary("boron", file="logger.bin"))
    assert isinstance(plan_at_bench(named_file).routes[0].steps[-1], FlashApplication)
    held_by_the_product = fleet(application=own_binary("boron"))
    assert [place.reason for place in plan_at_bench(held_by_the_product).refused] == [
        RefusalReason.APPLICATION_UNAVAILABLE
    ]
