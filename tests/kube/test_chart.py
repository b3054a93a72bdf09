"""The Helm chart: what is made from other things is up to date, and a real API server takes what it renders."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from reconciler.manifests.schema import load_schema
from reconciler.settings.reading import read_text
from tests.kube.api_server import ApiServer
from tests.kube.chart import CHART, NARROWER, descriptions, generated, values
from tests.kube.client import Client, Refused
from tests.kube.components import kubernetes_version
from tests.kube.helm import (
    NOT_KUBERNETES_OWN,
    RELEASE,
    VALUES,
    HelmError,
    helm,
    kubeconform,
    of_kind,
    rendered,
    write_schemas,
)
from tests.manifests.sample import APPROVAL, FLEET

DEFAULTS = next(path for path in VALUES if path.stem == "defaults")
DEPLOY = CHART.parents[1] / "deploy"
TENANTS = next(path for path in VALUES if path.stem == "tenants")
VERSIONS = ("v1.29.6", "v1.33.13", kubernetes_version(), "v1.37.2")
OPERATORS = "operators"
"""Where the operator of the tenants is: nothing else that was installed gives it rights."""
NAMESPACES = ("fleets", "team-a", "team-b", OPERATORS)
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


@pytest.mark.parametrize("file", generated())
def test_what_is_made_is_as_it_would_be_made_now(file: str) -> None:
    assert (CHART / file).read_text("utf-8") == generated()[file], "run python -m tests.kube.chart"


def test_every_value_is_described_and_every_narrower_value_is_one() -> None:
    known = dict(values())
    assert set(known) <= set(descriptions())
    assert set(NARROWER) <= set(known)


@pytest.mark.parametrize("file", VALUES, ids=lambda path: path.stem)
def test_helm_finds_nothing_wrong(file: Path) -> None:
    helm("lint", "--strict", "--kube-version", kubernetes_version(), "--values", str(file), str(CHART))


@pytest.fixture(scope="module", params=VERSIONS)
def schemas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schemas(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("file", VALUES, ids=lambda path: path.stem)
@pytest.mark.timeout(1800)
def test_every_supported_kubernetes_knows_what_is_rendered(schemas: Path, file: Path) -> None:
    documents = rendered(file)
    assert kubeconform(documents, schemas) == ""
    wrong = [{**document, "spek": {}} for document in of_kind(documents, "Deployment")]
    assert "spek" in kubeconform(wrong, schemas), "a field that is not known is found"


@pytest.fixture(scope="module")
def cluster(real_api_server: ApiServer) -> Client:
    """Somebody who may do everything, where Pod Security is `restricted`."""
    client = real_api_server.admin()
    for name in NAMESPACES:
        client.namespace(name, RESTRICTED)
    return client


def install(client: Client, documents: list[dict[str, Any]]) -> None:
    """Apply what a chart is, as Flux would: definitions first."""
    definitions = of_kind(documents, "CustomResourceDefinition")
    client.apply_crds(definitions)
    for document in documents:
        if document not in definitions and document["kind"] not in NOT_KUBERNETES_OWN:
            client.apply(document, namespace="fleets")


@pytest.mark.parametrize("file", VALUES, ids=lambda path: path.stem)
def test_a_real_api_server_takes_all_of_it_without_a_warning(cluster: Client, file: Path) -> None:
    cluster.warnings.clear()
    documents = rendered(file)
    install(cluster, documents)
    (deployment,) = of_kind(documents, "Deployment")
    template = deployment["spec"]["template"]
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": template["spec"]["serviceAccountName"]},
    }
    cluster.apply(account, namespace="fleets")
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "trial"}}
    cluster.apply(pod, namespace="fleets", dry_run=True)
    assert cluster.warnings == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("replicacount=2", "replicacount"),
        ("image.tagg=1", "tagg"),
        ("replicaCount=2", "SQLite journal has one writer"),
        ("store.kind=postgresql", "existingSecret"),
        ("store.kind=mysql", "store"),
        ("source.kind=git", "source.git.url"),
        ("watchNamespaces={Team_A}", "watchNamespaces"),
        ("serving.tokens[0].name=a", "serving"),
        ("serving.port=80", "serving"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(wrong: str, says: str) -> None:
    with pytest.raises(HelmError, match=re.escape(says)):
        rendered(DEFAULTS, wrong)


def test_a_budget_of_disruptions_keeps_no_node_from_being_drained() -> None:
    for replicas, budgets in ((1, 0), (2, 1)):
        store = ("store.kind=postgresql", "store.postgresql.existingSecret=journal")
        documents = rendered(DEFAULTS, *store, f"replicaCount={replicas}", "podDisruptionBudget.enabled=true")
        assert len(of_kind(documents, "PodDisruptionBudget")) == budgets


@pytest.mark.parametrize("file", VALUES, ids=lambda path: path.stem)
def test_the_settings_that_the_chart_writes_are_settings(file: Path) -> None:
    documents, values = rendered(file), yaml.safe_load(file.read_text("utf-8"))
    (text,) = (
        each["data"]["settings.yaml"]
        for each in of_kind(documents, "ConfigMap")
        if "settings.yaml" in each.get("data", {})
    )
    Draft202012Validator(load_schema("ControllerSettings")).validate(yaml.safe_load(text))
    (container, *_) = of_kind(documents, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value", "postgresql://journal/it") for each in container.get("env", ())}
    reading = read_text("settings.yaml", text, variables, folder="/etc/reconciler")
    assert [str(problem) for problem in reading.problems] == []
    assert reading.settings is not None
    kubernetes, source = reading.settings.kubernetes, values.get("source", {})
    assert (kubernetes is None) == (source.get("kind") == "git")
    if kubernetes is None:
        assert reading.settings.git.folder == source["git"]["folder"]
    else:
        assert [*kubernetes.watch_namespaces] == values.get("watchNamespaces", [])
        assert kubernetes.token_secret == values.get("particle", {}).get("tokenSecret", "particle-token")


def test_alerts_and_the_dashboard_are_those_of_the_repository() -> None:
    documents = rendered(next(path for path in VALUES if path.stem == "everything"))
    (rule,) = of_kind(documents, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text("utf-8"))
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    (shown,) = (each for each in of_kind(documents, "ConfigMap") if "fleets.json" in each.get("data", {}))
    assert json.loads(shown["data"]["fleets.json"]) == json.loads(
        (DEPLOY / "grafana" / "fleets.json").read_text("utf-8")
    )
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"


@pytest.fixture(scope="module")
def operator(real_api_server: ApiServer, cluster: Client) -> Client:
    """The service account of the chart with two tenants, with the chart's own rights and no others."""
    documents = rendered(TENANTS, namespace=OPERATORS)
    install(cluster, documents)
    for namespace in NAMESPACES:
        for name in ("fleet-token", "other"):
            secret = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
                "stringData": {"access": "x" * 20},
            }
            cluster.apply(secret, namespace=namespace)
        cluster.apply(FLEET, namespace=namespace)
    (account,) = of_kind(documents, "ServiceAccount")
    return real_api_server.as_service_account(OPERATORS, account["metadata"]["name"])


def secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}


def test_the_operator_may_do_its_work_in_the_namespaces_of_its_tenants(operator: Client) -> None:
    for namespace in ("team-a", "team-b"):
        assert [
            each["metadata"]["name"] for each in operator.items(FLEET["apiVersion"], "DeviceFleet", namespace=namespace)
        ]
        assert operator.get(secret("fleet-token"), namespace=namespace)["data"]
        status = {
            **{key: FLEET[key] for key in ("apiVersion", "kind", "metadata")},
            "status": {"observedGeneration": 1},
        }
        written = operator.apply(status, namespace=namespace, subresource="status", manager="operator")
        assert written["status"] == {"observedGeneration": 1}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "eu."},
            "involvedObject": {"namespace": namespace},
        }
        operator.call("POST", f"/api/v1/namespaces/{namespace}/events", event)


def test_the_operator_may_do_nothing_else(operator: Client) -> None:
    forbidden = (
        lambda: operator.items(FLEET["apiVersion"], "DeviceFleet", namespace="fleets"),
        lambda: operator.items(FLEET["apiVersion"], "DeviceFleet", namespace=None),
        lambda: operator.get(secret("other"), namespace="team-a"),
        lambda: operator.get(secret("fleet-token"), namespace="fleets"),
        lambda: operator.items("v1", "Secret", namespace="team-a"),
        lambda: operator.apply(FLEET, namespace="team-a"),
        lambda: operator.delete(FLEET, namespace="team-a"),
        lambda: operator.apply(APPROVAL, namespace="team-a"),
    )
    for attempt in forbidden:
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.code == 403


def test_who_edits_fleets_does_not_approve_their_plans(
    real_api_server: ApiServer, cluster: Client, operator: Client
) -> None:
    people = {role: real_api_server.as_user(f"{role}-of-team-a") for role in ("view", "edit", "approve")}
    for role in people:
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"people-{role}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": f"{OPERATORS}:{RELEASE}-reconciler:{role}",
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"{role}-of-team-a"}],
        }
        cluster.apply(binding, namespace="team-a")
    allowed = {role: [may(client, FLEET), may(client, APPROVAL)] for role, client in people.items()}
    assert allowed == {"view": [False, False], "edit": [True, False], "approve": [False, True]}


def may(client: Client, document: dict[str, Any]) -> bool:
    """Whether somebody may apply a document in the namespace of team-a. Who may not even look cannot."""
    plural = {"DeviceFleet": "devicefleets", "PlanApproval": "planapprovals"}[document["kind"]]
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "group": "fleet.reconciler.dev",
                "resource": plural,
                "verb": "patch",
                "namespace": "team-a",
            }
        },
    }
    answer = client.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def test_the_roles_for_people_go_into_those_of_the_cluster() -> None:
    roles = {
        role["metadata"]["name"]: role["metadata"]["labels"] for role in of_kind(rendered(DEFAULTS), "ClusterRole")
    }
    into = {
        name.rpartition(":")[2]: {key.rpartition("-")[2] for key in labels if "aggregate-to" in key}
        for name, labels in roles.items()
    }
    assert into["view"] == {"view", "edit", "admin"}
    assert into["edit"] == {"edit", "admin"}
    assert into["approve"] == set()


def test_definitions_stay_when_the_release_goes_unless_told_otherwise() -> None:
    everything = next(path for path in VALUES if path.stem == "everything")
    for file, policy in ((DEFAULTS, "keep"), (everything, None)):
        for definition in of_kind(rendered(file), "CustomResourceDefinition"):
            annotations = definition["metadata"].get("annotations", {})
            assert annotations.get("helm.sh/resource-policy") == policy


def test_the_definitions_of_the_chart_are_those_of_the_command() -> None:
    plain = [document for document in yaml.safe_load_all((CHART / "crds.yaml").read_text("utf-8")) if document]
    templated = of_kind(rendered(DEFAULTS), "CustomResourceDefinition")
    assert {each["metadata"]["name"]: each["spec"] for each in templated} == {
        each["metadata"]["name"]: each["spec"] for each in plain
    }
