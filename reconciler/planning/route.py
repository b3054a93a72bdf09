"""The exact search for a route: the cheapest sequence of hops from a situation to a release.

Cost, in this order: boots into safe mode, flashes, bytes, hops, then later releases on the way (compared from the last
one backwards); what is still equal ends by the order of versions (contracts 4, point 5).

It is a best-first search over (last complete release, versions, unmet needs). The lower bound that guides it counts
only what certainly is still to be sent: the desired release's system parts, and a module for each of their unmet needs.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Completeness, Via
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.plan import Situation
from reconciler.model.platform import Platform
from reconciler.model.release import Release
from reconciler.model.step import FlashModule
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.hop import HopEnd, Hops, Unmet, Versions
from reconciler.planning.obstacle import beyond_the_goal, forbidding_needs
from reconciler.planning.standing import Standing, release_number, standing_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best route: its steps in order, the release of every hop, and the boots into safe mode on the way."""

    steps: tuple[FlashModule, ...]
    hops: tuple[DeviceOsVersion, ...]
    safe_mode_boots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRoute:
    """No legal route exists; `because` names the needs that forbid it."""

    because: str


def find_route(
    platform: Platform,
    start: Situation,
    desired: DeviceOsVersion,
    catalog: Catalog,
    *,
    via: Via,
    completeness: Completeness,
    allow_prerelease: bool,
) -> Found | NoRoute:
    """The cheapest legal route from `start` to `desired`; a route without steps when nothing is to be sent."""
    return RouteSearch(platform, catalog, via).find(
        start, desired, completeness=completeness, allow_prerelease=allow_prerelease
    )


_Cost = tuple[int, int, int, int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Node:
    """`last` is the number of the last complete release (0: none); `versions` and `unmet` as in `hop.py`."""

    last: int
    versions: Versions
    unmet: Unmet


@dataclass(frozen=True, slots=True)
class _Path:
    node: _Node
    cost: _Cost
    hops: tuple[DeviceOsVersion, ...]
    steps: tuple[FlashModule, ...]


@dataclass(frozen=True, slots=True)
class _Search:
    """One question: from where, to what, through which releases (ascending, the goal last); `known`: nodes reached."""

    start: _Node
    situation: Situation
    goal: Release
    ladder: list[Release]
    full: bool
    known: dict[_Node, _Cost] = field(default_factory=dict)


class RouteSearch:
    """The routes of one platform by one hand; what was worked out for one situation serves the next."""

    def __init__(self, platform: Platform, catalog: Catalog, via: Via) -> None:
        self._platform = platform
        self._catalog = catalog
        self._hops = Hops(platform, catalog, via)
        self._number = {release.version: release_number(platform, release) for release in catalog.releases(platform)}
        self._stable = [r for r in catalog.releases(platform) if r.published and not r.prerelease]
        self._ladders: dict[DeviceOsVersion, list[Release]] = {}
        self._to_send: dict[tuple[Versions, DeviceOsVersion], tuple[int, int]] = {}
        self._standings: dict[Versions, Standing] = {}
        stations = (catalog.release(platform, version) for version in catalog.stations(platform, via.value))
        self._stations = sorted(self._number[release.version] for release in stations if release is not None)

    def find(
        self, start: Situation, desired: DeviceOsVersion, *, completeness: Completeness, allow_prerelease: bool
    ) -> Found | NoRoute:
        """As `find_route`."""
        goal = self._catalog.release(self._platform, desired)
        if goal is None or not goal.published or (goal.prerelease and not allow_prerelease):
            return NoRoute(because=f"{desired} is not a release for {self._platform} that may be desired")
        versions = self._hops.versions_of(start.modules)
        node = _Node(self._standing(versions).complete, versions, self._unmet(start, versions))
        if self._arrived(node, goal, completeness, start):
            return Found(steps=(), hops=(), safe_mode_boots=0)
        search = _Search(node, start, goal, self._ladder(goal), full=completeness is Completeness.FULL)
        best = self._direct(search) or self._search(search)
        if best is None:
            return NoRoute(because=self._explain(search))
        return Found(steps=best.steps, hops=best.hops, safe_mode_boots=best.cost[0])

    def find_in_one_hop(
        self, start: Situation, application: Module, desired: DeviceOsVersion, *, full: bool
    ) -> Found | NoRoute:
        """The fewest modules of the desired release with which a device that has taken this application runs it.

        One hop to a known release, each module accepted in turn; boots into safe mode do not matter, stations do.
        `full`: every module of the release must be among them or there.
        """
        goal = self._catalog.release(self._platform, desired)
        assert goal is not None
        versions = self._hops.versions_of(start.modules)
        standing = self._standing(versions)
        if standing.begun not in (None, self._number[goal.version]):
            return NoRoute(because=f"a hop to another release than {desired} has begun")
        if not self._passable(standing.complete, [goal]):
            return NoRoute(because=f"a station lies on the way to {desired}")
        others = (unmet for unmet in self._unmet(start, versions) if unmet[0].function is not ModuleFunction.USER_PART)
        own = ((application.slot, need) for need in application.dependencies if not self._hops.holds(versions, need))
        ends = self._hops.ends(versions, frozenset((*others, *own)), goal)
        healed = [end for end in ends if not end.unmet]
        if not healed:
            needs = forbidding_needs(self._platform, self._hops, versions, goal)
            return NoRoute(because=f"{desired} cannot be reached in one hop" + (f": {needs}" if needs else ""))
        best = min(healed, key=lambda end: (len(end.steps), end.safe_mode_boots, end.cost_bytes))
        if full and self._lacks(best.versions, goal):
            return NoRoute(because=f"completeness full asks for more of {desired} than is needed")
        return Found(steps=best.steps, hops=(desired,), safe_mode_boots=best.safe_mode_boots)

    def _ladder(self, goal: Release) -> list[Release]:
        """The releases that a route to the goal may pass, ascending, the goal last."""
        if goal.version not in self._ladders:
            below = (release for release in self._stable if self._number[release.version] < self._number[goal.version])
            self._ladders[goal.version] = [*below, goal]
        return self._ladders[goal.version]

    def _direct(self, search: _Search) -> _Path | None:
        """One hop that is certainly the best: no boot into safe mode, and nothing sent that is not needed anyway.

        Every other route makes a hop more, and each hop sends a system part more; but for a repair, which sends none.
        """
        node, goal = search.start, search.goal
        if search.situation.mode is DeviceMode.SAFE_MODE or self._standing(node.versions).begun is not None:
            return None
        if not self._passable(node.last, [goal]):
            return None
        first = _Path(node, (0, 0, 0, 0, ()), (), ())
        flashes = self._bound(first, goal)[1]
        ends = self._hops.ends(node.versions, node.unmet, goal, full=search.full)
        paths = [self._longer(first, goal, end) for end in ends if not end.unmet]
        best = min(paths, key=_by_cost, default=None)
        return best if best is not None and best.cost[:2] == (0, flashes) else None

    def _search(self, search: _Search) -> _Path | None:
        goal_number = self._number[search.goal.version]
        order = count()
        first = _Path(search.start, (0, 0, 0, 0, ()), (), ())
        known = search.known
        known[search.start] = first.cost
        queue = [(self._bound(first, search.goal), next(order), first)]
        arrived: list[_Path] = []
        while queue:
            bound, _, path = heapq.heappop(queue)
            if arrived and bound[:4] > arrived[0].cost[:4]:
                break
            if path.cost > known[path.node]:
                continue
            if path.hops and path.node.last == goal_number:
                if not path.node.unmet:
                    arrived.append(path)
                continue
            for release, end in self._onward(path, search):
                longer = self._longer(path, release, end)
                if longer.node not in known or longer.cost < known[longer.node]:
                    known[longer.node] = longer.cost
                    heapq.heappush(queue, (self._bound(longer, search.goal), next(order), longer))
        return min(arrived, key=_by_cost, default=None)

    def _onward(self, path: _Path, search: _Search) -> Iterator[tuple[Release, HopEnd]]:
        node = path.node
        for release in self._next_releases(path, search.situation, search.ladder):
            full = search.full and release is search.goal
            for end in self._hops.ends(node.versions, node.unmet, release, full=full):
                yield release, end

    def _explain(self, search: _Search) -> str:
        """Why a search that found nothing found nothing: what forbids the release after the furthest it reached."""
        goal = search.goal
        beyond = beyond_the_goal(search.start.unmet, goal)
        if beyond is not None:
            return beyond
        furthest = max(search.known, key=lambda node: (node.last, node.versions))
        above = self._passable(furthest.last, self._above(furthest.last, search.ladder))
        if not above:
            return f"a station on the way to {goal.version} is not a release that may be passed"
        needs = forbidding_needs(self._platform, self._hops, furthest.versions, above[0])
        reached = self._catalog.releases_of_system(self._platform, furthest.last)
        place = f"nothing above {reached[0].version} can be reached" if reached else f"{goal.version} cannot be reached"
        return f"{place}: {needs}" if needs else place

    def _next_releases(self, path: _Path, situation: Situation, ladder: list[Release]) -> list[Release]:
        """The releases that the next hop may go to: a begun hop is finished first, a repair may come before others."""
        node = path.node
        if not path.hops:
            begun = self._standing(node.versions).begun
            if begun is not None:
                return self._passable(node.last, self._releases_numbered(begun, ladder))
            if situation.mode is DeviceMode.SAFE_MODE and node.last:
                running = self._releases_numbered(node.last, ladder, situation.device_os)
                return self._passable(node.last, [*running, *self._above(node.last, ladder)])
        return self._passable(node.last, self._above(node.last, ladder))

    def _above(self, number: int, ladder: list[Release]) -> list[Release]:
        return [release for release in ladder if self._number[release.version] > number]

    def _releases_numbered(
        self, number: int, ladder: list[Release], running: DeviceOsVersion | None = None
    ) -> list[Release]:
        """The release with this number: the running one where it is named, else the desired or stable one."""
        releases = self._catalog.releases_of_system(self._platform, number)
        named = [release for release in releases if release.version == running]
        wanted = [release for release in releases if release in ladder]
        return (named or wanted or list(releases))[:1] if number <= self._number[ladder[-1].version] else []

    def _passable(self, last: int, releases: list[Release]) -> list[Release]:
        return [
            release
            for release in releases
            if not last or not any(last < station < self._number[release.version] for station in self._stations)
        ]

    def _longer(self, path: _Path, release: Release, end: HopEnd) -> _Path:
        safe, flashes, cost_bytes, hops, later = path.cost
        number = self._number[release.version]
        cost = (
            safe + end.safe_mode_boots,
            flashes + len(end.steps),
            cost_bytes + end.cost_bytes,
            hops + 1,
            (-number, *later),
        )
        node = _Node(number, end.versions, end.unmet)
        return _Path(node, cost, (*path.hops, release.version), (*path.steps, *end.steps))

    def _bound(self, path: _Path, goal: Release) -> _Cost:
        """No route through this path can cost less."""
        flashes_more, bytes_more = self._still_to_send(path.node.versions, goal)
        safe, flashes, cost_bytes, hops, later = path.cost
        return (safe, flashes + flashes_more, cost_bytes + bytes_more, hops + bool(flashes_more), later)

    def _still_to_send(self, versions: Versions, goal: Release) -> tuple[int, int]:
        """The flashes and bytes that every route from here to the goal has."""
        key = (versions, goal.version)
        if key not in self._to_send:
            self._to_send[key] = self._count_to_send(versions, goal)
        return self._to_send[key]

    def _count_to_send(self, versions: Versions, goal: Release) -> tuple[int, int]:
        missing = [
            shipped
            for shipped in goal.modules
            if shipped.module.slot in self._platform.system_parts
            and self._hops.installed(versions, shipped.module.slot) < shipped.module.version
        ]
        needs: set[ModuleSlot] = {
            need.slot
            for shipped in missing
            for need in shipped.module.dependencies
            if need.slot not in self._platform.system_parts and not self._hops.holds(versions, need)
        }
        return len(missing) + len(needs), sum(map(self._hops.cost_bytes, missing))

    def _standing(self, versions: Versions) -> Standing:
        if versions not in self._standings:
            by_slot = dict(zip(self._hops.slots, versions, strict=True))
            self._standings[versions] = standing_of(self._platform, by_slot, self._catalog)
        return self._standings[versions]

    def _unmet(self, start: Situation, versions: Versions) -> Unmet:
        """What does not hold at the start. A device in normal mode says itself that everything does."""
        if start.mode is DeviceMode.NORMAL:
            return frozenset()
        modules = start.modules if start.user_part is None else (*start.modules, start.user_part)
        return frozenset(
            (module.slot, need)
            for module in modules
            for need in module.dependencies
            if not self._hops.holds(versions, need)
        )

    def _arrived(self, node: _Node, goal: Release, completeness: Completeness, start: Situation) -> bool:
        """Whether nothing is to be sent: a device in normal mode is sent nothing of its running release."""
        if node.last != self._number[goal.version] or self._standing(node.versions).begun is not None or node.unmet:
            return False
        lacks = self._lacks(node.versions, goal)
        return completeness is Completeness.REQUIRED or start.mode is DeviceMode.NORMAL or not lacks

    def _lacks(self, versions: Versions, goal: Release) -> bool:
        """Whether a module that the release ships is not there, or is lower."""
        return any(
            not self._platform.bounds[shipped.module.slot].encrypted
            and self._hops.installed(versions, shipped.module.slot) < shipped.module.version
            for shipped in goal.modules
        )


def _by_cost(path: _Path) -> tuple[_Cost, Versions]:
    """The cost, and what is still equal by the order of versions."""
    return path.cost, path.node.versions
