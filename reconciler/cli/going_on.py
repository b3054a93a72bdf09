"""What an earlier run of `apply` left under way goes on as it was agreed to then.

A device that was killed out of our sight restarts, is offline for a minute, and so has no route in a plan made at that
moment. Its steps were shown and agreed to before; they are agreed to still. Only what the same plan named is started,
and only where a fresh plan says the same, so nothing is widened.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.model.step import Step
from reconciler.render.plan_reading import read_plan


def still_agreed(journal: Journal, plan: Plan, catalog: Catalog) -> Mapping[DeviceId, frozenset[Step]]:
    """What is left of the agreed steps of every device that waits in this plan and has an open attempt."""
    waiting = {device: fleet.fleet.name for fleet in plan.fleets for wait in fleet.waiting for device in wait.devices}
    found = {}
    for attempt in journal.open_attempts():
        if waiting.get(attempt.device_id) == attempt.fleet:
            steps = _rest_of_route(journal, attempt, catalog, now=plan.source.observed_at)
            if steps:
                found[attempt.device_id] = steps
    return found


def _rest_of_route(journal: Journal, attempt: Attempt, catalog: Catalog, *, now: Instant) -> frozenset[Step]:
    """The step under way and those after it, by the plan that named them; a run that only went on named none."""
    for plan_id in dict.fromkeys(earlier.plan_id for earlier in journal.attempts(device_id=attempt.device_id)):
        kept = journal.plan(plan_id)
        if kept is None:
            continue
        try:
            route = read_plan(kept.text, catalog, now=now).by_device.get(attempt.device_id)
        except OperatorError:
            # Too old, of another version, or of another catalog: then the next plan shows these steps again.
            continue
        if route is not None and attempt.step in route.steps:
            return frozenset(route.steps[route.steps.index(attempt.step) :])
    return frozenset()
