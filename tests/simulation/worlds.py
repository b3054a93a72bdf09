"""A world as a value: devices, fleets, what goes wrong, what people do, when a client dies.

A world is data, so that it can be printed, made smaller and played again. Times are seconds from its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.emulator.device import Sleep
from reconciler.emulator.world import DeviceLine, FirmwareLine, ProductLine, RateLimit, TokenLine
from reconciler.emulator.world import World as CloudWorld
from reconciler.model.fleet import (
    AllowWindow,
    ApplicationBinary,
    Desired,
    DesiredApplication,
    Fleet,
    Place,
    RolloutPolicy,
    Selector,
)
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.model.platform import platform_by_name
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from tests.simulation.stage import DESIRED, OLD, PERSON_TOKEN, PRODUCTS, TOKEN

HOUR = 3600.0
DAY = 86_400.0

STARTS = ("2026-11-22T09:00:00Z", "2026-10-24T20:00:00Z", "2027-03-27T20:00:00Z", "2028-02-28T18:00:00Z")
"""A day like others, both changes of the clock in Europe, and a leap day."""

OUTSIDERS = "lab"
"""The group of devices that are in no fleet yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One device. `group` is the fleet's, or `lab`."""

    number: int
    product: str
    device_os: str
    application: int = 1
    group: str
    online: bool = True
    sleep: tuple[float, float] | None = None
    healer: bool = True
    development: bool = False

    @property
    def id(self) -> str:
        return f"e00fce68{self.number:016x}"

    def line(self) -> DeviceLine:
        platform = platform_by_name(PRODUCTS[self.product])
        assert platform is not None
        sleep = None
        if self.sleep is not None:
            sleep = Sleep(every_seconds=self.sleep[0], for_seconds=self.sleep[1], resumes=self.number % 2 == 0)
        return DeviceLine(
            count=1,
            platform=platform,
            device_os=DeviceOsVersion(self.device_os),
            product_id=product_id(self.product),
            id=self.id,
            application=self.application,
            groups=(self.group,),
            online=float(self.online),
            sleep=sleep,
            development=self.development,
            healer=self.healer,
            modules={},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """One fleet: the devices of a product in the group of its name."""

    name: str
    product: str
    device_os: str
    application: int | None
    rollout: RolloutPolicy
    windows: tuple[AllowWindow, ...] = ()
    targets_max: int | None = None
    bytes_per_day_max: int | None = None
    approval_required: bool = False

    def fleet(self) -> Fleet:
        platform = PRODUCTS[self.product]
        wanted = None
        if self.application is not None:
            binary = ApplicationBinary(platform=platform)
            wanted = DesiredApplication(
                release=f"{self.product}-app", version=ApplicationVersion(self.application), binaries=(binary,)
            )
        return Fleet(
            name=self.name,
            product=self.product,
            select=Selector(groups=frozenset({self.name})),
            # A person may put a device into both groups.
            exclude=Selector(groups=frozenset({"a"})) if self.name == "b" else None,
            desired=Desired(device_os=DeviceOsVersion(self.device_os), application=wanted),
            place=Place("drawn.yaml", 1, 1),
            rollout=self.rollout,
            windows_allow=self.windows,
            targets_max=self.targets_max,
            bytes_per_day_max=self.bytes_per_day_max,
            approval_required=self.approval_required,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """A fault that is in place from `begin` until `end`; with an `application` a flaw of that version alone."""

    fault: str
    rate: float
    count: int | None
    begin: float
    end: float
    application: int | None = None


class Deed(StrEnum):
    """What happens from outside."""

    HALT = "halt"
    RESUME = "resume"
    RETRY = "retry"
    SUSPEND = "suspend"
    APPROVE = "approve"
    LOCK = "lock"
    UNLOCK = "unlock"
    JOIN = "join"
    LEAVE = "leave"
    NEW_APPLICATION = "new application"
    GROW = "grow"
    SUSPEND_IN_GIT = "suspend in git"
    GAP = "gap"
    CLOCK = "clock"
    SOURCE_DOWN = "source down"
    FORCED_PUSH = "forced push"
    BROKEN = "broken manifests"
    EMPTIED = "emptied folder"
    ACCEPT = "accept"
    RECONCILE = "reconcile"


IN_GIT = frozenset({Deed.NEW_APPLICATION, Deed.GROW, Deed.SUSPEND_IN_GIT})
OF_A_SOURCE = frozenset({Deed.SOURCE_DOWN, Deed.FORCED_PUSH, Deed.BROKEN, Deed.EMPTIED, Deed.ACCEPT, Deed.RECONCILE})
"""What only a controller that watches a source notices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One deed at one time. `fleet` and `device` (its number) where it is about one; `seconds` a length or a jump."""

    at: float
    deed: Deed
    fleet: str = ""
    device: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The `run`th client (from 0) dies at the `nth` time that it does something that lasts: a request, a write."""

    run: int
    nth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that is drawn. `days` is how long things go wrong; afterwards there is time to recover."""

    seed: int
    start: str = STARTS[0]
    days: float = 1.0
    clients: int = 1
    poll_seconds: float = 60.0
    on_disk: bool = False
    devices: tuple[DeviceSpec, ...]
    fleets: tuple[FleetSpec, ...]
    faults: tuple[FaultSpec, ...] = ()
    happenings: tuple[Happening, ...] = ()
    crashes: tuple[Crash, ...] = ()

    @property
    def begins_at(self) -> Instant:
        return instant_from_iso(self.start)

    def without_deaths(self) -> World:
        """The same world, in which no client dies."""
        return replace(self, crashes=(), on_disk=False)

    def cloud(self) -> CloudWorld:
        """The pretend cloud at its beginning."""
        return CloudWorld(
            tokens=(TokenLine(name="operator", token=TOKEN), TokenLine(name="person", token=PERSON_TOKEN)),
            products=tuple(map(product_line, sorted({each.product for each in (*self.fleets, *self.devices)}))),
            devices=tuple(device.line() for device in self.devices),
            rate_limit=RateLimit(requests=10_000, seconds=300.0),
        )


def product_id(slug: str) -> int:
    """Its number in these worlds."""
    return 12301 + list(PRODUCTS).index(slug)


def product_line(slug: str) -> ProductLine:
    """A product with three applications; the later two need the desired release."""
    platform = platform_by_name(PRODUCTS[slug])
    assert platform is not None
    needs = (OLD[platform.name], DESIRED[platform.name], DESIRED[platform.name])
    return ProductLine(
        id=product_id(slug),
        slug=slug,
        name=slug,
        platform=platform,
        groups=("a", "b", OUTSIDERS),
        firmware=tuple(
            FirmwareLine(version=version, device_os=DeviceOsVersion(release))
            for version, release in enumerate(needs, start=1)
        ),
        releases={},
    )
