"""What became of the devices of a saved plan since it was made. Pure.

The plan is not stale as a whole because one device is: every device is compared with its own route. What may be done
now is only what is left of that route, so that a saved plan is never widened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from reconciler.model.device import DeviceId
from reconciler.model.fleet import Share
from reconciler.model.plan import Plan, Refused, Route, Waiting
from reconciler.model.saved_plan import SavedPlan, SavedRoute, is_rest_of
from reconciler.model.state_hash import state_hash


class Found(StrEnum):
    """How a device of a saved plan is found."""

    UNCHANGED = "unchanged"
    """As it was planned on: its steps are carried out."""
    SATISFIED = "satisfied"
    """As desired already: nothing is left to do."""
    COMPATIBLE = "compatible"
    """In another state, from which the same steps lead on, or the last of them: further on its way, as a rule."""
    DRIFTED = "drifted"
    """Something else than the plan has changed it: `--on-stale` decides."""
    VANISHED = "vanished"
    """In its fleet no more: nothing is done to it."""
    DEFERRED = "deferred"
    """Offline, or held by something else for now: nothing is done to it in this run."""


def found_since(saved: SavedPlan, fresh: Plan) -> Mapping[Found, tuple[DeviceId, ...]]:
    """Every device of the saved plan by how a fresh plan of the same manifests finds it, ascending."""
    places = dict(_places(saved, fresh))
    found: dict[Found, list[DeviceId]] = {each: [] for each in Found}
    for device_id, planned in sorted(saved.by_device.items()):
        found[_found(planned, *places.get(device_id, ("", None)))].append(device_id)
    return {each: tuple(devices) for each, devices in found.items()}


def is_stale(drifted: int, planned: int, drifted_max: Share) -> bool:
    """Whether so many of the planned devices have drifted that the plan as a whole is not to be trusted."""
    allowed = planned * drifted_max.value / 100 if drifted_max.percent else drifted_max.value
    return drifted > allowed


_Place = Route | Refused | Waiting | None
"""None: as desired."""


def _places(saved: SavedPlan, fresh: Plan) -> Iterator[tuple[DeviceId, tuple[str, _Place]]]:
    for plan in fresh.fleets:
        yield from ((each, (plan.fleet.name, None)) for each in plan.current if each in saved.by_device)
        places: tuple[Route | Refused | Waiting, ...] = (*plan.routes, *plan.refused, *plan.waiting)
        for place in places:
            yield from ((each, (plan.fleet.name, place)) for each in place.devices if each in saved.by_device)


def _found(planned: SavedRoute, fleet: str, place: _Place) -> Found:
    if fleet != planned.fleet:
        return Found.VANISHED
    match place:
        case None:
            return Found.SATISFIED
        case Waiting():
            return Found.DEFERRED
        case Route() if is_rest_of(place.steps, planned.steps):
            same = planned.state_hash in (None, state_hash(place.situation)) and place.steps == planned.steps
            return Found.UNCHANGED if same else Found.COMPATIBLE
        case _:
            return Found.DRIFTED
