"""Several real processes on one journal and a served cloud: controllers on a Git server, operators on a cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import psycopg
import requests
import yaml

from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.journal.journal import Journal
from reconciler.journal.location import journal_place
from reconciler.journal.opening import open_journal
from reconciler.model.attempt import Attempt
from tests.git_server import HostedRepository, HttpsGitServer, free_port, https_server
from tests.kube.fake_cluster import FakeCluster
from tests.simulation.stage import ROOT, TOKEN, Stage, catalog_text

WITHIN_SECONDS = 120.0
FIRST_PRODUCT = 12401
PRODUCTS = ("alder", "beech", "cedar")
TENANTS = {"alder": "team-a", "beech": "team-a", "cedar": "team-b"}
DEVICES_EACH = 3
SPEED = 300.0
FLEET = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: {name}}}
spec:
  product: {name}
  select: {{groups: [all]}}
  desired: {{deviceOS: "{release}"}}
  rollout: {{maxConcurrent: 2, maxFailures: "100%", waves: [{{name: all, size: remaining}}]}}
"""


def fleets(release: str) -> dict[str, str]:
    """A fleet for each product."""
    return {f"fleets/{name}.yaml": FLEET.format(name=name, release=release) for name in PRODUCTS}


def world_text(devices: int) -> str:
    """So many Borons in each of the products."""
    listed = "".join(
        f"  - {{id: {FIRST_PRODUCT + number}, slug: {name}, platform: boron, groups: [all]}}\n"
        for number, name in enumerate(PRODUCTS)
    )
    counted = "".join(
        f'  - {{count: {devices}, product: {name}, platform: boron, deviceOS: "2.0.1", groups: [all]}}\n'
        for name in PRODUCTS
    )
    return (
        f'start: "2026-11-22T09:00:00Z"\ntokens: [{{name: operator, token: "{TOKEN}"}}]\n'
        f"products:\n{listed}devices:\n{counted}"
    )


@dataclass(kw_only=True)
class Worker:
    """One process. `log` is what it says."""

    name: str
    log: Path
    port: int
    process: subprocess.Popen[bytes]

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, *, within: float = 30.0) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(within)

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""


@dataclass(kw_only=True)
class Crew:
    """A stage with any number of processes on `journal`, an address or a path.

    `looks_at`: what, beside journal and queue, readiness names.
    """

    stage: Stage
    journal: str
    workers: list[Worker] = field(default_factory=list)
    looks_at: frozenset[str] = frozenset({"source", "cloud"})

    def desire(self, release: str) -> None:
        """Every fleet is to have this release from now on."""
        raise NotImplementedError

    def begin(self, command: str | None = None, *, journal: str | None = None) -> Worker:
        """One more process; None: one of those that look after products, serve and tell."""
        raise NotImplementedError

    def is_told(self) -> bool:
        """Whether everybody can see by now that all is well."""
        raise NotImplementedError

    def launch(self, command: str, journal: str | None, *, module: str = "reconciler", **settings: Any) -> Worker:
        """Each has a folder of its own, as on a machine of its own."""
        name = f"{command}-{len(self.workers)}"
        folder = self.stage.folder / name
        folder.mkdir()
        token_file = folder / "particle-token"
        token_file.write_text(TOKEN)
        token_file.chmod(0o600)
        told = {
            "apiVersion": "fleet.reconciler.dev/v1alpha1",
            "kind": "ControllerSettings",
            "particle": {"apiUrl": self.stage.url, "tokenFile": str(token_file)},
            "journal": journal or self.journal,
            "catalog": str(self.stage.folder / "catalog.json"),
            "interval": "5s",
            "grace": "5s",
            "workers": {"lost": "3s"},
            "serving": {"port": free_port()},
        }
        file = folder / "settings.yaml"
        file.write_text(yaml.safe_dump(told | settings))
        log = folder / "log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", module, command, "--settings", str(file)],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        worker = Worker(name=name, log=log, process=process, port=told["serving"]["port"])
        self.workers.append(worker)
        return worker

    def wait_for(self, what: Callable[[], object], *, within: float = WITHIN_SECONDS) -> None:
        """Until something holds."""
        end = time.monotonic() + within
        while not what():
            assert time.monotonic() < end, f"it did not happen within {within} s\n{self.said()}"
            time.sleep(0.1)

    def wait_for_release(self, release: str) -> None:
        """Until every device runs a release, in truth."""
        self.wait_for(lambda: self.releases() == {release})

    def releases(self) -> set[str]:
        with self.stage.emulator.locked() as cloud:
            return {device.reported_device_os or "" for device in cloud.state.devices.values()}

    def holders(self) -> dict[str, int]:
        """Which process looks after each product, by its id; products that nobody has are left out."""
        with psycopg.connect(self.journal) as connection:
            rows = connection.execute("SELECT product, holder FROM turns WHERE holder IS NOT NULL").fetchall()
        return {product: int(holder.split()[1]) for product, holder in rows}

    def is_at_work(self, worker: Worker) -> bool:
        """Whether a process shares the journal's lock."""
        with psycopg.connect(self.journal) as connection:
            found = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s"
            row = connection.execute(found, [f"process {worker.process.pid} on %"]).fetchone()
        return row is not None and row[0] > 0

    def turns(self) -> dict[str, int]:
        """How many passes each product has had."""
        with psycopg.connect(self.journal) as connection:
            return dict(connection.execute("SELECT product, turn FROM turns").fetchall())

    def worker(self, process_id: int) -> Worker:
        return next(each for each in self.workers if each.process.pid == process_id)

    def product_of(self, device: str) -> str:
        with self.stage.emulator.locked() as cloud:
            number = cloud.state.devices[device].product_id
        return PRODUCTS[(number or FIRST_PRODUCT) - FIRST_PRODUCT]

    def checks(self, worker: Worker) -> dict[str, bool]:
        """What one that serves says of its readiness."""
        answer = requests.get(f"http://127.0.0.1:{worker.port}/readyz", timeout=30).json()
        return {check["name"]: check["ok"] for check in answer["checks"]}

    def who_sends(self) -> Worker:
        """Whose the last flash is that the cloud has got."""
        return self.worker(self.holders()[self.product_of(self.stage.flashes()[-1].device or "")])

    def said(self) -> str:
        logs = [f"--- {each.name}, process {each.process.pid}\n{each.said()[-6000:]}" for each in self.workers]
        return "\n".join([*logs, *self._tables()])

    def _tables(self) -> list[str]:
        if not self.journal.startswith("postgresql:"):
            return []
        with psycopg.connect(self.journal) as connection:
            tables = ("turns", "procrastinate_jobs", "procrastinate_workers")
            return [f"--- {each}: {connection.execute(f'SELECT * FROM {each}').fetchall()}" for each in tables]

    @contextlib.contextmanager
    def reading(self) -> Iterator[Journal]:
        with open_journal(journal_place(self.journal), create=False) as kept:
            yield kept

    def open_attempts(self) -> tuple[Attempt, ...]:
        with self.reading() as kept:
            return kept.open_attempts()

    def assert_nothing_wrong(self) -> None:
        """What holds after every play, whatever went wrong in it."""
        assert self.stage.violations() == []
        assert self.stage.sent_more_than_once() == {}
        assert self.stage.installed_more_than_once() == {}
        for worker in self.workers:
            ours = [line for line in worker.said().splitlines() if "logger=procrastinate" not in line]
            assert not any("Traceback" in line for line in ours), worker.said()
            assert TOKEN not in worker.said()


@dataclass(kw_only=True)
class WorkerStage(Crew):
    """Controllers and workers, which follow a repository."""

    git: HttpsGitServer
    repository: HostedRepository

    def desire(self, release: str) -> None:
        """See `Crew.desire`."""
        self.repository.commit(fleets(release))

    def begin(self, command: str | None = None, *, journal: str | None = None) -> Worker:
        """See `Crew.begin`."""
        git = {
            "url": self.repository.url,
            "folder": "fleets",
            "interval": "1s",
            "tokenFile": str(self.git.token_file),
            "caFile": str(self.git.ca_file),
        }
        return self.launch(command or "controller", journal, git=git)

    def is_told(self) -> bool:
        """See `Crew.is_told`: whoever asks over HTTP is told then what holds then."""
        return True


class Cluster(Protocol):
    """What has the fleets: a stand-in for an API server, or a real one."""

    def apply(self, document: Mapping[str, Any]) -> object:
        """Make or alter a resource."""

    def fleet(self, namespace: str, name: str) -> dict[str, Any]:
        """A fleet as it is now."""

    def kubeconfig(self, path: Path) -> Path:
        """Write how operators reach it."""


@dataclass(kw_only=True)
class OperatorStage(Crew):
    """Operators, which watch a cluster. Two of the products are a tenant's, the other one is another's.

    `kubernetes`: what they are told of it beside how they reach it.
    """

    cluster: Cluster
    kubernetes: Mapping[str, Any] = field(default_factory=dict)
    looks_at: frozenset[str] = frozenset({"resources", "statuses", "token"})

    def desire(self, release: str) -> None:
        """See `Crew.desire`."""
        for name in PRODUCTS:
            resource = yaml.safe_load(FLEET.format(name=name, release=release))
            resource["metadata"]["namespace"] = TENANTS[name]
            self.cluster.apply(resource)

    def begin(self, command: str | None = None, *, journal: str | None = None) -> Worker:
        """See `Crew.begin`."""
        kubeconfig = self.cluster.kubeconfig(self.stage.folder / f"kubeconfig-{len(self.workers)}")
        particle = {"apiUrl": self.stage.url}
        kubernetes = {**self.kubernetes, "kubeconfig": str(kubeconfig)}
        return self.launch("operator", journal, module="tests.kube.quick", kubernetes=kubernetes, particle=particle)

    def is_told(self) -> bool:
        """See `Crew.is_told`: by the statuses, of the newest generation."""
        return all(self._is_ready(namespace, name) for name, namespace in TENANTS.items())

    def _is_ready(self, namespace: str, name: str) -> bool:
        resource = self.cluster.fleet(namespace, name)
        conditions = resource.get("status", {}).get("conditions", [])
        ready = {each["type"]: (each["status"], each["observedGeneration"]) for each in conditions}.get("Ready")
        return ready == ("True", resource["metadata"]["generation"])


@contextlib.contextmanager
def worker_stage(folder: Path, journal: str) -> Iterator[WorkerStage]:
    """Everything but the processes, which are ended at the latest with this."""
    with https_server(folder / "git") as git, _emulated(folder) as stage:
        made = WorkerStage(stage=stage, git=git, repository=git.repository(), journal=journal)
        try:
            yield made
        finally:
            _end_all(made)


@contextlib.contextmanager
def several_operators(folder: Path, journal: str) -> Iterator[OperatorStage]:
    """As `worker_stage`, with a stand-in for a cluster."""
    cluster = FakeCluster()
    for namespace in {*TENANTS.values()}:
        cluster.secret(namespace, TOKEN)
    cluster.start()
    try:
        with operators_on(cluster, folder, journal) as made:
            yield made
    finally:
        cluster.stop()


@contextlib.contextmanager
def operators_on(cluster: Cluster, folder: Path, journal: str, **kubernetes: Any) -> Iterator[OperatorStage]:
    """As `worker_stage`, with a cluster."""
    with _emulated(folder) as stage:
        made = OperatorStage(stage=stage, cluster=cluster, journal=journal, kubernetes=kubernetes)
        try:
            yield made
        finally:
            _end_all(made)


def _end_all(crew: Crew) -> None:
    for worker in crew.workers:
        with contextlib.suppress(ProcessLookupError):
            worker.process.send_signal(signal.SIGCONT)
        worker.process.kill()
        worker.process.wait()


@contextlib.contextmanager
def _emulated(folder: Path) -> Iterator[Stage]:
    place = folder / "stage"
    place.mkdir()
    told: list[Stage] = []
    world = load_world(world_text(DEVICES_EACH))
    hear = partial(_hear, told)
    with EmulatorServer(world, speed=SPEED, seed=7, on_request=hear) as emulator:
        stage = Stage(emulator=emulator, folder=place)
        told.append(stage)
        (place / "catalog.json").write_text(catalog_text(emulator), encoding="utf-8")
        yield stage


def _hear(told: list[Stage], request: Any) -> None:
    if told:
        told[0].hear_of(request)
