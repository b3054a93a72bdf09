"""When a device's next step may start by its fleet's windows, and what a step needs of an opening. Pure.

How long a step takes is an estimate (`planning/cost.py`): one measured transfer rate and an assumed restart. No source
has a distribution, so what is kept free of an opening is twice the estimate and no p95; never more than the step's
deadline, after which it counts as overdue anyway, and the whole deadline where its size is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from reconciler.model.fleet import Fleet
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Route
from reconciler.model.step import Step
from reconciler.planning.cost import BYTES_PER_SECOND, RESTART_SECONDS
from reconciler.rollout.verdict import Hold
from reconciler.rollout.window import HORIZON_DAYS, IsOpen, NeverOpens, OpensAt, WindowVerdict, window_verdict

RESERVE: Final = 2.0
"""How many times its estimate a step must have left of an opening. An assumption: see above."""


class Openings:
    """The windows of one fleet at one moment. What many devices ask is worked out once."""

    def __init__(self, fleet: Fleet, *, now: Instant) -> None:
        self._fleet = fleet
        self._now = now
        self._known: dict[tuple[str | None, float], WindowVerdict] = {}

    def verdict(self, zone: str | None, needed_seconds: float = 0.0) -> WindowVerdict:
        """Whether something that takes so long may start now on devices of this zone, and when next if not."""
        key = zone, needed_seconds
        if key not in self._known:
            fleet = self._fleet
            self._known[key] = window_verdict(
                fleet.windows_allow, fleet.windows_deny, zone, now=self._now, needed_seconds=needed_seconds
            )
        return self._known[key]

    def hold(self, route: Route) -> tuple[Hold, Instant | None] | None:
        """Why the next step of a route does not start now and until when; None: it may."""
        found = self.verdict(route.time_zone, seconds_of_next_step(route, self._fleet))
        match found:
            case IsOpen():
                return None
            case OpensAt() | NeverOpens():
                until = found.at if isinstance(found, OpensAt) else None
                return (Hold.WINDOW_ENDING if found.ending else Hold.OUTSIDE_WINDOW), until

    def is_open_anywhere(self) -> bool:
        """Whether something may start now in any zone of the fleet's devices: enough for its product."""
        zones = {rule.time_zone for rule in self._fleet.time_zones} if self._fleet.needs_device_zones else {None}
        return any(isinstance(self.verdict(zone), IsOpen) for zone in zones)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the windows say of the devices with a route in one zone (None: the windows name their own zones)."""

    zone: str | None
    devices: int
    verdict: WindowVerdict


def outlook_of(plan: FleetPlan, *, now: Instant) -> tuple[Outlook, ...]:
    """By zone; none where a fleet has no windows or nothing to start."""
    fleet = plan.fleet
    if not fleet.windows_allow and not fleet.windows_deny:
        return ()
    openings = Openings(fleet, now=now)
    return tuple(
        Outlook(zone=zone, devices=sum(len(route.devices) for route in routes), verdict=openings.verdict(zone))
        for zone, routes in _by_zone(plan)
    )


def never_starting(plan: FleetPlan, *, now: Instant) -> tuple[str, ...]:
    """In sentences: what no opening within the horizon is long enough for, and what no day's bytes suffice for."""
    fleet, found = plan.fleet, []
    openings = Openings(fleet, now=now)
    for zone, routes in _by_zone(plan):
        stuck = [r for r in routes if isinstance(openings.verdict(zone, seconds_of_longest_step(r, fleet)), NeverOpens)]
        devices = sum(len(route.devices) for route in stuck)
        there = "" if zone is None else f" in {zone}"
        if isinstance(openings.verdict(zone), NeverOpens):
            found.append(f"fleet {fleet.name}: its windows{there} do not open within {HORIZON_DAYS} days")
        elif stuck:
            minutes = max(seconds_of_longest_step(route, fleet) for route in stuck) / 60
            found.append(
                f"fleet {fleet.name}: no opening of its windows{there} leaves the {minutes:.0f} minutes that a step on "
                f"{devices:,} of its devices needs: it never starts"
            )
    of_day = fleet.bytes_per_day_max
    large = [] if of_day is None else [r for r in plan.routes if any((step.size or 0) > of_day for step in r.steps)]
    if large:
        devices = sum(len(route.devices) for route in large)
        found.append(
            f"fleet {fleet.name}: limits.dataPerDay is less than a step on {devices:,} of its devices: it never starts"
        )
    return tuple(found)


def _by_zone(plan: FleetPlan) -> Iterable[tuple[str | None, Sequence[Route]]]:
    ordered = sorted(plan.routes, key=lambda route: route.time_zone or "")
    return [(zone, list(routes)) for zone, routes in groupby(ordered, key=lambda route: route.time_zone)]


def seconds_of_next_step(route: Route, fleet: Fleet) -> float:
    """What the next step of a route must have left of an opening."""
    return _seconds(_started_with(route, 0), fleet)


def seconds_of_longest_step(route: Route, fleet: Fleet) -> float:
    """The most that a step of a route must have left of an opening."""
    return max(_seconds(_started_with(route, number), fleet) for number in range(len(route.steps)))


def _started_with(route: Route, number: int) -> Sequence[Step]:
    """A step, and what the cloud's healer sends after the last one without asking us."""
    is_last = number == len(route.steps) - 1
    return (route.steps[number], *(route.healed_by_cloud if is_last else ()))


def _seconds(steps: Sequence[Step], fleet: Fleet) -> float:
    deadline = fleet.rollout.step_deadline_seconds
    return sum(
        deadline if step.size is None else min(deadline, RESERVE * (step.size / BYTES_PER_SECOND + RESTART_SECONDS))
        for step in steps
    )
