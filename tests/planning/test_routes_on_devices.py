"""Planned routes, carried out on the emulator's devices: every binary is taken, every boot is the promised one.

The emulator reads the device's rules by itself and the modules from the bytes of the binaries, so nothing here depends
on what planning believes of either. What runs is a sample of pairs of releases, the same at every run: the longest way
of every platform, some pairs by dice, and the ways that are known to be awkward.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from reconciler.emulator.artifact import Artifact, read_payload
from reconciler.emulator.binaries import EmulatedBinaries, application_module, real_files_in
from reconciler.emulator.device import Device, Installed, Loadout, boot_mode, install, transfer_error
from reconciler.emulator.dice import Dice
from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.fleet import Completeness, Via
from reconciler.model.instant import Instant
from reconciler.model.module import Module, ModuleSlot
from reconciler.model.plan import Situation
from reconciler.model.platform import PLATFORMS, Platform, platform_by_name
from reconciler.model.release import Release
from reconciler.model.step import FlashModule
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.route import Found, NoRoute, RouteSearch
from reconciler.planning.situation import inferred_situation, situation_of

SEED = 20261122
PAIRS_OF_A_PLATFORM = 30
KNOWN = known_catalog()
PLANNED = [platform.name for platform in PLATFORMS if KNOWN.releases(platform)]
AWKWARD = [
    ("electron", "0.5.0", "3.3.1"),
    ("electron", "0.5.5", "0.6.4"),
    ("electron", "0.6.4", "1.2.1"),
    ("electron", "0.7.0", "3.3.1"),
    ("photon", "0.6.3", "2.3.1"),
    ("photon", "0.7.0", "2.3.1"),
    ("p1", "0.6.4", "3.3.1"),
    ("boron", "1.2.1", "1.4.0"),
    ("argon", "1.3.1", "6.5.0"),
    ("p2", "5.0.0", "6.5.0"),
    ("msom", "5.9.0", "6.2.0"),
    ("trackerm", "5.9.0", "6.3.5"),
    ("tracker", "3.0.0", "6.5.0"),
    ("tracker", "5.5.0", "5.6.0"),
]
REAL_PLATFORMS = {*PLANNED} - {"p2", "msom", "trackerm"}  # of which npm has no Device OS binaries
REAL_TRIPS_MIN = 1500
PayloadOf = Callable[[Platform, FlashModule], Artifact]


@dataclass(frozen=True, slots=True)
class Trip:
    """A device and the route that was planned for it."""

    name: str
    device: Device
    steps: tuple[FlashModule, ...]
    desired: Release


@cache
def named(name: str) -> Platform:
    platform = platform_by_name(name)
    assert platform is not None
    return platform


@cache
def search(name: str) -> RouteSearch:
    return RouteSearch(named(name), KNOWN, Via.CLOUD)


@cache
def synthetic() -> EmulatedBinaries:
    return EmulatedBinaries(KNOWN)


@cache
def synthetic_payload(name: str, version: DeviceOsVersion, slot: ModuleSlot) -> Artifact:
    return payload_from(synthetic(), named(name), version, slot)


def payload_from(
    binaries: EmulatedBinaries, platform: Platform, version: DeviceOsVersion, slot: ModuleSlot
) -> Artifact:
    content = binaries.module(platform, version, slot)
    assert content is not None, (platform, version, slot)
    payload = read_payload(content)
    assert isinstance(payload, Artifact), payload
    return payload


def built_here(platform: Platform, step: FlashModule) -> Artifact:
    return synthetic_payload(platform.name, step.device_os, step.module.slot)


def release_of(platform: Platform, version: str) -> Release:
    release = KNOWN.release(platform, DeviceOsVersion(version))
    assert release is not None, (platform, version)
    return release


def device_of(platform: Platform, modules: Iterable[Module], start: Release) -> Device:
    """A device with these modules and an application that was built for the release that it runs."""
    application = application_module(KNOWN, platform, start.version)
    installed = {module.slot: Installed(module=module) for module in (*modules, application)}
    loadout = Loadout(installed=installed)
    name = "e00fce680000000000000001"
    device = Device(id=name, name=None, platform=platform, product_id=None, loadout=loadout, dice=Dice(name))
    device.mode = boot_mode(device)
    return device


def goals(platform: Platform) -> list[Release]:
    return [release for release in KNOWN.releases(platform) if release.published and not release.prerelease]


def route(platform: Platform, situation: Situation, desired: Release) -> Found | NoRoute:
    return search(platform.name).find(
        situation, desired.version, completeness=Completeness.REQUIRED, allow_prerelease=desired.prerelease
    )


def trips_between(platform: Platform, start: Release, desired: Release) -> Iterator[Trip]:
    """The same route on the least that such a device can be, and on one that has all that its release shipped, too.

    No trip where there is no route: which pairs those are is tested elsewhere.
    """
    situation = inferred_situation(platform, start.version, KNOWN)
    found = route(platform, situation, desired)
    if isinstance(found, Found):
        way = f"{platform} {start.version} -> {desired.version}"
        yield Trip(f"{way} (least)", device_of(platform, situation.modules, start), found.steps, desired)
        highest = {module.slot: module for module in situation.modules}
        for one in start.modules:
            if one.module.slot not in highest or highest[one.module.slot].version < one.module.version:
                highest[one.module.slot] = one.module
        yield Trip(f"{way} (whole)", device_of(platform, highest.values(), start), found.steps, desired)


def sampled_pairs(platform: Platform) -> list[tuple[Release, Release]]:
    """The longest way, and pairs by dice; a device may run any published release, a prerelease too."""
    dice = random.Random(f"{SEED} {platform}")
    desirable = goals(platform)
    starts = [release for release in KNOWN.releases(platform) if release.published]
    pairs = [
        (start, goal) for start in starts for goal in desirable if number(platform, start) < number(platform, goal)
    ]
    return [(desirable[0], desirable[-1]), *dice.sample(pairs, min(PAIRS_OF_A_PLATFORM, len(pairs)))]


def number(platform: Platform, release: Release) -> int:
    return max(one.module.version for one in release.modules if one.module.slot in platform.system_parts)


def breaches(trip: Trip, payload_of: PayloadOf) -> Iterator[str]:
    """Carry the route out step by step; a sentence for everything that is not as planned.

    A version may come again to a device that has more than was inferred, but it never falls.
    """
    device = trip.device
    for position, step in enumerate(trip.steps, start=1):
        payload = payload_of(device.platform, step)
        place = f"{trip.name}, step {position} ({step.module} of {step.device_os})"
        if payload.module != step.module:
            yield f"{place}: the binary is {payload.module} with needs {payload.module.dependencies}"
        if payload.module.version < device.versions.get(payload.module.slot, 0):
            yield f"{place}: falls from {device.versions[payload.module.slot]}"
        error = transfer_error(device, payload)
        if error is not None:
            yield f"{place}: refused, {error}"
            return
        install(device, payload)
        device.mode = boot_mode(device)
        if device.mode is not step.boots_into:
            yield f"{place}: boots into {device.mode}, planned was {step.boots_into}"
    if device.mode is not DeviceMode.NORMAL:
        yield f"{trip.name}: ends in safe mode"
    for one in trip.desired.modules:
        if one.module.slot in device.platform.system_parts and device.versions[one.module.slot] != one.module.version:
            yield f"{trip.name}: ends with {one.module.slot} at {device.versions[one.module.slot]}"


def all_breaches(trips: Iterable[Trip], payload_of: PayloadOf = built_here) -> list[str]:
    return [breach for trip in trips for breach in breaches(trip, payload_of)]


@pytest.mark.parametrize("name", PLANNED)
def test_a_sample_of_routes_arrives_on_every_platform(name: str) -> None:
    platform = named(name)
    trips = [trip for pair in sampled_pairs(platform) for trip in trips_between(platform, *pair)]
    assert len(trips) >= PAIRS_OF_A_PLATFORM
    assert all_breaches(trips) == []


def test_the_sample_is_large_and_says_the_same_at_every_run() -> None:
    pairs = [(name, *pair) for name in PLANNED for pair in sampled_pairs(named(name))]
    assert len(pairs) >= 300
    assert pairs == [(name, *pair) for name in PLANNED for pair in sampled_pairs(named(name))]
    assert {name for name, *_ in pairs} == {*PLANNED}


@pytest.mark.parametrize(("name", "start", "desired"), AWKWARD)
def test_an_awkward_way_arrives(name: str, start: str, desired: str) -> None:
    platform = named(name)
    trips = list(trips_between(platform, release_of(platform, start), release_of(platform, desired)))
    assert len(trips) == 2
    assert all_breaches(trips) == []


def test_an_electron_is_complete_at_every_station_and_runs_its_application_there() -> None:
    electron = named("electron")
    stations = {station.text for station in KNOWN.stations(electron, "cloud")}
    trip = next(trips_between(electron, release_of(electron, "0.5.0"), release_of(electron, "3.3.1")))
    complete_at = []
    for position, step in enumerate(trip.steps):
        rest = trip.steps[position + 1 :]
        install(trip.device, built_here(electron, step))
        if not rest or rest[0].device_os != step.device_os:
            parts = {trip.device.versions[one] for one in electron.system_parts if one in trip.device.versions}
            assert parts == {number(electron, release_of(electron, step.device_os.text))}
            assert boot_mode(trip.device) is DeviceMode.NORMAL
            complete_at.append(step.device_os.text)
    assert stations <= {*complete_at}


def test_a_realtek_device_gets_its_bootloaders_from_the_bottom_up() -> None:
    p2 = named("p2")
    trip = next(trips_between(p2, release_of(p2, "5.0.0"), release_of(p2, "6.5.0")))
    assert [str(step.module.slot) for step in trip.steps] == ["bootloader/2", "bootloader/0", "system_part/1"]
    backwards = replace(trip, steps=trip.steps[::-1])
    assert "refused, -1340" in all_breaches([backwards])[0]


def test_a_tracker_that_lacks_its_wi_fi_firmware_gets_it_on_the_way() -> None:
    tracker = named("tracker")
    trips = list(trips_between(tracker, release_of(tracker, "3.0.0-alpha.1"), release_of(tracker, "6.5.0")))
    sent = {str(step.module) for step in trips[0].steps}
    assert "ncp_firmware/0 7" in sent
    assert all_breaches(trips[:1]) == []


def damaged(platform: Platform) -> Iterator[tuple[Release, Device]]:
    """Devices in safe mode: of a release as shipped, one module that is no system part is lowered or gone."""
    for release in goals(platform):
        for shipped in release.modules:
            slot = shipped.module.slot
            if slot in platform.system_parts:
                continue
            older = [
                one.module
                for earlier in KNOWN.releases(platform)
                if earlier.published and number(platform, earlier) < number(platform, release)
                for one in earlier.modules
                if one.module.slot == slot and one.module.version < shipped.module.version
            ]
            others = [one.module for one in release.modules if one.module.slot != slot]
            device = device_of(platform, [*others, *older[-1:]], release)
            if device.mode is DeviceMode.SAFE_MODE:
                yield release, device


def reported(device: Device) -> Situation:
    """What planning makes of the device's own describe."""
    observed = ObservedDevice(
        id=DeviceId(device.id),
        platform_id=device.platform.id,
        mode=device.mode,
        online=True,
        modules=tuple(installed.module for installed in device.modules.values()),
        observed_at=Instant(1.0),
    )
    situation = situation_of(observed, KNOWN)
    assert isinstance(situation, Situation), situation
    return situation


@pytest.mark.parametrize("name", PLANNED)
def test_devices_in_safe_mode_are_repaired_and_brought_on(name: str) -> None:
    platform = named(name)
    trips = []
    for release, device in damaged(platform):
        for desired in {release.version: release, goals(platform)[-1].version: goals(platform)[-1]}.values():
            found = route(platform, reported(device), desired)
            if isinstance(found, Found):
                copy = replace(device)
                trips.append(Trip(f"repair of {platform} {release.version}", copy, found.steps, desired))
            else:
                assert name == "tracker", found.because
    assert all_breaches(trips) == []
    assert trips
    assert all(trip.steps for trip in trips)


@pytest.mark.real
def test_routes_of_real_binaries_arrive_with_the_bytes_that_the_plan_names(real_modules: Any) -> None:
    binaries = EmulatedBinaries(KNOWN, real_files_in(real_modules.folder))

    def served(platform: Platform, step: FlashModule) -> Artifact:
        content = binaries.module(platform, step.device_os, step.module.slot)
        assert content is not None
        assert content in files
        assert step.sha256 in (None, hashlib.sha256(content).hexdigest())
        assert step.size in (None, len(content))
        return payload_from(binaries, platform, step.device_os, step.module.slot)

    files = {*real_modules.files.values()}
    platforms = set()
    trips = []
    for name in PLANNED:
        platform = named(name)
        real = {
            (release.version, one.module.slot)
            for release in binaries.catalog.releases(platform)
            for one in release.modules
            if one.sha256 is not None
        }
        for start in goals(platform)[:: 1 if real else 1000]:
            for desired in goals(platform):
                if number(platform, start) < number(platform, desired):
                    for trip in trips_between(platform, start, desired):
                        if {(step.device_os, step.module.slot) for step in trip.steps} <= real:
                            trips.append(trip)
                            platforms.add(name)
    assert len(trips) >= REAL_TRIPS_MIN
    assert platforms >= REAL_PLATFORMS
    assert all_breaches(trips, served) == []
