"""`delivery.order: application-first`: one lock, and the cloud's healer does the rest, where it can do that alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.firmware.application import read_application
from reconciler.firmware.builder import build_application
from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import (
    ApplicationBinary,
    BuiltApplication,
    Completeness,
    Desired,
    DesiredApplication,
    Order,
    Via,
)
from reconciler.model.plan import RefusalReason, Refused, Route, RouteReason
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.planning.answer import Answers, Goal, Placed
from tests.fleet_samples import COLD_CHAIN, device, module, platform, situation

V44 = ApplicationVersion(44)
NORMAL, SAFE = DeviceMode.NORMAL, DeviceMode.SAFE_MODE


def built(platform_name: str, device_os: str) -> BuiltApplication:
    """An application that was built with this release."""
    shown = platform(platform_name).shown_part
    number = module(platform_name, device_os, str(shown)).version
    data = build_application(platform(platform_name), system_version=number, product=(COLD_CHAIN.id, 44), size=20_000)
    return read_application(data)


def desired(platform_name: str, device_os: str | None, built_with: str | None) -> Desired:
    application = None if built_with is None else built(platform_name, built_with)
    binary = ApplicationBinary(platform=platform_name, file="logger.bin", built=application)
    wanted = DesiredApplication(release="logger", version=V44, binaries=(binary,))
    return Desired(device_os=None if device_os is None else DeviceOsVersion(device_os), application=wanted)


def answer(
    wanted: Desired, start: str, platform_name: str = "boron", *, bytes_max: int | None = None, **fields: Any
) -> Placed:
    goal = Goal(wanted, Via.CLOUD, bytes_max, order=Order.APPLICATION_FIRST, product_id=COLD_CHAIN.id)
    there = situation(device(platform_name=platform_name, device_os=start, **fields))
    return Answers(known_catalog()).of(there, goal)


def route(placed: Placed) -> Route:
    assert isinstance(placed, Route), placed
    return placed


def why_not(placed: Placed) -> str:
    assert isinstance(placed, Refused), placed
    assert placed.reason is RefusalReason.ORDER_UNSUPPORTED
    return placed.message.removeprefix("application-first is not possible: ")


def test_one_lock_is_ours_and_the_modules_are_the_healer_s() -> None:
    placed = route(answer(desired("boron", "6.3.4", "6.3.4"), "5.9.0"))
    assert placed.steps == (LockApplication(application=V44, size=20_000, boots_into=SAFE),)
    healed = [(str(step.module.slot), step.boots_into) for step in placed.healed_by_cloud]
    assert healed == [("bootloader/0", SAFE), ("system_part/1", NORMAL)]
    assert [hop.text for hop in placed.hops] == ["6.3.4"]
    assert placed.reason is RouteReason.BELOW_DESIRED_DEVICE_OS


def test_the_cost_counts_what_the_healer_sends() -> None:
    placed = route(answer(desired("boron", "4.2.0", "4.2.0"), "4.0.2"))
    sizes = [step.size for step in (*placed.steps, *placed.healed_by_cloud)]
    assert placed.bytes_known == sum(size or 0 for size in sizes)
    assert placed.bytes_unknown == sizes.count(None)
    assert (placed.restarts, placed.safe_mode_boots, placed.requests) == (3, 2, 1)
    first_by_us = Goal(desired("boron", "4.2.0", "4.2.0"), Via.CLOUD, None)
    before = situation(device(device_os="4.0.2"))
    assert placed.minutes == route(Answers(known_catalog()).of(before, first_by_us)).minutes


def test_the_data_limit_counts_what_the_healer_sends() -> None:
    placed = answer(desired("boron", "6.3.4", "6.3.4"), "5.9.0", bytes_max=50_000)
    assert isinstance(placed, Refused)
    assert placed.reason is RefusalReason.DATA_LIMIT_EXCEEDED


def test_an_old_photon_is_healed_part_by_part() -> None:
    placed = route(answer(desired("photon", "2.3.1", "2.3.1"), "1.5.2", "photon"))
    assert [str(step.module.slot) for step in placed.healed_by_cloud][-1].startswith("system_part")
    assert {str(step.module.slot) for step in placed.healed_by_cloud} >= {"system_part/1", "system_part/2"}
    assert [step.boots_into for step in placed.healed_by_cloud][:-1] == [SAFE] * (len(placed.healed_by_cloud) - 1)


@pytest.mark.parametrize(
    ("platform_name", "start", "goal", "said"),
    [
        ("photon", "0.6.3", "2.3.1", "cannot be reached in one hop"),
        ("boron", "1.2.1", "6.3.4", "cannot be reached in one hop"),
        ("electron", "1.0.1", "2.3.1", "a station lies on the way to 2.3.1"),
    ],
)
def test_no_station_and_no_intermediate_release_may_lie_between(
    platform_name: str, start: str, goal: str, said: str
) -> None:
    assert said in why_not(answer(desired(platform_name, goal, goal), start, platform_name))


def test_the_healer_brings_no_more_than_the_application_needs() -> None:
    said = why_not(answer(desired("boron", "6.3.4", "6.2.0"), "5.9.0"))
    assert said == "the healer brings no more than the application needs: Device OS 6.2.0, not 6.3.4"


def test_of_a_product_s_own_copy_nobody_can_tell() -> None:
    assert "nobody can tell what application 44 needs" in why_not(answer(desired("boron", "6.3.4", None), "5.9.0"))


def test_an_application_that_runs_already_starts_nothing() -> None:
    placed = answer(desired("boron", "6.3.4", "6.3.4"), "5.9.0", application=44)
    assert "application 44 runs already" in why_not(placed)


def test_without_an_application_nothing_is_first() -> None:
    wanted = replace(desired("boron", "6.3.4", None), application=None)
    assert "no application is desired" in why_not(answer(wanted, "5.9.0"))


def test_a_development_device_takes_no_lock() -> None:
    placed = answer(desired("boron", "6.3.4", "6.3.4"), "5.9.0", development=True)
    assert "development" in why_not(placed)


def test_every_module_is_more_than_the_healer_brings() -> None:
    """6.3.5 ships bootloader 3201 and needs 3100 only, which a device on 6.2.0 has."""
    wanted = desired("boron", "6.3.5", "6.3.5")
    assert len(route(answer(wanted, "6.2.0")).healed_by_cloud) == 1
    full = replace(wanted, completeness=Completeness.FULL)
    assert "completeness full" in why_not(answer(full, "6.2.0"))


def test_an_application_for_a_later_release_than_desired_is_refused_for_that() -> None:
    placed = answer(desired("boron", "6.3.4", "6.4.1"), "5.9.0")
    assert isinstance(placed, Refused)
    assert placed.reason is RefusalReason.APPLICATION_NEEDS_LATER


def test_where_device_os_is_there_the_application_simply_follows() -> None:
    placed = route(answer(desired("boron", "6.3.4", "6.3.4"), "6.3.4"))
    assert placed.steps == (LockApplication(application=V44, size=20_000, boots_into=NORMAL),)
    assert placed.healed_by_cloud == ()


def test_a_device_that_is_as_desired_has_nothing_to_do() -> None:
    assert answer(desired("boron", "6.3.4", "6.3.4"), "6.3.4", application=44) is None


def test_a_device_half_way_in_safe_mode_still_goes_the_same_way() -> None:
    """The healer has sent the bootloader; the device reports the new application's need."""
    modules = (
        module("boron", "6.3.4", "bootloader/0"),
        module("boron", "5.9.0", "system_part/1"),
        module("boron", "6.3.4", "radio_stack/0"),
        built("boron", "6.3.4").module,
    )
    placed = route(answer(desired("boron", "6.3.4", "6.3.4"), "5.9.0", mode=SAFE, modules=modules))
    assert [str(step.module.slot) for step in placed.healed_by_cloud] == ["system_part/1"]
    assert placed.steps == (LockApplication(application=V44, size=20_000, boots_into=SAFE),)
