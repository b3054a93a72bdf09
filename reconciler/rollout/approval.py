"""What people agreed to, and whether it covers a step: bound to a plan's digest, device by device, and never widened.

An approval is for a plan that was in force when it was given. From then on it stands while the fleet asks for the same
(its intent) and until it expires. It lets a device start only what is left of the device's own route in that plan: a
device that the plan has no route for, or that is not as it was planned on, waits; the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from reconciler.model.action import ProductAction, is_within
from reconciler.model.device import DeviceId
from reconciler.model.fleet import Fleet, PlanApproval, Wave
from reconciler.model.instant import Instant
from reconciler.model.plan import Route
from reconciler.model.rollout import FleetStory, RolloutState
from reconciler.model.rollout_entry import Approved
from reconciler.model.saved_plan import SavedPlan, is_rest_of
from reconciler.rollout.verdict import Hold

BY_COMMAND: Final = "command"
_FILE: Final = "file "


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """What one fleet asks for, and the approved plans that count now.

    - `required`: nothing starts in the fleet without an approval; `required_waves`: neither in these waves, which are
      not covered by one for the fleet as a whole. `intent` is what the fleet desires.
    - `whole`: plans that were approved for the fleet as a whole; `waves`: by wave; the latest first.
    """

    fleet: str = ""
    intent: str = ""
    required: bool = False
    required_waves: frozenset[str] = frozenset()
    whole: tuple[SavedPlan, ...] = ()
    waves: Mapping[str, tuple[SavedPlan, ...]] = field(default_factory=dict)

    def names(self, wave: Wave) -> bool:
        """Whether a wave may start, as far as approvals go."""
        return not wave.approval_required or wave.name in self.waves

    def hold(self, story: FleetStory, route: Route, device_id: DeviceId) -> Hold | None:
        """Why the next step of a device must not start; None: nobody has to agree, or somebody has.

        Of a device whose wave has not started every approval counts that may turn out to be for its wave.
        """
        wave = self._wave_of(story, device_id)
        if wave in self.required_waves:
            plans = self.waves.get(wave or "", ())
        elif not self.required:
            return None
        else:
            of_waves = chain.from_iterable(self.waves.values()) if wave is None else self.waves.get(wave, ())
            plans = (*self.whole, *of_waves)
        if not plans:
            return Hold.AWAITING_APPROVAL
        is_covered = any(covers(plan, self.fleet, route, device_id) for plan in plans)
        return None if is_covered else Hold.APPROVAL_STALE

    def allow(self, action: ProductAction) -> bool:
        """Whether something may be done to the fleet's product: it is in an approved plan, of whatever wave."""
        if not self.required:
            return True
        plans = (*self.whole, *chain.from_iterable(self.waves.values()))
        return any(is_within(action, agreed) for plan in plans for agreed in plan.actions)

    def _wave_of(self, story: FleetStory, device_id: DeviceId) -> str | None:
        """The started wave of the rollout to this very intent that has the device."""
        rollout = story.rollout
        if rollout is None or rollout.intent != self.intent or rollout.state is RolloutState.SUPERSEDED:
            return None
        wave = rollout.wave_of(device_id)
        return None if wave is None else wave.name


NO_APPROVALS: Final = Approvals()


def covers(plan: SavedPlan, fleet: str, route: Route, device_id: DeviceId) -> bool:
    """Whether a route is what is left of the device's route in a plan."""
    planned = plan.by_device.get(device_id)
    return planned is not None and planned.fleet == fleet and is_rest_of(route.steps, planned.steps)


def approvals_of(
    fleet: Fleet,
    noted: Iterable[Approved],
    files: Iterable[PlanApproval],
    plans: Mapping[str, SavedPlan],
    *,
    now: Instant,
) -> Approvals:
    """What counts now of all that was approved in a fleet.

    Args:
        fleet: The fleet, as the manifests have it now.
        noted: All approvals of the fleet, in their order.
        files: The approvals that stand in files now. One whose file is gone counts no more.
        plans: The plans that were approved, by their ids; one that is missing counts for nothing.
        now: When approvals may have expired.
    """
    given = {key for approval in files for key in _keys(approval, fleet.name)}
    whole: list[SavedPlan] = []
    waves: dict[str, list[SavedPlan]] = {}
    for entry in noted:
        plan = plans.get(entry.plan_id)
        is_withdrawn = entry.source.startswith(_FILE) and _key(entry) not in given
        if plan is None or is_withdrawn or not _counts(entry, plan, fleet, now):
            continue
        (whole if entry.wave is None else waves.setdefault(entry.wave, [])).insert(0, plan)
    return Approvals(
        fleet=fleet.name,
        intent=fleet.desired.intent,
        required=fleet.approval_required,
        required_waves=frozenset(wave.name for wave in fleet.rollout.waves if wave.approval_required),
        whole=tuple(whole),
        waves={name: tuple(found) for name, found in waves.items()},
    )


def entries_of_file(approval: PlanApproval, plan: SavedPlan) -> Iterator[Approved]:
    """What an approval in a file comes to, for the plan that it names: an entry for every fleet and wave."""
    for fleet in plan.intents if approval.fleets is None else approval.fleets:
        for wave in (None,) if approval.waves is None else approval.waves:
            yield Approved(
                fleet=fleet,
                at=approval.at,
                plan_id=plan.plan_id,
                digest=approval.digest,
                wave=wave,
                by=approval.by,
                source=f"{_FILE}{approval.place}",
                expires=approval.expires,
            )


def is_same(one: Approved, other: Approved) -> bool:
    """Whether two entries are the same word of the same person; a file may have been moved in between."""
    return one.fleet == other.fleet and _key(one) == _key(other)


def _counts(entry: Approved, plan: SavedPlan, fleet: Fleet, now: Instant) -> bool:
    """Whether an approval is of this very plan, was given in time, and is of what the fleet asks for."""
    return (
        entry.fleet == fleet.name
        and entry.digest in (plan.digest, plan.content_digest)
        and plan.intents.get(fleet.name) == fleet.desired.intent
        and entry.at < plan.expires_at
        and (entry.expires is None or now < entry.expires)
    )


_Key = tuple[str, str | None, str, Instant, Instant | None]


def _key(entry: Approved) -> _Key:
    return (entry.digest, entry.wave, entry.by, entry.at, entry.expires)


def _keys(approval: PlanApproval, fleet: str) -> Iterator[_Key]:
    if approval.fleets is None or fleet in approval.fleets:
        for wave in (None,) if approval.waves is None else approval.waves:
            yield (approval.digest, wave, approval.by, approval.at, approval.expires)
