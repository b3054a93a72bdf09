"""Which device belongs to which wave. Pure.

A rollout concerns the devices that have a route and those that wait: who comes back has its place already, and passes
the same gates. A wave takes the devices that it names, then those that it selects, or where it has no selection any,
in an order that follows from the rollout and the device's id alone: a hash of both. So the devices that go first are
others in every rollout, a wave that grows keeps those that it had, and a device that joins or leaves moves no other's
place in the order. A device is in exactly one wave: the first of those that name it, else the first that selects it and
has room; what no wave takes is in the last one. Names go before selections, and selections before sizes, whichever wave
is the earlier. In the last wave is also who waits for something that does not pass by itself, a person's word or a
bench: canaries that nothing is sent to would prove nothing.

Sizes: a count is a count; a percentage is one of the devices that the rollout concerns at its beginning, rounded down
but not below 1 (`Share.of`). Devices that a wave names count towards its size. A selection without a size is taken
whole.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain, filterfalse, islice
from typing import Final

from reconciler.model.census import Kind
from reconciler.model.device import DeviceId, is_device_id
from reconciler.model.fleet import Fleet, RolloutPolicy, Share, Wave, WaveSize
from reconciler.model.plan import PASSING, FleetPlan, PlannedWave, Route, Waiting
from reconciler.planning.answer import Placed
from reconciler.planning.claims import Claims, claim_findings, claims_of
from reconciler.planning.naming import Naming

FEW_DEVICES: Final = 20
"""Up to so many devices a rollout that asks for no waves has none: `maxConcurrent` alone bounds what can go wrong."""

_CANARIES_MAX: Final = 10
_CANARIES: Final = Share(1, percent=True)
_CANARY_SOAK_SECONDS: Final = 600.0
_CANARY_FAILURES: Final = Share(0)

_HASH_BITS: Final = 64
"""By so many of its bits a hash is told to be among the first."""
_SPREAD: Final = 6
"""So many standard deviations are added to the share of a queue that is looked at first; more is seldom needed."""


def waves_of(policy: RolloutPolicy, devices: int) -> tuple[Wave, ...]:
    """The waves of a rollout over so many devices, the last of them with all that remain.

    A policy that asks for none gets a wave of canaries (1 %, at most 10, the first failure halts, 10 minutes to soak)
    before the rest, unless there are few devices.
    """
    if policy.waves:
        if policy.waves[-1].size is WaveSize.REMAINING:
            return policy.waves
        taken = {wave.name for wave in policy.waves}
        return (*policy.waves, _rest("rest" if "rest" not in taken else "remaining"))
    if devices <= FEW_DEVICES:
        return (_rest("all"),)
    canary = Wave(
        name="canary",
        size=Share(min(_CANARIES.of(devices), _CANARIES_MAX)),
        soak_seconds=_CANARY_SOAK_SECONDS,
        failures_max=_CANARY_FAILURES,
    )
    return (canary, _rest("rest"))


def rollout_salt(fleet: Fleet) -> str:
    """What makes the order of devices another one in every rollout: the fleet's name and what it desires."""
    return hashlib.sha256(f"{fleet.name}\0{fleet.desired.intent}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Concerned:
    """The devices of a rollout: those that may go with any wave, and those of the last one.

    Both are quicker to place where they ascend.
    """

    going: Sequence[DeviceId]
    behind: Sequence[DeviceId]


def is_going(place: Placed) -> bool:
    """Whether devices that are placed there may go with any wave."""
    return isinstance(place, Route) or (isinstance(place, Waiting) and place.reason in PASSING)


def concerned_by(plan: FleetPlan) -> Concerned:
    """The devices of a rollout that begins with this plan."""
    waiting = [each.devices for each in plan.waiting if is_going(each)]
    behind = [each.devices for each in plan.waiting if not is_going(each)]
    routed = (route.devices for route in plan.routes)
    return Concerned([*chain(*routed, *waiting)], [*chain(*behind)])


def with_waves(
    plan: FleetPlan,
    kinds: Sequence[Kind],
    naming: Naming,
    order: RolloutOrder | None = None,
    concerned: Concerned | None = None,
) -> FleetPlan:
    """The plan with its waves, as if the rollout began now; none where it concerns no device.

    `kinds` are all devices of the fleet; those of a fleet whose waves name and select none are not looked at.
    `concerned` is what `concerned_by` says, where that is at hand.
    """
    fleet = plan.fleet
    claims = claims_of(fleet, kinds, naming)
    concerned = concerned or concerned_by(plan)
    going, behind = concerned.going, concerned.behind
    whole = len(going) + len(behind)
    waves: tuple[PlannedWave, ...] = ()
    if whole:
        asked = waves_of(fleet.rollout, whole)
        salt = rollout_salt(fleet)
        waves = placed(asked, going, whole=whole, salt=salt, claims=claims, behind=behind, order=order)
    return replace(plan, waves=waves, findings=claim_findings(fleet, kinds, claims))


def placed(
    waves: Sequence[Wave],
    devices: Collection[DeviceId],
    *,
    whole: int,
    salt: str,
    claims: Claims,
    behind: Collection[DeviceId] = (),
    order: RolloutOrder | None = None,
) -> tuple[PlannedWave, ...]:
    """The devices of every wave, in the order in which they go; the last wave has all that remain, ascending.

    `whole` is what sizes are percentages of. `behind` are devices of the last wave, whatever names or selects them.
    `order` is one with this salt that is remembering.
    """
    named_by = {word: position for position, wave in reversed([*enumerate(waves)]) for word in wave.devices}
    named: list[list[DeviceId]] = [[] for _ in waves]
    others: list[DeviceId] = []
    if named_by:
        for device_id in devices:
            position = named_by.get(device_id)
            if position is None and not is_device_id(name := claims.names.get(device_id, "")):
                position = named_by.get(name)
            (others if position is None else named[position]).append(device_id)
    else:
        others.extend(devices)
    order = order or RolloutOrder(salt)
    rooms = [
        max(0, wave.size.of(whole) - len(own)) if isinstance(wave.size, Share) else 0
        for wave, own in zip(waves[:-1], named, strict=False)
    ]
    for position, wave in enumerate(waves[:-1]):
        if wave.select is None:
            continue
        selected = claims.selected[wave.name]
        matching = [device_id for device_id in others if device_id in selected]
        chosen = matching if wave.size is WaveSize.LISTED else order.first(matching, rooms[position])
        rooms[position] = 0
        named[position] += chosen
        others = _without(others, chosen)
    first = order.first(others, sum(rooms))
    rest = _without(others, first)
    queue = iter(first)
    return tuple(
        PlannedWave(wave=wave, devices=(*sorted(own, key=order), *more))
        for wave, own, more in zip(
            waves, named, (*(islice(queue, room) for room in rooms), sorted([*rest, *behind])), strict=True
        )
    )


class RolloutOrder:
    """A device's place in the order of a rollout.

    One that is `remembering` knows afterwards who of all devices that it was asked about is among the first.
    """

    def __init__(self, salt: str, *, remembering: bool = False) -> None:
        self._salted = hashlib.sha256(salt.encode() + b"\0")
        self._remembering = remembering
        self._bits = _HASH_BITS
        self._first: dict[DeviceId, bytes] = {}
        self._asked: set[DeviceId] = set()

    def __call__(self, device_id: DeviceId) -> bytes:
        """A key to sort by."""
        hashed = self._salted.copy()
        hashed.update(device_id.encode())
        return hashed.digest()

    def first(self, devices: Sequence[DeviceId], count: int) -> list[DeviceId]:
        """The first few devices. Hashes are spread evenly, so that not all need to be sorted."""
        if not count:
            return []
        share = (count + _SPREAD * math.sqrt(count) + _SPREAD**2) / len(devices) if devices else 1.0
        if share < 1:
            self._ask(devices, math.floor(-math.log2(share)))
            found = [(self._first[device_id], device_id) for device_id in filter(self._first.__contains__, devices)]
            if len(found) >= count:
                return [device_id for _, device_id in sorted(found)[:count]]
        return sorted(devices, key=self)[:count]

    def _ask(self, devices: Sequence[DeviceId], bits: int) -> None:
        """Find those of the devices whose hash begins with so many zeros, or with fewer where that was asked before."""
        if bits < self._bits or not self._remembering:
            self._bits, self._first, self._asked = bits, {}, set()
        bound = (1 << (_HASH_BITS - self._bits)).to_bytes(9)[1:] if self._bits else b"\xff" * 9
        news = [*filterfalse(self._asked.__contains__, devices)] if self._remembering else devices
        salted = self._salted.copy
        for device_id in news:  # as `__call__` does, which takes twice as long for a million of them
            hashed = salted()
            hashed.update(device_id.encode())
            place = hashed.digest()
            if place < bound:
                self._first[device_id] = place
        if self._remembering:
            self._asked.update(news)


def _without(devices: list[DeviceId], taken: Collection[DeviceId]) -> list[DeviceId]:
    gone = frozenset(taken)
    return [*filterfalse(gone.__contains__, devices)] if gone else devices


def _rest(name: str) -> Wave:
    return Wave(name=name, size=WaveSize.REMAINING)
