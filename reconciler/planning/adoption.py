"""Fleets for devices that are already there: manifests that ask for what runs, so that nothing is left to do.

What can be adopted is not judged here a second time: a device can when the planner, asked for exactly what the device
runs, says that it is as desired. Whatever else it says is the reason why the device stays outside. So does a device
that is marked as development: whoever marked it took it out of every rollout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reconciler.firmware.catalog import Catalog
from reconciler.model.census import Kind
from reconciler.model.device import DeviceId, Observation, ObservedDevice
from reconciler.model.fleet import (
    ApplicationBinary,
    Desired,
    DesiredApplication,
    Fleet,
    FleetSet,
    Place,
    RolloutPolicy,
    Selector,
    Share,
)
from reconciler.model.instant import Instant
from reconciler.model.plan import Route
from reconciler.model.platform import platform_by_id
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.planning.census import census_of
from reconciler.planning.grouping import Gathered, Running, gathered
from reconciler.planning.naming import Naming
from reconciler.planning.planner import Placing
from reconciler.planning.selection import Member, members_by_fleet

CAREFUL: Final = RolloutPolicy(concurrent_max=Share(5), failures_max=Share(1))
"""How an adopted fleet rolls out until a person trusts it: five devices at a time, and the first failure halts."""

_PLACE: Final = Place("adopt", 1, 1)
_NAME_MAX: Final = 63
_APPLICATION_MAX: Final = 65535
_NO_NAME: Final = re.compile(r"[^a-z0-9.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A device that no fleet has, and why. `code`: that of the plan's reason, empty where the planner has none."""

    device: ObservedDevice
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedFleet:
    """A fleet of devices that run what it desires. `excluded` are those that its `exclude` names one by one."""

    fleet: Fleet
    group: str | None
    devices: tuple[ObservedDevice, ...]
    excluded: tuple[ObservedDevice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """All devices of one product (None: the token's own), each in one fleet or left out.

    `application` is the release that the fleets name, None where no device of theirs reports an application; its
    `versions` have the platforms that run each of them. `name` stands for the product in names of fleets and files.
    """

    product: str | None
    name: str
    observed_at: Instant
    fleets: tuple[AdoptedFleet, ...]
    left_out: tuple[LeftOut, ...]
    application: str | None
    versions: Mapping[int, tuple[str, ...]]


def devices_of(observation: Observation, product: str | None) -> tuple[ObservedDevice, ...]:
    """The devices of a product (None: the token's own). Raises ManifestError PFR1902 when it cannot be told."""
    fleets = probe(product)
    naming = Naming(fleets)
    members = members_by_fleet(fleets, census_of(observation, naming), naming, now=observation.observed_at)
    ids = {device_id for member in members[fleets.fleets[0].name] for device_id in member.kind.ids}
    return tuple(device for device in observation.devices if device.id in ids)


def probe(product: str | None) -> FleetSet:
    """A fleet of all devices of a product that desires nothing: to ask what belongs to the product."""
    nothing = Desired(device_os=None, application=None)
    fleet = Fleet(name="adopt", product=product, select=Selector(), exclude=None, desired=nothing, place=_PLACE)
    return FleetSet(fleets=(fleet,))


def adopt(
    observation: Observation, product: str | None, catalog: Catalog, *, with_application: bool = True
) -> Adoption:
    """Fleets for the devices of a product as they are. The same observation in any order gives the same fleets.

    Without `with_application` they desire the Device OS alone: fewer fleets where many applications run.
    Raises ManifestError PFR1902 when the observation does not say which devices are of the product.
    """
    everyone = devices_of(observation, product)
    name = _name_of(product, observation)
    release = f"{name[: _NAME_MAX - 4]}-app"
    named = release if with_application and product is not None else None
    adopting = _Adopting(Placing(catalog, observation.observed_at), product, named)
    running: dict[DeviceId, Running] = {}
    left_out: list[LeftOut] = []
    for device in sorted(everyone, key=lambda device: device.id):
        found = adopting.look_at(device)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            running[device.id] = found
    sets = gathered(running, everyone)
    versions: dict[int, set[str]] = {}
    for each in sets:
        if each.running.application is not None:
            versions.setdefault(each.running.application, set()).add(each.running.platform)
    fleets = [
        AdoptedFleet(
            fleet=adopting.fleet(fleet_name, each.running, each.select, each.exclude),
            group=each.group,
            devices=each.devices,
            excluded=each.excluded,
        )
        for fleet_name, each in zip(_names(name, sets), sets, strict=True)
    ]
    return Adoption(
        product=product,
        name=name,
        observed_at=observation.observed_at,
        fleets=tuple(fleets),
        left_out=tuple(left_out),
        application=release if versions else None,
        versions={version: tuple(sorted(platforms)) for version, platforms in sorted(versions.items())},
    )


class _Adopting:
    """Asks the planner about one device after another. `release` None: no application is desired.

    The token's own devices have no product that holds an application, so for them there is never one.
    """

    def __init__(self, placing: Placing, product: str | None, release: str | None) -> None:
        self._placing = placing
        self._product = product
        self._release = release

    def look_at(self, device: ObservedDevice) -> Running | LeftOut:
        """What the device runs, if a fleet can ask for that."""
        platform = None if device.platform_id is None else platform_by_id(device.platform_id)
        why = _obstacle(device, names_application=self._release is not None)
        if why is not None:
            return LeftOut(device=device, code="", reason=why)
        application = None if self._release is None else device.application
        running = Running(platform.name if platform else "", device.device_os or "", application)
        fleet = self.fleet(repr(running.order), running, Selector(), None)
        # Whether it could be sent something now does not matter: nothing is to be sent.
        willing = replace(device, online=True, updates_enabled=None, desired_application=None)
        placed = self._placing.place(fleet, Member(Kind(device=willing, marks=0, ids=[device.id]), None))
        if isinstance(placed, Route):
            return LeftOut(device=device, code="", reason=f"Device OS {device.device_os} is not complete on it")
        if placed is not None:
            return LeftOut(device=device, code=placed.reason.code, reason=placed.message)
        if platform is None or device.device_os is None:
            return LeftOut(device=device, code="", reason="does not say which Device OS it runs")
        return running

    def fleet(self, name: str, running: Running, select: Selector, exclude: Selector | None) -> Fleet:
        """A fleet that desires what runs."""
        application = None
        if running.application is not None and self._release is not None:
            binaries = (ApplicationBinary(platform=running.platform),)
            version = ApplicationVersion(running.application)
            application = DesiredApplication(release=self._release, version=version, binaries=binaries)
        device_os = DeviceOsVersion(running.device_os) if running.device_os else None
        return Fleet(
            name=name,
            product=self._product,
            select=select,
            exclude=exclude,
            desired=Desired(device_os=device_os, application=application),
            rollout=CAREFUL,
            place=_PLACE,
        )


def _obstacle(device: ObservedDevice, *, names_application: bool) -> str | None:
    """Why a fleet must not ask for what the device runs, though the planner would take it as desired."""
    if device.development:
        return "is marked as development: no rollout is to touch it"
    application = device.application if names_application else None
    if application is not None and not 0 <= application <= _APPLICATION_MAX:
        return f"reports application {application}, which no manifest can name"
    if device.device_os is not None and DeviceOsVersion(device.device_os).prerelease:
        return f"runs the prerelease {device.device_os}: write a fleet for it by hand, with allowPrerelease"
    return None


def _name_of(product: str | None, observation: Observation) -> str:
    """A name for the product: its slug where it is known, in the spelling of names."""
    if product is None:
        return "own"
    slugs = {str(each.id): each.slug for each in observation.products}
    word = slugs.get(product, product)
    name = _spelt(word)
    return f"product-{name}" if name.isdecimal() or not name else name


def _names(name: str, sets: Sequence[Gathered]) -> Iterable[str]:
    """A name for every set, each once: product, group, platform where there are several, and what tells it apart."""
    has_groups = any(each.group is not None for each in sets)
    platforms = {each.running.platform for each in sets}
    used: set[str] = set()
    for each in sets:
        parts = [name]
        if has_groups:
            parts = _with_group(name, _spelt(each.group or "") or "ungrouped")
        if len(platforms) > 1 or name == "own":
            parts.append(each.running.platform)
        if not each.leads:
            application = each.running.application
            parts += [each.running.device_os, *([] if application is None else [f"app-{application}"])]
        wanted = chosen = _spelt("-".join(parts))
        number = 1
        while chosen in used:
            number += 1
            chosen = f"{wanted[: _NAME_MAX - len(str(number)) - 1]}-{number}"
        used.add(chosen)
        yield chosen


def _with_group(name: str, group: str) -> list[str]:
    """A group that is named after the product says both."""
    return [group] if group == name or group.startswith(f"{name}-") else [name, group]


def _spelt(text: str) -> str:
    """In the spelling of a manifest's name: lower-case letters, digits, '-' and '.', at most 63 characters."""
    return _NO_NAME.sub("-", text.lower())[:_NAME_MAX].strip("-.")
