"""The answer for everyone in one situation, whatever the moment: a route, a refusal, waiting, or as desired.

The first question that has an answer places the situation: does something later run already, is the release known, is
there a route, is there an application binary, is anything to be done, does it cost too much.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Desired, DesiredApplication, Via
from reconciler.model.plan import RefusalReason, Refused, Route, RouteReason, Situation, Waiting, WaitingReason
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.step import FlashApplication, LockApplication, Step
from reconciler.model.version import DeviceOsVersion, UnorderableVersionsError
from reconciler.planning import cost
from reconciler.planning.proof import prove
from reconciler.planning.route import Found, NoRoute, RouteSearch
from reconciler.planning.standing import release_number

Placed = Route | Refused | Waiting | None
"""Where a device is: on a route, refused, waiting, or (None) as desired."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What an answer depends on besides the situation. `bytes_max` is per device; None: no limit."""

    desired: Desired
    via: Via
    bytes_max: int | None


class Answers:
    """Answers by situation, each worked out once. They name no devices."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._searches: dict[tuple[str, Via], RouteSearch] = {}
        self._answers: dict[tuple[Situation, Goal], Placed] = {}

    def of(self, situation: Situation, goal: Goal) -> Placed:
        """The answer for this situation and goal."""
        key = (situation, goal)
        if key not in self._answers:
            self._answers[key] = self._answer(situation, goal)
        return self._answers[key]

    def _answer(self, situation: Situation, goal: Goal) -> Placed:
        """The answer for everyone in this situation, whatever the moment."""
        platform = platform_by_name(situation.platform)
        assert platform is not None
        desired = goal.desired
        downgrade = self._downgrade(platform, situation, desired)
        if downgrade is not None:
            return downgrade
        found = self._device_os(platform, situation, goal)
        if isinstance(found, Refused):
            return found
        application = _application_step(platform, situation, desired.application)
        if isinstance(application, Refused):
            return application
        steps: tuple[Step, ...] = (*found.steps, *application)
        if not steps:
            return _still_in_safe_mode() if situation.mode is DeviceMode.SAFE_MODE else None
        return self._route(platform, situation, goal, found, steps)

    def _device_os(self, platform: Platform, situation: Situation, goal: Goal) -> Found | Refused:
        desired = goal.desired
        if desired.device_os is None:
            return Found(steps=(), hops=(), safe_mode_boots=0)
        if self._is_unpublished(platform, desired.device_os, allow_prerelease=desired.allow_prerelease):
            message = f"Device OS {desired.device_os} is not a known release for {platform}"
            return Refused(reason=RefusalReason.UNKNOWN_RELEASE, message=message, devices=())
        found = self._search(platform, goal.via).find(
            situation,
            desired.device_os,
            completeness=desired.completeness,
            allow_prerelease=desired.allow_prerelease,
        )
        if isinstance(found, NoRoute):
            return Refused(reason=RefusalReason.NO_ROUTE, message=found.because, devices=())
        prove(platform, situation, desired.device_os, found.steps, found.hops, self._catalog)
        return found

    def _route(
        self, platform: Platform, situation: Situation, goal: Goal, found: Found, steps: tuple[Step, ...]
    ) -> Route | Refused:
        at_most = cost.bytes_at_most(platform, steps, self._catalog)
        if goal.bytes_max is not None and at_most > goal.bytes_max:
            message = f"the route costs up to {at_most:,} bytes, delivery.dataPerDevice is {goal.bytes_max:,}"
            return Refused(reason=RefusalReason.DATA_LIMIT_EXCEEDED, message=message, devices=())
        return Route(
            situation=situation,
            reason=_reason(situation, found),
            hops=found.hops,
            steps=steps,
            bytes_known=cost.bytes_known(steps),
            bytes_unknown=cost.bytes_unknown(steps),
            restarts=cost.restarts(steps),
            safe_mode_boots=found.safe_mode_boots,
            minutes=cost.minutes(platform, steps, self._catalog),
            requests=len(steps),
            devices=(),
        )

    def _downgrade(self, platform: Platform, situation: Situation, desired: Desired) -> Refused | None:
        wanted, there = desired.application, situation.application
        if desired.device_os is not None and self._runs_later(platform, situation, desired.device_os):
            runs = situation.device_os or "part of a later release"
            message = f"runs {runs}, manifest asks {desired.device_os}"
        elif wanted is not None and there is not None and there > wanted.version:
            advice = "release the old code under a higher number"
            message = f"runs application {there}, manifest asks {wanted.version}; {advice}"
        else:
            return None
        return Refused(reason=RefusalReason.DOWNGRADE_REFUSED, message=message, devices=())

    def _runs_later(self, platform: Platform, situation: Situation, desired: DeviceOsVersion) -> bool:
        goal = self._catalog.release(platform, desired)
        if goal is None:
            return False
        parts = [module.version for module in situation.modules if module.slot in platform.system_parts]
        if max(parts, default=0) != release_number(platform, goal):
            return max(parts, default=0) > release_number(platform, goal)
        try:
            return situation.device_os is not None and situation.device_os > desired
        except UnorderableVersionsError:
            return False

    def _is_unpublished(self, platform: Platform, device_os: DeviceOsVersion, *, allow_prerelease: bool) -> bool:
        release = self._catalog.release(platform, device_os)
        return release is None or not release.published or (release.prerelease and not allow_prerelease)

    def _search(self, platform: Platform, via: Via) -> RouteSearch:
        key = (platform.name, via)
        if key not in self._searches:
            self._searches[key] = RouteSearch(platform, self._catalog, via)
        return self._searches[key]


def _reason(situation: Situation, found: Found) -> RouteReason:
    if not found.steps:
        return RouteReason.BELOW_DESIRED_APPLICATION
    repair = situation.device_os is not None and found.hops[0] == situation.device_os
    return RouteReason.DEPENDENCIES_UNMET if repair else RouteReason.BELOW_DESIRED_DEVICE_OS


def _application_step(
    platform: Platform, situation: Situation, wanted: DesiredApplication | None
) -> tuple[Step, ...] | Refused:
    """The last step: a lock for a product's device; a direct flash for one that takes no lock (facts 5.6, 8)."""
    if wanted is None or situation.application == wanted.version:
        return ()
    binary = wanted.binary_for(platform.name)
    if wanted.binaries and binary is None:
        message = f"application {wanted.release} {wanted.version} has no binary for {platform}"
        return Refused(reason=RefusalReason.APPLICATION_UNAVAILABLE, message=message, devices=())
    size = None if binary is None else binary.size
    if not situation.own and not situation.development:
        return (LockApplication(application=wanted.version, size=size),)
    if situation.own and (binary is None or (binary.file is None and binary.url is None)):
        message = f"application {wanted.release} {wanted.version} is in no product: its release must name a file"
        return Refused(reason=RefusalReason.APPLICATION_UNAVAILABLE, message=message, devices=())
    sha256 = None if binary is None else binary.sha256
    return (FlashApplication(application=wanted.version, size=size, sha256=sha256),)


def _still_in_safe_mode() -> Waiting:
    message = "has the desired modules and all they need, but is in safe mode: its application does not run"
    return Waiting(reason=WaitingReason.SAFE_MODE, message=message, devices=())
