"""The real command on a real API server with etcd, as a service account that may do no more than the operator needs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from reconciler.kube.resource import API_VERSION, PLURALS
from tests.kube.api_server import START_SECONDS_MAX, ApiServer
from tests.kube.client import Client, Document, Refused
from tests.kube.judging import judged
from tests.kube.operator_stage import OperatorStage, fleet, operator_stage, part
from tests.kube.oracle import broken_rules, kstatus
from tests.kube.permissions import account_of_operator
from tests.simulation.stage import TOKEN

ONE_AT_A_TIME = (
    "--enable-priority-and-fairness=false",
    "--max-requests-inflight=1",
    "--max-mutating-requests-inflight=1",
)
"""Flags of an API server that refuses by 429 whatever comes while it answers something else."""

pytestmark = pytest.mark.timeout(START_SECONDS_MAX * 3)


@pytest.fixture
def server(real_api_server: ApiServer) -> ApiServer:
    """That of everybody: whoever kills it begins it again."""
    return real_api_server


@pytest.fixture
def stage(tmp_path: Path, server: ApiServer) -> Iterator[OperatorStage]:
    with operator_stage(tmp_path, account_of_operator(server, tmp_path)) as made:
        yield made


@pytest.fixture
def namespace(server: ApiServer, request: pytest.FixtureRequest) -> str:
    admin, name = server.admin(), f"team-{len(request.node.name)}"
    admin.namespace(name)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "particle-token", "namespace": name}}
    admin.apply({**secret, "stringData": {"token": TOKEN}})
    return name


def ready(admin: Client, document: Document) -> dict[str, Any]:
    conditions = admin.get(document).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Ready"), {})


def is_ready(admin: Client, document: Document) -> bool:
    found = admin.get(document)
    return ready(admin, document).get("status") == "True" and (
        found["status"]["observedGeneration"] == found["metadata"]["generation"]
    )


def broken(admin: Client, namespace: str) -> list[str]:
    """The rules that any status in the namespace breaks."""
    there = [each for kind in PLURALS for each in admin.items(API_VERSION, kind, namespace=namespace)]
    assert there
    assert [each["status"] for each in judged(there)] == [*map(kstatus, there)]
    return [rule for each in there for rule in broken_rules(each)]


def test_a_fleet_is_applied_edited_and_deleted_on_a_real_api_server_that_freezes_and_is_slow(
    stage: OperatorStage, server: ApiServer, namespace: str
) -> None:
    admin, eu = server.admin(), fleet(namespace)
    admin.apply(eu)
    stage.start()
    stage.wait_for(stage.stage.flashes)
    with server.paused():
        stage.wait_for_release("2.1.0")
        assert requests.get(f"http://127.0.0.1:{stage.port}/healthz", timeout=10).ok
    stage.wait_for(lambda: is_ready(admin, eu))
    with server.slow():
        admin.apply(fleet(namespace, release="2.2.0", suspend=True))
        stage.wait_for(lambda: ready(admin, eu)["reason"] == "Suspended")
        assert stage.releases() == {"2.1.0"}
        admin.apply(fleet(namespace, release="2.2.0"))
        stage.wait_for_release("2.2.0")
        stage.wait_for(lambda: is_ready(admin, eu))
    status = admin.get(eu)["status"]
    assert status["display"]["current"] == "2/2"
    managers = {each["manager"] for each in admin.get(eu)["metadata"]["managedFields"] if each.get("subresource")}
    assert managers == {"particle-fleet-reconciler"}
    assert "finalizers" not in admin.get(eu)["metadata"]
    reasons = {each["reason"] for each in admin.items("v1", "Event", namespace=namespace)}
    assert {"RolloutBegan", "RolloutCompleted"} <= reasons
    assert broken(admin, namespace) == []
    admin.delete(eu)
    stage.wait_for(lambda: stage.said.count("is desired now") == 4)
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


def test_an_api_server_that_is_killed_has_forgotten_its_history_and_refuses_most_requests_loses_no_edit(
    stage: OperatorStage, server: ApiServer, namespace: str
) -> None:
    admin, eu = server.admin(), fleet(namespace)
    admin.apply(eu)
    stage.start()
    stage.wait_for(lambda: is_ready(admin, eu))
    server.compact()
    server.restart(*ONE_AT_A_TIME)
    try:
        with crowd(server):
            stage.wait_for(lambda: refused(server, stage))
            persistently(lambda: server.admin().apply(fleet(namespace, release="2.2.0")))
            stage.wait_for_release("2.2.0")
    finally:
        server.restart()
    admin = server.admin()
    stage.wait_for(lambda: is_ready(admin, eu))
    stage.wait_for(lambda: stage.readiness()["ready"])
    assert stage.end() == 0
    admin.delete(eu)
    stage.stage.assert_nothing_wrong()


@contextmanager
def crowd(server: ApiServer) -> Iterator[None]:
    """Others ask for much, all the time: with one request at a time most of all requests are refused by 429."""
    over = threading.Event()
    path = f"{server.address}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    def ask() -> None:
        session = server.admin().session
        while not over.is_set():
            with contextlib.suppress(requests.RequestException):
                session.get(path, timeout=30)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def refused(server: ApiServer, stage: OperatorStage) -> bool:
    """Whether the operator was told to wait, by what it says of itself."""
    return any("HTTP 429" in check["message"] for check in stage.readiness()["checks"]) or "HTTP 429" in stage.said


def persistently(do: Callable[[], object]) -> None:
    """As kubectl: what is refused by 429 is asked again."""
    while True:
        try:
            do()
        except Refused as error:
            assert error.code == 429  # noqa: PT017  # anything else fails the test
        else:
            return


def test_an_approval_is_a_resource_of_its_own_and_a_replaced_token_is_used(
    stage: OperatorStage, server: ApiServer, namespace: str
) -> None:
    admin, eu = server.admin(), fleet(namespace, approval={"required": True})
    admin.apply(eu)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "particle-token", "namespace": namespace}}
    admin.apply({**secret, "stringData": {"token": "no-token-that-the-cloud-knows"}})
    stage.start()
    stage.wait_for(lambda: ready(admin, eu).get("reason") == "CredentialsInvalid")
    admin.apply({**secret, "stringData": {"token": TOKEN}})
    stage.wait_for(lambda: "plan" in admin.get(eu).get("status", {}))
    plan = admin.get(eu)["status"]["plan"]
    assert ready(admin, eu)["reason"] == "AwaitingApproval"
    spec = {"planId": plan["id"], "digest": plan["digest"], "by": "ann", "at": "2026-11-22T20:00:00Z"}
    metadata = {"name": "yes", "namespace": namespace}
    approval = {"apiVersion": eu["apiVersion"], "kind": "PlanApproval", "metadata": metadata, "spec": spec}
    wrong = {**approval, "metadata": {**metadata, "name": "wrong"}, "spec": {**spec, "planId": "plan-of-nobody"}}
    policy = part("RolloutPolicy", namespace, "slow", rollout={"maxConcurrent": 1})
    for each in (approval, wrong, policy):
        admin.apply(each)
    stage.wait_for_release("2.1.0")
    stage.wait_for(lambda: is_ready(admin, approval) and is_ready(admin, policy) and is_ready(admin, eu))
    stage.wait_for(lambda: ready(admin, wrong).get("reason") == "ApprovalRefused")
    events = {each["involvedObject"]["name"]: each for each in admin.items("v1", "Event", namespace=namespace)}
    assert events["wrong"]["type"] == "Warning"
    assert broken(admin, namespace) == []
    assert stage.end() == 0
    admin.delete(eu)
    stage.stage.assert_nothing_wrong()
