"""The definitions of resources on a real API server: examples, defaults, columns, short names, upgrades."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.manifests.schema import MANIFEST_KINDS
from reconciler.render.crd_names import NAMES
from reconciler.render.crds import GROUP, definitions, definitions_text
from tests.kube.api_server import ApiServer
from tests.kube.broken import SOUND
from tests.kube.client import Client, Refused
from tests.manifests.sample import FLEET

ROOT = Path(__file__).parents[2]
EXAMPLES = tuple(sorted((ROOT / "fleet-manifests").rglob("*.yaml")))
WITH_FILES = tuple(ROOT / "fleet-manifests" / name / "fleet.yaml" for name in ("05-roster-and-exclude", "11-bench"))
PREVIOUS = tuple(sorted((Path(__file__).parent / "previous").glob("*.yaml")))
SHORT_NAMES_OF_OTHERS = frozenset(
    # Kubernetes itself, Agones, Rancher Fleet, KubeFleet, Flux, Argo CD and Rollouts, cert-manager, Crossplane.
    {
        "flt",
        "fleet",
        "fleets",
        "gameserver",
        "gs",
        "bundle",
        "bundles",
        "crp",
        "rp",
        "ks",
        "hr",
        "gitrepo",
        "app",
        "apps",
    }
    | {
        "ro",
        "rollout",
        "rs",
        "ar",
        "at",
        "cat",
        "cert",
        "xr",
        "po",
        "pdb",
        "pv",
        "pvc",
        "svc",
        "sa",
        "ns",
        "no",
        "netpol",
    }
    | {"cm", "deploy", "ds", "ep", "ev", "hpa", "ing", "limits", "pc", "quota", "rc", "sc", "sts", "cj", "crd", "crds"}
)


@pytest.fixture(scope="module")
def client(real_api_server: ApiServer) -> Client:
    client = real_api_server.admin()
    client.apply_crds(definitions())
    client.namespace("examples")
    return client


def documents_of(path: Path) -> list[str]:
    """The documents of a file, as they are written."""
    return [text for text in path.read_text("utf-8").split("\n---\n") if yaml.safe_load(text)]


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path not in WITH_FILES], ids=lambda path: path.stem)
def test_an_example_is_a_resource_as_it_is_written(client: Client, path: Path) -> None:
    for text in documents_of(path):
        written = yaml.load(text, Loader=yaml.BaseLoader)
        stored = client.apply(written, namespace="examples", text=text, dry_run=True)
        assert as_text(stored["spec"]) == as_text(written["spec"])


def as_text(value: Any) -> Any:
    """With every scalar as text, so that what YAML makes of it does not count."""
    if isinstance(value, dict):
        return {key: as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_text(inner) for inner in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("path", WITH_FILES, ids=lambda path: path.parent.name)
def test_an_example_with_a_roster_is_told_why_it_is_none(client: Client, path: Path) -> None:
    (text,) = documents_of(path)
    with pytest.raises(Refused, match="have the operator read the manifests from Git"):
        client.apply(yaml.safe_load(text), namespace="examples", text=text)


def test_short_names_are_nobody_elses(client: Client) -> None:
    short = [NAMES[kind].short for kind in MANIFEST_KINDS]
    assert len(set(short)) == len(short)
    assert not SHORT_NAMES_OF_OTHERS & set(short)
    served = client.call("GET", f"/apis/{GROUP}/v1alpha1")["resources"]
    assert {name for resource in served for name in resource.get("shortNames", ())} == set(short)


def test_a_new_resource_says_that_nobody_has_looked_at_it(client: Client) -> None:
    stored = client.apply({**FLEET, "metadata": {"name": "new"}}, namespace="examples")
    assert stored["status"] == {"observedGeneration": -1}
    assert stored["metadata"]["generation"] == 1


def test_the_columns_show_where_a_fleet_stands(client: Client) -> None:
    name = {**FLEET, "metadata": {"name": "shown"}}
    client.apply(name, namespace="examples")
    condition = {
        "type": "Ready",
        "status": "False",
        "observedGeneration": 1,
        "reason": "WaveInProgress",
        "message": "on",
    }
    status = {
        "observedGeneration": 1,
        "display": {"state": "Progressing", "current": "867/1022", "wave": "2/4 early"},
        "conditions": [{**condition, "lastTransitionTime": "2026-11-22T09:00:00Z"}],
    }
    document = {**{key: name[key] for key in ("apiVersion", "kind", "metadata")}, "status": status}
    client.apply(document, namespace="examples", subresource="status", manager="operator")
    path = f"{client.path_of(name, namespace='examples')}"
    table = client.session.get(
        client.address + path, headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}, timeout=60
    ).json()
    shown = dict(zip((column["name"] for column in table["columnDefinitions"]), table["rows"][0]["cells"], strict=True))
    wanted = {"Name": "shown", "Ready": "False", "Current": "867/1022", "Wave": "2/4 early", "Desired": "6.3.4"}
    assert {key: shown[key] for key in wanted} == wanted
    assert shown["Status"] == "on"


def test_every_part_of_a_definition_is_described_and_bounded() -> None:
    for definition in definitions():
        for path, node in nodes(
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec"
        ):
            assert node["description"], path
            if node.get("type") == "array":
                assert "maxItems" in node, path
            if node.get("type") == "string" and "enum" not in node:
                assert "maxLength" in node, path
            if "x-kubernetes-preserve-unknown-fields" in node:
                assert path == "spec.suspend", "the one field that a structural schema has no word for"


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema, with its path."""
    yield path, node
    for key, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{key}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{path}[]")


@pytest.mark.parametrize("path", PREVIOUS, ids=lambda path: path.stem)
def test_an_upgrade_of_the_definitions_keeps_what_was_stored(real_api_server: ApiServer, path: Path) -> None:
    """Under a group of its own, so that nobody else's resources are concerned."""
    client, group = real_api_server.admin(), f"{path.stem.replace('.', '-')}.reconciler.dev"

    def of_group(text: str) -> list[dict[str, Any]]:
        return [document for document in yaml.safe_load_all(text.replace(GROUP, group)) if document]

    earlier = of_group(path.read_text("utf-8"))
    client.apply_crds(earlier)
    kinds = {each["spec"]["names"]["kind"] for each in earlier}
    documents = of_group(yaml.safe_dump_all(SOUND.values()))
    stored, new = [], []
    for number, document in enumerate(documents):
        named = {**document, "metadata": {"name": f"sound-{number}"}}
        try:
            assert named["kind"] in kinds
            stored.append(client.apply(named))
        except (Refused, AssertionError):
            new.append(named)
    assert {each["kind"] for each in stored} == kinds
    client.apply_crds(of_group(definitions_text()))
    for before in stored:
        assert client.get(before) == before
        again = {key: before[key] for key in ("apiVersion", "kind", "spec")}
        after = client.apply({**again, "metadata": {"name": before["metadata"]["name"]}})
        assert after["metadata"]["generation"] == before["metadata"]["generation"], "nothing has changed"
    for document in new:
        assert client.apply(document), "what the earlier definitions did not know"


@pytest.mark.parametrize("path", PREVIOUS, ids=lambda path: path.stem)
def test_definitions_change_only_by_adding(path: Path) -> None:
    earlier = {each["metadata"]["name"]: each for each in yaml.safe_load_all(path.read_text("utf-8")) if each}
    now = {each["metadata"]["name"]: each for each in definitions()}
    assert set(earlier) <= set(now)
    for name, definition in earlier.items():
        known = dict(fields_of(now[name]))
        for field, node in fields_of(definition):
            assert field in known, f"{name} has lost {field}"
            assert known[field].get("type") == node.get("type"), field
            assert set(node.get("enum", ())) <= set(known[field].get("enum", node.get("enum", ()))), field
            assert set(known[field].get("required", ())) <= set(node.get("required", ())), field


def fields_of(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return nodes(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "")
