"""A world drawn from a seed, as a value: devices, fleets, what goes wrong, what people do, when a client dies.

A world is data, so that it can be printed, made smaller and played again. Times are seconds from its beginning.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from enum import StrEnum

from reconciler.emulator.device import Sleep
from reconciler.emulator.faults import APPLICATION_FAULTS, FAULTS, PERSON_FAULTS, TRANSFER_FAULTS
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
    Share,
    Wave,
)
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.model.platform import platform_by_name
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from tests.simulation.stage import DESIRED, OLD, PERSON_TOKEN, PRODUCTS, TOKEN

HOUR = 3600.0
DAY = 86_400.0

RELEASES = {
    "boron": ("0.9.0", "1.5.2", "2.0.1", "3.1.0", "5.5.0", "6.3.4"),
    "photon": ("0.5.2", "0.6.3", "1.4.4", "2.0.1"),
    "electron": ("0.5.2", "0.7.0", "1.2.1", "2.3.1"),
    "p2": ("5.0.0", "5.5.0", "5.9.0", "6.3.4"),
}
STARTS = ("2026-11-22T09:00:00Z", "2026-10-24T20:00:00Z", "2027-03-27T20:00:00Z", "2028-02-28T18:00:00Z")
"""A day like others, both changes of the clock in Europe, and a leap day."""

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
BAD_RELEASES = ("boot-crash", "device-never-returns", "success-not-applied", "flash-fails")
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
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """A fault that is in place from `begin` until `end`."""

    fault: str
    rate: float
    count: int | None
    begin: float
    end: float


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


IN_GIT = frozenset({Deed.NEW_APPLICATION, Deed.GROW, Deed.SUSPEND_IN_GIT})


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
            products=tuple(map(product_line, sorted({fleet.product for fleet in self.fleets}))),
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


def drawn(seed: int, *, waves: bool = True) -> World:
    """The world of a seed."""
    return _Drawing(random.Random(f"world {seed}"), seed, waves=waves).world()


@dataclass
class _Drawing:
    """The dice of one world."""

    dice: random.Random
    seed: int
    waves: bool
    devices: list[DeviceSpec] = field(default_factory=list)

    def world(self) -> World:
        dice = self.dice
        days = dice.choices((0.25, 0.5, 1.0, 3.0), (5, 4, 2, 1))[0]
        start = dice.choices(STARTS, (6, 2, 2, 1))[0]
        fleets = self._fleets()
        calm = dice.random() < 0.1
        world = World(
            seed=self.seed,
            start=start,
            days=days,
            clients=2 if dice.random() < 0.12 else 1,
            poll_seconds=dice.choice((15.0, 300.0, 900.0, 900.0)),
            on_disk=dice.random() < 0.04,
            devices=tuple(self.devices),
            fleets=fleets,
            faults=() if calm else self._faults(days * DAY),
            happenings=() if calm else self._happenings(days * DAY, fleets),
            crashes=tuple(
                Crash(run=run, nth=int(dice.paretovariate(0.5)))
                for run in sorted(dice.sample(range(8), dice.randint(0, 4)))
            ),
        )
        # Big fleets have little time, so that a world takes a few seconds at most.
        return replace(world, days=0.5, clients=1, faults=world.faults[:2]) if len(world.devices) > 100 else world

    def _size(self) -> int:
        dice = self.dice
        low, high = dice.choices(((3, 7), (6, 15), (15, 60), (100, 300), (1000, 2000)), (7400, 2300, 250, 40, 5))[0]
        return dice.randint(low, high)

    def _fleets(self) -> tuple[FleetSpec, ...]:
        dice = self.dice
        count = dice.choices((1, 2, 3), (5, 3, 1))[0]
        slots = dice.sample([(product, name) for product in PRODUCTS for name in ("a", "b")], count)
        left = self._size()
        fleets = []
        taken: set[str] = set()
        for number, (product, group) in enumerate(slots):
            # A group has one fleet's name, and so a name one product: two fleets of one product are in two groups.
            if group in taken:
                continue
            taken.add(group)
            size = left if number == count - 1 else max(1, left // 2)
            left = max(1, left - size)
            self._add_devices(product, group, size)
            fleets.append(self._fleet(product, group, size))
        return tuple(fleets)

    def _add_devices(self, product: str, group: str, size: int) -> None:
        dice = self.dice
        awkward = dice.random() < 0.5
        for _ in range(size + dice.randint(0, 2)):
            sleeps = awkward and dice.random() < 0.15
            self.devices.append(
                DeviceSpec(
                    number=len(self.devices) + 1,
                    product=product,
                    device_os=dice.choice(RELEASES[PRODUCTS[product]]),
                    group=group if len(self.devices) % 12 != 11 else OUTSIDERS,
                    online=not awkward or dice.random() < 0.85,
                    sleep=(dice.choice((1800.0, 7200.0)), dice.choice((600.0, 1200.0))) if sleeps else None,
                    healer=dice.random() < 0.7,
                    development=awkward and dice.random() < 0.04,
                )
            )

    def _fleet(self, product: str, name: str, size: int) -> FleetSpec:
        dice = self.dice
        limits = (Share(1), Share(2), Share(5), Share(20, percent=True), Share(50, percent=True), Share(10))
        failures = (Share(1), Share(2), Share(10, percent=True), Share(50, percent=True), Share(100, percent=True))
        return FleetSpec(
            name=name,
            product=product,
            device_os=DESIRED[PRODUCTS[product]],
            application=dice.choice((None, 2, 2, 2)),
            rollout=RolloutPolicy(
                waves=self._waves(name) if self.waves else (),
                concurrent_max=dice.choice(limits),
                failures_max=dice.choice(failures),
                step_deadline_seconds=dice.choice((900.0, 1800.0, 3600.0)),
            ),
            windows=(self._window(),) if dice.random() < 0.15 else (),
            targets_max=size + 5 if dice.random() < 0.2 else None,
        )

    def _waves(self, fleet: str) -> tuple[Wave, ...]:
        dice = self.dice
        if dice.random() < 0.4:
            return ()
        members = [device.id for device in self.devices if device.group == fleet]
        named = frozenset(dice.sample(members, min(len(members), dice.randint(1, 3))))
        canary = dice.choice((Share(1), Share(2), Share(10, percent=True)))
        soak = dice.choice((0.0, 300.0, 1800.0, 2 * HOUR, DAY))
        waves = [
            Wave(
                name="canary",
                size=canary,
                soak_seconds=soak,
                failures_max=dice.choice((None, Share(0), Share(1))),
                devices=named if dice.random() < 0.3 else frozenset(),
            )
        ]
        if dice.random() < 0.5:
            waves.append(Wave(name="early", size=Share(30, percent=True), soak_seconds=dice.choice((0.0, 900.0))))
        return tuple(waves)

    def _window(self) -> AllowWindow:
        dice = self.dice
        days = range(7) if dice.random() < 0.6 else sorted(dice.sample(range(7), 4))
        return AllowWindow(
            days=tuple(days),
            start_minute=dice.choice((0, 60, 120, 150, 1200, 1410)),
            duration_seconds=dice.choice((2, 3, 6)) * HOUR,
            time_zone=dice.choice(ZONES),
        )

    def _faults(self, seconds: float) -> tuple[FaultSpec, ...]:
        dice = self.dice
        chosen = dice.sample(sorted(FAULTS.keys() - APPLICATION_FAULTS.keys()), dice.randint(0, 6))
        specs = []
        for fault in chosen:
            begin = dice.uniform(0, seconds / 2)
            specs.append(
                FaultSpec(
                    fault=fault,
                    rate=round(dice.uniform(0.05, 0.4), 3),
                    count=dice.randint(1, 8) if fault in PERSON_FAULTS or fault in TRANSFER_FAULTS else None,
                    begin=0.0 if dice.random() < 0.5 else round(begin),
                    end=round(dice.uniform(begin + 60, seconds)),
                )
            )
        if dice.random() < 0.15:
            fault = dice.choice(BAD_RELEASES)
            specs = [spec for spec in specs if spec.fault != fault]
            specs.append(FaultSpec(fault=fault, rate=1.0, count=None, begin=0.0, end=round(seconds)))
        return tuple(specs)

    def _happenings(self, seconds: float, fleets: tuple[FleetSpec, ...]) -> tuple[Happening, ...]:
        dice = self.dice
        found = []
        for _ in range(dice.choice((0, 0, 1, 2, 4, 8))):
            fleet, device = dice.choice(fleets), dice.choice(self.devices)
            deed = dice.choice(tuple(Deed))
            length = {
                Deed.SUSPEND: dice.choice((600.0, HOUR, 6 * HOUR)),
                Deed.SUSPEND_IN_GIT: dice.choice((600.0, HOUR, 6 * HOUR)),
                Deed.GAP: dice.choice((30.0, 300.0, 1800.0)),
                Deed.CLOCK: dice.choice((-DAY, -HOUR, -120.0, 120.0, 3 * HOUR, DAY)),
            }.get(deed, 0.0)
            at = round(dice.uniform(0, min(seconds, 2 * HOUR if dice.random() < 0.7 else seconds)), 1)
            found.append(Happening(at=at, deed=deed, fleet=fleet.name, device=device.number, seconds=length))
        return tuple(sorted(found, key=lambda each: each.at))
