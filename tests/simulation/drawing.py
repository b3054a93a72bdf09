"""A world drawn from a seed: mostly small fleets, short days, and several things at once that go wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from reconciler.emulator.faults import APPLICATION_FAULTS, FAULTS, PERSON_FAULTS, TRANSFER_FAULTS
from reconciler.model.fleet import AllowWindow, RolloutPolicy, Share, Wave
from tests.simulation.stage import DESIRED, PRODUCTS
from tests.simulation.worlds import (
    DAY,
    HOUR,
    OF_A_SOURCE,
    OUTSIDERS,
    STARTS,
    Crash,
    Deed,
    DeviceSpec,
    FaultSpec,
    FleetSpec,
    Happening,
    World,
)

RELEASES = {
    "boron": ("0.9.0", "1.5.2", "2.0.1", "3.1.0", "5.5.0", "6.3.4"),
    "photon": ("0.5.2", "0.6.3", "1.4.4", "2.0.1"),
    "electron": ("0.5.2", "0.7.0", "1.2.1", "2.3.1"),
    "p2": ("5.0.0", "5.5.0", "5.9.0", "6.3.4"),
}

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
BAD_RELEASES = ("boot-crash", "device-never-returns", "success-not-applied", "flash-fails")
BAD_APPLICATIONS = ("boot-crash", "crash-loop", "device-never-returns")
"""What may be wrong with an application that a fleet asks for, and with nothing else."""


FEW_DAYS, FEW_DEVICES = (0.1, 0.2, 0.3), 3
"""How long things go wrong in worlds of few devices; so many devices at most, or two more. No soak takes a day."""

_DEEDS = tuple(deed for deed in Deed if deed not in OF_A_SOURCE)


def drawn_with_source(seed: int) -> World:
    """The world of a seed for controllers that run for long: things happen to the source as well."""
    return _with_a_source(drawn(seed), random.Random(f"source of {seed}"))


def drawn_few_with_source(seed: int) -> World:
    """As `drawn_few`, for controllers."""
    return _with_a_source(drawn_few(seed), random.Random(f"source of few {seed}"))


def _with_a_source(world: World, dice: random.Random) -> World:
    found = []
    for _ in range(dice.choice((0, 1, 2, 4))):
        deed, fleet = dice.choice(sorted(OF_A_SOURCE)), dice.choice(world.fleets).name
        length = dice.choice((600.0, HOUR, 4 * HOUR)) if deed is Deed.SOURCE_DOWN else 0.0
        at = round(dice.uniform(0, min(world.days * DAY, 4 * HOUR)), 1)
        found.append(Happening(at=at, deed=deed, fleet=fleet, seconds=length))
    return replace(world, happenings=tuple(sorted((*world.happenings, *found), key=lambda each: each.at)))


def drawn(seed: int, *, waves: bool = True) -> World:
    """The world of a seed."""
    return _Drawing(random.Random(f"world {seed}"), seed, waves=waves).world()


def drawn_few(seed: int) -> World:
    """Another world of a seed, of a few devices and a few hours: it costs a third, and as much goes wrong in it."""
    return _Drawing(random.Random(f"few {seed}"), seed, few=True).world()


@dataclass
class _Drawing:
    """The dice of one world."""

    dice: random.Random
    seed: int
    waves: bool = True
    few: bool = False
    devices: list[DeviceSpec] = field(default_factory=list)
    more: random.Random = field(init=False)
    """Of its own, so that what is added to worlds leaves the rest of them as it was."""

    def __post_init__(self) -> None:
        self.more = random.Random(f"more of {'few ' if self.few else ''}{self.seed}")

    def world(self) -> World:
        dice = self.dice
        days = dice.choice(FEW_DAYS) if self.few else dice.choices((0.25, 0.5, 1.0, 3.0), (5, 4, 2, 1))[0]
        start = dice.choices(STARTS, (6, 2, 2, 1))[0]
        fleets = self._fleets()
        calm = dice.random() < 0.1
        world = World(
            seed=self.seed,
            start=start,
            days=days,
            clients=2 if dice.random() < 0.12 else 1,
            poll_seconds=dice.choice((60.0, 300.0, 900.0, 900.0)),
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
        # Who looks often, and big fleets, have little time, so that a world takes a few seconds at most.
        if world.days > 0.5:
            world = replace(world, poll_seconds=max(300.0, world.poll_seconds))
        if len(world.devices) > 100:
            return replace(world, days=0.5, clients=1, faults=world.faults[:2])
        return self._with_limits(self._with_a_bad_application(self._with_approvals(world)))

    def _with_approvals(self, world: World) -> World:
        """Where a person has to agree, for a fleet or for a wave, somebody does so some hours later."""
        if self.more.random() >= 0.12:
            return world
        fleets, deeds = [], []
        for fleet in world.fleets:
            waves = tuple(replace(wave, approval_required=self.more.random() < 0.7) for wave in fleet.rollout.waves)
            as_a_whole = not waves or self.more.random() < 0.3
            rollout = replace(fleet.rollout, waves=waves)
            fleets.append(replace(fleet, rollout=rollout, approval_required=as_a_whole))
            for _ in range(2):
                at = round(self.more.uniform(600.0, 6 * HOUR), 1)
                deeds.append(Happening(at=at, deed=Deed.APPROVE, fleet=fleet.name))
        happenings = sorted((*world.happenings, *deeds), key=lambda each: each.at)
        return replace(world, fleets=tuple(fleets), happenings=tuple(happenings))

    def _with_a_bad_application(self, world: World) -> World:
        """An application that does not do, on all devices or on some."""
        if self.more.random() >= 0.12:
            return world
        flaw = FaultSpec(
            fault=self.more.choice(BAD_APPLICATIONS),
            rate=self.more.choice((0.3, 1.0, 1.0)),
            count=None,
            begin=0.0,
            end=round(world.days * DAY),
            application=2,
        )
        return replace(world, faults=(*world.faults, flaw))

    def _with_limits(self, world: World) -> World:
        """So many sends a minute, so many bytes a day: enough for all in a few days."""
        if self.more.random() >= 0.12:
            return world
        fleets = []
        for fleet in world.fleets:
            rollout = replace(fleet.rollout, sends_per_minute=self.more.choice((None, 1, 2)))
            bytes_max = self.more.choice((None, 10_000_000, 20_000_000)) if len(world.devices) < 16 else None
            fleets.append(replace(fleet, rollout=rollout, bytes_per_day_max=bytes_max))
        return replace(world, fleets=tuple(fleets))

    def _size(self) -> int:
        dice = self.dice
        if self.few:
            return dice.randint(1, FEW_DEVICES)
        low, high = dice.choices(((3, 7), (6, 15), (15, 60), (100, 300), (1000, 2000)), (7400, 2300, 250, 40, 5))[0]
        return dice.randint(low, high)

    def _fleets(self) -> tuple[FleetSpec, ...]:
        dice = self.dice
        count = dice.choices((1, 2, 3), (6, 1, 0) if self.few else (5, 3, 1))[0]
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
        soak = min(dice.choice((0.0, 300.0, 1800.0, 2 * HOUR, DAY)), 2 * HOUR if self.few else DAY)
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
            deed = dice.choice(_DEEDS)
            length = {
                Deed.SUSPEND: dice.choice((600.0, HOUR, 6 * HOUR)),
                Deed.SUSPEND_IN_GIT: dice.choice((600.0, HOUR, 6 * HOUR)),
                Deed.GAP: dice.choice((30.0, 300.0, 1800.0)),
                Deed.CLOCK: dice.choice((-DAY, -HOUR, -120.0, 120.0, 3 * HOUR, DAY)),
            }.get(deed, 0.0)
            at = round(dice.uniform(0, min(seconds, 2 * HOUR if dice.random() < 0.7 else seconds)), 1)
            found.append(Happening(at=at, deed=deed, fleet=fleet.name, device=device.number, seconds=length))
        return tuple(sorted(found, key=lambda each: each.at))
