"""What manifests ask for, compiled: fleets, selectors, desired state, delivery, rollout (contracts section 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from reconciler.model.health import HealthPolicy
from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.model.version import ApplicationVersion, DeviceOsVersion


class Completeness(StrEnum):
    """REQUIRED: the system parts at the release and all dependencies met. FULL: every module as shipped."""

    REQUIRED = "required"
    FULL = "full"


class Via(StrEnum):
    """By which hand a step is done."""

    CLOUD = "cloud"
    USB = "usb"


class IfRefused(StrEnum):
    """What to do where the cloud refuses Device OS modules for devices that are not marked as development."""

    WAIT = "wait"
    APPLICATION_FIRST = "application-first"


class Releasing(StrEnum):
    """Whether an application is released to the fleet's groups, or to its product, when every device runs it."""

    WHEN_COMPLETE = "when-complete"
    NEVER = "never"


class Order(StrEnum):
    """DEVICE_OS_FIRST keeps the application running; APPLICATION_FIRST leaves Device OS to the cloud's healer."""

    DEVICE_OS_FIRST = "device-os-first"
    APPLICATION_FIRST = "application-first"


@dataclass(frozen=True, slots=True)
class Share:
    """A number of devices, as a count or as a percentage of a whole."""

    value: float
    percent: bool = False

    def of(self, whole: int) -> int:
        """The number of devices. A percentage rounds down, but not below 1 unless it is 0; never above the whole."""
        if not self.percent:
            return min(int(self.value), whole)
        if self.value <= 0:
            return 0
        return min(max(1, math.floor(whole * self.value / 100)), whole)

    def reached_at(self, whole: int) -> int:
        """The number of failures at which it is reached as a limit: as `of`, and 1 where that is 0."""
        return max(1, self.of(whole))

    def __str__(self) -> str:
        return f"{self.value:g}{'%' if self.percent else ''}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the manifests something stands: file, line and column, both counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which devices: every given line must match. `groups`, `platforms` (names) and `devices` mean any of.

    `devices` are ids or names; `roster` are ids from a roster file; None: the line is not given.
    """

    groups: frozenset[str] | None = None
    platforms: frozenset[str] | None = None
    devices: frozenset[str] | None = None
    roster: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltApplication:
    """What an application's file says of itself (facts 1.6, 1.7).

    - `module`: its slot, and which Device OS it needs at least.
    - `size`: bytes that are sent, for a bundle with its assets (about, as the device may have some); `module_size`:
      bytes that the application takes in its slot.
    - `product_id` (its low 16 bits) and `product_version`: None where it names none.
    - `sha256`: of the whole file. `bundle`: the file is a bundle with assets, not the application alone.
    """

    platform_id: int
    module: Module
    size: int
    module_size: int
    product_id: int | None
    product_version: int | None
    sha256: str
    bundle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationBinary:
    """The binary of one application version for one platform.

    `file` is a path like that of the manifest that names it: `fleets/a.bin` where `fleets/eu.yaml` says `a.bin`.
    Without `file` and `url` the product in the cloud holds it. `built` is what the file said when it was read, None
    where nobody read it; `place` is where the manifest names the binary, and makes no difference between two.
    """

    platform: str
    file: str | None = None
    url: str | None = None
    sha256: str | None = None
    size: int | None = None
    built: BuiltApplication | None = None
    place: Place | None = field(default=None, compare=False)

    @property
    def content_sha256(self) -> str | None:
        """Of the whole file, in small letters; the file itself knows better than the manifest. None: nobody says."""
        sha256 = self.sha256 if self.built is None else self.built.sha256
        return None if sha256 is None else sha256.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredApplication:
    """An application version by the name of its ApplicationRelease, with the binaries that the manifests name."""

    release: str
    version: ApplicationVersion
    binaries: tuple[ApplicationBinary, ...] = ()

    def binary_for(self, platform: str) -> ApplicationBinary | None:
        """The binary for a platform's name, or None when the manifests name none."""
        return next((binary for binary in self.binaries if binary.platform == platform), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What a fleet should run. None: leave that part as it is."""

    device_os: DeviceOsVersion | None
    application: DesiredApplication | None
    completeness: Completeness = Completeness.REQUIRED
    allow_prerelease: bool = False

    @property
    def intent(self) -> str:
        """These wishes as one short text: another wish is another text. The journal keeps it."""
        application = "-" if self.application is None else f"{self.application.release}:{self.application.version}"
        device_os = "-" if self.device_os is None else self.device_os.text
        return f"{device_os} {self.completeness.value} {application}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How modules reach a device; `bytes_per_device_max` refuses a route that costs more.

    `if_refused` is for devices of a product that the cloud was seen to refuse Device OS modules for.
    """

    via: Via = Via.CLOUD
    order: Order = Order.DEVICE_OS_FIRST
    if_refused: IfRefused = IfRefused.WAIT
    release: Releasing = Releasing.WHEN_COMPLETE
    bytes_per_device_max: int | None = None


class WaveSize(StrEnum):
    """A wave's size that is not a number: all devices that are left, or those alone that the wave names or selects."""

    REMAINING = "remaining"
    LISTED = "listed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Some devices of a rollout, and what must hold before the next wave starts.

    It takes its `devices`, and of those that `select` matches all, or with a number as its size so many. None: with a
    number as its size it takes of the others.
    """

    name: str
    size: Share | WaveSize
    soak_seconds: float = 0.0
    failures_max: Share | None = None
    approval_required: bool = False
    devices: frozenset[str] = frozenset()
    select: Selector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPolicy:
    """How many devices at a time. `concurrent_max` 0 holds; reaching `failures_max` halts the fleet.

    `sends_per_minute`: at most so many sends leave in a minute, None: no limit of its own. Beyond
    `offline_deadline_seconds` after the start of its wave an offline device holds the wave no longer.
    """

    waves: tuple[Wave, ...] = ()
    concurrent_max: Share = Share(10)
    failures_max: Share = Share(2, percent=True)
    step_deadline_seconds: float = 1800.0
    offline_deadline_seconds: float = 3600.0
    sends_per_minute: int | None = None
    health: HealthPolicy = field(default_factory=HealthPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowWindow:
    """A weekly opening: weekdays (0 = Monday), local start as minutes after midnight, duration, IANA zone.

    `time_zone` None: the zone of each device.
    """

    days: tuple[int, ...]
    start_minute: int
    duration_seconds: float
    time_zone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyWindow:
    """A time in which nothing starts, whatever is allowed."""

    from_instant: Instant
    until_instant: Instant
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyDays:
    """Days on which nothing starts, by the calendar of each device's own zone; `until_day` is the first free one."""

    from_day: date
    until_day: date
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneRule:
    """The time zone of the devices that `select` matches; of several rules the first that matches counts."""

    select: Selector
    time_zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """A person's word that nothing starts; None for `until` means until it is taken out of the manifest."""

    reason: str
    until: Instant | None = None
    by: str | None = None


class OverrideMode(StrEnum):
    """HOLD: nothing starts on the device. EXCLUDE: it belongs to no fleet. PIN: it desires something of its own."""

    HOLD = "hold"
    EXCLUDE = "exclude"
    PIN = "pin"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOverride:
    """An exception for a few devices, with its reason, author and expiry."""

    name: str
    devices: frozenset[str]
    mode: OverrideMode
    reason: str
    author: str | None
    expires: Instant | None
    pin: Desired | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanApproval:
    """A person's word in a file that a plan may be carried out.

    - `plan_id` names the plan, `digest` (`sha256:…`) says which one it is: its digest, or its content digest.
    - `fleets`: those that it is for; None: every fleet of the plan. `waves`: None: the fleets as a whole.
    - `expires`: from when on it does not count any more; None: never.
    """

    name: str
    plan_id: str
    digest: str
    fleets: tuple[str, ...] | None
    waves: tuple[str, ...] | None
    by: str
    at: Instant
    expires: Instant | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """One DeviceFleet, compiled: references resolved, durations in seconds, sizes in bytes, defaults filled in.

    `bytes_per_day_max`: what may be sent to all of its devices together in any 24 hours; None: no limit.
    """

    name: str
    product: str | None
    select: Selector
    exclude: Selector | None
    desired: Desired
    place: Place
    delivery: Delivery = Delivery()
    rollout: RolloutPolicy = RolloutPolicy()
    windows_allow: tuple[AllowWindow, ...] = ()
    windows_deny: tuple[DenyWindow | DenyDays, ...] = ()
    time_zones: tuple[ZoneRule, ...] = ()
    correct_drift: bool = True
    approval_required: bool = False
    targets_max: int | None = None
    bytes_per_day_max: int | None = None
    suspension: Suspension | None = None

    @property
    def needs_device_zones(self) -> bool:
        """Whether a window of the fleet goes by the zone of each device."""
        return any(window.time_zone is None for window in self.windows_allow) or any(
            isinstance(window, DenyDays) for window in self.windows_deny
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSet:
    """All that a set of manifests asks for, and what was approved of it.

    `digest` is `sha256:…` over what the manifests say: remarks, white space, the order of keys and approvals make no
    difference to it. `files` are the paths of all files that were read: manifests and rosters.
    """

    fleets: tuple[Fleet, ...]
    overrides: tuple[DeviceOverride, ...] = ()
    approvals: tuple[PlanApproval, ...] = ()
    digest: str = ""
    files: tuple[str, ...] = ()
