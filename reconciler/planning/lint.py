"""Is a catalog fit to plan with? What `catalog lint` proves, rule by rule, and what a change of it takes away.

- Stations are releases that may be passed, in ascending order, each with reason and source.
- Every need names a slot of its platform and is met by some release; a needed version that no release ships stands
  among the lower bounds. A published stable release with all that it ships boots normally.
- From every published stable release every later one can be reached over the cloud, or the pair stands among the
  reviewed exceptions. An exception that is no longer true is a finding like any other.

The searches are those of the planner (`reach.py`), so a sentence here is the one that a refusal would say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

from reconciler.firmware.catalog import Catalog
from reconciler.model.module import Dependency, ModuleSlot
from reconciler.model.platform import PLATFORMS, Platform, platform_by_name
from reconciler.model.release import LowerBound, Release, Span, Station, Unreachable
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.reach import Reach, is_sound
from reconciler.planning.standing import release_number

_SHOWN: Final = 2
"""Releases that a sentence names one by one."""


class LintRule(Enum):
    """What may be wrong with a catalog, or with a change of it. Each has a page in `docs/errors.md`."""

    STATION_UNUSABLE = "PFR4201"
    STATIONS_DISORDERED = "PFR4202"
    UNEXPLAINED = "PFR4203"
    RELEASE_UNSOUND = "PFR4204"
    SLOT_UNKNOWN = "PFR4205"
    NEED_NEVER_MET = "PFR4206"
    NEED_UNLISTED = "PFR4207"
    RELEASE_UNBOOTABLE = "PFR4208"
    RELEASE_UNREACHABLE = "PFR4209"
    EXCEPTION_STALE = "PFR4210"
    SITUATION_STRANDED = "PFR4211"
    RELEASE_WITHDRAWN = "PFR4212"

    @property
    def code(self) -> str:
        """The stable code, `PFRnnnn`."""
        return str(self.value)

    @property
    def word(self) -> str:
        """The rule as it stands in output."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. `starts` and `goals` are the releases that it concerns, where it is about routes."""

    rule: LintRule
    platform: str
    message: str
    starts: tuple[DeviceOsVersion, ...] = ()
    goals: tuple[DeviceOsVersion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Excepted:
    """A reviewed exception that holds: how many pairs of releases it covers, and the planner's sentence on them."""

    platform: str
    exception: Unreachable
    pairs: int
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport:
    """What was looked at and what was found. `pairs` are pairs of a published stable release and a later one."""

    platforms: int
    releases: int
    pairs: int
    pairs_reached: int
    findings: tuple[Finding, ...]
    excepted: tuple[Excepted, ...]


def lint(catalog: Catalog) -> LintReport:
    """Every finding of every platform, in the order of the platforms and then of the rules."""
    findings: list[Finding] = []
    excepted: list[Excepted] = []
    pairs = reached = 0
    for platform in PLATFORMS:
        findings += _stations(platform, catalog)
        findings += _explained(platform, catalog)
        findings += _releases(platform, catalog)
        findings += _needs(platform, catalog)
        reach = Reach(platform, catalog)
        pairs += sum(len(reach.later(goal)) for goal in reach.goals)
        reached += sum(len(reach.reached(goal)) for goal in reach.goals)
        findings += _unreachable(reach, catalog)
        for exception in catalog.unreachable:
            if platform.name in exception.platforms:
                stale, holds = _judged(exception, reach, catalog)
                findings += stale
                excepted += holds
    return LintReport(
        platforms=sum(1 for platform in PLATFORMS if catalog.releases(platform)),
        releases=len(catalog.all_releases),
        pairs=pairs,
        pairs_reached=reached,
        findings=tuple(sorted(findings, key=_order)),
        excepted=tuple(excepted),
    )


def listed(versions: Iterable[DeviceOsVersion]) -> str:
    """`2.0.0`, `2.0.0 and 2.0.1`, or the first and last of more with their number."""
    texts = [version.text for version in versions]
    if len(texts) <= _SHOWN:
        return " and ".join(texts)
    return f"{texts[0]} to {texts[-1]} ({len(texts)} releases)"


def _order(finding: Finding) -> tuple[int, str]:
    platform = platform_by_name(finding.platform)
    return (-1 if platform is None else PLATFORMS.index(platform)), finding.rule.code


def _stations(platform: Platform, catalog: Catalog) -> Iterator[Finding]:
    for station in catalog.all_stations:
        if platform.name not in station.platforms:
            continue
        for version in station.versions:
            release = catalog.release(platform, version)
            if release is None or not release.published or release.prerelease:
                what = _why_no_goal(release)
                message = f"the station {version} is {what}: nothing that passes it gets on"
                yield Finding(rule=LintRule.STATION_UNUSABLE, platform=platform.name, message=message)
        known = [release for version in station.versions if (release := catalog.release(platform, version)) is not None]
        numbers = [release_number(platform, release) for release in known if is_sound(platform, release)]
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            message = f"the stations {', '.join(map(str, station.versions))} do not ascend"
            yield Finding(rule=LintRule.STATIONS_DISORDERED, platform=platform.name, message=message)


def _why_no_goal(release: Release | None) -> str:
    if release is None:
        return "no known release"
    return "a prerelease" if release.prerelease else "no published release"


def _explained(platform: Platform, catalog: Catalog) -> Iterator[Finding]:
    entries: list[tuple[str, Station | Unreachable | LowerBound]] = [
        *((f"the station {', '.join(map(str, station.versions))}", station) for station in catalog.all_stations),
        *((f"the exception from {one.start} to {one.desired}", one) for one in catalog.unreachable),
        *((f"the lower bound {bound.slot} {bound.version}", bound) for bound in catalog.lower_bounds),
    ]
    for name, entry in entries:
        missing = [word for word, text in (("reason", entry.reason), ("source", entry.source)) if not text.strip()]
        if platform.name in entry.platforms and missing:
            message = f"{name} has no {' and no '.join(missing)}"
            yield Finding(rule=LintRule.UNEXPLAINED, platform=platform.name, message=message)


def _releases(platform: Platform, catalog: Catalog) -> Iterator[Finding]:
    for release in catalog.releases(platform):
        if not is_sound(platform, release):
            parts = [str(s.module) for s in release.modules if s.module.slot in platform.system_parts]
            message = (
                f"Device OS {release.version} ships {', '.join(parts) or 'no system part'}: not one release's parts"
            )
            yield Finding(rule=LintRule.RELEASE_UNSOUND, platform=platform.name, message=message)
            continue
        versions = {s.module.slot: s.module.version for s in release.modules}
        unmet = [
            f"{s.module} needs {need}, it ships {versions.get(need.slot) or 'none'}"
            for s in release.modules
            for need in s.module.dependencies
            if versions.get(need.slot, 0) < need.version and need.slot in platform.bounds
        ]
        if release.published and not release.prerelease and unmet:
            message = f"Device OS {release.version} does not boot normally with all that it ships: {'; '.join(unmet)}"
            yield Finding(rule=LintRule.RELEASE_UNBOOTABLE, platform=platform.name, message=message)


def _needs(platform: Platform, catalog: Catalog) -> Iterator[Finding]:
    """The same need once, by the first module that has it. What an unpublished release needs is never sent."""
    needed: dict[Dependency, str] = {}
    for release in catalog.releases(platform):
        for one in release.modules:
            for need in one.module.dependencies:
                if need.slot not in platform.bounds or release.published:
                    needed.setdefault(need, f"{one.module} of {release.version} needs {need}")
    bounds = {(bound.slot, bound.version) for bound in catalog.lower_bounds if platform.name in bound.platforms}
    highest = _highest_that_come(platform, catalog)
    for need, words in needed.items():
        if need.slot not in platform.bounds:
            rule, why = LintRule.SLOT_UNKNOWN, f"{platform} has no {need.slot}"
        elif highest.get(need.slot, 0) < need.version:
            rule = LintRule.NEED_NEVER_MET
            why = f"the highest that a published release brings is {highest.get(need.slot, 'none')}"
        elif (need.slot, need.version) not in bounds and not catalog.modules(platform, need.slot, need.version):
            rule, why = LintRule.NEED_UNLISTED, "no release ships that version, and it is not among the lower bounds"
        else:
            continue
        yield Finding(rule=rule, platform=platform.name, message=f"{words}: {why}")
    yield from _stale_bounds(platform, catalog, bounds, needed)


def _stale_bounds(
    platform: Platform, catalog: Catalog, bounds: set[tuple[ModuleSlot, int]], needed: Mapping[Dependency, str]
) -> Iterator[Finding]:
    for slot, version in sorted(bounds):
        shipped = catalog.modules(platform, slot, version)
        if shipped or Dependency(slot, version) not in needed:
            why = "a release ships it" if shipped else "nothing needs it"
            message = f"the lower bound {slot} {version} is no longer true: {why}"
            yield Finding(rule=LintRule.EXCEPTION_STALE, platform=platform.name, message=message)


def _highest_that_come(platform: Platform, catalog: Catalog) -> dict[ModuleSlot, int]:
    """The highest version of each slot that a published release brings; what is encrypted is never sent."""
    highest: dict[ModuleSlot, int] = {}
    for release in catalog.releases(platform):
        for one in release.modules if release.published else ():
            if not platform.bounds[one.module.slot].encrypted:
                highest[one.module.slot] = max(highest.get(one.module.slot, 0), one.module.version)
    return highest


def _unreachable(reach: Reach, catalog: Catalog) -> Iterator[Finding]:
    """Pairs that no exception covers; starts that miss the same releases stand together."""
    exceptions = [one for one in catalog.unreachable if reach.platform.name in one.platforms]
    order = _positions(reach.platform, catalog)
    together: dict[tuple[DeviceOsVersion, ...], list[Release]] = {}
    for start in reach.goals:
        goals = tuple(goal for goal in reach.unreached(start) if not _covering(exceptions, order, start.version, goal))
        if goals:
            together.setdefault(goals, []).append(start)
    for goals, starts in together.items():
        because = reach.unreached(starts[-1])[goals[0]]
        versions = tuple(start.version for start in starts)
        yield Finding(
            rule=LintRule.RELEASE_UNREACHABLE,
            platform=reach.platform.name,
            message=f"from {listed(versions)} there is no route to {listed(goals)}: {because}",
            starts=versions,
            goals=goals,
        )


def _judged(one: Unreachable, reach: Reach, catalog: Catalog) -> tuple[list[Finding], list[Excepted]]:
    """An exception on one platform: a finding where it is not true or covers nothing, else how much it covers."""
    platform, order = reach.platform, _positions(reach.platform, catalog)
    unknown = [v for span in (one.start, one.desired) for v in (span.first, span.last) if v and v not in order]
    covered: dict[tuple[DeviceOsVersion, DeviceOsVersion], str] = {}
    reached: list[tuple[DeviceOsVersion, DeviceOsVersion]] = []
    for start in reach.goals:
        because = reach.unreached(start)
        for goal in reach.later(start):
            if _covering([one], order, start.version, goal):
                if goal in because:
                    covered[start.version, goal] = because[goal]
                else:
                    reached.append((start.version, goal))
    if unknown:
        why = f"{', '.join(map(str, dict.fromkeys(unknown)))} is no known release"
    elif reached:
        more = f" and {len(reached) - 1} more pairs" if len(reached) > 1 else ""
        why = f"there is a route from {reached[0][0]} to {reached[0][1]}{more}"
    elif not covered:
        why = "it covers no pair of releases"
    else:
        return [], [Excepted(platform=platform.name, exception=one, pairs=len(covered), because=_nearest(covered))]
    message = f"the exception from {one.start} to {one.desired} is no longer true: {why}"
    return [Finding(rule=LintRule.EXCEPTION_STALE, platform=platform.name, message=message)], []


def _nearest(covered: Mapping[tuple[DeviceOsVersion, DeviceOsVersion], str]) -> str:
    """The sentence for the last start and the first release that it misses: the step at which the way ends."""
    last = [start for start, _ in covered][-1]
    return next(because for (start, _), because in covered.items() if start is last)


def _positions(platform: Platform, catalog: Catalog) -> dict[DeviceOsVersion, int]:
    return {release.version: position for position, release in enumerate(catalog.releases(platform))}


def _covering(
    exceptions: Iterable[Unreachable],
    order: Mapping[DeviceOsVersion, int],
    start: DeviceOsVersion,
    goal: DeviceOsVersion,
) -> bool:
    return any(_within(one.start, order, start) and _within(one.desired, order, goal) for one in exceptions)


def _within(span: Span, order: Mapping[DeviceOsVersion, int], version: DeviceOsVersion) -> bool:
    """A span whose ends are no known releases holds nothing."""
    if span.first not in order or (span.last is not None and span.last not in order):
        return False
    return order[span.first] <= order[version] and (span.last is None or order[version] <= order[span.last])
