"""The answer for everyone in one situation, whatever the moment: a route, a refusal, waiting, or as desired.

The first question that has an answer places the situation: does something later run already, is the release known, is
there a route, is there an application binary that can run at its end, can the cloud's healer do it where that is asked
for, is anything to be done, does it cost too much.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Desired, Order, Via
from reconciler.model.plan import RefusalReason, Refused, Route, RouteReason, Situation, Waiting, WaitingReason
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.step import FlashModule, LockApplication, Step
from reconciler.model.version import DeviceOsVersion, UnorderableVersionsError
from reconciler.planning import cost
from reconciler.planning.application import ApplicationStep, Holding, application_step, needs_later
from reconciler.planning.healing import healing_of
from reconciler.planning.proof import prove
from reconciler.planning.route import Found, NoRoute, RouteSearch
from reconciler.planning.standing import release_number

Placed = Route | Refused | Waiting | None
"""Where a device is: on a route, refused, waiting, or (None) as desired."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What an answer depends on besides the situation.

    `bytes_max` is per device; None: no limit. `product_id` is the product of the devices; None: not known, or none.
    `holding` is what that product holds of the desired application; None: not known.
    """

    desired: Desired
    via: Via
    bytes_max: int | None
    order: Order = Order.DEVICE_OS_FIRST
    product_id: int | None = None
    holding: Holding | None = None

    def __hash__(self) -> int:
        """Equal goals have equal hashes; few differ in the rest alone."""
        return hash((self.desired.device_os, self.product_id))


class Answers:
    """Answers by situation, each worked out once. They name no devices."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._searches: dict[tuple[str, Via], RouteSearch] = {}
        self._found: dict[tuple[Situation, Via, Desired], Found | Refused] = {}
        self._answers: dict[tuple[Situation, Goal], Placed] = {}

    def of(self, situation: Situation, goal: Goal) -> Placed:
        """The answer for this situation and goal."""
        if not _runs_an_earlier_application(situation, goal):
            return self._kept(situation, goal)
        # Which earlier one it is only stands in the route's situation.
        answer = self._kept(replace(situation, application=None), goal)
        return replace(answer, situation=situation) if isinstance(answer, Route) else answer

    def _kept(self, situation: Situation, goal: Goal) -> Placed:
        key = (situation, goal)
        if key not in self._answers:
            self._answers[key] = self._answer(situation, goal)
        return self._answers[key]

    def lock_again(self, situation: Situation, goal: Goal) -> Route | None:
        """The one step that puts our lock back on a device that runs what it should; None: there is none.

        Nothing is transferred, and nothing restarts.
        """
        platform = platform_by_name(situation.platform)
        assert platform is not None
        below = replace(situation, application=None)
        step = application_step(platform, below, goal.desired.application, product_id=goal.product_id)
        if not isinstance(step, LockApplication):
            return None
        found = Found(steps=(), hops=(), safe_mode_boots=0)
        route = self._route(platform, situation, goal, found, (replace(step, size=0),))
        assert isinstance(route, Route)  # no bytes are within any limit
        return replace(route, reason=RouteReason.LOCK_CHANGED, restarts=0)

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
        application = self._application(platform, situation, goal, found)
        if isinstance(application, Refused):
            return application
        if found.steps and goal.order is Order.APPLICATION_FIRST:
            return self._application_first(platform, situation, goal, found, application)
        steps: tuple[Step, ...] = found.steps if application is None else (*found.steps, application)
        if not steps:
            return _still_in_safe_mode() if situation.mode is DeviceMode.SAFE_MODE else None
        return self._route(platform, situation, goal, found, steps)

    def _application(
        self, platform: Platform, situation: Situation, goal: Goal, found: Found
    ) -> ApplicationStep | Refused | None:
        """The application's step, if it can run where the route ends; None: it is as desired."""
        wanted = goal.desired.application
        step = application_step(
            platform, situation, wanted, product_id=goal.product_id, holding=goal.holding, via=goal.via
        )
        if wanted is None or step is None or isinstance(step, Refused):
            return step
        later = needs_later(platform, situation, wanted, found.steps, goal.desired.device_os, self._catalog)
        return later or step

    def _application_first(
        self, platform: Platform, situation: Situation, goal: Goal, found: Found, application: ApplicationStep | None
    ) -> Route | Refused:
        """One step of ours, the lock; the rest is left to the cloud's healer, where it can do that alone."""
        search = self._search(platform, goal.via)
        healing = healing_of(platform, situation, goal.desired, goal.via, search, self._catalog)
        if isinstance(healing, Refused):
            return healing
        assert isinstance(application, LockApplication)
        assert goal.desired.device_os is not None
        lock = replace(application, boots_into=DeviceMode.SAFE_MODE)
        boots = 1 + sum(step.boots_into is DeviceMode.SAFE_MODE for step in healing.modules)
        healed = Found(steps=found.steps, hops=(goal.desired.device_os,), safe_mode_boots=boots)
        return self._route(platform, situation, goal, healed, (lock,), healed_by_cloud=healing.modules)

    def _device_os(self, platform: Platform, situation: Situation, goal: Goal) -> Found | Refused:
        """The proven route of the Device OS; which application runs, and whose the device is, does not matter to it."""
        anyones = replace(situation, application=None, development=False, own=False)
        key = (anyones, goal.via, replace(goal.desired, application=None))
        if key not in self._found:
            self._found[key] = self._search_device_os(platform, situation, goal)
        return self._found[key]

    def _search_device_os(self, platform: Platform, situation: Situation, goal: Goal) -> Found | Refused:
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
        self,
        platform: Platform,
        situation: Situation,
        goal: Goal,
        found: Found,
        steps: tuple[Step, ...],
        *,
        healed_by_cloud: tuple[FlashModule, ...] = (),
    ) -> Route | Refused:
        everything = (*steps, *healed_by_cloud)
        at_most = cost.bytes_at_most(platform, everything, self._catalog)
        if goal.bytes_max is not None and at_most > goal.bytes_max:
            message = f"the route costs up to {at_most:,} bytes, delivery.dataPerDevice is {goal.bytes_max:,}"
            return Refused(reason=RefusalReason.DATA_LIMIT_EXCEEDED, message=message, devices=())
        return Route(
            situation=situation,
            reason=_reason(situation, found),
            hops=found.hops,
            steps=steps,
            bytes_known=cost.bytes_known(everything),
            bytes_unknown=cost.bytes_unknown(everything),
            restarts=cost.restarts(everything),
            safe_mode_boots=found.safe_mode_boots,
            minutes=cost.minutes(platform, everything, self._catalog),
            requests=sum(step.via is Via.CLOUD for step in steps),
            devices=(),
            healed_by_cloud=healed_by_cloud,
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
        if goal is None or not release_number(platform, goal):
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
        if release is None or not release_number(platform, release):
            return True
        return not release.published or (release.prerelease and not allow_prerelease)

    def _search(self, platform: Platform, via: Via) -> RouteSearch:
        key = (platform.name, via)
        if key not in self._searches:
            self._searches[key] = RouteSearch(platform, self._catalog, via)
        return self._searches[key]


def _runs_an_earlier_application(situation: Situation, goal: Goal) -> bool:
    there, wanted = situation.application, goal.desired.application
    return there is not None and wanted is not None and there < wanted.version


def _reason(situation: Situation, found: Found) -> RouteReason:
    if not found.steps:
        return RouteReason.BELOW_DESIRED_APPLICATION
    repair = situation.device_os is not None and found.hops[0] == situation.device_os
    return RouteReason.DEPENDENCIES_UNMET if repair else RouteReason.BELOW_DESIRED_DEVICE_OS


def _still_in_safe_mode() -> Waiting:
    message = "has the desired modules and all they need, but is in safe mode: its application does not run"
    return Waiting(reason=WaitingReason.SAFE_MODE, message=message, devices=())
