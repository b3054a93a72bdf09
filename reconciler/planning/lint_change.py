"""What a change of the catalog takes away: the situations from which a release could be reached before, and no more.

Only platforms whose releases or stations differ are searched. A situation is a platform and a release that a device may
run: every known one, prereleases and unpublished ones too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.firmware.catalog import Catalog
from reconciler.model.fleet import Via
from reconciler.model.platform import PLATFORMS, Platform
from reconciler.model.release import Release
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.lint import Finding, LintRule, listed
from reconciler.planning.reach import Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was compared. `pairs` are a situation and a release that the old catalog reaches from it, where they differ.

    `platforms` are the names of those that differ.
    """

    platforms: tuple[str, ...]
    pairs: int
    findings: tuple[Finding, ...]


def compared(old: Catalog, new: Catalog) -> Comparison:
    """Every situation that the change strands, and every release that it withdraws. `old` is a whole catalog."""
    differing = [platform for platform in PLATFORMS if _differs(platform, old, new)]
    pairs = 0
    findings: list[Finding] = []
    for platform in differing:
        before, after = Reach(platform, old), Reach(platform, new)
        pairs += sum(len(before.reached(start)) for start in before.releases)
        kept = {goal.version for goal in after.goals}
        withdrawn = tuple(goal.version for goal in before.goals if goal.version not in kept)
        if withdrawn:
            message = f"{listed(withdrawn)} can be desired no more, and no route passes there"
            findings.append(
                Finding(rule=LintRule.RELEASE_WITHDRAWN, platform=platform.name, message=message, goals=withdrawn)
            )
        findings += _stranded(before, after, frozenset(withdrawn))
    return Comparison(platforms=tuple(p.name for p in differing), pairs=pairs, findings=tuple(findings))


def _differs(platform: Platform, old: Catalog, new: Catalog) -> bool:
    via = Via.CLOUD.value
    if not old.releases(platform):
        return False
    return old.releases(platform) != new.releases(platform) or old.stations(platform, via) != new.stations(
        platform, via
    )


def _stranded(before: Reach, after: Reach, withdrawn: frozenset[DeviceOsVersion]) -> Iterator[Finding]:
    """Situations that lose the same releases stand together, apart from those of releases that are known no more."""
    still_known = {release.version: release for release in after.releases}
    together: dict[tuple[tuple[DeviceOsVersion, ...], bool], list[DeviceOsVersion]] = {}
    for start in before.releases:
        there = still_known.get(start.version)
        gone = before.reached(start) - withdrawn - (frozenset() if there is None else after.reached(there))
        lost = tuple(goal for goal in before.later(start) if goal in gone)
        if lost:
            together.setdefault((lost, there is None), []).append(start.version)
    for (lost, _), starts in together.items():
        because = _because(after, still_known.get(starts[-1]), lost[0])
        yield Finding(
            rule=LintRule.SITUATION_STRANDED,
            platform=before.platform.name,
            message=f"a device that runs {listed(starts)} no longer gets to {listed(lost)}: {because}",
            starts=tuple(starts),
            goals=lost,
        )


def _because(after: Reach, start: Release | None, goal: DeviceOsVersion) -> str:
    if start is None:
        return "nothing usable is known any more of the release that it runs"
    return after.unreached(start).get(goal, f"{goal} is no longer the later release")
