"""What of the Helm chart is made from other things: its CRDs, its values.schema.json and the table of its README.

    python -m tests.kube.chart        write them all; tests/kube/test_chart.py says when that was forgotten

`values.yaml` is the one source of values: a line `# -- …` describes the value below it. What a value may be follows
from its default; `NARROWER` says where it may be less, and a default of `{}` or `[]` is Kubernetes' own and open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from reconciler.render.crds import definitions_text

CHART: Final = Path(__file__).parents[2] / "charts" / "reconciler"
COPIED: Final = tuple(CHART.parents[1] / "deploy" / path for path in ("prometheus/alerts.yaml", "grafana/fleets.json"))
"""What the chart has of its own as well: Helm reads no file beside a chart."""
OPEN: Final = frozenset(
    {
        "podSecurityContext",
        "securityContext",
        "resources",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "metrics.dashboard.labels",
    }
)
"""Objects with a default of ours and open to more."""
_NAMESPACE: Final = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
_PORT: Final = {"minimum": 1, "maximum": 65535}
_TEXT_MAP: Final = {"additionalProperties": {"type": "string"}}
NARROWER: Final[dict[str, dict[str, Any]]] = {
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.repository": {"minLength": 1},
    "image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "source.kind": {"enum": ["resources", "git"]},
    "source.git.interval": {"pattern": "^([0-9]{1,6}[smhdw])+$"},
    "source.git.secretKind": {"enum": ["token", "ssh"]},
    "watchNamespaces": {"items": _NAMESPACE, "uniqueItems": True},
    "particle.tokenSecret": {"minLength": 1},
    "particle.tokenKey": {"minLength": 1},
    "particle.apiUrl": {"pattern": "^https?://"},
    "store.kind": {"enum": ["sqlite", "postgresql"]},
    "persistence.accessModes": {
        "items": {"enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]},
        "minItems": 1,
    },
    "persistence.annotations": _TEXT_MAP,
    "replicaCount": {"minimum": 0},
    "serving.port": {"minimum": 1024, "maximum": 65535},
    "serving.tokens": {
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "role", "key"],
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "role": {"enum": ["read", "approve", "operate"]},
                "key": {"type": "string", "minLength": 1},
            },
        }
    },
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "service.port": _PORT,
    "service.annotations": _TEXT_MAP,
    "networkPolicy.apiServerPorts": {"items": {"type": "integer", **_PORT}, "minItems": 1},
    "metrics.serviceMonitor.labels": _TEXT_MAP,
    "metrics.prometheusRule.labels": _TEXT_MAP,
    "metrics.dashboard.labels": _TEXT_MAP,
    "metrics.dashboard.annotations": _TEXT_MAP,
    "metrics.serviceMonitor.interval": {"pattern": "^[0-9]+(ms|s|m|h)$"},
    "podDisruptionBudget.minAvailable": {"type": ["integer", "string"], "pattern": "^[0-9]{1,3}%$", "minimum": 0},
    "terminationGracePeriodSeconds": {"minimum": 1},
    "serviceAccount.annotations": _TEXT_MAP,
    "commonLabels": _TEXT_MAP,
    "commonAnnotations": _TEXT_MAP,
    "podLabels": _TEXT_MAP,
    "podAnnotations": _TEXT_MAP,
    "deploymentAnnotations": _TEXT_MAP,
    "nodeSelector": _TEXT_MAP,
    "extraArgs": {"items": {"type": "string"}},
    "extraObjects": {"items": {"type": ["object", "string"]}},
}
"""Path of a value -> what it must be beyond the type of its default."""
_TYPES: Final = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
_DESCRIPTION: Final = re.compile(r"^(?P<indent> *)# -- (?P<text>.+)$")
_KEY: Final = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]+):")


def values_text() -> str:
    """The chart's values.yaml."""
    return (CHART / "values.yaml").read_text(encoding="utf-8")


def descriptions() -> dict[str, str]:
    """Path of a value -> what `# --` says of it."""
    found: dict[str, str] = {}
    path: list[str] = []
    text = ""
    for line in values_text().splitlines():
        if described := _DESCRIPTION.match(line):
            text = described["text"]
        elif key := _KEY.match(line):
            path = [*path[: len(key["indent"]) // 2], key["key"]]
            if text:
                found[".".join(path)] = text
            text = ""
    return found


def values() -> Iterator[tuple[str, Any]]:
    """Every value that a person may give, by its path, with its default."""
    yield from _leaves(yaml.safe_load(values_text()), "")


def values_schema() -> str:
    """values.schema.json: whatever is not in values.yaml is refused."""
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart reconciler"}
    schema |= _schema(yaml.safe_load(values_text()), "")
    schema["properties"]["global"] = {"type": "object", "description": "What a chart above this one shares."}  # type: ignore[index]  # just made
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def readme() -> str:
    """The README with the table of values as it should be."""
    known = descriptions()
    rows = (f"| `{path}` | `{json.dumps(default)}` | {known[path]} |" for path, default in values())
    table = "\n".join(("| Value | Default | What it is |", "|---|---|---|", *rows))
    before, _, rest = (CHART / "README.md").read_text(encoding="utf-8").partition("<!-- values -->\n")
    _, _, after = rest.partition("<!-- end of values -->")
    return f"{before}<!-- values -->\n{table}\n<!-- end of values -->{after}"


def generated() -> dict[str, str]:
    """File of the chart -> what stands in it."""
    made = {"crds.yaml": definitions_text(), "values.schema.json": values_schema(), "README.md": readme()}
    return made | {f"files/{path.name}": path.read_text(encoding="utf-8") for path in COPIED}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict) or not value or path in OPEN:
        yield path, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{path}.{key}".lstrip("."))


def _schema(value: Any, path: str) -> dict[str, Any]:
    node: dict[str, Any] = {"type": _TYPES[type(value)]}
    if text := descriptions().get(path):
        node["description"] = text
    if isinstance(value, dict) and value and path not in OPEN:
        node["additionalProperties"] = False
        node["properties"] = {key: _schema(inner, f"{path}.{key}".lstrip(".")) for key, inner in value.items()}
    return node | NARROWER.get(path, {})


def main() -> None:
    """Write all of it."""
    for file, text in generated().items():
        (CHART / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
