"""Values to bend, for tests of several rooms: devices, fleets, steps, attempts. Modules come from the known catalog."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.firmware.known import known_catalog
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import DeviceId, DeviceMode, Observation, ObservedDevice, Product
from reconciler.model.fleet import (
    ApplicationBinary,
    Desired,
    DesiredApplication,
    Fleet,
    FleetSet,
    Place,
    Selector,
)
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.model.module import Module, ModuleSlot
from reconciler.model.plan import FleetPlan, Plan, Situation
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.step import FlashModule, LockApplication
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.planning.planner import plan_fleets
from reconciler.planning.situation import situation_of

NOW = instant_from_iso("2026-11-22T09:00:00Z")
COLD_CHAIN = Product(id=12345, slug="cold-chain")
LOGGER = DesiredApplication(release="logger", version=ApplicationVersion(44))
EVERYONE = Selector(platforms=frozenset({"boron", "argon", "tracker", "electron", "photon", "p2"}))


def device_id(number: int) -> DeviceId:
    """The id of the device with this number."""
    return DeviceId(f"e00fce68{number:016x}")


ONE = device_id(1)


def platform(name: str) -> Platform:
    """The platform of this name."""
    found = platform_by_name(name)
    assert found is not None, name
    return found


def module(platform_name: str, device_os: str, slot: str) -> Module:
    """The module that a release ships in a slot, with what it needs."""
    release = known_catalog().release(platform(platform_name), DeviceOsVersion(device_os))
    assert release is not None, device_os
    return next(s.module for s in release.modules if s.module.slot == ModuleSlot.parse(slot))


def modules(**versions: int) -> tuple[Module, ...]:
    """Modules as a device reports them, without their needs: `modules(bootloader_0=1101)`."""
    slots = ((ModuleSlot.parse("/".join(name.rsplit("_", 1))), version) for name, version in versions.items())
    return tuple(Module(slot=slot, version=version) for slot, version in slots)


def device(
    number: int = 1, platform_name: str = "boron", device_os: str | None = "2.0.1", **fields: Any
) -> ObservedDevice:
    """An online device of the product, in normal mode, with application 12."""
    known = ObservedDevice(
        id=device_id(number),
        name=f"eu-{number}",
        platform_id=platform(platform_name).id,
        product_id=COLD_CHAIN.id,
        device_os=device_os,
        application=12,
        online=True,
        mode=DeviceMode.NORMAL,
        last_handshake_at=Instant(NOW - 3600),
        groups=("eu",),
        observed_at=NOW,
    )
    return replace(known, **fields)


def observation(*devices: ObservedDevice, **fields: Any) -> Observation:
    """These devices of the product, seen at once."""
    seen = Observation(observed_at=NOW, source="cloud", devices=devices, products=(COLD_CHAIN,))
    return replace(seen, **fields)


def fleet(
    name: str = "eu", device_os: str | None = "6.3.4", application: DesiredApplication | None = None, **fields: Any
) -> Fleet:
    """A fleet of the product that wants this."""
    wanted = Desired(device_os=None if device_os is None else DeviceOsVersion(device_os), application=application)
    known = Fleet(
        name=name,
        product=COLD_CHAIN.slug,
        select=EVERYONE,
        exclude=None,
        desired=wanted,
        place=Place(f"{name}.yaml", 1, 1),
    )
    return replace(known, **fields)


def plan_of(of_fleet: Fleet, *devices: ObservedDevice, overrides: Any = (), now: Instant = NOW) -> FleetPlan:
    """The plan of one fleet on these devices."""
    return plan_all(FleetSet(fleets=(of_fleet,), overrides=tuple(overrides)), *devices, now=now).fleets[0]


def plan_all(fleets: FleetSet, *devices: ObservedDevice, now: Instant = NOW) -> Plan:
    """The plan of several fleets on these devices."""
    return plan_fleets(fleets, observation(*devices), known_catalog(), now=now)


def situation(of_device: ObservedDevice) -> Situation:
    """The situation of a device that has one."""
    found = situation_of(of_device, known_catalog())
    assert isinstance(found, Situation), found
    return found


def versions(of_situation: Situation) -> dict[str, int]:
    """The module versions of a situation, by slot as text."""
    return {str(installed.slot): installed.version for installed in of_situation.modules}


def flash(
    platform_name: str = "boron", device_os: str = "6.3.4", slot: str = "system_part/1", **fields: Any
) -> FlashModule:
    """A step that sends one module of a release."""
    step = FlashModule(
        module=module(platform_name, device_os, slot),
        device_os=DeviceOsVersion(device_os),
        boots_into=DeviceMode.NORMAL,
        size=500_000,
    )
    return replace(step, **fields)


LOCK = LockApplication(application=ApplicationVersion(44), size=12_000)


def own_binary(platform_name: str = "boron", **fields: Any) -> DesiredApplication:
    """An application with one binary."""
    binary = ApplicationBinary(platform=platform_name, **fields)
    return replace(LOGGER, binaries=(binary,))


def attempt(state: AttemptState = AttemptState.INTENDED, **fields: Any) -> Attempt:
    """An attempt on device ONE, begun now."""
    begun = Attempt(
        id="attempt-1",
        device_id=ONE,
        fleet="eu",
        plan_id="plan-local-0123456789",
        step=flash(),
        state=state,
        intended_at=NOW,
        handshake_before=Instant(NOW - 3600),
    )
    return replace(begun, **fields)
