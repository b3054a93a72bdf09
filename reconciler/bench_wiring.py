"""From what a person gives to a live bench: bus, eyes, hands, journal. Beside `wiring.py`, and without the network."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from reconciler.controller.agreement import Agreement
from reconciler.controller.bench import Bench, BenchTools
from reconciler.controller.bench_hall import Hall
from reconciler.controller.bench_settle import JournalRecord
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.run import Run, Scope, Tools
from reconciler.controller.seat import Seat
from reconciler.execution.binaries import ApplicationKey, Applications, BinaryStore
from reconciler.execution.usb import UsbExecutor
from reconciler.firmware.binary import parse_module
from reconciler.firmware.catalog import Catalog
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.usb import Register, UsbInventory
from reconciler.journal.journal import Journal
from reconciler.model.device import DeviceId, Observation
from reconciler.model.error import FirmwareError
from reconciler.model.event import Event
from reconciler.model.fleet import ApplicationBinary, FleetSet
from reconciler.model.instant import Instant
from reconciler.model.step import Step
from reconciler.particle.usb import UsbBus, UsbProgress
from reconciler.particle.usb_bus import LibusbBus
from reconciler.particle.usb_clock import MACHINE_CLOCK, UsbClock
from reconciler.sources import ManifestSet

DEVICES_AT_ONCE: Final = 64
"""Threads that serve: more than the ports of any bench."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """What a bench stands on. `wall` is the time of day; `clock` the one that devices are waited for by."""

    bus: UsbBus
    fleets: FleetSet
    catalog: Catalog
    register: Register
    clock: UsbClock = MACHINE_CLOCK
    wall: Callable[[], Instant] = lambda: Instant(time.time())


def real_bench(fleets: FleetSet, catalog: Catalog, register: Register) -> BenchSettings:
    """The ports of this machine."""
    return BenchSettings(bus=LibusbBus(), fleets=fleets, catalog=catalog, register=register)


class FileApplications(Mapping[ApplicationKey, bytes]):
    """The applications that manifests name as files, each read when it is asked for; the bytes of `had` are there."""

    def __init__(self, fleets: FleetSet, manifests: ManifestSet, had: Iterable[bytes] = ()) -> None:
        pins = (override.pin for override in fleets.overrides if override.pin is not None)
        wanted = [desired.application for desired in (*pins, *(fleet.desired for fleet in fleets.fleets))]
        self._manifests = manifests
        self._had = {hashlib.sha256(content).hexdigest(): content for content in had}
        self._files: dict[ApplicationKey, ApplicationBinary] = {
            (binary.platform, application.version, binary.content_sha256): binary
            for application in wanted
            if application is not None
            for binary in application.binaries
            if binary.file is not None
        }

    def __getitem__(self, key: ApplicationKey) -> bytes:
        file, sha256 = self._files[key].file, key[2]
        assert file is not None
        return self._had[sha256] if sha256 in self._had else self._manifests.binary(file)

    def __iter__(self) -> Iterator[ApplicationKey]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def register_of(observed: Observation | None, applications: Applications) -> Register:
    """What is known beforehand: the records of a snapshot, and how devices report the applications of the manifests."""
    hashes: dict[tuple[str, str], int] = {}
    for (platform, version, _), content in applications.items():
        try:
            hashes[platform, parse_module(content).sha256] = int(version)
        except FirmwareError:
            continue  # a bundle with assets, which goes over no USB
    if observed is None:
        return Register(applications=hashes)
    records = {device.id: device for device in observed.devices}
    return Register(devices=records, products=observed.products, applications=hashes)


def eyes_of(settings: BenchSettings, journal: Journal | None = None) -> UsbInventory:
    """Eyes alone: they change nothing."""
    return UsbInventory(
        settings.bus,
        fleets=settings.fleets,
        catalog=settings.catalog,
        clock=settings.wall,
        register=settings.register,
        record=None if journal is None else JournalRecord(journal),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchWork:
    """What a bench does. `may`: whether a step was agreed to; `is_shared` as in `BenchTools`; `only` as in `Hall`."""

    journal: Journal
    binaries: BinaryStore
    plan_id: str
    tell: Callable[[Event], None] = lambda _event: None
    show: Callable[[Seat], None] = lambda _seat: None
    may: Callable[[DeviceId, Step], bool] = lambda _device, _step: True
    stopped: Callable[[], bool] = lambda: False
    is_shared: bool = False
    only: frozenset[DeviceId] | None = None


@contextmanager
def open_hall(settings: BenchSettings, work: BenchWork) -> Iterator[Hall]:
    """A hall that serves until the context ends; then it waits for what is being written to a device."""
    eyes = eyes_of(settings, work.journal)

    def progressed(device_id: DeviceId, progress: UsbProgress) -> None:
        hall.progressed(device_id, progress)

    # What is being written when a person leaves is finished: so the hands are not told of `stopped`.
    hands = UsbExecutor(settings.bus, work.binaries, eyes.memory, on_progress=progressed)
    with ThreadPoolExecutor(DEVICES_AT_ONCE, thread_name_prefix="seat") as pool:
        run = Run(
            tools=Tools(
                journal=work.journal,
                catalog=settings.catalog,
                agreement=Agreement(plan_id=work.plan_id, steps={}),
                new_id=lambda: uuid.uuid4().hex,
                tell=work.tell,
                pool=pool,
            ),
            knowledge=Knowledge(work.journal),
        )
        scope = Scope(
            product=None,
            fleets=settings.fleets,
            inventory=eyes,
            hearing=Hearing(clock=settings.wall),
            executor=hands,
            answered_at=settings.wall,
        )

        def bench(show: Callable[[Seat], None]) -> Bench:
            tools = BenchTools(
                scope=scope,
                eyes=eyes,
                hands=hands,
                show=show,
                sleep=settings.clock.sleep,
                may=work.may,
                is_shared=work.is_shared,
                stopped=work.stopped,
            )
            return Bench(run, tools)

        hall = Hall(bench, eyes, pool, now=settings.clock.now, show=work.show, only=work.only)
        yield hall
