"""What is remembered of one fleet when it is decided who may start, and what follows from it for single devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Route
from reconciler.model.rollout import FleetStory
from reconciler.model.step import LockApplication, Step
from reconciler.model.version import ApplicationVersion
from reconciler.rollout.approval import NO_APPROVALS, Approvals
from reconciler.rollout.retry import counts_against_rollout, held_until
from reconciler.rollout.verdict import Hold

TURNED_BACK_MAX: Final = 10
"""Last looks that may say no before a run leaves a device: it changes faster than we can plan."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """An attempt whose outcome the last look did not prove, and whether it is within its deadline."""

    attempt: Attempt
    within_deadline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What is remembered of one fleet.

    - `story`: the life of its rollouts.
    - `approvals`: what people agreed to, where the fleet or a wave asks for that.
    - `in_flight`: the open attempts on its devices. `latest_attempt`: the number of the last one that began in it, if
      any; None: nobody looked.
    - `ended`: every device's ended attempts of this rollout, the latest first.
    - `slots`: devices that are being changed, from their first step until they are there or left alone.
    - `spent_until`: when the fleet's budget of a minute or a day allows more; None: as far as is known it does.
    - `suffering`: devices that this rollout did something to and that are worse off now.
    - `health_unknown`: devices as desired of which a check cannot say whether they are well.
    - `turned_back`: how often the last look before a step said no, by device.
    - `receiving`: devices to which a transfer is under way that is no attempt of ours, as far as was heard.
    - `agreed`: the steps that were agreed to, by device. A step that is not among them is never started.
    - `lacking`: applications that the product lacks, or that nobody has seen to be the planned ones there;
      `awaited_uploads`: those of them that this run brings, or is finding out about.
    """

    story: FleetStory
    agreed: Mapping[DeviceId, frozenset[Step]]
    approvals: Approvals = NO_APPROVALS
    in_flight: Mapping[DeviceId, InFlight] = field(default_factory=dict)
    latest_attempt: int | None = None
    ended: Mapping[DeviceId, Sequence[Attempt]] = field(default_factory=dict)
    slots: frozenset[DeviceId] = frozenset()
    spent_until: Instant | None = None
    suffering: frozenset[DeviceId] = frozenset()
    health_unknown: frozenset[DeviceId] = frozenset()
    turned_back: Mapping[DeviceId, int] = field(default_factory=dict)
    receiving: frozenset[DeviceId] = frozenset()
    lacking: frozenset[ApplicationVersion] = frozenset()
    awaited_uploads: frozenset[ApplicationVersion] = frozenset()

    def held_until(self, device_id: DeviceId, now: Instant) -> Instant | None:
        """Until when the device is left alone because it keeps failing, or is unwell; None: it is not."""
        return held_until(self.ended.get(device_id, ()), now)


def failed_devices(plan: FleetPlan, ledger: Ledger) -> frozenset[DeviceId]:
    """The devices that count against the limits: failed, lost, overdue, worse off or unwell since they are counted.

    A device with an unknown outcome past its deadline counts until the contrary is seen, unless it has left the fleet.
    """
    story = ledger.story
    fleet, current = plan.fleet.name, frozenset(plan.current if ledger.ended else ())
    failed = {
        device_id
        for device_id, attempts in ledger.ended.items()
        if device_id not in current
        and attempts[0].fleet == fleet
        and story.counts(attempts[0])
        and (device_id in ledger.suffering or counts_against_rollout(attempts))
    }
    return frozenset(failed | {attempt.device_id for attempt in overdue_attempts(plan, ledger)} | story.unwell.keys())


def overdue_attempts(plan: FleetPlan, ledger: Ledger) -> frozenset[Attempt]:
    """The open attempts that count against the limits because their deadline has passed."""
    overdue = [
        flight.attempt
        for flight in ledger.in_flight.values()
        if flight.attempt.fleet == plan.fleet.name
        and not flight.within_deadline
        and ledger.story.counts(flight.attempt)
    ]
    devices = plan.devices if overdue else ()
    return frozenset(attempt for attempt in overdue if attempt.device_id in devices)


def hold_for_this_run(route: Route, device_id: DeviceId, ledger: Ledger) -> Hold | None:
    """Why this run will not start the next step of the device, however long it waits; such a device holds no slot."""
    step = route.steps[0]
    if step not in ledger.agreed.get(device_id, frozenset()):
        return Hold.NOT_APPROVED
    unapproved = ledger.approvals.hold(ledger.story, route, device_id)
    if unapproved is not None:
        return unapproved
    if isinstance(step, LockApplication) and step.application in ledger.lacking - ledger.awaited_uploads:
        return Hold.NOT_UPLOADED
    return Hold.TURNED_BACK if ledger.turned_back.get(device_id, 0) >= TURNED_BACK_MAX else None
