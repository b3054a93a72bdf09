"""A plan made by hand that shows every kind of entry; modules come from the catalog, everything else is written out."""

from __future__ import annotations

from dataclasses import replace

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.fleet import (
    Completeness,
    Delivery,
    Desired,
    DesiredApplication,
    Fleet,
    FleetSet,
    Place,
    RolloutPolicy,
    Selector,
    Share,
    Via,
    Wave,
    WaveSize,
)
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.plan import (
    FleetPlan,
    Knowledge,
    Plan,
    PlanSource,
    RefusalReason,
    Refused,
    Route,
    RouteReason,
    Situation,
    Waiting,
    WaitingReason,
)
from reconciler.model.platform import platform_by_name
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.planning.naming import Naming
from reconciler.planning.waves import with_waves

NOW = instant_from_iso("2026-11-22T09:00:00Z")
BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
SYSTEM = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
RADIO = ModuleSlot(ModuleFunction.RADIO_STACK, 0)


def ids(first: int, count: int) -> tuple[DeviceId, ...]:
    return tuple(DeviceId(f"e00fce68{number:016x}") for number in range(first, first + count))


def shipped(platform: str, device_os: str, slot: ModuleSlot) -> Module:
    known = platform_by_name(platform)
    assert known is not None
    release = known_catalog().release(known, DeviceOsVersion(device_os))
    assert release is not None
    return next(item.module for item in release.modules if item.module.slot == slot)


def flash(platform: str, device_os: str, slot: ModuleSlot, size: int | None, **options: str) -> FlashModule:
    return FlashModule(
        module=shipped(platform, device_os, slot),
        device_os=DeviceOsVersion(device_os),
        boots_into=DeviceMode(options.get("boots_into", "normal")),
        size=size,
        sha256=options.get("sha256"),
    )


def situation(
    platform: str,
    device_os: str | None,
    application: int | None,
    *modules: Module,
    mode: DeviceMode = DeviceMode.NORMAL,
    knowledge: Knowledge = Knowledge.INFERRED,
    own: bool = False,
) -> Situation:
    return Situation(
        platform=platform,
        device_os=None if device_os is None else DeviceOsVersion(device_os),
        application=application,
        mode=mode,
        knowledge=knowledge,
        modules=tuple(sorted(modules, key=lambda module: module.slot)),
        own=own,
    )


def route(start: Situation, reason: RouteReason, steps: tuple[Step, ...], devices: tuple[DeviceId, ...]) -> Route:
    sizes = [step.size for step in steps]
    return Route(
        situation=start,
        reason=reason,
        hops=tuple(dict.fromkeys(step.device_os for step in steps if isinstance(step, FlashModule))),
        steps=steps,
        bytes_known=sum(size for size in sizes if size is not None),
        bytes_unknown=sizes.count(None),
        restarts=len(steps),
        safe_mode_boots=sum(step.boots_into is DeviceMode.SAFE_MODE for step in steps),
        minutes=2 * len(steps),
        requests=len(steps),
        devices=devices,
    )


BORON_1_5_2 = situation(
    "boron",
    "1.5.2",
    12,
    Module(slot=BOOTLOADER, version=501),
    shipped("boron", "1.5.2", SYSTEM),
    shipped("boron", "1.5.2", RADIO),
)

BORON_ROUTE = route(
    BORON_1_5_2,
    RouteReason.BELOW_DESIRED_DEVICE_OS,
    (
        flash("boron", "6.3.4", BOOTLOADER, 48_864, sha256="ab" * 32),
        flash("boron", "6.3.4", SYSTEM, 570_102),
        LockApplication(application=ApplicationVersion(44), size=12_000),
    ),
    ids(0, 34),
)

OLD_BORON_ROUTE = route(
    situation("boron", "1.2.1", None, Module(slot=BOOTLOADER, version=311), shipped("boron", "1.2.1", SYSTEM)),
    RouteReason.BELOW_DESIRED_DEVICE_OS,
    (
        flash("boron", "1.3.1", BOOTLOADER, 41_600),
        flash("boron", "1.3.1", SYSTEM, None),
        flash("boron", "6.3.4", BOOTLOADER, 48_864),
        flash("boron", "6.3.4", RADIO, 153_048),
        flash("boron", "6.3.4", SYSTEM, 570_102),
        LockApplication(application=ApplicationVersion(44)),
    ),
    ids(40, 1),
)

ARGON_REPAIR = route(
    situation(
        "argon",
        "6.4.1",
        44,
        Module(slot=BOOTLOADER, version=3200),
        shipped("argon", "6.4.1", SYSTEM),
        mode=DeviceMode.SAFE_MODE,
        knowledge=Knowledge.REPORTED,
    ),
    RouteReason.DEPENDENCIES_UNMET,
    (
        flash("argon", "6.4.1", BOOTLOADER, 49_000, boots_into="safe_mode"),
        flash("argon", "6.4.1", RADIO, 153_048),
    ),
    ids(50, 2),
)

APPLICATION_ONLY = route(
    situation("boron", "6.3.4", 40, shipped("boron", "6.3.4", SYSTEM), own=True),
    RouteReason.BELOW_DESIRED_APPLICATION,
    (FlashApplication(application=ApplicationVersion(44), size=12_000, sha256="cd" * 32),),
    ids(60, 1),
)

COLD_CHAIN = Fleet(
    name="cold-chain-eu",
    product="12345",
    select=Selector(groups=frozenset({"eu"})),
    exclude=None,
    desired=Desired(
        device_os=DeviceOsVersion("6.3.4"),
        application=DesiredApplication(release="logger", version=ApplicationVersion(44)),
    ),
    place=Place("fleets/cold-chain.yaml", 1, 1),
    rollout=RolloutPolicy(
        waves=(
            Wave(
                name="canary",
                size=Share(5),
                soak_seconds=24 * 3600,
                failures_max=Share(0),
                devices=frozenset(ids(40, 1)),
            ),
            Wave(name="early", size=Share(20, percent=True), soak_seconds=12 * 3600, approval_required=True),
            Wave(name="rest", size=WaveSize.REMAINING),
        )
    ),
)

WORKSHOP = Fleet(
    name="workshop",
    product="777",
    select=Selector(platforms=frozenset({"argon"})),
    exclude=None,
    desired=Desired(device_os=DeviceOsVersion("6.4.1"), application=None, completeness=Completeness.FULL),
    place=Place("fleets/workshop.yaml", 3, 1),
    delivery=Delivery(via=Via.CLOUD),
    rollout=RolloutPolicy(waves=(Wave(name="rest", size=WaveSize.REMAINING),), concurrent_max=Share(0)),
    correct_drift=False,
)


def in_waves(plan: FleetPlan) -> FleetPlan:
    """The plan with its waves."""
    return replace(with_waves(plan, (), Naming(FleetSet(fleets=(plan.fleet,)))), findings=())


COLD_CHAIN_PLAN = in_waves(
    FleetPlan(
        fleet=COLD_CHAIN,
        current=ids(100, 700),
        routes=(BORON_ROUTE, OLD_BORON_ROUTE, APPLICATION_ONLY),
        refused=(
            Refused(
                reason=RefusalReason.DOWNGRADE_REFUSED, message="runs 6.4.1, manifest asks 6.3.4", devices=ids(900, 6)
            ),
            Refused(reason=RefusalReason.UNKNOWN_PLATFORM, message="platform 31 is unknown", devices=ids(910, 1)),
        ),
        waiting=(
            Waiting(
                reason=WaitingReason.OFFLINE, message="offline; planned again when it is back", devices=ids(1000, 44)
            ),
        ),
    )
)

WORKSHOP_PLAN = in_waves(FleetPlan(fleet=WORKSHOP, current=(), routes=(ARGON_REPAIR,), refused=(), waiting=()))

PLAN = Plan(
    source=PlanSource(
        revision="main@sha1:3f9c1e0b2a",
        manifest_digest="sha256:" + "1" * 64,
        catalog_digest="sha256:" + "2" * 64,
        observed_at=NOW,
        observed_digest="sha256:" + "3" * 64,
    ),
    fleets=(WORKSHOP_PLAN, COLD_CHAIN_PLAN),
    created_at=NOW,
    expires_at=Instant(NOW + 24 * 3600),
    complete=False,
    findings=("page 7 of product 777 could not be read",),
)

NOTHING_TO_DO = Plan(
    source=PLAN.source,
    fleets=(FleetPlan(fleet=COLD_CHAIN, current=ids(0, 3), routes=(), refused=(), waiting=()),),
    created_at=NOW,
    expires_at=PLAN.expires_at,
    complete=True,
)


def observed(device_id: DeviceId, **fields: object) -> ObservedDevice:
    known: dict[str, object] = {
        "name": "eu-1",
        "platform_id": 13,
        "product_id": 12345,
        "device_os": "1.5.2",
        "application": 12,
        "online": True,
        "observed_at": NOW,
    }
    return ObservedDevice(id=device_id, **(known | fields))  # type: ignore[arg-type]  # fields by name


USER_PART = Module(slot=ModuleSlot(ModuleFunction.USER_PART, 1), version=6, first_dependency=Dependency(SYSTEM, 6305))
