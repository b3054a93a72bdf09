"""A bench in memory: a fake bus, the real eyes, hands, planner, guard and journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from reconciler.controller.agreement import Agreement
from reconciler.controller.bench import Bench, BenchTools
from reconciler.controller.bench_settle import JournalRecord
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.run import Run, Scope, Tools
from reconciler.controller.seat import Seat, SeatState
from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.execution.usb import UsbExecutor
from reconciler.firmware.known import known_catalog
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.usb import Register, UsbInventory
from reconciler.journal.journal import Journal
from reconciler.journal.memory import MemoryJournal
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.event import Event
from reconciler.model.fleet import Delivery, Fleet, FleetSet, Via
from reconciler.model.instant import Instant
from reconciler.model.platform import Platform
from reconciler.model.step import FlashModule
from reconciler.model.version import ApplicationVersion
from tests.bench.fake_bus import BINARIES, Clock, FakeBus, FakeDevice, application_of

USB = Delivery(via=Via.USB)


class Binaries:
    """Synthetic binaries of every module, and the applications that a test names."""

    def __init__(self, applications: Mapping[tuple[str, int], bytes], binaries: EmulatedBinaries) -> None:
        self._applications = applications
        self._binaries = binaries

    def module(self, platform: Platform, step: FlashModule) -> bytes:
        content = self._binaries.module(platform, step.device_os, step.module.slot)
        assert content is not None
        return content

    def application(
        self, platform_name: str, application: ApplicationVersion, sha256: str | None = None
    ) -> bytes | None:
        return self._applications.get((platform_name, application))


@dataclass(slots=True)
class Stage:
    """Everything around one bench. A new `bench()` is a new process on the same journal."""

    fleets: FleetSet
    bus: Any = field(default_factory=FakeBus)
    clock: Clock = field(init=False)
    journal: Journal = field(default_factory=MemoryJournal)
    records: Mapping[DeviceId, ObservedDevice] = field(default_factory=dict)
    applications: Mapping[tuple[str, int], bytes] = field(default_factory=dict)
    binaries: EmulatedBinaries = BINARIES
    is_shared: bool = False
    stopped: bool = False
    name: str = "attempt"
    events: list[Event] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = self.bus.clock

    def bench(self, show: Callable[[Seat], None] | None = None) -> Bench:
        clock = self.bus.clock

        def now() -> Instant:
            return Instant(clock.now())

        catalog = known_catalog()
        ids = count(len(self.journal.attempts()) + 1)
        eyes = UsbInventory(
            self.bus,
            fleets=self.fleets,
            catalog=catalog,
            clock=now,
            register=Register(devices=self.records),
            record=JournalRecord(self.journal),
        )
        hands = UsbExecutor(self.bus, Binaries(self.applications, self.binaries), eyes.memory)
        tools = Tools(
            journal=self.journal,
            catalog=catalog,
            agreement=Agreement(plan_id="bench", steps={}),
            new_id=lambda: f"{self.name}-{next(ids)}",
            tell=self.events.append,
            pool=ThreadPoolExecutor(1),
        )
        scope = Scope(
            product=None,
            fleets=self.fleets,
            inventory=eyes,
            hearing=Hearing(clock=now),
            executor=hands,
            answered_at=now,
        )
        self.eyes = eyes
        return Bench(
            Run(tools=tools, knowledge=Knowledge(self.journal)),
            BenchTools(
                scope=scope,
                eyes=eyes,
                hands=hands,
                show=show or self.seats.append,
                sleep=clock.sleep,
                is_shared=self.is_shared,
                stopped=lambda: self.stopped,
            ),
        )

    eyes: UsbInventory = field(init=False)

    def serve(self, device: FakeDevice | BenchDevice, bench: Bench | None = None) -> Seat:
        """Plugged in, and served until it is at rest."""
        plugged = Seat(
            port=self.bus.devices()[0].port,
            device_id=DeviceId(device.id),
            platform=device.platform.name,
            state=SeatState.LOOKING,
        )
        return (bench or self.bench()).serve(plugged)


def usb_fleet(fleet: Fleet) -> FleetSet:
    return FleetSet(fleets=(fleet,))


__all__ = ["USB", "Stage", "application_of", "usb_fleet"]
