"""A plan that follows the world: after a change of some devices only what they touch is planned again.

Kinds of devices and the groups that share an answer are kept; a device that changed leaves its kind for another, and
the groups of both are put together anew. The plan is the one that `plan_fleets` makes of the same devices; a law says
so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from reconciler.firmware.catalog import Catalog
from reconciler.model.census import Kind
from reconciler.model.device import DeviceId, Observation, ObservedDevice
from reconciler.model.fleet import Fleet, FleetSet
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Plan, Refused, Route, Waiting
from reconciler.planning.answer import Placed
from reconciler.planning.census import census_of, digest_of_kinds, kind_digest, kind_key
from reconciler.planning.naming import Naming
from reconciler.planning.planner import Placing, fleet_plan, is_pinned, reading_order, together, whole_plan
from reconciler.planning.releasing import Crowd, Standing
from reconciler.planning.selection import Selection
from reconciler.planning.waves import with_waves

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Group:
    """Kinds of one fleet that share an answer.

    `devices` are all of theirs, `entry` the answer with them, `order` its place in the plan; None: to be put together.
    """

    place: Placed
    kinds: set[_Key] = field(default_factory=set)
    devices: tuple[DeviceId, ...] | None = None
    entry: Placed = None
    order: tuple[str, ...] = ()


@dataclass(slots=True)
class _Standing:
    """One kind: its devices, the fleet and group it is in (None: in no fleet), and its digest (None: not known).

    `wants_the_same`: of these devices the fleet wants what it wants of all its devices.
    """

    kind: Kind
    ids: set[DeviceId]
    fleet: str | None
    group: _Group | None
    digest: int | None = None
    wants_the_same: bool = False


class FollowingPlan:
    """The plan of these fleets on a world that changes. `now` is that of the beginning: overrides do not expire in it.

    Raises ManifestError as `plan_fleets` does, at the beginning and at every change.
    """

    def __init__(
        self, fleets: FleetSet, observation: Observation, catalog: Catalog, *, now: Instant, revision: str | None = None
    ) -> None:
        self._fleets = fleets
        self._catalog = catalog
        self._revision = revision
        self._seen = replace(observation, devices=())
        self._naming = Naming(fleets)
        census = census_of(observation, self._naming)
        self._selection = Selection(fleets, census, self._naming, now=now)
        self._placing = Placing(catalog, now, observation.products)
        self._now = now
        self._groups: dict[str, dict[Placed, _Group]] = {fleet.name: {} for fleet in fleets.fleets}
        self._plans: dict[str, FleetPlan] = {}
        self._standing: dict[_Key, _Standing] = {}
        self._key_of: dict[DeviceId, _Key] = {}
        for kind in census.kinds:
            key = (kind.marks, *kind_key(kind.device))
            self._standing[key] = self._stand(key, kind, set(kind.ids))
            self._key_of.update(dict.fromkeys(kind.ids, key))

    def plan(self) -> Plan:
        """The plan as of the last change."""
        by_name = sorted(self._fleets.fleets, key=lambda fleet: fleet.name)
        return whole_plan(
            self._fleets,
            [self._fleet_plan(fleet) for fleet in by_name],
            self._seen,
            self._catalog,
            Crowd(
                Standing(
                    device=standing.kind.device,
                    devices=len(standing.ids),
                    fleet=standing.fleet if standing.wants_the_same else None,
                )
                for standing in self._standing.values()
            ),
            observed_digest=digest_of_kinds(map(_digest, self._standing.values())),
            revision=self._revision,
            now=self._now,
        )

    def change(self, devices: Iterable[ObservedDevice], *, observed_at: Instant) -> None:
        """These devices were seen anew, or for the first time."""
        self._seen = replace(self._seen, observed_at=observed_at)
        for device in devices:
            marks = self._naming.marks(device.id, device.name)
            key = (marks, *kind_key(device))
            before = self._key_of.get(device.id)
            if before == key:
                continue
            if before is not None:
                self._leave(before, device.id)
            if key not in self._standing:
                kind = Kind(device=device, marks=marks, ids=(device.id,))
                self._standing[key] = self._stand(key, kind, {device.id})
            else:
                self._standing[key].ids.add(device.id)
                self._touch(self._standing[key])
            self._key_of[device.id] = key

    def _stand(self, key: _Key, kind: Kind, ids: set[DeviceId]) -> _Standing:
        found = self._selection.of(kind)
        if found is None:
            return _Standing(kind, ids, None, None)
        fleet, member = found
        place = self._placing.place(fleet, member)
        group = self._groups[fleet.name].setdefault(place, _Group(place))
        group.kinds.add(key)
        group.devices = None
        self._plans.pop(fleet.name, None)
        return _Standing(kind, ids, fleet.name, group, wants_the_same=not is_pinned(member))

    def _leave(self, key: _Key, device_id: DeviceId) -> None:
        standing = self._standing[key]
        standing.ids.discard(device_id)
        self._touch(standing)
        if standing.ids:
            return
        del self._standing[key]
        if standing.group is not None and standing.fleet is not None:
            standing.group.kinds.discard(key)
            if not standing.group.kinds:
                del self._groups[standing.fleet][standing.group.place]

    def _touch(self, standing: _Standing) -> None:
        standing.digest = None
        if standing.group is not None and standing.fleet is not None:
            standing.group.devices = None
            self._plans.pop(standing.fleet, None)

    def _fleet_plan(self, fleet: Fleet) -> FleetPlan:
        if fleet.name not in self._plans:
            # Whose waves name or select no device needs no look at the devices.
            looks = any(wave.devices or wave.select is not None for wave in fleet.rollout.waves)
            kinds = [
                replace(standing.kind, ids=tuple(standing.ids))
                for standing in (self._standing.values() if looks else ())
                if standing.fleet == fleet.name
            ]
            self._plans[fleet.name] = with_waves(self._without_waves(fleet), kinds, self._naming)
        return self._plans[fleet.name]

    def _without_waves(self, fleet: Fleet) -> FleetPlan:
        groups = self._groups[fleet.name].values()
        for group in groups:
            if group.devices is None:
                group.devices = together([sorted(self._standing[key].ids) for key in group.kinds])
                if group.place is not None:
                    group.entry = replace(group.place, devices=group.devices)
                    group.order = reading_order(group.entry)
        if fleet.targets_max is not None:
            return fleet_plan(fleet, [(group.place, group.devices or ()) for group in groups])
        entries = [group.entry for group in sorted(groups, key=lambda group: group.order)]
        current = [group.devices for group in groups if group.place is None]
        return FleetPlan(
            fleet=fleet,
            current=current[0] or () if current else (),
            routes=tuple(entry for entry in entries if isinstance(entry, Route)),
            refused=tuple(entry for entry in entries if isinstance(entry, Refused)),
            waiting=tuple(entry for entry in entries if isinstance(entry, Waiting)),
        )


def _digest(standing: _Standing) -> int:
    if standing.digest is None:
        standing.digest = kind_digest(replace(standing.kind, ids=sorted(standing.ids)))
    return standing.digest
