"""A plan that follows the world: after a change of some devices only what they touch is planned again.

Kinds of devices and the groups that share an answer are kept; a device that changed leaves its kind for another, and
the groups of both lose it and get it. The plan is the one that `plan_fleets` makes of the same devices; a law says so.

A pass needs to know where every device is, and neither its place in waves that have not begun nor a digest of all that
was seen: these two cost what there is and not what changed, and are made when they are asked for (`plan`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from reconciler.firmware.catalog import Catalog
from reconciler.model.census import Kind
from reconciler.model.device import DeviceId, Observation, ObservedDevice
from reconciler.model.fleet import Fleet, FleetSet
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Plan, Refused, Route, Waiting
from reconciler.planning.answer import Answers, Placed
from reconciler.planning.census import census_of, digest_of_kinds, kind_digest, kind_key
from reconciler.planning.claims import Claims, claims_of
from reconciler.planning.naming import Naming
from reconciler.planning.planner import Placing, fleet_plan, is_pinned, reading_order, whole_plan
from reconciler.planning.releasing import Crowd, Standing
from reconciler.planning.roll import Roll
from reconciler.planning.selection import Selection
from reconciler.planning.waves import Concerned, RolloutOrder, is_going, rollout_salt, with_waves

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Rollout:
    """The devices that a fleet's rollout concerns, and their order in it."""

    order: RolloutOrder
    going: Roll = field(default_factory=Roll)
    behind: Roll = field(default_factory=Roll)

    def concerned(self) -> Concerned:
        """All of them, in order."""
        self.going.put_in_order()
        self.behind.put_in_order()
        return Concerned(self.going.devices, self.behind.devices)

    def roll_of(self, place: Placed) -> Roll | None:
        """Where the devices are that are placed there; None: the rollout does not concern them."""
        if is_going(place):
            return self.going
        return self.behind if isinstance(place, Waiting) else None


@dataclass(slots=True)
class _Group:
    """Kinds of one fleet that share an answer.

    `roll` has all devices of theirs, and so has `concerned` among others of the fleet (None: no rollout concerns them).
    `entry` is the answer with them, `order` its place in the plan, both as they were put together last.
    """

    place: Placed
    concerned: Roll | None
    kinds: set[_Key] = field(default_factory=set)
    roll: Roll = field(default_factory=Roll)
    entry: Placed = None
    order: tuple[str, ...] = ()

    def join(self, device_id: DeviceId) -> None:
        self.roll.join(device_id)
        if self.concerned is not None:
            self.concerned.join(device_id)

    def leave(self, device_id: DeviceId) -> None:
        self.roll.leave(device_id)
        if self.concerned is not None:
            self.concerned.leave(device_id)

    def put_together(self) -> None:
        if self.roll.put_in_order() and self.place is not None:
            self.entry = replace(self.place, devices=self.roll.devices)
            self.order = reading_order(self.entry)


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
        self,
        fleets: FleetSet,
        observation: Observation,
        catalog: Catalog,
        *,
        now: Instant,
        revision: str | None = None,
        answers: Answers | None = None,
    ) -> None:
        self._fleets = fleets
        self._catalog = catalog
        self._revision = revision
        self._seen = replace(observation, devices=())
        self._naming = Naming(fleets)
        census = census_of(observation, self._naming)
        self._selection = Selection(fleets, census, self._naming, now=now)
        self._placing = Placing(catalog, now, observation.products, answers)
        self._now = now
        self._by_name = {fleet.name: fleet for fleet in fleets.fleets}
        self._groups: dict[str, dict[Placed, _Group]] = {fleet.name: {} for fleet in fleets.fleets}
        self._plans: dict[str, FleetPlan] = {}
        self._waved: dict[str, FleetPlan] = {}
        self._in_order: dict[str, list[_Group]] = {fleet.name: [] for fleet in fleets.fleets}
        self._rollouts = {
            fleet.name: _Rollout(RolloutOrder(rollout_salt(fleet), remembering=True)) for fleet in fleets.fleets
        }
        self._digested = 0
        self._undigested: dict[int, _Standing] = {}
        self._standing: dict[_Key, _Standing] = {}
        self._key_of: dict[DeviceId, _Key] = {}
        for kind in census.kinds:
            key = (kind.marks, *kind_key(kind.device))
            standing = self._standing[key] = self._stand(key, kind, set(kind.ids))
            self._undigested[id(standing)] = standing
            if standing.group is not None:
                for device_id in kind.ids:
                    standing.group.join(device_id)
            self._key_of.update(dict.fromkeys(kind.ids, key))

    def plan(self) -> Plan:
        """The plan as of the last change, with waves and digest."""
        for standing in self._undigested.values():
            if standing.ids:
                standing.digest = kind_digest(standing.kind.device, sorted(standing.ids))
                self._digested += standing.digest
        self._undigested.clear()
        digest = digest_of_kinds([self._digested])
        return self._whole([self._with_waves(fleet) for fleet in self._fleets.fleets], digest)

    def plan_of_pass(self) -> Plan:
        """The plan as of the last change without its waves, without findings on them, and without a digest."""
        return self._whole([self._fleet_plan(fleet) for fleet in self._fleets.fleets], "")

    def _whole(self, plans: Sequence[FleetPlan], digest: str) -> Plan:
        return whole_plan(
            self._fleets,
            sorted(plans, key=lambda plan: plan.fleet.name),
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
            observed_digest=digest,
            revision=self._revision,
            now=self._now,
        )

    def place_of(self, device_id: DeviceId) -> tuple[Fleet, bool] | None:
        """The fleet of a device, and whether the device is as desired; None: it is in none."""
        key = self._key_of.get(device_id)
        standing = None if key is None else self._standing[key]
        if standing is None or standing.group is None or standing.fleet is None:
            return None
        return self._by_name[standing.fleet], standing.group.place is None

    def claims(self, fleet: Fleet) -> Claims:
        """What a fleet's waves name and select among its devices."""
        return claims_of(fleet, self._kinds_for_waves(fleet), self._naming)

    def look(self, observation: Observation) -> None:
        """The world was looked at: its time, its products and what could not be seen. Of devices `change` and `remove`.

        Products that hold something else than at the beginning are not followed.
        """
        self._seen = replace(observation, devices=(), products=self._seen.products, index=None)

    def change(self, devices: Iterable[ObservedDevice], *, observed_at: Instant) -> None:
        """These devices were seen anew, or for the first time."""
        self._seen = replace(self._seen, observed_at=observed_at)
        for device in devices:
            marks = self._naming.marks(device.id, device.name)
            key = (marks, *kind_key(device))
            before = self._key_of.get(device.id)
            if before == key:
                continue
            if key not in self._standing:
                kind = Kind(device=device, marks=marks, ids=(device.id,))
                self._standing[key] = self._stand(key, kind, set())
            if before is not None:
                self._leave(before, device.id)
            standing = self._standing[key]
            standing.ids.add(device.id)
            self._touch(standing)
            if standing.group is not None:
                standing.group.join(device.id)
            self._key_of[device.id] = key

    def remove(self, device_ids: Iterable[DeviceId]) -> None:
        """These devices are there no more."""
        for device_id in device_ids:
            key = self._key_of.pop(device_id, None)
            if key is not None:
                self._leave(key, device_id)

    def _stand(self, key: _Key, kind: Kind, ids: set[DeviceId]) -> _Standing:
        found = self._selection.of(kind)
        if found is None:
            return _Standing(kind, ids, None, None)
        fleet, member = found
        place = self._placing.place(fleet, member)
        group = self._groups[fleet.name].get(place)
        if group is None:
            group = self._groups[fleet.name][place] = _Group(place, self._rollouts[fleet.name].roll_of(place))
            self._in_order[fleet.name].append(group)
        group.kinds.add(key)
        return _Standing(kind, ids, fleet.name, group, wants_the_same=not is_pinned(member))

    def _leave(self, key: _Key, device_id: DeviceId) -> None:
        standing = self._standing[key]
        standing.ids.discard(device_id)
        self._touch(standing)
        if standing.group is not None:
            standing.group.leave(device_id)
        if standing.ids:
            return
        del self._standing[key]
        if standing.group is not None and standing.fleet is not None:
            standing.group.kinds.discard(key)
            if not standing.group.kinds:
                del self._groups[standing.fleet][standing.group.place]

    def _touch(self, standing: _Standing) -> None:
        self._digested -= standing.digest or 0
        standing.digest = None
        self._undigested[id(standing)] = standing
        if standing.fleet is not None:
            self._plans.pop(standing.fleet, None)
            self._waved.pop(standing.fleet, None)

    def _kinds_for_waves(self, fleet: Fleet) -> list[Kind]:
        """Whose waves name or select no device needs no look at the devices."""
        looks = any(wave.devices or wave.select is not None for wave in fleet.rollout.waves)
        return [
            replace(standing.kind, ids=tuple(standing.ids))
            for standing in (self._standing.values() if looks else ())
            if standing.fleet == fleet.name
        ]

    def _with_waves(self, fleet: Fleet) -> FleetPlan:
        if fleet.name not in self._waved:
            plan = self._fleet_plan(fleet)
            rollout = self._rollouts[fleet.name]
            concerned = None if fleet.targets_max is not None else rollout.concerned()
            kinds = self._kinds_for_waves(fleet)
            self._waved[fleet.name] = with_waves(plan, kinds, self._naming, rollout.order, concerned)
        return self._waved[fleet.name]

    def _fleet_plan(self, fleet: Fleet) -> FleetPlan:
        if fleet.name not in self._plans:
            self._plans[fleet.name] = self._without_waves(fleet)
        return self._plans[fleet.name]

    def _without_waves(self, fleet: Fleet) -> FleetPlan:
        groups = self._in_order[fleet.name] = [group for group in self._in_order[fleet.name] if group.kinds]
        for group in groups:
            group.put_together()
        if fleet.targets_max is not None:
            return fleet_plan(fleet, [(group.place, group.roll.devices) for group in groups])
        groups.sort(key=lambda group: group.order)  # quick: most stand where they stood before
        entries = [group.entry for group in groups]
        current = [group.roll.devices for group in groups if group.place is None]
        return FleetPlan(
            fleet=fleet,
            current=current[0] if current else (),
            routes=tuple(entry for entry in entries if isinstance(entry, Route)),
            refused=tuple(entry for entry in entries if isinstance(entry, Refused)),
            waiting=tuple(entry for entry in entries if isinstance(entry, Waiting)),
        )
