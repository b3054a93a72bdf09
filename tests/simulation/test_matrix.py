"""Every fault against every kind of step, in virtual time: the referee finds nothing, no device is left in the dark.

A fault is put in place at the moment at which a step of that kind is about to be sent, and lifted after the run.
Afterwards the device is as desired, or in a named state that a person can act on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.emulator.faults import FAULTS, FaultOrder
from reconciler.execution.executor import Executor, SendOutcome
from reconciler.journal.memory import MemoryJournal
from reconciler.model.attempt import FailureClass
from reconciler.model.device import ObservedDevice
from reconciler.model.error import WireError
from reconciler.model.plan import Plan, WaitingReason
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from tests.simulation.stage import manifests_for, world_text
from tests.simulation.virtual import Play, VirtualCloud, fleets_from

EVENINGS_MAX = 6
"""How often an operator runs `apply` again, with halts lifted, before asking what is wrong."""

DEVICES = {
    "boron": 'product: cold-chain, platform: boron, deviceOS: "1.3.1", application: 1',
    "photon": 'product: home-hub, platform: photon, deviceOS: "0.6.3", application: 1',
    "electron": 'product: legacy-meters, platform: electron, deviceOS: "0.7.0", application: 1',
    "p2": 'product: door-sensors, platform: p2, deviceOS: "5.5.0", application: 1',
    "development boron": 'product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 1, development: true',
}
"""One device of every kind that is served differently."""

KINDS = {
    "boron": ("bootloader/0", "radio_stack/0", "system_part/1", "lock"),
    "photon": ("bootloader/0", "system_part/1", "system_part/2", "lock"),
    "electron": ("bootloader/0", "system_part/1", "system_part/2", "system_part/3", "lock"),
    "p2": ("bootloader/0", "bootloader/2", "system_part/1", "lock"),
    "development boron": ("flash",),
}
"""The kinds of steps on the way of each: a module by its slot, or the application by lock or by flash."""

FOR_ONCE = frozenset({"boot-crash", "device-never-returns"})
"""Faults that no device outlives, or that only another application mends: they strike once."""

GONE = "device-never-returns"

DAY_SECONDS = 86_400.0


def kind_of(step: Step) -> str:
    """The name that a step has in `KINDS`."""
    match step:
        case FlashModule():
            return str(step.module.slot)
        case LockApplication():
            return "lock"
        case FlashApplication():
            return "flash"


@dataclass(kw_only=True)
class Saboteur:
    """An executor that puts a fault in place the moment before a step of this kind is sent, the first time."""

    executor: Executor
    virtual: VirtualCloud
    fault: str
    kind: str
    met: bool = False

    def send(self, device: ObservedDevice, step: Step) -> SendOutcome:
        if kind_of(step) == self.kind and not self.met:
            self.met = True
            order = FaultOrder(fault=self.fault, count=1 if self.fault in FOR_ONCE else 3)
            self.virtual.cloud.order_fault(order, self.virtual.now)
        return self.executor.send(device, step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of it: the last plan, and whether anything is open or was found by the referee."""

    virtual: VirtualCloud
    journal: MemoryJournal
    plan: Plan


def play(folder: Path, device: str, kind: str, fault: str, *, seed: int) -> Played:
    """Apply with the fault, then without it until there is nothing to do or nothing that can be done."""
    line = DEVICES[device]
    product = line.split("product: ")[1].split(",")[0]
    virtual = VirtualCloud(world_text(f"\n  - {{count: 1, {line}, groups: [all]}}\n"), seed=seed)
    journal = MemoryJournal()
    saboteurs: list[Saboteur] = []

    def sabotaged(executor: Executor) -> Saboteur:
        saboteurs.append(Saboteur(executor=executor, virtual=virtual, fault=fault, kind=kind))
        return saboteurs[-1]

    rollout = '{maxConcurrent: "100%", maxFailures: "100%", stepDeadline: 30m}'
    fleets = fleets_from(folder, manifests_for((product,), rollout=rollout))
    game = Play(virtual=virtual, fleets=fleets, journal=journal, seed=seed, hands=sabotaged)
    for evening in range(EVENINGS_MAX):
        for halt in journal.halts():
            journal.lift(halt.fleet)
        try:
            plan, agreement = game.agree()
            game.carry_out(agreement)
        except WireError:
            assert evening == 0, "the cloud is well again"
        if evening == 0:
            assert saboteurs[0].met, "no step of this kind was on the way"
            (order,) = virtual.cloud.state.faults.document()
            assert order["struck"] > 0, "the fault did not strike"
            virtual.cloud.order_fault(FaultOrder(fault=fault, rate=0.0), virtual.now)
        virtual.sleep(DAY_SECONDS)
        plan, _ = game.agree()
        if not journal.open_attempts() and not plan.fleets[0].routes:
            break
    return Played(virtual=virtual, journal=journal, plan=plan)


@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize(("device", "kind"), [(device, kind) for device, kinds in KINDS.items() for kind in kinds])
def test_no_fault_at_any_step_leaves_a_device_in_the_dark(tmp_path: Path, device: str, kind: str, fault: str) -> None:
    played = play(tmp_path, device, kind, fault, seed=7)

    assert played.virtual.cloud.violations() == ()
    (fleet,) = played.plan.fleets
    if fault == GONE:
        assert [waiting.reason for waiting in fleet.waiting] == [WaitingReason.OFFLINE]
        return
    if fault == "boot-crash" and kind == "lock":
        # The new application itself crashes, at every boot: a person has to bring another one.
        assert [attempt.failure for attempt in played.journal.attempts()[:1]] == [FailureClass.BOOT]
        return
    assert fleet.summary.current == 1, (fleet.refused, fleet.waiting, fleet.routes)
    assert played.journal.open_attempts() == ()
