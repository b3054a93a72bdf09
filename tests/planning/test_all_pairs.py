"""The planner's search against the oracle, over every pair of published stable releases of every platform."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Completeness, Via
from reconciler.model.module import Dependency
from reconciler.model.module import Module as ModelModule
from reconciler.model.plan import Knowledge, Situation
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.step import FlashModule
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.route import Found, RouteSearch
from reconciler.planning.situation import inferred_situation
from tests.planning.oracle import (
    NOTHING,
    Answer,
    Device,
    Module,
    Need,
    Step,
    bytes_for_cost,
    cheapest_routes,
    inferred,
    is_later,
    platforms,
    publishable,
    shipped,
    sizes,
)
from tests.planning.route_rules import check_route

READINGS = [
    *((platform, "cloud", full) for platform in platforms() for full in (False, True)),
    *((platform, "usb", False) for platform in platforms()),
]

_BROKEN_EVERY = 2
"""Of the devices on which nothing runs one in two, each with every desired release."""


def plain(module: ModelModule) -> Module:
    def need(dependency: Dependency | None) -> Need | None:
        return None if dependency is None else (str(dependency.slot), dependency.version)

    return Module(str(module.slot), module.version, need(module.first_dependency), need(module.second_dependency))


def plain_steps(steps: tuple[FlashModule, ...]) -> tuple[Step, ...]:
    return tuple(Step(step.device_os.text, plain(step.module)) for step in steps)


@cache
def platform_named(name: str) -> Platform:
    platform = platform_by_name(name)
    assert platform is not None
    return platform


@cache
def routes_of(platform: str, via: str) -> RouteSearch:
    return RouteSearch(platform_named(platform), known_catalog(), Via(via))


def situation_at(platform: str, start: str) -> Situation:
    return inferred_situation(platform_named(platform), DeviceOsVersion(start), known_catalog())


def planned(platform: str, start: Situation, desired: str, via: str, *, full: bool) -> Found | None:
    completeness = Completeness.FULL if full else Completeness.REQUIRED
    found = routes_of(platform, via).find(
        start, DeviceOsVersion(desired), completeness=completeness, allow_prerelease=False
    )
    return found if isinstance(found, Found) else None


def differences(pair: str, found: Found | None, answer: Answer | None) -> list[str]:
    platform = pair.partition(" ")[0]
    if found is None or answer is None:
        return [] if found is None and answer is None else [f"{pair}: planner {found}, oracle {answer}"]
    steps = plain_steps(found.steps)
    cost = (
        found.safe_mode_boots,
        len(steps),
        sum(bytes_for_cost(platform, step) for step in steps),
        len(found.hops),
        tuple(hop.text for hop in found.hops),
    )
    said = [] if cost == answer[:5] else [f"{pair}: planner costs {cost} by {steps}, oracle {answer}"]
    for step, flash in zip(steps, found.steps, strict=True):
        known = sizes().get((platform, step.device_os, step.module.slot, step.module.version))
        if flash.size != known:
            said.append(f"{pair}: {step} has {flash.size} bytes, the table says {known}")
        if flash.boots_into != "normal" and not found.safe_mode_boots:
            said.append(f"{pair}: {step} boots into {flash.boots_into}")
    return said


@pytest.mark.parametrize(("platform", "via", "full"), READINGS)
def test_the_planner_and_the_oracle_agree_on_every_pair(platform: str, via: str, *, full: bool) -> None:
    said = []
    for start in publishable(platform):
        answers = cheapest_routes(platform, start, via=via, full=full)
        later = [desired for desired in publishable(platform) if is_later(desired, start)]
        if via == "usb":
            assert answers.keys() == {*later}, "over USB every pair can be reached"
        for desired in later:
            found = planned(platform, situation_at(platform, start), desired, via, full=full)
            said += differences(f"{platform} {start} -> {desired}", found, answers.get(desired))
    assert not said, f"{len(said)} differences, first:\n" + "\n".join(said[:10])


@pytest.mark.parametrize("platform", platforms())
def test_the_planner_and_the_oracle_agree_on_devices_that_lost_their_device_os(platform: str) -> None:
    """Found in DFU mode without a system part: what else is there is that of a release."""
    broken: dict[Device, Situation] = {}
    for start in publishable(platform):
        left = frozenset(m for m in inferred(platform, start) if not m.slot.startswith("system_part/"))
        broken.setdefault(left, broken_at(platform, start, {module.slot for module in left}))
    said = []
    for device, situation in [*broken.items()][::_BROKEN_EVERY]:
        answers = cheapest_routes(platform, NOTHING, via="usb", device=device, safe_mode=True)
        for desired in publishable(platform):
            found = planned(platform, situation, desired, "usb", full=False)
            said += differences(f"{platform} {sorted(device)} -> {desired}", found, answers.get(desired))
    assert not said, f"{len(said)} differences, first:\n" + "\n".join(said[:10])


@pytest.mark.parametrize("platform", ["electron", "p1", "photon"])
def test_the_planner_and_the_oracle_agree_on_devices_that_lost_one_of_their_system_parts(platform: str) -> None:
    """The release of the parts that are left is finished first, and nothing else is taken before that."""
    said = []
    for start in publishable(platform)[::3]:
        for lost in sorted(slot for slot in shipped()[platform][start] if slot.startswith("system_part/")):
            left = frozenset(module for module in inferred(platform, start) if module.slot != lost)
            situation = broken_at(platform, start, {module.slot for module in left})
            answers = cheapest_routes(platform, start, via="usb", device=left, safe_mode=True)
            for desired in publishable(platform):
                if not is_later(start, desired):
                    found = planned(platform, situation, desired, "usb", full=False)
                    said += differences(f"{platform} {start} without {lost} -> {desired}", found, answers.get(desired))
    assert not said, f"{len(said)} differences, first:\n" + "\n".join(said[:10])


def broken_at(platform: str, start: str, left: set[str]) -> Situation:
    """A device of this release, found in DFU mode with these slots alone."""
    whole = situation_at(platform, start)
    modules = tuple(module for module in whole.modules if str(module.slot) in left)
    return replace(whole, modules=modules, device_os=None, mode=DeviceMode.SAFE_MODE, knowledge=Knowledge.REPORTED)


@pytest.mark.parametrize("platform", platforms())
def test_every_route_of_the_planner_keeps_every_rule(platform: str) -> None:
    """A tenth of the starts, each with every desired release: judging is slower than searching."""
    for start in publishable(platform)[::10]:
        for desired in publishable(platform):
            if is_later(desired, start):
                found = planned(platform, situation_at(platform, start), desired, "cloud", full=False)
                if found is not None:
                    breaches = check_route(platform, start, desired, plain_steps(found.steps))
                    assert not breaches, (platform, start, desired, found.steps)


@pytest.mark.parametrize("platform", platforms())
def test_what_is_inferred_of_a_device_is_what_the_oracle_infers(platform: str) -> None:
    for start in shipped()[platform]:
        versions = {str(module.slot): module.version for module in situation_at(platform, start).modules}
        assert versions == {module.slot: module.version for module in inferred(platform, start)}, start


def test_the_catalog_has_the_modules_that_the_oracle_reads_from_the_tables() -> None:
    releases = {
        (platform, release.version.text): {plain(item.module) for item in release.modules}
        for platform in platforms()
        for release in known_catalog().releases(platform_named(platform))
    }
    assert releases == {
        (platform, release): set(modules.values())
        for platform in platforms()
        for release, modules in shipped()[platform].items()
    }
