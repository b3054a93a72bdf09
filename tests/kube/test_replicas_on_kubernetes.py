"""Two replicas of the operator, as the chart installs them, on a real API server and a journal in a real PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.kube.resource import API_VERSION, FLEET
from tests.kube.api_server import START_SECONDS_MAX, ApiServer
from tests.kube.chart import CHART
from tests.kube.client import Document
from tests.kube.oracle import broken_rules
from tests.kube.release import Release
from tests.simulation.stage import TOKEN
from tests.simulation.strikes import assert_all_well, struck_in_the_midst, wait_until_taken_over
from tests.simulation.worker_stage import TENANTS, OperatorStage, operators_on

pytestmark = pytest.mark.timeout(START_SECONDS_MAX * 3)

NAMESPACE = "replicated"
VALUES = {
    "replicaCount": "2",
    "store.kind": "postgresql",
    "store.postgresql.existingSecret": "journal",
    "watchNamespaces": f"{{{','.join(sorted({*TENANTS.values()}))}}}",
}


@dataclass(kw_only=True)
class RealCluster:
    """The release's API server, for operators with the account that their pods would have."""

    release: Release
    account: Path

    def apply(self, document: Mapping[str, Any]) -> Document:
        return self.release.admin.apply(document)

    def fleet(self, namespace: str, name: str) -> Document:
        metadata = {"namespace": namespace, "name": name}
        return self.release.admin.get({"apiVersion": API_VERSION, "kind": FLEET, "metadata": metadata})

    def kubeconfig(self, path: Path) -> Path:
        shutil.copy(self.account, path)
        return path


@dataclass(kw_only=True)
class Heard:
    """Every version that fleets have had since `version`, as a watch tells them."""

    server: ApiServer
    version: str
    fleets: list[Document] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def hear(self) -> None:
        admin, path = self.server.admin(), f"{self.server.address}/apis/{API_VERSION}/devicefleets"
        while not self.over.is_set():
            query = {"watch": "true", "resourceVersion": self.version, "timeoutSeconds": "1"}
            for line in admin.session.get(path, params=query, timeout=30).iter_lines():
                told = json.loads(line)
                if told["type"] == "ERROR":
                    raise AssertionError(told)
                self.fleets.append(told["object"])
                self.version = told["object"]["metadata"]["resourceVersion"]

    def statuses(self, namespace: str, name: str) -> list[Document]:
        """One fleet each time that its status was written by an operator."""
        found: list[Document] = []
        for each in self.fleets:
            is_it = (each["metadata"]["namespace"], each["metadata"]["name"]) == (namespace, name)
            is_judged = "conditions" in each.get("status", {})
            if is_it and is_judged and (not found or each["status"] != found[-1]["status"]):
                found.append(each)
        return found


@contextlib.contextmanager
def heard(server: ApiServer) -> Iterator[Heard]:
    path = f"/apis/{API_VERSION}/devicefleets"
    made = Heard(server=server, version=server.admin().call("GET", path)["metadata"]["resourceVersion"])
    thread = threading.Thread(target=made.hear, name="watch of fleets")
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        thread.join()


@pytest.fixture
def release(real_api_server: ApiServer, tmp_path: Path) -> Iterator[Release]:
    made = Release(real_api_server, tmp_path, namespace=NAMESPACE)
    for tenant in {*TENANTS.values()}:
        made.admin.namespace(tenant)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "particle-token", "namespace": tenant}}
        made.admin.apply({**secret, "stringData": {"token": TOKEN}})
    values = [word for name, value in VALUES.items() for word in ("--set", f"{name}={value}")]
    made.helm("install", str(CHART), "--create-namespace", "--take-ownership", *values)
    yield made
    made.helm("uninstall")
    for tenant in {*TENANTS.values()}:
        for fleet in made.admin.items(API_VERSION, FLEET, namespace=tenant):
            made.admin.delete(fleet)


@pytest.fixture
def stage(release: Release, postgres_journal: str, tmp_path: Path) -> Iterator[OperatorStage]:
    cluster = RealCluster(release=release, account=release.account())
    with operators_on(cluster, tmp_path, postgres_journal, **release.settings()["kubernetes"]) as made:
        yield made


def test_one_of_two_replicas_dies_another_sleeps_and_no_device_is_flashed_twice(
    stage: OperatorStage, release: Release
) -> None:
    with heard(release.server) as watch:
        stage.desire("2.1.0")
        begin_until_two_are_at_work(stage)
        killed = struck_in_the_midst(stage, signal.SIGKILL)
        wait_until_taken_over(stage, killed)
        stage.wait_for_release("2.1.0")
        stage.wait_for(stage.is_told)

        begin_until_two_are_at_work(stage)
        stage.desire("2.2.0")
        slept = struck_in_the_midst(stage, signal.SIGSTOP)
        wait_until_taken_over(stage, slept)
        slept.send(signal.SIGCONT)
        stage.wait_for(lambda: "PFR5021" in slept.said())
        assert_all_well(stage, release="2.2.0")
    for name, tenant in TENANTS.items():
        assert_true_at_all_times(watch.statuses(tenant, name))
    listed = release.kubectl("kubectl get devicefleets --all-namespaces --no-headers").splitlines()
    ours = [line.split()[:5] for line in listed if line.split()[0] in TENANTS.values()]
    assert sorted(ours) == sorted([tenant, name, "True", "3/3", "2.2.0"] for name, tenant in TENANTS.items())


def begin_until_two_are_at_work(stage: OperatorStage) -> None:
    """As a Deployment of two replicas does: who is dead is replaced."""
    alive = [each for each in stage.workers if each.process.poll() is None]
    alive += [stage.begin() for _ in range(2 - len(alive))]
    stage.wait_for(lambda: all(stage.is_at_work(each) for each in alive))


def assert_true_at_all_times(written: list[Document]) -> None:
    """No status broke a rule for the generation that it is of, and none took back what a later one had said."""
    generations = [each["status"]["observedGeneration"] for each in written]
    assert generations == sorted(generations)
    assert generations[-1] == written[-1]["metadata"]["generation"] == 2
    of_their_time = [
        {**each, "metadata": {**each["metadata"], "generation": each["status"]["observedGeneration"]}}
        for each in written
    ]
    assert [rule for each in of_their_time for rule in broken_rules(each)] == []
