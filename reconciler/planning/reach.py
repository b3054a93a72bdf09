"""Which releases a device gets to over the cloud, for every release that it may run.

Not every pair is searched. Needs are minimum versions, so more modules or later ones never close a way: a device that
has come to a release goes on at least as far as one of which it is only inferred that it runs that release. What the
search finds from there is therefore taken over; what is not reached this way is searched, so every no is the search's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.firmware.catalog import Catalog
from reconciler.model.fleet import Completeness, Via
from reconciler.model.platform import Platform
from reconciler.model.release import Release
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.route import NoRoute, RouteSearch
from reconciler.planning.situation import inferred_situation
from reconciler.planning.standing import release_number

Because = dict[DeviceOsVersion, str]
"""Releases that cannot be reached, ascending, each with the planner's own sentence."""


@dataclass(slots=True)
class _Outlook:
    reached: set[DeviceOsVersion] = field(default_factory=set)
    because: Because = field(default_factory=dict)


class Reach:
    """What is reachable on one platform. `goals` are the releases that may be desired without more: published, stable.

    Releases that are not sound (see `is_sound`) take no part.
    """

    def __init__(self, platform: Platform, catalog: Catalog) -> None:
        self.platform = platform
        self._sound = tuple(release for release in catalog.releases(platform) if is_sound(platform, release))
        self._catalog = Catalog(self._sound, catalog.all_stations)
        self._search = RouteSearch(platform, self._catalog, Via.CLOUD)
        self.goals = tuple(release for release in self._sound if release.published and not release.prerelease)
        self._outlooks: dict[DeviceOsVersion, _Outlook] = {}
        for goal in reversed(self.goals):
            self._outlook(goal)

    @property
    def releases(self) -> tuple[Release, ...]:
        """Every sound release, ascending."""
        return self._sound

    def later(self, start: Release) -> tuple[DeviceOsVersion, ...]:
        """The goals above a release, ascending."""
        number = release_number(self.platform, start)
        return tuple(goal.version for goal in self.goals if release_number(self.platform, goal) > number)

    def reached(self, start: Release) -> frozenset[DeviceOsVersion]:
        """The later goals that a device gets to which runs this release in normal mode."""
        return frozenset(self._outlook(start).reached)

    def unreached(self, start: Release) -> Because:
        """The later goals that it does not get to, and why."""
        return dict(self._outlook(start).because)

    def _outlook(self, start: Release) -> _Outlook:
        known = self._outlooks.get(start.version)
        if known is not None:
            return known
        outlook = self._outlooks[start.version] = _Outlook()
        situation = inferred_situation(self.platform, start.version, self._catalog)
        for goal in self.later(start):
            if goal in outlook.reached:
                continue
            found = self._search.find(situation, goal, completeness=Completeness.REQUIRED, allow_prerelease=False)
            if isinstance(found, NoRoute):
                outlook.because[goal] = found.because
            else:
                outlook.reached |= {goal, *self._outlooks[goal].reached}
        return outlook


def is_sound(platform: Platform, release: Release) -> bool:
    """Whether a release can be planned with: it ships system parts, and all of them carry one number."""
    return len({s.module.version for s in release.modules if s.module.slot in platform.system_parts}) == 1
