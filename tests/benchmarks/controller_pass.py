"""`python -m tests.benchmarks.controller_pass`: what a pass of the controller costs, and what an idle fleet asks.

*Passes*: one product's pass in processor time beside planning the same devices anew, in one process. Eyes show prepared
observations and the journal is in memory, so that neither wire nor disk is in the figures.

*Idle* (`--idle`): a converged fleet in an emulated cloud in virtual time, with the client of production: API requests,
journal writes, processor time and memory, hour by hour. The emulator lives in the same process; its log of requests is
thrown away every hour, with the histories of its devices; its processor time is left out.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor as Pool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from reconciler.controller.agreement import Agreement
from reconciler.controller.cycle import reconcile_pass
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.run import Run, Scope, Tools
from reconciler.emulator.message import Request
from reconciler.execution.executor import Executor
from reconciler.firmware.catalog import Catalog
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.inventory import Inventory
from reconciler.inventory.watching import WatchingInventory
from reconciler.journal.journal import Journal
from reconciler.journal.memory import MemoryJournal
from reconciler.model.allowance import REQUESTS
from reconciler.model.device import DeviceId, DeviceMode, Observation, ObservedDevice
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import NEVER, Instant
from reconciler.particle.api import ParticleApi
from reconciler.planning.planner import plan_fleets
from tests.benchmarks.replan import world_of
from tests.counted_journal import CountedJournal
from tests.simulation.stage import manifests_for, world_text
from tests.simulation.virtual import OneAtATime, Play, VirtualCloud, fleets_from

PRODUCT = "boron"
PASS_SECONDS = 60.0
IDLE_INTERVAL_SECONDS = 600.0
ASLEEP_SHARE = 0.01
"""Of an idle fleet's devices: they wake up every hour, and fall asleep again."""


@dataclass
class Shown:
    """Eyes that show what they are given, as of later every time."""

    observation: Observation

    def observe(self) -> Observation:
        at = Instant(self.observation.observed_at + PASS_SECONDS)
        self.observation = replace(self.observation, observed_at=at, listed_at=NEVER, products_at=NEVER)
        return self.observation

    def observe_device(self, device_id: DeviceId) -> ObservedDevice | None:
        return self.observation.by_id.get(device_id)

    def change(self, observation: Observation) -> None:
        """Some devices are others now."""
        self.observation = replace(self.observation, devices=observation.devices, index=observation.by_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """Processor seconds, medians. `listed`: every record is a new one and says the same but for its time."""

    devices: int
    anew: float
    first: float
    idle: float
    changed: float
    listed: float
    bytes_a_device: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """One product of the generated fleets, `seen` with nearly everybody as desired; `drifted`: as they were before."""

    fleets: FleetSet
    catalog: Catalog
    seen: Observation
    drifted: Sequence[ObservedDevice]


def converged(devices: int, folder: Path, *, seed: int) -> Converged:
    """So many devices, read as any snapshot is."""
    world = world_of(devices, folder, seed=seed, shares={PRODUCT: 1})
    fleets = FleetSet(fleets=tuple(each for each in world.fleets.fleets if each.product == PRODUCT))
    products = tuple(each for each in world.observed.products if each.slug == PRODUCT)
    seen = replace(world.observed, products=products, source="cloud")
    (plan,) = plan_fleets(fleets, seen, world.catalog, now=seen.observed_at).fleets
    desired, moving = plan.fleet.desired, {each for route in plan.routes for each in route.devices}
    assert desired.device_os is not None
    assert desired.application is not None
    there: dict[str, Any] = {
        "device_os": desired.device_os.text,
        "application": int(desired.application.version),
        "mode": DeviceMode.NORMAL,
        "modules": None,
    }
    arrived = tuple(replace(each, **there) if each.id in moving else each for each in seen.devices)
    return Converged(fleets=fleets, catalog=world.catalog, seen=replace(seen, devices=arrived), drifted=seen.devices)


def disturbed(world: Converged, dice: random.Random) -> Observation:
    """1 % of the devices are others: every second one is as it was before, the others went on or off line."""
    devices = list(world.seen.devices)
    for number, index in enumerate(dice.sample(range(len(devices)), max(1, len(devices) // 100))):
        before, now = world.drifted[index], devices[index]
        devices[index] = replace(now, online=not now.online) if number % 2 or before == now else before
    return replace(world.seen, devices=tuple(devices))


def run_over(catalog: Catalog, journal: Journal) -> Run:
    """A run that has agreed to nothing."""
    tools = Tools(
        journal=journal,
        catalog=catalog,
        agreement=Agreement(plan_id="plan", steps={}),
        new_id=lambda: "never",
        tell=lambda event: None,
        pool=cast(Pool, OneAtATime()),
    )
    return Run(tools=tools, knowledge=Knowledge(journal))


def passes(devices: int, *, runs: int, seed: int, clock: Callable[[], float] = time.process_time) -> Passes:
    """All kinds of passes over a fleet of so many devices."""
    with tempfile.TemporaryDirectory() as name:
        world = converged(devices, Path(name), seed=seed)
    fleets, catalog, seen = world.fleets, world.catalog, world.seen
    eyes, dice = Shown(replace(seen, index=seen.by_id)), random.Random(seed)
    scope = Scope(
        product=PRODUCT,
        fleets=fleets,
        inventory=eyes,
        hearing=Hearing(clock=lambda: NEVER),
        executor=cast(Executor, None),
        answered_at=lambda: None,
    )
    run = run_over(catalog, MemoryJournal())

    def timed(work: Callable[[], object]) -> float:
        gc.collect()
        began = clock()
        work()
        return clock() - began

    before = _resident_bytes()
    first = timed(lambda: reconcile_pass(run, scope))
    reconcile_pass(run, scope)
    grown = _resident_bytes() - before
    found: dict[str, list[float]] = {"anew": [], "idle": [], "changed": [], "listed": []}
    for _ in range(runs):
        found["idle"].append(timed(lambda: reconcile_pass(run, scope)))
        eyes.change(disturbed(world, dice))
        found["changed"].append(timed(lambda: reconcile_pass(run, scope)))
        found["anew"].append(
            timed(lambda: plan_fleets(fleets, eyes.observation, catalog, now=eyes.observation.observed_at))
        )
        eyes.change(seen)
        reconcile_pass(run, scope)
        now = eyes.observation.observed_at
        eyes.change(replace(seen, devices=tuple(replace(each, observed_at=now) for each in seen.devices)))
        found["listed"].append(timed(lambda: reconcile_pass(run, scope)))
        eyes.change(seen)
        for _ in range(2):
            reconcile_pass(run, scope)
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    return Passes(devices=devices, first=first, bytes_a_device=grown / devices, **medians)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """One hour of an idle fleet. Bytes are resident, the emulator's and all; objects are of the client's own types."""

    requests: int
    writes: int
    passes: int
    processor_seconds: float
    resident_bytes: int
    objects: int
    files: int


class IdleCloud(VirtualCloud):
    """A cloud that knows how long it was busy itself."""

    busy_seconds = 0.0
    _began = 0.0

    def api(self, **more: Any) -> ParticleApi:
        """As a controller's: it keeps no counts by device. Nor are requests kept, as plays do to be quick."""
        api = super().api(**more)
        api.wire.counted.by_device = False
        del api.wire._session.prepare_request
        return api

    def forget(self) -> None:
        """What a cloud of tests remembers for its referees."""
        self.cloud._requests.clear()
        self.cloud.state.hub.deliveries.clear()
        for device in self.cloud.state.devices.values():
            del device.history[:-1]

    def before_request(self, request: Request) -> None:
        self._began = time.process_time()

    def after_request(self, request: Request) -> None:
        self.busy_seconds += time.process_time() - self._began

    def sleep(self, seconds: float) -> None:
        began = time.process_time()
        super().sleep(seconds)
        self.busy_seconds += time.process_time() - began


def idle(devices: int, *, hours: int, interval_seconds: float = IDLE_INTERVAL_SECONDS) -> Iterator[Hour]:
    """So many hours of a fleet that is as desired, with a pass every minute."""
    asleep = round(devices * ASLEEP_SHARE)
    line = 'product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 2, groups: [all]'
    virtual = IdleCloud(
        world_text(
            f"\n  - {{count: {devices - asleep}, {line}}}\n"
            f"  - {{count: {asleep}, {line}, online: {{everySeconds: 3600, forSeconds: 300}}}}\n"
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        fleets = fleets_from(Path(folder), manifests_for(("cold-chain",), delivery="{release: never}"))
    journal = CountedJournal()

    def watching(eyes: Inventory) -> Inventory:
        assert isinstance(eyes, CloudInventory)
        assert eyes._hearing is not None
        return WatchingInventory(
            eyes,
            eyes._hearing,
            interval_seconds=interval_seconds,
            requests_per_second=REQUESTS.per_second,
            monotonic=virtual.monotonic,
        )

    play = Play(virtual=virtual, fleets=fleets, journal=cast(Journal, journal), sight=watching)
    run = play.begin(Agreement(plan_id="plan", steps={}))
    for _ in range(hours):
        end, passes_made = virtual.now + 3600.0, 0
        journal.written.clear()
        busy, began = virtual.busy_seconds, time.process_time()
        while virtual.now < end:
            for scope in play.scopes:
                reconcile_pass(run, scope)
            passes_made += 1
            virtual.sleep(PASS_SECONDS)
        processor = time.process_time() - began - (virtual.busy_seconds - busy)
        requests = len(virtual.cloud.requests)
        virtual.forget()
        gc.collect()
        yield Hour(
            requests=requests,
            writes=journal.written.total(),
            passes=passes_made,
            processor_seconds=processor,
            resident_bytes=_resident_bytes(),
            objects=_objects_of_the_client(),
            files=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        )


def _objects_of_the_client() -> int:
    types = (type(each) for each in gc.get_objects())
    modules = (str(getattr(each, "__module__", "")) for each in types)
    return sum(each.startswith("reconciler.") and not each.startswith("reconciler.emulator.") for each in modules)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def report_of_passes(rows: Sequence[Passes]) -> list[str]:
    """The figures as a Markdown table."""
    return [
        "| Devices | Anew | First pass | Idle | / anew | 1 % changed | / anew | Listed, same | / anew | Bytes each |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {row.devices:,} | {row.anew:.2f} s | {row.first:.2f} s | {row.idle * 1000:.2f} ms "
            f"| {row.idle / row.anew:.2%} | {row.changed * 1000:.0f} ms | {row.changed / row.anew:.1%} "
            f"| {row.listed:.2f} s | {row.listed / row.anew:.1%} | {row.bytes_a_device:,.0f} |"
            for row in rows
        ),
    ]


HOURS_HEAD = (
    "| Devices | Hour | Passes | Requests | Journal writes | Processor | Resident | Objects | Files |",
    "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
)


def report_of_hour(devices: int, number: int, hour: Hour) -> str:
    """One hour as a line of a Markdown table."""
    return (
        f"| {devices:,} | {number} | {hour.passes} | {hour.requests:,} | {hour.writes:,} "
        f"| {hour.processor_seconds:.1f} s | {hour.resident_bytes / 1e6:.0f} MB | {hour.objects:,} | {hour.files} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--idle", type=int, metavar="HOURS", help="Play an idle fleet for so many hours instead.")
    arguments = parser.parse_args()
    _say(f"Python {platform.python_version()}, {os.cpu_count()} processors", "")
    if arguments.idle is None:
        _say(
            *report_of_passes([passes(n, runs=arguments.runs, seed=arguments.seed) for n in sorted(arguments.devices)])
        )
        return
    _say(*HOURS_HEAD)
    for count in sorted(arguments.devices):
        for number, hour in enumerate(idle(count, hours=arguments.idle), 1):
            _say(report_of_hour(count, number, hour))


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
