"""A guard against fleets that suddenly grow or shrink: who was added or lost by mistake is not acted upon by mistake.

A selection by group or product follows the console, where one wrong click moves a thousand devices. So the journal
remembers how many devices a fleet had; one that has far more or far fewer at the next look is halted until a person
says `resume`, and has then the size that it has.
"""

from __future__ import annotations

import json
from typing import Final

from reconciler.controller.run import Run
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.settings.settings import GuardSettings

_MARK: Final = "size/"


def guard_sizes(run: Run, plan: Plan, guards: GuardSettings, now: Instant) -> None:
    """Halt the fleets of a whole observation whose size is not credible; remember the sizes of the others."""
    for fleet_plan in plan.fleets if plan.complete else ():
        fleet, devices = fleet_plan.fleet.name, fleet_plan.summary.devices
        known, halted_for = _remembered(run.tools.journal.bookmark(_MARK + fleet))
        if known is None or _is_credible(known, devices, guards):
            _remember(run, fleet, devices, None, unless=(known, halted_for))
        elif halted_for is None:
            what = "has grown" if devices > known else "has shrunk"
            reason = f"the fleet {what} from {known:,} to {devices:,} devices at once; `resume` it if that is right"
            run.halt(fleet, reason, now)
            _remember(run, fleet, known, devices, unless=(known, None))
        elif run.story_of(fleet).halted is None:
            # A person has lifted the halt, knowing of it.
            _remember(run, fleet, devices, None, unless=(known, halted_for))


def _is_credible(known: int, devices: int, guards: GuardSettings) -> bool:
    if max(known, devices) <= guards.devices_min:
        return True
    grown, lost = devices - known, known - devices
    return grown <= guards.devices_grown_share * known and lost <= guards.devices_lost_share * known


def _remembered(mark: str | None) -> tuple[int | None, int | None]:
    """How many devices the fleet had, and how many it had when it was halted for that."""
    if mark is None:
        return None, None
    kept = json.loads(mark)
    return kept["devices"], kept["halted_for"]


def _remember(
    run: Run, fleet: str, devices: int, halted_for: int | None, *, unless: tuple[int | None, int | None]
) -> None:
    if (devices, halted_for) != unless:
        run.tools.journal.set_bookmark(_MARK + fleet, json.dumps({"devices": devices, "halted_for": halted_for}))
