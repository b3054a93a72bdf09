"""`plan_fleets`: what would happen to which device, and why. Read this page first.

Every device of every fleet goes through the same ordered questions, and the first answer places it:
held, quarantined, situation unknown, below what runs already, no route, as desired, too expensive, not now, route.
Devices in the same situation share one search and one route.

What is seen at the bench is planned for USB, whatever hand its fleet names: a person has the device in front of them.
So limits of data, windows and the device's own veto against updates over the air do not hold there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from operator import attrgetter
from typing import Final, TypeVar

from reconciler.firmware.catalog import Catalog
from reconciler.model.census import Census
from reconciler.model.device import BENCH, DeviceId, Observation, ObservedDevice, Product
from reconciler.model.fleet import Desired, Fleet, FleetSet, IfRefused, Order, OverrideMode, Via
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.plan import (
    FleetPlan,
    Plan,
    PlanSource,
    RefusalReason,
    Refused,
    Route,
    Situation,
    Waiting,
    WaitingReason,
)
from reconciler.model.step import FlashModule
from reconciler.planning.answer import Answers, Goal, Placed
from reconciler.planning.application import Holding, is_held_by_product
from reconciler.planning.census import census_digest, census_of
from reconciler.planning.intention import is_locked_by_another, is_released_higher, our_lock_is_gone
from reconciler.planning.naming import Naming
from reconciler.planning.releasing import Crowd, Standing, product_of, with_product_actions
from reconciler.planning.selection import Member, members_by_fleet
from reconciler.planning.situation import situation_of
from reconciler.planning.waves import with_waves

PLAN_VALID_SECONDS: Final = 24 * 3600
"""How long a saved plan may be applied; every step is checked again on a fresh observation all the same."""

_QUARANTINED: Final = Waiting(
    reason=WaitingReason.QUARANTINED, message="is quarantined: approve or deny it in the product first", devices=()
)
_UPDATES_DISABLED: Final = Waiting(
    reason=WaitingReason.UPDATES_DISABLED, message="its application has disabled updates", devices=()
)
_OFFLINE: Final = Waiting(reason=WaitingReason.OFFLINE, message="offline; planned again when it is back", devices=())

_situation_key = attrgetter(
    "platform_id", "product_id", "device_os", "mode", "modules", "learnt", "development", "system_flash_refused_until"
)
"""What `situation_of` looks at but for the application, and the product: with it all that an answer depends on."""

_Asked = tuple[Situation | Refused | Waiting, dict[int | None, Placed]]
"""The situation of one of several devices that differ in their applications, and the answer for each application."""

_Place = TypeVar("_Place", Route, Refused, Waiting)


def plan_fleets(
    fleets: FleetSet,
    observed: Observation | Census,
    catalog: Catalog,
    *,
    now: Instant,
    revision: str | None = None,
    answers: Answers | None = None,
) -> Plan:
    """Plan every fleet. The same inputs in any order give the same plan.

    The plan is dated by its observation, so that `now` (which only says which overrides and suspensions are in force)
    leaves no trace in it. A census must have been taken with the naming of these fleets. `answers` that an earlier plan
    with this catalog worked out are not worked out again. Raises ManifestError when two fleets claim one device or a
    product cannot be told.
    """
    naming = Naming(fleets)
    census = observed if isinstance(observed, Census) else census_of(observed, naming)
    members = members_by_fleet(fleets, census, naming, now=now)
    placing = Placing(catalog, now, census.products, answers, at_bench=census.source == BENCH)
    by_name = sorted(fleets.fleets, key=lambda fleet: fleet.name)
    plans = [
        with_waves(placing.plan_fleet(fleet, its), [member.kind for member in its], naming)
        for fleet, its in ((fleet, members[fleet.name]) for fleet in by_name)
    ]
    fleet_of = {id(member.kind): fleet for fleet, its in members.items() for member in its if not is_pinned(member)}
    crowd = Crowd(
        Standing(device=kind.device, devices=len(kind.ids), fleet=fleet_of.get(id(kind))) for kind in census.kinds
    )
    digest = census_digest(census)
    return whole_plan(fleets, plans, census, catalog, crowd, observed_digest=digest, revision=revision, now=now)


def whole_plan(
    fleets: FleetSet,
    plans: Sequence[FleetPlan],
    seen: Observation | Census,
    catalog: Catalog,
    crowd: Crowd,
    *,
    observed_digest: str,
    revision: str | None,
    now: Instant,
) -> Plan:
    """The plans of all fleets with what is done to their products, and what they were made from."""
    return Plan(
        source=PlanSource(
            revision=revision,
            manifest_digest=fleets.digest,
            catalog_digest=catalog.digest,
            observed_at=seen.observed_at,
            observed_digest=observed_digest,
        ),
        fleets=tuple(
            with_product_actions(plan, fleets, seen.products, crowd, complete=seen.complete, now=now) for plan in plans
        ),
        created_at=seen.observed_at,
        expires_at=Instant(seen.observed_at + PLAN_VALID_SECONDS),
        complete=seen.complete,
        findings=(*seen.findings, *(finding for plan in plans for finding in plan.findings)),
    )


class Placing:
    """Where kinds of devices go, at one moment; what was answered for one fleet is kept for its next device."""

    def __init__(
        self,
        catalog: Catalog,
        now: Instant,
        products: Sequence[Product] = (),
        answers: Answers | None = None,
        *,
        at_bench: bool = False,
    ) -> None:
        self._catalog = catalog
        self._at_bench = at_bench
        self._now = now
        self._products = products
        self._answers = Answers(catalog) if answers is None else answers
        self._asked: dict[str, dict[tuple[object, ...], _Asked]] = {}

    def plan_fleet(self, fleet: Fleet, members: list[Member]) -> FleetPlan:
        """The plan of one fleet with these devices."""
        placed = [(member.kind.ids, self.place(fleet, member)) for member in members]
        groups: dict[int, tuple[Placed, list[Sequence[DeviceId]]]] = {}
        for ids, place in placed:
            groups.setdefault(id(place), (place, []))[1].append(ids)
        return fleet_plan(fleet, [(place, together(parts)) for place, parts in groups.values()])

    def place(self, fleet: Fleet, member: Member) -> Placed:
        """Where these devices of this fleet go; the answer names no devices."""
        device, override = member.kind.device, member.override
        if override is not None and override.mode is OverrideMode.HOLD:
            return _wait(WaitingReason.HELD, f"held by override {override.name}: {override.reason}")
        if device.quarantined:
            return _QUARANTINED
        if override is not None and override.pin is not None:
            desired, asked = override.pin, {}
        else:
            desired, asked = fleet.desired, self._asked.setdefault(fleet.name, {})
        key = _situation_key(device)
        if key not in asked:
            asked[key] = situation_of(device, self._catalog), {}
        situation, answers = asked[key]
        if device.application not in answers:
            answers[device.application] = self._answer(fleet, device, situation, desired)
        answer = answers[device.application]
        if (
            answer is None
            and not self._at_bench
            and fleet.correct_drift
            and our_lock_is_gone(device, desired.application)
        ):
            assert isinstance(situation, Situation)
            situation = replace(situation, application=device.application)
            answer = self._answers.lock_again(situation, self._goal(fleet, device, desired, situation))
        if not isinstance(answer, Route):
            # What only the product holds is had at the bench: who is to come there is not refused here.
            waits = self._is_left_to_the_bench(fleet, answer, situation, desired)
            return (self._not_now(fleet, member, desired) if waits else None) or answer
        later = self._not_now(fleet, member, desired)
        return later or (answer if member.time_zone is None else replace(answer, time_zone=member.time_zone))

    def _answer(
        self, fleet: Fleet, device: ObservedDevice, situation: Situation | Refused | Waiting, desired: Desired
    ) -> Placed:
        if not isinstance(situation, Situation):
            return replace(situation, devices=())
        situation = replace(situation, application=device.application)
        goal = self._goal(fleet, device, desired, situation)
        answer = self._answers.of(situation, goal)
        until = device.system_flash_refused_until
        if until is None or until <= self._now or not _needs_direct_flash(answer, situation, goal.via):
            return answer
        unsupported = None
        if fleet.delivery.if_refused is IfRefused.APPLICATION_FIRST:
            instead = self._answers.of(situation, replace(goal, order=Order.APPLICATION_FIRST))
            if not (isinstance(instead, Refused) and instead.reason is RefusalReason.ORDER_UNSUPPORTED):
                return instead
            unsupported = instead
        return _wait(WaitingReason.SYSTEM_FLASH_REFUSED, _refused_in_words(device.product_id, until, unsupported))

    def _is_left_to_the_bench(
        self, fleet: Fleet, answer: Placed, situation: Situation | Refused | Waiting, desired: Desired
    ) -> bool:
        return (
            not self._at_bench
            and fleet.delivery.via is Via.USB
            and isinstance(answer, Refused)
            and answer.reason is RefusalReason.APPLICATION_UNAVAILABLE
            and isinstance(situation, Situation)
            and is_held_by_product(situation.platform, desired.application)
        )

    def _goal(self, fleet: Fleet, device: ObservedDevice, desired: Desired, situation: Situation) -> Goal:
        delivery = fleet.delivery
        if self._at_bench:
            # A product that is known by its slug alone has a number of our own making, below zero.
            is_numbered = not situation.own and device.product_id is not None and device.product_id > 0
            return Goal(desired, Via.USB, None, product_id=device.product_id if is_numbered else None)
        return Goal(
            desired,
            delivery.via,
            delivery.bytes_per_device_max,
            order=delivery.order,
            product_id=None if situation.own else device.product_id,
            holding=self._holding(fleet, desired),
        )

    def _holding(self, fleet: Fleet, desired: Desired) -> Holding | None:
        product = product_of(fleet, self._products)
        if product is None or product.holds is None or desired.application is None:
            return None
        return Holding(fleet.product or "", product.held(desired.application.version))

    def _not_now(self, fleet: Fleet, member: Member, desired: Desired) -> Refused | Waiting | None:
        """Why a route that exists must not start, the word of a person first."""
        suspension = fleet.suspension
        if suspension is not None and (suspension.until is None or suspension.until > self._now):
            return _wait(WaitingReason.SUSPENDED, f"the fleet is suspended: {suspension.reason}")
        if self._at_bench:
            return _others_say_no(fleet, member.kind.device, desired)
        if fleet.delivery.via is Via.USB:
            return _wait(WaitingReason.NEEDS_BENCH, "the fleet is delivered over USB, at a bench")
        if member.time_zone is None and fleet.needs_device_zones:
            return _wait(WaitingReason.NO_TIME_ZONE, "its windows go by its own zone, and no entry of zones matches it")
        return _others_say_no(fleet, member.kind.device, desired) or _device_says_no(member.kind.device)


def is_pinned(member: Member) -> bool:
    """Whether something else is wanted of these devices than of their fleet."""
    return member.override is not None and member.override.pin is not None


def _others_say_no(fleet: Fleet, device: ObservedDevice, desired: Desired) -> Waiting | None:
    """What others did to the device in the console, and what the manifest says to that."""
    if device.latched is not None and device.latched == desired.intent:
        return _wait(WaitingReason.FIGHT, device.latched_why)
    if not fleet.correct_drift and device.arrived is not None and device.arrived == desired.intent:
        runs = f"it runs Device OS {device.device_os}, application {device.application}"
        return _wait(WaitingReason.DRIFTED, f"had arrived and has drifted: {runs}; drift.mode is detect")
    wanted = desired.application
    if wanted is None:
        return None
    if is_locked_by_another(device, wanted.version, correct_drift=fleet.correct_drift):
        message = f"locked to application {device.desired_application} by somebody else, {wanted.version} is desired"
        return _wait(WaitingReason.LOCKED, message)
    if is_released_higher(device, wanted.version):
        message = f"the cloud is to bring it application {device.targeted_application}, {wanted.version} is desired"
        return _wait(WaitingReason.RELEASED_HIGHER, message)
    return None


def _device_says_no(device: ObservedDevice) -> Waiting | None:
    if device.updates_enabled is False and not device.updates_forced:
        return _UPDATES_DISABLED
    if not device.online:
        return _OFFLINE
    return None


def _needs_direct_flash(answer: Placed, situation: Situation, via: Via) -> bool:
    """Whether the way leads over Device OS modules that the cloud has to take for an unmarked device of a product."""
    if via is not Via.CLOUD or situation.own or situation.development or not isinstance(answer, Route):
        return False
    return any(isinstance(step, FlashModule) for step in answer.steps)


def _refused_in_words(product_id: int | None, until: Instant, instead: Refused | None) -> str:
    message = (
        f"the cloud refuses Device OS modules for devices of product {product_id} that are not marked as development; "
        f"tried again after {iso_from_instant(until)}"
    )
    return message if instead is None else f"{message}; {instead.message}"


def _wait(reason: WaitingReason, message: str) -> Waiting:
    return Waiting(reason=reason, message=message, devices=())


def fleet_plan(fleet: Fleet, placed: Iterable[tuple[Placed, tuple[DeviceId, ...]]]) -> FleetPlan:
    """The plan of a fleet from its answers and their devices, in an order that depends on the answers alone."""
    equal: dict[Placed, list[tuple[DeviceId, ...]]] = {}
    for place, ids in placed:
        equal.setdefault(place, []).append(ids)
    upgrades = sum(len(ids) for place, parts in equal.items() if isinstance(place, Route) for ids in parts)
    if fleet.targets_max is not None and upgrades > fleet.targets_max:
        message = f"{upgrades} devices would change, limits.maxTargets is {fleet.targets_max}: a person must agree"
        too_many = [ids for place, parts in equal.items() if isinstance(place, Route) for ids in parts]
        equal = {place: parts for place, parts in equal.items() if not isinstance(place, Route)}
        equal[_wait(WaitingReason.TARGETS_EXCEEDED, message)] = too_many
    return FleetPlan(
        fleet=fleet,
        current=together(equal.pop(None, [])),
        routes=_with_devices((place, parts) for place, parts in equal.items() if isinstance(place, Route)),
        refused=_with_devices((place, parts) for place, parts in equal.items() if isinstance(place, Refused)),
        waiting=_with_devices((place, parts) for place, parts in equal.items() if isinstance(place, Waiting)),
    )


def _with_devices(placed: Iterable[tuple[_Place, list[tuple[DeviceId, ...]]]]) -> tuple[_Place, ...]:
    return tuple(sorted((replace(place, devices=together(parts)) for place, parts in placed), key=reading_order))


def together(parts: Sequence[Sequence[DeviceId]]) -> tuple[DeviceId, ...]:
    """All ids, ascending. Each part is ascending already, so that sorting them together is little more than merging."""
    return tuple(parts[0]) if len(parts) == 1 else tuple(sorted(chain.from_iterable(parts)))


def reading_order(place: Route | Refused | Waiting) -> tuple[str, ...]:
    """Where an entry stands among its like: a key that depends on what it says alone."""
    if isinstance(place, Route):
        situation = place.situation
        numbers = (f"{module.slot}:{module.version:05d}" for module in situation.modules)
        return (situation.platform, *numbers, f"{situation.application}", situation.mode, place.devices[0])
    return (place.reason.code, place.message)
