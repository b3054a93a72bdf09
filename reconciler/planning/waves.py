"""Which device belongs to which wave. Pure.

A wave takes the devices that it names, then devices in an order that follows from the rollout and the device's id
alone: a hash of both. So the devices that go first are others in every rollout, a wave that grows keeps those that it
had, and a device that joins or leaves moves no other's place in the order. A device is in exactly one wave; what no
wave takes is in the last one.

Sizes: a count is a count; a percentage is one of the devices that the rollout concerns at its beginning, rounded down
but not below 1 (`Share.of`). Devices that a wave names count towards its size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Final

from reconciler.model.device import DeviceId
from reconciler.model.fleet import Fleet, RolloutPolicy, Share, Wave, WaveSize
from reconciler.model.plan import PlannedWave

FEW_DEVICES: Final = 20
"""Up to so many devices a rollout that asks for no waves has none: `maxConcurrent` alone bounds what can go wrong."""

_CANARIES_MAX: Final = 10
_CANARIES: Final = Share(1, percent=True)
_CANARY_SOAK_SECONDS: Final = 600.0
_CANARY_FAILURES: Final = Share(0)


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


def placed(
    waves: Sequence[Wave],
    devices: Collection[DeviceId],
    *,
    whole: int,
    salt: str,
    names: Mapping[DeviceId, str],
) -> tuple[PlannedWave, ...]:
    """The devices of every wave, in the order in which they go; the last wave has all that remain.

    `whole` is what sizes are percentages of. `names` are the devices' names, of those at least that a wave names.
    """
    named_by = {word: position for position, wave in reversed([*enumerate(waves)]) for word in wave.devices}
    named: list[list[DeviceId]] = [[] for _ in waves]
    others: list[DeviceId] = []
    for device_id in devices:
        position = named_by.get(device_id, named_by.get(names.get(device_id, "")))
        (others if position is None else named[position]).append(device_id)
    order = rollout_order(salt)
    queue = iter(sorted(others, key=order) if len(waves) > 1 else sorted(others))
    found = []
    for wave, own in zip(waves, named, strict=True):
        room = wave.size.of(whole) - len(own) if isinstance(wave.size, Share) else 0
        more = queue if wave is waves[-1] else islice(queue, max(0, room))
        found.append(PlannedWave(name=wave.name, devices=(*sorted(own, key=order), *more)))
    return tuple(found)


def rollout_order(salt: str) -> Callable[[DeviceId], bytes]:
    """A device's place in the order of a rollout."""
    salted = hashlib.sha256(salt.encode() + b"\0")

    def place(device_id: DeviceId) -> bytes:
        hashed = salted.copy()
        hashed.update(device_id.encode())
        return hashed.digest()

    return place


def _rest(name: str) -> Wave:
    return Wave(name=name, size=WaveSize.REMAINING)
