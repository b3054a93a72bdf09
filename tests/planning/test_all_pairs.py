"""The planner's search against the oracle, over every pair of published stable releases of every platform."""

from __future__ import annotations

from functools import cache

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.fleet import Completeness, Via
from reconciler.model.module import Dependency
from reconciler.model.module import Module as ModelModule
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.step import FlashModule
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.route import Found, find_route
from reconciler.planning.situation import inferred_situation
from tests.planning.oracle import (
    Answer,
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


_USB_STARTS_EVERY = 4
"""Over USB a start in four, each with every desired release: the oracle has more to search there."""


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


def planned(platform: str, start: str, desired: str, via: str, *, full: bool) -> Found | None:
    found = find_route(
        platform_named(platform),
        inferred_situation(platform_named(platform), DeviceOsVersion(start), known_catalog()),
        DeviceOsVersion(desired),
        known_catalog(),
        via=Via(via),
        completeness=Completeness.FULL if full else Completeness.REQUIRED,
        allow_prerelease=False,
    )
    return found if isinstance(found, Found) else None


def differences(platform: str, start: str, desired: str, found: Found | None, answer: Answer | None) -> list[str]:
    if found is None or answer is None:
        return [] if found is None and answer is None else [f"planner {found}, oracle {answer}"]
    steps = plain_steps(found.steps)
    cost = (
        found.safe_mode_boots,
        len(steps),
        sum(bytes_for_cost(platform, step) for step in steps),
        len(found.hops),
        tuple(hop.text for hop in found.hops),
    )
    said = [] if cost == answer[:5] else [f"planner costs {cost} by {steps}, oracle {answer}"]
    for step, flash in zip(steps, found.steps, strict=True):
        known = sizes().get((platform, step.device_os, step.module.slot, step.module.version))
        if flash.size != known:
            said.append(f"{step} has {flash.size} bytes, the table says {known}")
        if flash.boots_into != "normal" and not found.safe_mode_boots:
            said.append(f"{step} boots into {flash.boots_into}")
    return said


@pytest.mark.parametrize(("platform", "via", "full"), READINGS)
def test_the_planner_and_the_oracle_agree_on_every_pair(platform: str, via: str, *, full: bool) -> None:
    said = []
    starts = publishable(platform) if via == "cloud" else publishable(platform)[::-_USB_STARTS_EVERY]
    for start in starts:
        answers = cheapest_routes(platform, start, via=via, full=full)
        for desired in publishable(platform):
            if is_later(desired, start):
                found = planned(platform, start, desired, via, full=full)
                said += [
                    f"{platform} {start} -> {desired}: {difference}"
                    for difference in differences(platform, start, desired, found, answers.get(desired))
                ]
    assert not said, f"{len(said)} differences, first:\n" + "\n".join(said[:10])


@pytest.mark.parametrize("platform", platforms())
def test_every_route_of_the_planner_keeps_every_rule(platform: str) -> None:
    """A tenth of the starts, each with every desired release: judging is slower than searching."""
    for start in publishable(platform)[::10]:
        for desired in publishable(platform):
            if is_later(desired, start):
                found = planned(platform, start, desired, "cloud", full=False)
                if found is not None:
                    breaches = check_route(platform, start, desired, plain_steps(found.steps))
                    assert not breaches, (platform, start, desired, found.steps)


@pytest.mark.parametrize("platform", platforms())
def test_what_is_inferred_of_a_device_is_what_the_oracle_infers(platform: str) -> None:
    for start in shipped()[platform]:
        situation = inferred_situation(platform_named(platform), DeviceOsVersion(start), known_catalog())
        versions = {str(module.slot): module.version for module in situation.modules}
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
