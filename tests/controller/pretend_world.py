"""A world in memory: devices that obey, eyes on them, hands for them, and the record of everything in its order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from reconciler.controller.agreement import Agreement, agreement_on
from reconciler.controller.apply import Rest, run_to_rest
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.run import Run, Scope, Tools
from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent, SendOutcome
from reconciler.execution.product import ProductHands
from reconciler.firmware.known import known_catalog
from reconciler.inventory.hearing import Hearing
from reconciler.journal.memory import MemoryJournal
from reconciler.model.device import DeviceId, DeviceMode, HeldApplication, Observation, ObservedDevice, Product
from reconciler.model.error import WireError
from reconciler.model.event import Event
from reconciler.model.fleet import Fleet, FleetSet
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.model.platform import platform_by_id
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.version import DeviceOsVersion
from reconciler.particle.stream import CloudEvent
from reconciler.planning.planner import plan_fleets
from tests.fleet_samples import COLD_CHAIN, NOW

PASS_SECONDS = 60.0
"""How much later the next pass looks."""
RESTART_SECONDS = 20.0
PASSES_MAX = 200
"""More than any run here needs; a run that does not end is a failure of its own."""

Behaviour = Callable[["World", ObservedDevice, Step], SendOutcome]


class EndlessRunError(AssertionError):
    """A run that never comes to rest."""


def obeys(world: World, device: ObservedDevice, step: Step) -> SendOutcome:
    """The device takes the step, and the stream tells of it."""
    world.take(device.id, step)
    return Accepted(detail="Update started")


def loses_the_answer(world: World, device: ObservedDevice, step: Step) -> SendOutcome:
    world.take(device.id, step, heard=False)
    return MayHaveArrived(detail="no answer")


def loses_the_request(world: World, device: ObservedDevice, step: Step) -> SendOutcome:
    return MayHaveArrived(detail="no answer")


def fails(world: World, device: ObservedDevice, step: Step) -> SendOutcome:
    world.hear(device.id, "failed")
    return Accepted(detail="Update started")


def ends_in_safe_mode(world: World, device: ObservedDevice, step: Step) -> SendOutcome:
    """The device takes it and comes back without its application."""
    world.take(device.id, step, mode=DeviceMode.SAFE_MODE)
    return Accepted(detail="Update started")


def ends_in_safe_mode_unheard(world: World, device: ObservedDevice, step: Step) -> SendOutcome:
    """The same, with a stream of events that is silent."""
    world.take(device.id, step, heard=False, mode=DeviceMode.SAFE_MODE)
    return Accepted(detail="Update started")


def goes_offline(world: World, device: ObservedDevice, step: Step) -> SendOutcome:
    world.change(device.id, online=False)
    return Accepted(detail="Update started")


def refusing(outcome: NotSent) -> Behaviour:
    return lambda world, device, step: outcome


@dataclass
class World:
    """Devices of one product, and everything that was asked of them.

    `now` is the cloud's clock; `skew_seconds` is by how much the dates of its answers are ahead of it. `silences` are
    the seconds that every pause between passes had to last at least. `holds` is what the product holds, if it says so.
    """

    devices: dict[DeviceId, ObservedDevice]
    now: Instant = NOW
    began: Instant = NOW
    behaviour: Behaviour = obeys
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    events: list[Event] = field(default_factory=list)
    sent: list[tuple[DeviceId, Step]] = field(default_factory=list)
    recorded_at_send: list[bool] = field(default_factory=list)
    under_way_most: int = 0
    silences: list[float] = field(default_factory=list)
    skew_seconds: float = 0.0
    holds: tuple[HeldApplication, ...] | None = None
    product_hands: ProductHands | None = None
    blind: WireError | None = None
    fetch: Callable[[ObservedDevice, Step], None] | None = None
    on_fresh: Callable[[ObservedDevice], ObservedDevice | None] = lambda device: device
    hearing: Hearing = field(default_factory=lambda: Hearing(clock=lambda: NOW))
    lock: threading.RLock = field(default_factory=threading.RLock)

    # --- eyes ---

    def observe(self) -> Observation:
        if self.blind is not None:
            raise self.blind
        with self.lock:
            seen = tuple(replace(self.devices[each], observed_at=self.now) for each in sorted(self.devices))
        return Observation(observed_at=self.now, source="cloud", devices=seen, products=(self.product,))

    @property
    def product(self) -> Product:
        return replace(COLD_CHAIN, holds=self.holds)

    def observe_device(self, device_id: DeviceId) -> ObservedDevice | None:
        with self.lock:
            found = self.devices.get(device_id)
            return None if found is None else self.on_fresh(replace(found, observed_at=self.now))

    # --- hands ---

    def send(self, device: ObservedDevice, step: Step) -> SendOutcome:
        with self.lock:
            open_attempts = self.journal.open_attempts()
            self.recorded_at_send.append(any(a.device_id == device.id and a.step == step for a in open_attempts))
            self.under_way_most = max(self.under_way_most, len(open_attempts))
            self.sent.append((device.id, step))
            return self.behaviour(self, device, step)

    def take(self, device_id: DeviceId, step: Step, *, heard: bool = True, mode: DeviceMode | None = None) -> None:
        """The device has the module or application, and starts a new session a little later."""
        if heard:
            self.hear(device_id, "success")
        match step:
            case FlashModule():
                platform = platform_by_id(self.devices[device_id].platform_id or 0)
                shown = platform is not None and step.module.slot == platform.shown_part
                changes: dict[str, Any] = {"device_os": step.device_os.text} if shown else {}
            case LockApplication() | FlashApplication():
                changes = {"application": step.application}
        if mode is not None:
            changes["mode"] = mode
        self.change(device_id, **changes, last_handshake_at=Instant(self.now + RESTART_SECONDS))

    def change(self, device_id: DeviceId, **fields: Any) -> None:
        self.devices[device_id] = replace(self.devices[device_id], **fields)

    def hear(self, device_id: DeviceId, status: str, *, at: Instant | None = None) -> None:
        at = Instant(self.now + 1) if at is None else at
        self.hearing.hear(CloudEvent(name="spark/flash/status", data=status, device_id=device_id, published_at=at))

    # --- a run ---

    def plan(self, *fleets: Fleet) -> Plan:
        seen = Knowledge(self.journal).added_to_all(self.observe())
        return plan_fleets(FleetSet(fleets=fleets), seen, known_catalog(), now=self.now)

    def scope(self, *fleets: Fleet) -> Scope:
        return Scope(
            product=COLD_CHAIN.slug,
            fleets=FleetSet(fleets=fleets),
            inventory=self,
            hearing=self.hearing,
            executor=self,
            answered_at=lambda: Instant(self.now + self.skew_seconds),
            product_hands=self.product_hands,
            fetch=self.fetch,
        )

    def pause(self, silence_seconds: float) -> None:
        self.silences.append(silence_seconds)
        self.pass_time()

    def pass_time(self) -> None:
        self.now = Instant(self.now + PASS_SECONDS)
        if self.now > self.began + PASSES_MAX * PASS_SECONDS:
            raise EndlessRunError

    def skip(self, seconds: float) -> None:
        """A long time in which nothing happens."""
        self.now = self.began = Instant(self.now + seconds)


def carried_out(
    world: World,
    *fleets: Fleet,
    agreement: Agreement | None = None,
    once: bool = False,
    scopes: list[Scope] | None = None,
) -> tuple[Run, Rest]:
    """One run over the world to its rest."""
    agreed = agreement_on("plan-local-0123456789", world.plan(*fleets)) if agreement is None else agreement
    numbers = count(len(world.journal.attempts()) + len(world.journal.product_attempts()) + 1)
    with ThreadPoolExecutor(8) as pool:
        tools = Tools(
            journal=world.journal,
            catalog=known_catalog(),
            agreement=agreed,
            new_id=lambda: f"attempt-{next(numbers)}",
            tell=world.events.append,
            pool=pool,
        )
        run, rest = Run(tools=tools, knowledge=Knowledge(world.journal)), Rest()
        run_to_rest(run, scopes or [world.scope(*fleets)], rest, pause=world.pause, once=once)
    return run, rest


def world_of(*devices: ObservedDevice, **fields: Any) -> World:
    return World(devices={device.id: device for device in devices}, **fields)


def is_at(device: ObservedDevice, device_os: str) -> bool:
    return device.device_os == DeviceOsVersion(device_os).text
