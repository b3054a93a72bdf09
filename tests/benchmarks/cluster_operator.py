"""`python -m tests.benchmarks.cluster_operator`: what one operator of very many fleets costs and how soon it acts.

The real `reconciler operator` as a process with settings by default, a namespace with its own token for each product.
The cloud is a served emulator, the API server the tests' stand-in (`tests/kube/fake_cluster.py`), which counts
requests; both are in the process that measures, and compete with the operator for the processor.

- *Start*: from the start of the process until every fleet's status says Ready; all devices are as desired.
- *Idle*: requests to the API server while nothing happens. A write is anything but a GET.
- *Change*: a fleet asks for another release; the time until the cloud gets the first request to flash a device.
"""

from __future__ import annotations

import argparse
import json
import os
import platform as machine
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.emulator.records import RequestKind, RequestRecord
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from tests.kube.fake_cluster import FakeCluster
from tests.kube.operator_stage import OperatorStage, fleet
from tests.simulation.stage import TOKEN, Stage

BEFORE, AFTER = "4.0.0", "4.2.0"
READY_WITHIN_SECONDS = 3600.0
END_WITHIN_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one operator. Seconds, megabytes, and requests to the API server in the idle time."""

    fleets: int
    devices: int
    start_seconds: float
    start_writes: int
    idle_seconds: float
    idle_writes: int
    idle_reads: int
    idle_processor_seconds: float
    changes: tuple[float, ...]
    change_processor_seconds: float
    megabytes: float
    megabytes_max: float


class FirstFlash:
    """When the cloud got the first request to flash something, since somebody asked."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._at = 0.0

    def hear(self, request: RequestRecord) -> None:
        if request.kind is RequestKind.FLASH and not self._came.is_set():
            self._at = time.monotonic()
            self._came.set()

    def expect(self) -> None:
        self._came.clear()

    def wait(self, within: float = 600.0) -> float:
        assert self._came.wait(within), "nothing was flashed"
        return self._at


def world(products: int, fleets: int, devices: int) -> str:
    """So many products, of each so many groups of so many devices."""
    groups = [f"g{number}" for number in range(fleets)]
    kinds = [
        {"id": 20001 + number, "slug": f"p{number}", "platform": "boron", "groups": groups}
        for number in range(products)
    ]
    there = [
        {"count": devices, "product": f"p{number}", "platform": "boron", "deviceOS": BEFORE, "groups": [group]}
        for number in range(products)
        for group in groups
    ]
    tokens = [{"name": "operator", "token": TOKEN}]
    return json.dumps({"start": "2026-11-22T09:00:00Z", "tokens": tokens, "products": kinds, "devices": there})


@contextmanager
def stage_of(
    products: int, fleets: int, devices: int, flashed: FirstFlash
) -> Iterator[tuple[OperatorStage, FakeCluster]]:
    """A cluster with all fleets, a cloud with all devices, and an operator that has not begun."""
    cluster = FakeCluster()
    with (
        tempfile.TemporaryDirectory() as name,
        EmulatorServer(load_world(world(products, fleets, devices)), speed=1.0, on_request=flashed.hear) as emulator,
    ):
        folder = Path(name)
        (folder / "catalog.json").write_text(json.dumps(emulator.catalog.document()))
        cluster.start()
        for number in range(products):
            cluster.secret(f"p{number}", TOKEN)
            for group in range(fleets):
                cluster.apply(fleet_of(number, group, BEFORE))
        stage = OperatorStage(
            stage=Stage(emulator=emulator, folder=folder), kubeconfig=cluster.kubeconfig(folder / "kubeconfig")
        )
        try:
            yield stage, cluster
        finally:
            if stage.process is not None:
                stage.process.kill()
                stage.process.wait()
            cluster.stop()


def fleet_of(product: int, group: int, release: str) -> Any:
    """The fleet of a group."""
    made = fleet(f"p{product}", f"g{group}", release=release, product=f"p{product}")
    made["spec"]["select"] = {"groups": [f"g{group}"]}
    return made


def measure(
    products: int,
    fleets: int,
    devices: int,
    *,
    idle_seconds: float,
    changes: int,
    settings: dict[str, Any] | None = None,
) -> Figures:
    """Measure one operator of `products` times `fleets` fleets of `devices` devices each."""
    flashed = FirstFlash()
    with stage_of(products, fleets, devices, flashed) as (stage, cluster):
        began = time.monotonic()
        told = stage.settings()
        for name in ("interval", "grace"):
            del told[name]
        stage.run({**told, **(settings or {})})
        stage.wait_for(lambda: all_ready(cluster), within=READY_WITHIN_SECONDS)
        start_seconds, start_writes = time.monotonic() - began, len(cluster.writes())
        assert stage.process is not None
        pid = stage.process.pid
        sys.stderr.write(f"all Ready after {start_seconds:.1f} s, {start_writes} writes\n")
        before, processor = len(cluster.requests), _processor_seconds(pid)
        _quiet(stage, idle_seconds)
        asked = cluster.requests[before:]
        writes = [each for each in asked if not each.startswith("GET")]
        idle_processor = _processor_seconds(pid) - processor
        sys.stderr.write(f"idle: {len(writes)} writes of {len(asked)} requests, {idle_processor:.1f} s of processor\n")
        taken, processors = list[float](), list[float]()
        for number in range(changes):
            flashed.expect()
            changed_at, spent = time.monotonic(), _processor_seconds(pid)
            cluster.apply(fleet_of(number % products, number // products, AFTER))
            taken.append(flashed.wait() - changed_at)
            processors.append(_processor_seconds(pid) - spent)
            sys.stderr.write(f"change {number + 1}: {taken[-1]:.2f} s, {processors[-1]:.2f} s of processor\n")
            _quiet(stage, 10.0)
        # Memory is looked at before the end, in which much is written down.
        megabytes, megabytes_max = _megabytes(pid, "VmRSS"), _megabytes(pid, "VmHWM")
        assert stage.end(within=END_WITHIN_SECONDS) == 0
        return Figures(
            fleets=products * fleets,
            devices=products * fleets * devices,
            start_seconds=start_seconds,
            start_writes=start_writes,
            idle_seconds=idle_seconds,
            idle_writes=len(writes),
            idle_reads=len(asked) - len(writes),
            idle_processor_seconds=idle_processor,
            changes=tuple(taken),
            change_processor_seconds=statistics.median(processors),
            megabytes=megabytes,
            megabytes_max=megabytes_max,
        )


def all_ready(cluster: FakeCluster) -> bool:
    """Whether every fleet says that it is as desired."""
    with cluster.lock:
        there = [each for key, each in cluster.objects.items() if key[0] == "devicefleets"]
        return all(_ready(each.get("status", {})) for each in there)


def _ready(status: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ()))


def _quiet(stage: OperatorStage, seconds: float) -> None:
    end = time.monotonic() + seconds
    stage.wait_for(lambda: time.monotonic() >= end, within=seconds + 60)


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (each for each in lines if each.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


NAMES = ("Fleets", "Devices", "All Ready after", "with writes", "Idle: writes an hour", "reads an hour", "processor")
CHANGES = ("Change to first request, median", "longest", "processor", "Memory", "highest")
HEAD = ("|".join(("", *(f" {each} " for each in (*NAMES, *CHANGES)), "")), "|--:" * len(NAMES + CHANGES) + "|")


def report(row: Figures) -> str:
    """One line of the table in BENCHMARKS.md."""
    hours = row.idle_seconds / 3600
    median, longest = statistics.median(row.changes), max(row.changes)
    return (
        f"| {row.fleets:,} | {row.devices:,} | {row.start_seconds:.0f} s | {row.start_writes:,} "
        f"| {row.idle_writes / hours:.0f} | {row.idle_reads / hours:.0f} "
        f"| {row.idle_processor_seconds / row.idle_seconds:.0%} of one "
        f"| {median:.1f} s | {longest:.1f} s | {row.change_processor_seconds:.1f} s "
        f"| {row.megabytes:.0f} MB | {row.megabytes_max:.0f} MB |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cluster_operator")
    parser.add_argument("--products", type=int, default=10, help="namespaces, a product each")
    parser.add_argument("--fleets", type=int, default=100, help="fleets of a product")
    parser.add_argument("--devices", type=int, default=100, help="devices of a fleet")
    parser.add_argument("--idle", type=float, default=600.0, help="seconds")
    parser.add_argument("--changes", type=int, default=20)
    told = parser.parse_args(arguments)
    sys.stdout.write(f"Python {machine.python_version()}\n\n" + "\n".join(HEAD) + "\n")
    figures = measure(told.products, told.fleets, told.devices, idle_seconds=told.idle, changes=told.changes)
    sys.stdout.write(report(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
