"""Every fault against every kind of step, in virtual time: the referee finds nothing, no device is left in the dark.

A fault is put in place at the moment at which a step of that kind is about to be sent, and lifted after the run.
Afterwards the device is as desired, or in a named state that a person can act on.

`RECONCILER_MATRIX_SEED` plays another history.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.emulator.faults import APPLICATION_FAULTS, FAULTS, FaultOrder
from reconciler.emulator.world import load_rules
from reconciler.execution.executor import Executor, SendOutcome
from reconciler.execution.product import ProductHands
from reconciler.journal.memory import MemoryJournal
from reconciler.model.action import ProductAction, ReleaseApplication
from reconciler.model.attempt import AttemptState, FailureClass
from reconciler.model.device import ObservedDevice, Product
from reconciler.model.error import WireError
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan, WaitingReason
from reconciler.model.rollout import stories_of
from reconciler.model.rollout_entry import Retried
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from tests.simulation.stage import manifests_for, world_text
from tests.simulation.test_worlds import INVISIBLE
from tests.simulation.virtual import Play, VirtualCloud, fleets_from

SEED = int(os.environ.get("RECONCILER_MATRIX_SEED", "7"))

DEVICES_EACH = 2

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

RELEASE = "release"
"""What is done to the product when every device is there; no transfer is left then that a fault could spoil."""

KINDS = {
    "boron": ("bootloader/0", "radio_stack/0", "system_part/1", "lock", RELEASE),
    "photon": ("bootloader/0", "system_part/1", "system_part/2", "lock"),
    "electron": ("bootloader/0", "system_part/1", "system_part/2", "system_part/3", "lock"),
    "p2": ("bootloader/0", "bootloader/2", "system_part/1", "lock"),
    "development boron": ("flash",),
}
"""The kinds of steps on the way of each: a module by its slot, or the application by lock or by flash."""


FOR_ONCE = frozenset({"boot-crash", "device-never-returns"})
"""Faults that no device outlives, or that only another application mends: they strike once."""

NEEDS = {"resume-corrupt": "offline-during-transfer"}
"""What has to go wrong before another fault can strike: only what broke off goes on."""

RESUMES = {("p2", "system_part/1")}
"""Who goes on with a transfer that broke off: newer Device OS, with what takes longer than 30 s (facts 6.2)."""


def may_strike(device: str, kind: str, fault: str) -> bool:
    """A lock is answered without the device."""
    if fault == "resume-corrupt":
        return (device, kind) in RESUMES
    return kind != RELEASE and (kind, fault) != ("lock", "device-timeout")


AT_THE_BEGINNING = {"stale-device"}
"""A single device is looked at before anything is sent to it; later steps go by lists."""

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
        if kind_of(step) == self.kind:
            self.meet()
        return self.executor.send(device, step)

    def meet(self) -> None:
        if not self.met and self.fault not in AT_THE_BEGINNING:
            self.strike()
        self.met = True

    def strike(self) -> None:
        for fault in filter(None, (NEEDS.get(self.fault), self.fault)):
            is_once = self.fault in FOR_ONCE or fault != self.fault
            order = FaultOrder(fault=fault, count=1 if is_once else 3)
            self.virtual.cloud.order_fault(order, self.virtual.now)


@dataclass(kw_only=True)
class ProductSaboteur:
    """Hands on a product that let a saboteur strike the moment before they do something."""

    hands: ProductHands
    saboteur: Saboteur

    def send(self, action: ProductAction, product: Product) -> SendOutcome:
        if self.saboteur.kind == RELEASE:
            self.saboteur.meet()
        return self.hands.send(action, product)

    def impact(self, action: ReleaseApplication, product: Product) -> int | None:
        return self.hands.impact(action, product)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of it: the last plan, and whether anything is open or was found by the referee."""

    virtual: VirtualCloud
    journal: MemoryJournal
    plan: Plan


def a_person_comes(journal: MemoryJournal, now: Instant) -> None:
    """Who lifts halts, looks after the devices that are unwell, and has them tried again."""
    for halt in journal.halts():
        journal.lift(halt.fleet, now)
    failed = {(each.fleet, each.device_id) for each in journal.attempts() if each.state is AttemptState.FAILED}
    stories = stories_of(noted.entry for noted in journal.entries()).values()
    unwell = {(story.fleet, device_id) for story in stories for device_id in story.unwell}
    journal.note([Retried(fleet=fleet, at=now, device_id=device_id) for fleet, device_id in sorted(failed | unwell)])


def play(folder: Path, device: str, kind: str, fault: str, *, seed: int) -> Played:
    """Apply with the fault, then without it until there is nothing to do or nothing that can be done."""
    line = DEVICES[device]
    product = line.split("product: ")[1].split(",")[0]
    # A list shifts between two pages.
    virtual = VirtualCloud(
        world_text(f"\n  - {{count: {DEVICES_EACH}, {line}, groups: [all]}}\n"), seed=seed, page_size=1
    )
    virtual.cloud.rules = load_rules({"desiredApplications": [2], "safeModeAllowed": fault in INVISIBLE})
    journal = MemoryJournal()
    saboteurs: list[Saboteur] = []

    def sabotaged(executor: Executor) -> Saboteur:
        saboteurs.append(Saboteur(executor=executor, virtual=virtual, fault=fault, kind=kind))
        return saboteurs[-1]

    rollout = '{maxConcurrent: "100%", maxFailures: "100%", stepDeadline: 30m}'
    fleets = fleets_from(folder, manifests_for((product,), rollout=rollout))

    def sabotaged_product(hands: ProductHands) -> ProductSaboteur:
        return ProductSaboteur(hands=hands, saboteur=saboteurs[-1])

    game = Play(
        virtual=virtual,
        fleets=fleets,
        journal=journal,
        seed=seed,
        hands=sabotaged,
        product_hands=lambda hands: ProductSaboteur(hands=hands, saboteur=saboteurs[-1]),
    )
    if fault in AT_THE_BEGINNING:
        saboteurs[0].strike()
    for evening in range(EVENINGS_MAX):
        a_person_comes(journal, virtual.now)
        try:
            plan, agreement = game.agree()
            game.carry_out(agreement)
        except WireError:
            assert evening == 0, "the cloud is well again"
        if evening == 0:
            assert saboteurs[0].met, "no step of this kind was on the way"
            orders = virtual.cloud.state.faults.document()
            assert orders[-1]["struck"] or not may_strike(device, kind, fault), "the fault did not strike"
            for order in orders:
                virtual.cloud.order_fault(FaultOrder(fault=order["fault"], rate=0.0), virtual.now)
        virtual.sleep(DAY_SECONDS)
        plan, _ = game.agree()
        if not journal.open_attempts() and not plan.fleets[0].routes and plan.fleets[0].conclusion is None:
            break
    return Played(virtual=virtual, journal=journal, plan=plan)


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - APPLICATION_FAULTS.keys()))
@pytest.mark.parametrize(("device", "kind"), [(device, kind) for device, kinds in KINDS.items() for kind in kinds])
def test_no_fault_at_any_step_leaves_a_device_in_the_dark(tmp_path: Path, device: str, kind: str, fault: str) -> None:
    played = play(tmp_path, device, kind, fault, seed=SEED)

    assert played.virtual.cloud.violations() == ()
    (fleet,) = played.plan.fleets
    devices = played.virtual.cloud.state.devices.values()
    gone = {device.id for device in devices if device.gone}
    # The new application itself crashes, at every boot: a person has to bring another one.
    crashing = {device.id for device in devices if device.crashing}
    # Whoever a person took out of the group is in no fleet any more.
    left = {device.id for device in devices if "all" not in device.groups}
    locked = {id_ for place in fleet.waiting if place.reason is WaitingReason.LOCKED for id_ in place.devices}
    assert not locked or fault == "person-changes-lock"
    assert bool(gone) == (fault == GONE and kind != RELEASE)
    assert not crashing or (fault, kind) == ("boot-crash", "lock")
    assert not left or fault == "person-changes-groups"
    assert fleet.summary.current == DEVICES_EACH - len(gone | crashing | left | locked), (fleet.refused, fleet.waiting)
    assert {attempt.device_id for attempt in played.journal.open_attempts()} <= gone
    assert {device_id for place in fleet.waiting for device_id in place.devices} >= gone
    if not gone | crashing | left | locked and not fault.startswith("person-"):
        (product,) = [p for p in played.virtual.cloud.state.products.values() if p.slug == fleet.fleet.product]
        assert fleet.conclusion is None
        assert device.startswith("development") or product.releases["all"].version == 2  # the desired one
    for device_id in crashing:
        assert played.journal.attempts(device_id=device_id)[0].failure is FailureClass.BOOT
