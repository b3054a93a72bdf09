"""`compare`: what one set of manifests plans that another one does not, on the same observation.

Both plans place every device; devices that were and are in the same two places are judged together, so that the work
grows with the places and not with the devices. A device without a route may still be meant to change: it waits for
something that passes by itself or by a person's word. Such devices count as targeted later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.model.change import Change, ChangeCode, ChangeFinding, Crossing, FleetChange, Rerouted
from reconciler.model.device import DeviceId
from reconciler.model.plan import FleetPlan, Plan, Refused, Route, Waiting, WaitingReason

SHRINK_SHARE_MAX: Final = 0.5
"""The share of its devices that a fleet may lose without a person's look: an edit of a selection takes some devices
out; one that takes most of them out is more often a slip (a wrong group, a roster cut off) than meant."""

_HAS_A_ROUTE_LATER: Final = frozenset(
    {
        WaitingReason.OFFLINE,
        WaitingReason.UPDATES_DISABLED,
        WaitingReason.SUSPENDED,
        WaitingReason.NEEDS_BENCH,
        WaitingReason.LOCKED,
        WaitingReason.TARGETS_EXCEEDED,
        WaitingReason.NO_TIME_ZONE,
    }
)
"""The reasons that the planner gives only to devices for which it has found a route."""


@dataclass(frozen=True, slots=True, eq=False)
class _Spot:
    """One place of one plan: `place` is None for devices that are as desired."""

    fleet: str
    place: Route | Refused | Waiting | None


@dataclass(slots=True)
class _Tally:
    """What has been found for one fleet."""

    joined: defaultdict[str | None, list[DeviceId]] = field(default_factory=lambda: defaultdict(list))
    left: defaultdict[str | None, list[DeviceId]] = field(default_factory=lambda: defaultdict(list))
    newly_targeted: list[DeviceId] = field(default_factory=list)
    targeted_later: list[DeviceId] = field(default_factory=list)
    no_longer_targeted: list[DeviceId] = field(default_factory=list)
    rerouted: list[Rerouted] = field(default_factory=list)
    newly_refused: defaultdict[Refused, list[DeviceId]] = field(default_factory=lambda: defaultdict(list))


def compare(base: Plan, plan: Plan, *, revision: str, commit: str, missing: Sequence[str] = ()) -> Change:
    """What `plan` changes against `base`. Both must stand on the same observation.

    Args:
        base: The plan of the manifests as they were.
        plan: The plan that is proposed.
        revision: The base as it was asked for.
        commit: The commit that it is, `sha1:…`.
        missing: Paths that the base does not have.
    """
    before = {fleet.fleet.name: fleet for fleet in base.fleets}
    after = {fleet.fleet.name: fleet for fleet in plan.fleets}
    tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
    for was, now, devices in _pairs(base, plan):
        _judge(tallies, was, now, devices)
    renamed = _renamed(before, after, tallies)
    changes = (
        _fleet_change(name, before.get(renamed.get(name, name)), after.get(name), tallies[name], renamed.get(name))
        for name in sorted(before.keys() | after.keys())
    )
    return Change(
        revision=revision,
        commit=commit,
        manifest_digest=base.source.manifest_digest,
        fleets=tuple(change for change in changes if _is_any(change)),
        findings=(
            *_shrinking(before, tallies, frozenset(renamed.values())),
            *_nothing_left(base, plan),
            *(_not_in_base(path, revision) for path in missing),
        ),
    )


def _pairs(base: Plan, plan: Plan) -> Iterable[tuple[_Spot | None, _Spot | None, tuple[DeviceId, ...]]]:
    """Devices by where they were and where they are; None: in no fleet."""
    was = {device: spot for spot, devices in _spots(base) for device in devices}
    for spot, devices in _spots(plan):
        by_origin: defaultdict[_Spot | None, list[DeviceId]] = defaultdict(list)
        for device in devices:
            by_origin[was.pop(device, None)].append(device)
        for origin, together in by_origin.items():
            yield origin, spot, tuple(together)
    gone: defaultdict[_Spot, list[DeviceId]] = defaultdict(list)
    for device, origin in was.items():
        gone[origin].append(device)
    for origin, together in gone.items():
        yield origin, None, tuple(together)


def _spots(plan: Plan) -> Iterable[tuple[_Spot, tuple[DeviceId, ...]]]:
    for fleet in plan.fleets:
        name = fleet.fleet.name
        yield _Spot(name, None), fleet.current
        places: tuple[Route | Refused | Waiting, ...] = (*fleet.routes, *fleet.refused, *fleet.waiting)
        for place in places:
            yield _Spot(name, place), place.devices


def _judge(
    tallies: defaultdict[str, _Tally], was: _Spot | None, now: _Spot | None, devices: tuple[DeviceId, ...]
) -> None:
    """Note what has changed for devices that were in one place and are in another."""
    came_from = None if was is None else was.fleet
    went_to = None if now is None else now.fleet
    if went_to is not None and went_to != came_from:
        tallies[went_to].joined[came_from] += devices
    if came_from is not None and went_to != came_from:
        tallies[came_from].left[went_to] += devices
    before = None if was is None else was.place
    after = None if now is None else now.place
    if isinstance(before, Route):
        if not isinstance(after, Route):
            tallies[str(came_from)].no_longer_targeted += devices
        elif (before.steps, before.healed_by_cloud) != (after.steps, after.healed_by_cloud):
            bare = Rerouted(before=replace(before, devices=()), after=replace(after, devices=()), devices=devices)
            tallies[str(went_to)].rerouted.append(bare)
    elif isinstance(after, Route):
        tallies[str(went_to)].newly_targeted += devices
    elif _is_later(after) and not _is_later(before):
        tallies[str(went_to)].targeted_later += devices
    if isinstance(after, Refused) and not isinstance(before, Refused):
        tallies[str(went_to)].newly_refused[replace(after, devices=())] += devices


def _is_later(place: Route | Refused | Waiting | None) -> bool:
    return isinstance(place, Waiting) and place.reason in _HAS_A_ROUTE_LATER


def _renamed(
    before: dict[str, FleetPlan], after: dict[str, FleetPlan], tallies: defaultdict[str, _Tally]
) -> dict[str, str]:
    """New fleets by name that have all devices of a fleet that is gone, and no others."""
    found = {}
    for name in after.keys() - before.keys():
        origins = list(tallies[name].joined)
        origin = origins[0] if len(origins) == 1 else None
        if origin is not None and origin not in after and set(tallies[origin].left) == {name}:
            found[name] = origin
    return found


def _fleet_change(
    name: str, before: FleetPlan | None, after: FleetPlan | None, tally: _Tally, renamed_from: str | None
) -> FleetChange:
    refused = (replace(why, devices=_ordered(devices)) for why, devices in tally.newly_refused.items())
    return FleetChange(
        name=name,
        desired_before=None if before is None else before.fleet.desired,
        desired_after=None if after is None else after.fleet.desired,
        renamed_from=renamed_from,
        joined=_crossings(tally.joined),
        left=_crossings(tally.left),
        newly_targeted=_ordered(tally.newly_targeted),
        targeted_later=_ordered(tally.targeted_later),
        no_longer_targeted=_ordered(tally.no_longer_targeted),
        rerouted=tuple(sorted(tally.rerouted, key=lambda each: each.devices[0])),
        newly_refused=tuple(sorted(refused, key=lambda each: (each.reason.code, each.message))),
        bytes_before=0 if renamed_from is not None else _bytes(before),
        bytes_after=_bytes(after),
    )


def _is_any(change: FleetChange) -> bool:
    """Whether anything changes for the fleet; bytes alone do not without another route."""
    return (
        change.desired_before != change.desired_after
        or bool(change.joined or change.left)
        or bool(change.newly_targeted or change.targeted_later or change.no_longer_targeted)
        or bool(change.rerouted or change.newly_refused)
    )


def _shrinking(
    before: dict[str, FleetPlan], tallies: defaultdict[str, _Tally], renamed: frozenset[str]
) -> Iterable[ChangeFinding]:
    for name in sorted(before.keys() - renamed):
        devices = before[name].summary.devices
        left = dict(tallies[name].left)
        lost = sum(map(len, left.values()))
        if lost <= devices * SHRINK_SHARE_MAX:
            continue
        share = f"all of its {devices:,} devices" if lost == devices else f"{lost:,} of its {devices:,} devices"
        to_none = len(left.get(None, ()))
        nowhere = f"{to_none:,} of them to no fleet" if to_none else "all of them to other fleets"
        message = f"fleet {name} loses {share}, {nowhere}: a person must say that this is meant"
        yield ChangeFinding(code=ChangeCode.FLEET_SHRINKS, message=message, fleet=name)


def _nothing_left(base: Plan, plan: Plan) -> Iterable[ChangeFinding]:
    if base.fleets and not plan.fleets:
        what = f"no fleet is left of {len(base.fleets):,}"
    elif base.summary.devices and not plan.summary.devices:
        what = f"no device is left in any fleet, of {base.summary.devices:,}"
    else:
        return
    message = f"{what}: from then on nothing is kept up to date. A person must say that this is meant"
    yield ChangeFinding(code=ChangeCode.NOTHING_LEFT, message=message)


def _not_in_base(path: str, revision: str) -> ChangeFinding:
    message = f"{path} holds no manifest in {revision}: everything in it counts as new"
    return ChangeFinding(code=ChangeCode.NOT_IN_BASE, message=message)


def _crossings(devices: dict[str | None, list[DeviceId]]) -> tuple[Crossing, ...]:
    found = (Crossing(other=other, devices=_ordered(ids)) for other, ids in devices.items() if ids)
    return tuple(sorted(found, key=lambda each: each.other or ""))


def _bytes(fleet: FleetPlan | None) -> int:
    return sum(route.bytes_known * len(route.devices) for route in (fleet.routes if fleet is not None else ()))


def _ordered(devices: Iterable[DeviceId]) -> tuple[DeviceId, ...]:
    return tuple(sorted(devices))
