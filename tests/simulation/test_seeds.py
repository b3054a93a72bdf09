"""Mixed fleets with everything going wrong at once, by seed: what went wrong for a while leaves nothing behind.

A failure prints its seed; `RECONCILER_SEEDS=100-199` plays others, as many as anybody has time for.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from reconciler.emulator.faults import APPLICATION_FAULTS, FAULTS, FaultOrder
from reconciler.emulator.world import load_rules
from reconciler.journal.memory import MemoryJournal
from reconciler.model.device import DeviceId
from reconciler.model.error import WireError
from reconciler.model.plan import Refused, Route, Waiting, WaitingReason
from tests.simulation.stage import MIXED_DEVICES, PRODUCTS, manifests_for, world_text
from tests.simulation.test_worlds import INVISIBLE
from tests.simulation.virtual import Play, VirtualCloud, fleets_from

FAULTS_AT_ONCE = 6
BAD_EVENINGS = 2
EVENINGS_MAX = 6
DAY_SECONDS = 86_400.0

HELD_BY_A_PERSON = {WaitingReason.LOCKED, WaitingReason.RELEASED_HIGHER, WaitingReason.FIGHT}


def seeds() -> list[int]:
    first, _, last = os.environ.get("RECONCILER_SEEDS", "1-8").partition("-")
    return list(range(int(first), int(last or first) + 1))


def evening(game: Play) -> None:
    """An operator lifts what halted, and applies."""
    for halt in game.journal.halts():
        game.journal.lift(halt.fleet)
    _, agreement = game.agree()
    game.carry_out(agreement)


def is_beyond_us(game: Play, place: Route | Refused | Waiting, device_id: DeviceId) -> bool:
    """Whether only a person can help: the device is gone for ever, its application crashes, or a person holds it."""
    device = game.virtual.cloud.state.devices[device_id]
    return device.gone or device.crashing or place.reason in HELD_BY_A_PERSON


@pytest.mark.parametrize("seed", seeds())
def test_a_fleet_outlives_everything_that_goes_wrong_for_a_while(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    virtual = VirtualCloud(world_text(MIXED_DEVICES), seed=seed)
    rollout = '{maxConcurrent: "50%", maxFailures: "100%", stepDeadline: 30m}'
    fleets = fleets_from(tmp_path, manifests_for(tuple(PRODUCTS), own=True, rollout=rollout))
    game = Play(virtual=virtual, fleets=fleets, journal=MemoryJournal(), seed=seed)
    chosen = dice.sample(sorted(FAULTS.keys() - APPLICATION_FAULTS.keys()), FAULTS_AT_ONCE)
    for fault in chosen:
        order = FaultOrder(fault=fault, rate=dice.uniform(0.05, 0.4), count=dice.randint(1, 8))
        virtual.cloud.order_fault(order, virtual.now)
    rules = {"desiredApplications": [2], "safeModeAllowed": bool(INVISIBLE & set(chosen))}
    virtual.cloud.rules = load_rules(rules)
    for _ in range(BAD_EVENINGS):
        try:
            evening(game)
        except WireError:
            virtual.sleep(60.0)
    for fault in chosen:
        virtual.cloud.order_fault(FaultOrder(fault=fault, rate=0.0), virtual.now)
    for _ in range(EVENINGS_MAX):
        virtual.sleep(DAY_SECONDS)
        evening(game)

    assert virtual.cloud.violations() == (), chosen
    plan, _ = game.agree()
    left_behind = [
        device_id
        for fleet in plan.fleets
        for place in (*fleet.routes, *fleet.waiting, *fleet.refused)
        for device_id in place.devices
        if not is_beyond_us(game, place, device_id)
    ]
    assert left_behind == [], chosen
