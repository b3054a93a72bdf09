"""helm and kubeconform on the chart of this repository."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.kube.chart import CHART
from tests.kube.components import component, kubernetes_version, module_folder

RELEASE: Final = "trial"
VALUES: Final = tuple(sorted((Path(__file__).parent / "values").glob("*.yaml")))
NOT_KUBERNETES_OWN: Final = ("ServiceMonitor", "PrometheusRule", "DeviceFleet", "PlanApproval")
"""Kinds that Kubernetes' schemas do not have."""
_INTEGER_OR_TEXT: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"


class HelmError(Exception):
    """helm said no; its words."""


def helm(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run helm, with further variables; what it wrote. Raises HelmError."""
    done = subprocess.run(
        [component("helm"), *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


def rendered(values: Path, *settings: str, namespace: str = "fleets") -> list[dict[str, Any]]:
    """The objects that the chart is with a file of values and with `--set` of others. Raises HelmError."""
    sets = [word for setting in settings for word in ("--set", setting)]
    options = ["--namespace", namespace, "--kube-version", kubernetes_version(), "--values", str(values)]
    text = helm("template", RELEASE, str(CHART), *options, *sets)
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Those of a kind."""
    return [document for document in documents if document["kind"] == kind]


def kubeconform(documents: list[dict[str, Any]], schemas: Path) -> str:
    """Hold objects against the schemas of a version; what it has to say, nothing where all is well."""
    options = [
        "-strict",
        "-skip",
        ",".join(NOT_KUBERNETES_OWN),
        "-schema-location",
        f"{schemas}/{{{{.ResourceKind}}}}.json",
    ]
    text = yaml.safe_dump_all(documents)
    command = [str(component("kubeconform")), *options, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def write_schemas(version: str, into: Path) -> Path:
    """JSON Schemas of all kinds of a version of Kubernetes, from the description that its sources carry; the folder."""
    described = json.loads((module_folder(version) / "api/openapi-spec/swagger.json").read_text("utf-8"))["definitions"]
    known = {name: _strict(name, definition) for name, definition in described.items()}
    for name, definition in described.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            if kind["group"] in {"", "apps", "policy"} or kind["group"].endswith(".k8s.io"):
                used = {each: known[each] for each in _reachable(name, known)}
                schema = {"$ref": f"#/definitions/{name}", "definitions": used}
                if kind["version"] == "v1":
                    (into / f"{kind['kind'].lower()}.json").write_text(json.dumps(schema), encoding="utf-8")
    return into


def _strict(name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition that allows no unknown fields; two types of Kubernetes' own are written as they are meant."""
    if name in {_INTEGER_OR_TEXT, _QUANTITY}:
        return {"type": ["string", "number"]}
    closed = {"additionalProperties": False} if "properties" in definition else {}
    return {**definition, **closed}


def _reachable(name: str, known: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    ahead = [name]
    while ahead:
        each = ahead.pop()
        if each not in found:
            found.add(each)
            ahead.extend(_references(known[each]))
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)
