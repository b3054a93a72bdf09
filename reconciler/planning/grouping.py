"""Devices as they are, into few fleets: groups first, then platform, then what runs.

The devices of one product are dealt out to its groups, each to one: the largest group takes its devices, then the next.
A group whose devices all run the same, and something else than most of the larger group that they are in as well (a
pilot), goes before it. What a group leaves on one platform is one set for each combination of Device OS and
application; the largest of them is selected by its group, and what else that would select is excluded: by groups where
that is exact, else one by one. The others are lists of devices.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.fleet import Selector

LISTED_IN_PLACE_MAX: Final = 12
"""Devices that a selector names itself; more go into a roster, which a person can compare and sort."""


@dataclass(frozen=True, slots=True)
class Running:
    """What a device runs: the platform's name, the Device OS release, and the application (None: not reported)."""

    platform: str
    device_os: str
    application: int | None

    @property
    def order(self) -> tuple[str, str, int]:
        """A key for one order whatever the input's."""
        return (self.platform, self.device_os, -1 if self.application is None else self.application)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Devices that run the same, and how a manifest selects exactly them among all devices of the product.

    `group`: the group that they were dealt to, None: they are in none. `leads`: they are the most of their group on
    their platform, and selected by it. `excluded` are devices that `exclude` names one by one.
    """

    running: Running
    group: str | None
    leads: bool
    devices: tuple[ObservedDevice, ...]
    select: Selector
    exclude: Selector | None = None
    excluded: tuple[ObservedDevice, ...] = ()


_Traits = tuple[Running, frozenset[str]]
_Alike = Mapping[_Traits, Sequence[ObservedDevice]]


def gathered(devices: Mapping[DeviceId, Running], everyone: Sequence[ObservedDevice]) -> tuple[Gathered, ...]:
    """Every one of `devices` in exactly one set. `everyone` are all devices of the product, others included."""
    alike: defaultdict[_Traits, list[ObservedDevice]] = defaultdict(list)
    for device in sorted(everyone, key=lambda device: device.id):
        if device.id in devices:
            alike[devices[device.id], _groups(device)].append(device)
    crowd = _Crowd(everyone, platforms={running.platform for running in devices.values()})
    return tuple(
        crowd.told_apart(group, running, members, leads=number == 0)
        for group, dealt in _dealt(alike)
        for running_on_platform in _by_platform(dealt)
        for number, (running, members) in enumerate(running_on_platform)
    )


def _groups(device: ObservedDevice) -> frozenset[str]:
    return frozenset(group for group in device.groups if group)


def _dealt(alike: _Alike) -> Iterator[tuple[str | None, _Alike]]:
    """The groups in the order in which they take their devices, and at last those that are in none."""
    left = dict(alike)
    while tallies := _tallies(left):
        group = _next_group(tallies, left)
        yield group, {traits: members for traits, members in left.items() if group in traits[1]}
        left = {traits: members for traits, members in left.items() if group not in traits[1]}
    if left:
        yield None, left


def _tallies(alike: _Alike) -> Mapping[str, Counter[Running]]:
    tallies: defaultdict[str, Counter[Running]] = defaultdict(Counter)
    for (running, groups), members in alike.items():
        for group in groups:
            tallies[group][running] += len(members)
    return tallies


def _next_group(tallies: Mapping[str, Counter[Running]], alike: _Alike) -> str:
    size = {group: tally.total() for group, tally in tallies.items()}
    most = {group: _leading(tally.items()) for group, tally in tallies.items()}
    stands_out = {
        group
        for _, groups in alike
        for group in groups
        if len(tallies[group]) == 1
        and any(size[other] > size[group] and most[other] != most[group] for other in groups)
    }
    return min(stands_out or tallies, key=lambda group: (-size[group], group))


def _leading(counts: Iterable[tuple[Running, int]]) -> Running:
    return max(counts, key=lambda each: (each[1], each[0].order))[0]


def _by_platform(alike: _Alike) -> Iterator[list[tuple[Running, tuple[ObservedDevice, ...]]]]:
    """For each platform what runs on it and on whom, the largest set first."""
    sets: defaultdict[str, defaultdict[Running, list[ObservedDevice]]] = defaultdict(lambda: defaultdict(list))
    for (running, _), members in alike.items():
        sets[running.platform][running] += members
    for _, running_on_it in sorted(sets.items()):
        lead = _leading((running, len(members)) for running, members in running_on_it.items())
        others = sorted(running_on_it.keys() - {lead}, key=lambda running: running.order)
        yield [
            (running, tuple(sorted(running_on_it[running], key=lambda device: device.id)))
            for running in (lead, *others)
        ]


class _Crowd:
    """All devices of a product, to tell some of them apart from the rest."""

    def __init__(self, everyone: Sequence[ObservedDevice], *, platforms: set[str]) -> None:
        self._one_platform = len(platforms) == 1 and len({device.platform_id for device in everyone}) == 1
        self._of_group: defaultdict[str, list[ObservedDevice]] = defaultdict(list)
        self._of_platform: defaultdict[int | None, list[ObservedDevice]] = defaultdict(list)
        for device in everyone:
            self._of_platform[device.platform_id].append(device)
            for group in _groups(device):
                self._of_group[group].append(device)

    def told_apart(
        self, group: str | None, running: Running, members: tuple[ObservedDevice, ...], *, leads: bool
    ) -> Gathered:
        """These devices, with a selection that means no other one."""
        if leads:
            found = self._selected(group, running, members)
            if found is not None:
                return found
        return Gathered(running=running, group=group, leads=False, devices=members, select=_listed(members))

    def _selected(self, group: str | None, running: Running, members: tuple[ObservedDevice, ...]) -> Gathered | None:
        """By group and platform, unless that would need a longer list than the devices themselves are."""
        platform_id = members[0].platform_id
        needs_platform = group is None or not self._one_platform
        select = Selector(
            groups=None if group is None else frozenset({group}),
            platforms=frozenset({running.platform}) if needs_platform else None,
        )
        candidates = self._of_platform[platform_id] if group is None else self._of_group[group]
        ours = {device.id for device in members}
        strangers = [device for device in candidates if device.id not in ours and device.platform_id == platform_id]
        exclude: Selector | None = None
        excluded: tuple[ObservedDevice, ...] = ()
        if strangers:
            foreign = _groups_that_cover(strangers, members)
            if foreign is None and len(strangers) > len(members):
                return None
            excluded = () if foreign is not None else tuple(sorted(strangers, key=lambda device: device.id))
            exclude = Selector(groups=foreign) if foreign is not None else _listed(excluded)
        return Gathered(
            running=running,
            group=group,
            leads=True,
            devices=members,
            select=select,
            exclude=exclude,
            excluded=excluded,
        )


def _groups_that_cover(strangers: Sequence[ObservedDevice], members: Sequence[ObservedDevice]) -> frozenset[str] | None:
    """Few groups that hold all strangers and no member, or None when there are none such."""
    taken = frozenset[str]().union(*map(_groups, members))
    left = [_groups(device) - taken for device in strangers]
    found: set[str] = set()
    while left:
        counts = Counter(group for groups in left for group in groups)
        if not counts or not all(left):
            return None
        best = min(counts, key=lambda group: (-counts[group], group))
        found.add(best)
        left = [groups for groups in left if best not in groups]
    return frozenset(found)


def _listed(devices: Sequence[ObservedDevice]) -> Selector:
    ids = frozenset(device.id for device in devices)
    return Selector(devices=ids) if len(ids) <= LISTED_IN_PLACE_MAX else Selector(roster=ids)
