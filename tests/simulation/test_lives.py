"""Where devices stand from pass to pass where things go wrong: every move is one of the life that is drawn."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.emulator.faults import FAULTS, FaultOrder
from reconciler.journal.memory import MemoryJournal
from reconciler.model.device import DeviceId
from reconciler.model.device_life import DeviceState, may_follow
from reconciler.model.error import WireError
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan
from reconciler.rollout import waves
from reconciler.rollout.ledger import Ledger
from reconciler.rollout.standing import standings
from tests.simulation.stage import MIXED_DEVICES, PRODUCTS, manifests_for, world_text
from tests.simulation.virtual import Play, VirtualCloud, fleets_from

EVENINGS = 4
SEEDS = 8
MOVES_MIN = 8
FAULTS_AT_ONCE = 6
HOURS = 3600.0


class Watched:
    """`standings` that remembers where every device stood a pass ago, and which moves there were."""

    def __init__(self) -> None:
        self.before: dict[tuple[str, DeviceId], DeviceState] = {}
        self.moves: Counter[tuple[DeviceState, DeviceState]] = Counter()

    def __call__(self, plan: FleetPlan, ledger: Ledger, now: Instant) -> Mapping[DeviceId, DeviceState]:
        found = standings(plan, ledger, now)
        for device_id, after in found.items():
            before = self.before.get((plan.fleet.name, device_id))
            if before is not None and before is not after:
                self.moves[before, after] += 1
            self.before[plan.fleet.name, device_id] = after
        return found


def evenings(folder: Path, seed: int) -> None:
    """A few evenings on which an operator applies while things go wrong."""
    dice = random.Random(seed)
    virtual = VirtualCloud(world_text(MIXED_DEVICES), seed=seed)
    rollout = '{maxConcurrent: "50%", maxFailures: "100%", stepDeadline: 30m}'
    fleets = fleets_from(folder, manifests_for(tuple(PRODUCTS), own=True, rollout=rollout))
    game = Play(virtual=virtual, fleets=fleets, journal=MemoryJournal(), seed=seed)
    for fault in dice.sample(sorted(FAULTS), FAULTS_AT_ONCE):
        virtual.cloud.order_fault(FaultOrder(fault=fault, rate=dice.uniform(0.05, 0.4), count=4), virtual.now)
    for _ in range(EVENINGS):
        for halt in game.journal.halts():
            game.journal.lift(halt.fleet, virtual.now)
        try:
            _, agreement = game.agree()
            game.carry_out(agreement)
        except WireError:
            virtual.sleep(60.0)
        virtual.sleep(2 * HOURS)


def test_every_move_of_a_device_is_one_of_its_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: Counter[tuple[DeviceState, DeviceState]] = Counter()
    for seed in range(1, SEEDS + 1):
        watched = Watched()
        monkeypatch.setattr(waves, "standings", watched)
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        evenings(folder, seed)
        strange = {move: times for move, times in watched.moves.items() if not may_follow(*move)}
        assert strange == {}, f"seed {seed}"
        moves += watched.moves
    ordinary = {(DeviceState.READY, DeviceState.MOVING), (DeviceState.MOVING, DeviceState.DONE)}
    assert ordinary <= moves.keys(), moves
    assert len(moves) > MOVES_MIN, moves
