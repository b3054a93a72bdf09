"""The plan: what would happen to which device, in which order, at which cost, and what will not happen and why.

Every device of every fleet is in exactly one place: current, one route, one refusal, or one waiting reason. The plan is
a value: the dry run shows it and `apply` executes it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import Enum, StrEnum
from itertools import chain
from typing import Final

from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.device import DeviceId, DeviceMode
from reconciler.model.fleet import Fleet, Wave
from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.model.step import FlashModule, Step
from reconciler.model.summary import Summary
from reconciler.model.version import DeviceOsVersion


class Knowledge(StrEnum):
    """How the modules of a situation are known: from the release that runs, or from the device's own report."""

    INFERRED = "inferred"
    REPORTED = "reported"


class RouteReason(StrEnum):
    """Why a device has a route."""

    BELOW_DESIRED_DEVICE_OS = "below_desired_device_os"
    BELOW_DESIRED_APPLICATION = "below_desired_application"
    DEPENDENCIES_UNMET = "dependencies_unmet"
    LOCK_CHANGED = "lock_changed"


class _Coded(Enum):
    """A closed set whose members have a reason word and a stable code."""

    @property
    def reason(self) -> str:
        """The reason as it stands in output."""
        return self.name.lower()

    @property
    def code(self) -> str:
        """The stable code, `PFRnnnn`."""
        return str(self.value)


class RefusalReason(_Coded):
    """A planned no. Each has a page in `docs/errors.md`."""

    DOWNGRADE_REFUSED = "PFR2001"
    NO_ROUTE = "PFR2003"
    UNKNOWN_PLATFORM = "PFR2004"
    UNKNOWN_RELEASE = "PFR2005"
    UNKNOWN_MODULE = "PFR2006"
    DATA_LIMIT_EXCEEDED = "PFR2007"
    APPLICATION_UNAVAILABLE = "PFR2008"
    ORDER_UNSUPPORTED = "PFR2009"
    APPLICATION_UNFIT = "PFR2010"
    APPLICATION_NEEDS_LATER = "PFR2011"
    APPLICATION_DIFFERS = "PFR2020"


class WaitingReason(_Coded):
    """Not now. Each has a page in `docs/errors.md`."""

    OFFLINE = "PFR2101"
    MODULES_UNKNOWN = "PFR2102"
    NEVER_REPORTED = "PFR2103"
    UPDATES_DISABLED = "PFR2104"
    HELD = "PFR2105"
    SUSPENDED = "PFR2106"
    NEEDS_BENCH = "PFR2107"
    QUARANTINED = "PFR2108"
    UNKNOWN_STATUS = "PFR2109"
    LOCKED = "PFR2110"
    SAFE_MODE = "PFR2111"
    TARGETS_EXCEEDED = "PFR2112"
    FIGHT = "PFR2120"
    RELEASED_HIGHER = "PFR2121"
    DRIFTED = "PFR2122"
    SYSTEM_FLASH_REFUSED = "PFR2130"
    NO_TIME_ZONE = "PFR2140"


PASSING: Final = frozenset({WaitingReason.OFFLINE, WaitingReason.MODULES_UNKNOWN})
"""Reasons to wait that may pass without anybody's doing: every device is offline for a moment after a transfer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What planning needs to know of a device; devices in the same situation share one route.

    `modules` are those installed (or inferred to be), ascending by slot, without the user part; a reported `user_part`
    is kept because a route must not leave what it needs unmet. `device_os` is the last complete release, None when a
    system part is missing. `own`: the device belongs to the token's owner, not to a product.
    """

    platform: str
    device_os: DeviceOsVersion | None
    application: int | None
    mode: DeviceMode
    knowledge: Knowledge
    modules: tuple[Module, ...]
    user_part: Module | None = None
    development: bool = False
    own: bool = False

    def __hash__(self) -> int:
        """Equal situations have equal hashes; few differ in the rest alone."""
        return hash((self.platform, self.device_os, self.application))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """All hops from where these devices are to where they should be.

    `bytes_known` is the sum over the steps whose size is known, `bytes_unknown` the number of the others. `requests` is
    the number of API calls that the steps need, without observation.

    `healed_by_cloud` are the modules that the cloud's safe mode healer is expected to send after our last step
    (`delivery.order: application-first`): no steps of ours, but counted in bytes, restarts, boots and minutes.
    `time_zone` is that of the devices, where the fleet's windows go by it.
    """

    situation: Situation
    reason: RouteReason
    hops: tuple[DeviceOsVersion, ...]
    steps: tuple[Step, ...]
    bytes_known: int
    bytes_unknown: int
    restarts: int
    safe_mode_boots: int
    minutes: int
    requests: int
    devices: tuple[DeviceId, ...]
    healed_by_cloud: tuple[FlashModule, ...] = ()
    time_zone: str | None = None

    def __hash__(self) -> int:
        """Equal routes have equal hashes; few of a plan share a situation."""
        return hash(self.situation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Devices for which the answer is no, and why."""

    reason: RefusalReason
    message: str
    devices: tuple[DeviceId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Devices for which the answer is not now, and why."""

    reason: WaitingReason
    message: str
    devices: tuple[DeviceId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What routes cost over all their devices. Bytes and unknown sizes as in `Route`."""

    steps: int = 0
    requests: int = 0
    bytes_known: int = 0
    bytes_unknown: int = 0
    restarts: int = 0
    safe_mode_boots: int = 0

    @property
    def requests_with_looks(self) -> int:
        """The least number of API calls that carry it out: every step is preceded by a last look at its device."""
        return self.requests + self.steps

    def __add__(self, other: Cost) -> Cost:
        return Cost(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(Cost)})

    @staticmethod
    def of(routes: Sequence[Route]) -> Cost:
        """What these routes cost over their devices."""
        counted = [(len(route.devices), route) for route in routes]
        return Cost(
            steps=sum(devices * len(route.steps) for devices, route in counted),
            requests=sum(devices * route.requests for devices, route in counted),
            bytes_known=sum(devices * route.bytes_known for devices, route in counted),
            bytes_unknown=sum(devices * route.bytes_unknown for devices, route in counted),
            restarts=sum(devices * route.restarts for devices, route in counted),
            safe_mode_boots=sum(devices * route.safe_mode_boots for devices, route in counted),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWave:
    """Devices that start together, in the order in which they go, and what was asked for them.

    Every device that a rollout concerns is in exactly one wave: those with a route, and those that wait.
    """

    wave: Wave
    devices: tuple[DeviceId, ...]

    @property
    def name(self) -> str:
        """The wave's name."""
        return self.wave.name


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """The plan of one fleet. `current` are the devices that are as desired.

    `preparation` is done to the product before a device needs it, `conclusion` after every device of the fleet is
    there; `unreleased` says in sentences why something is not released. `waves` are those of a rollout that begins with
    this plan; what has started meanwhile is in the journal. `findings` is what a person should know of the manifest.
    """

    fleet: Fleet
    current: tuple[DeviceId, ...]
    routes: tuple[Route, ...]
    refused: tuple[Refused, ...]
    waiting: tuple[Waiting, ...]
    preparation: tuple[UploadApplication, ...] = ()
    conclusion: ReleaseApplication | None = None
    unreleased: tuple[str, ...] = ()
    waves: tuple[PlannedWave, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def devices(self) -> Iterator[DeviceId]:
        """All devices of the fleet."""
        places: tuple[Route | Refused | Waiting, ...] = (*self.routes, *self.refused, *self.waiting)
        return chain(self.current, *(place.devices for place in places))

    @property
    def may_conclude(self) -> bool:
        """Whether there is a conclusion and every device of the fleet is there: now is the time for it."""
        return self.conclusion is not None and len(self.current) == self.summary.devices

    @property
    def actions(self) -> tuple[ProductAction, ...]:
        """All that is to be done to the product, now or later."""
        return self.preparation if self.conclusion is None else (*self.preparation, self.conclusion)

    @property
    def due_actions(self) -> tuple[ProductAction, ...]:
        """What may be done to the product now."""
        return self.actions if self.may_conclude else self.preparation

    @property
    def cost(self) -> Cost:
        """What all routes cost."""
        return Cost.of(self.routes)

    @property
    def at_a_time(self) -> int:
        """How many devices may be changed at once."""
        return min(self.fleet.rollout.concurrent_max.of(self.summary.devices), self.summary.upgrade)

    @property
    def minutes(self) -> int | None:
        """How long it takes at least, by its waves and budgets; time of closed windows apart. None: held."""
        if not self.routes:
            return 0
        times = self.wave_minutes
        return None if None in times else max(sum(filter(None, times)), math.ceil(self.budget_minutes))

    @property
    def budget_minutes(self) -> float:
        """The least time that the fleet's budgets of sends a minute and bytes a day leave it; 0.0 without any."""
        cost, sends, of_day = self.cost, self.fleet.rollout.sends_per_minute, self.fleet.bytes_per_day_max
        by_bytes = max(0.0, cost.bytes_known / of_day - 1) * 24 * 60 if of_day else 0.0
        return max(cost.steps / sends if sends else 0.0, by_bytes)

    @property
    def failures_that_halt(self) -> int:
        """The number of failed devices at which the fleet is halted: the limit, and 1 where the limit is 0."""
        return self.fleet.rollout.failures_max.reached_at(self.summary.devices)

    @property
    def wave_failures_that_halt(self) -> tuple[int | None, ...]:
        """The same for the failed devices of each wave; None: the last wave has no limit but the fleet's."""
        policy = self.fleet.rollout
        limits = [
            (planned.wave.failures_max or policy.failures_max).reached_at(len(planned.devices))
            for planned in self.waves[:-1]
        ]
        return (*limits, None) if self.waves else ()

    @property
    def wave_minutes(self) -> tuple[int | None, ...]:
        """How long each wave takes at the fleet's concurrency if its devices with a route follow one another evenly.

        With its soak; nothing for a wave without a route. None: held.
        """
        soaks = [wave.wave.soak_seconds for wave in self.waves] or [0.0]
        return tuple(map(self._minutes, self._minutes_by_wave(), soaks))

    @property
    def wave_routed(self) -> tuple[int, ...]:
        """How many devices of each wave have a route."""
        return tuple(devices_by_minutes.total() for devices_by_minutes in self._minutes_by_wave())

    def _minutes_by_wave(self) -> list[Counter[int]]:
        """For each wave, and for all devices where there is none: how many devices take how many minutes."""
        wave_of = {device_id: number for number, wave in enumerate(self.waves[:-1]) for device_id in wave.devices}
        last = max(0, len(self.waves) - 1)
        found: list[Counter[int]] = [Counter() for _ in range(last + 1)]
        earlier = frozenset(wave_of)
        for route in self.routes:
            placed = earlier.intersection(route.devices)
            found[last][route.minutes] += len(route.devices) - len(placed)
            for device_id in placed:
                found[wave_of[device_id]][route.minutes] += 1
        return [+devices_by_minutes for devices_by_minutes in found]

    def _minutes(self, devices_by_minutes: Counter[int], soak_seconds: float) -> int | None:
        if not devices_by_minutes:
            return 0
        at_a_time = min(self.at_a_time, devices_by_minutes.total())
        if not at_a_time:
            return None
        minutes = sum(minutes * devices for minutes, devices in devices_by_minutes.items())
        return max(math.ceil(minutes / at_a_time), *devices_by_minutes) + math.ceil(soak_seconds / 60)

    @property
    def summary(self) -> Summary:
        """The counts, which add up to the number of the fleet's devices."""
        return Summary(
            current=len(self.current),
            upgrade=sum(len(route.devices) for route in self.routes),
            refused=sum(len(refused.devices) for refused in self.refused),
            waiting=sum(len(waiting.devices) for waiting in self.waiting),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSource:
    """What a plan was made from. Digests are `sha256:…`."""

    revision: str | None
    manifest_digest: str
    catalog_digest: str
    observed_at: Instant
    observed_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of a set of manifests. `complete` is False when the observation it stands on was not whole."""

    source: PlanSource
    fleets: tuple[FleetPlan, ...]
    created_at: Instant
    expires_at: Instant
    complete: bool
    findings: tuple[str, ...] = ()

    @property
    def cost(self) -> Cost:
        """What the routes of all fleets cost."""
        return sum((fleet.cost for fleet in self.fleets), Cost())

    @property
    def summary(self) -> Summary:
        """The counts over all fleets."""
        return sum((fleet.summary for fleet in self.fleets), Summary())
