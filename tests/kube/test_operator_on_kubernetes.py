"""The real command on a real API server with etcd, as a service account that may do no more than the operator needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kube.api_server import START_SECONDS_MAX, ApiServer, running_api_server
from tests.kube.client import Client, Document
from tests.kube.operator_stage import OperatorStage, fleet, operator_stage
from tests.kube.permissions import account_of_operator
from tests.simulation.stage import TOKEN

pytestmark = pytest.mark.timeout(START_SECONDS_MAX * 3)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One of our own: it is killed."""
    with running_api_server(tmp_path_factory.mktemp("own-api-server")) as made:
        yield made


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


def test_a_fleet_is_applied_edited_and_deleted_on_a_real_api_server(
    stage: OperatorStage, server: ApiServer, namespace: str
) -> None:
    admin, eu = server.admin(), fleet(namespace)
    admin.apply(eu)
    stage.start()
    stage.wait_for_release("2.1.0")
    stage.wait_for(lambda: is_ready(admin, eu))
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
    admin.delete(eu)
    stage.wait_for(lambda: stage.said.count("is desired now") == 3)
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


def test_the_api_server_is_killed_its_history_compacted_and_what_was_edited_meanwhile_is_taken(
    stage: OperatorStage, server: ApiServer, namespace: str
) -> None:
    admin, eu = server.admin(), fleet(namespace)
    admin.apply(eu)
    stage.start()
    stage.wait_for(lambda: is_ready(admin, eu))
    server.kill()
    stage.wait_for(lambda: "resources cannot be listed" in stage.said)
    server.start()
    admin = server.admin()
    admin.apply(fleet(namespace, release="2.2.0"))
    server.compact()
    stage.wait_for_release("2.2.0")
    stage.wait_for(lambda: is_ready(admin, eu))
    assert stage.end() == 0
    admin.delete(eu)
    stage.stage.assert_nothing_wrong()


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
    admin.apply({"apiVersion": eu["apiVersion"], "kind": "PlanApproval", "metadata": metadata, "spec": spec})
    stage.wait_for_release("2.1.0")
    assert stage.end() == 0
    admin.delete(eu)
    stage.stage.assert_nothing_wrong()
