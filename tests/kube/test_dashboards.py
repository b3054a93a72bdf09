"""What is shipped for kube-state-metrics and Grafana names only what exists.

The shape of kube-state-metrics' configuration is that of its Go types (`pkg/customresourcestate/config.go` and
`config_metrics_types.go`): a name that they do not have would be ignored there, or refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from reconciler.kube.situation import ConditionType
from reconciler.telemetry.metric_names import METRICS, MetricKind
from tests.kube.samples import ROOT, samples

CONFIG = yaml.safe_load((ROOT / "deploy" / "kube-state-metrics" / "config.yaml").read_text())
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "fleets.json").read_text())
(FLEET,) = CONFIG["spec"]["resources"]
GO_NAME = re.compile(r"\b(?:pfr|kube)_[a-z0-9_]+")


def closed(required: Sequence[str] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT = {"type": "string", "minLength": 1}
PATH = {"type": "array", "items": TEXT, "minItems": 1}
LABELS = {"commonLabels": {"additionalProperties": TEXT}, "labelsFromPath": {"additionalProperties": PATH}}
META = {"labelsFromPath": LABELS["labelsFromPath"], "path": PATH}
FLAG = {"type": "boolean"}
GAUGE = closed(("path",), labelFromKey=TEXT, valueFrom=PATH, nilIsZero=FLAG, valueType=TEXT, **META)
STATE_SET = closed(("path", "labelName", "list"), list=PATH, labelName=TEXT, valueFrom=PATH, **META)
INFO = closed(labelFromKey=TEXT, **META)
EACH = {
    "oneOf": [
        closed(("type", "gauge"), type={"const": "Gauge"}, gauge=GAUGE),
        closed(("type", "stateSet"), type={"const": "StateSet"}, stateSet=STATE_SET),
        closed(("type", "info"), type={"const": "Info"}, info=INFO),
    ]
}
KIND = closed(("group", "version", "kind"), group=TEXT, version=TEXT, kind=TEXT)
METRIC = closed(("name", "help", "each"), name=TEXT, help=TEXT, each=EACH, errorLogV={"type": "integer"}, **LABELS)
RESOURCE = closed(
    ("groupVersionKind", "metrics"),
    groupVersionKind=KIND,
    metricNamePrefix={"type": "string"},
    resourcePlural=TEXT,
    errorLogV={"type": "integer"},
    metrics={"type": "array", "items": METRIC, "minItems": 1},
    **LABELS,
)
SHAPE = closed(
    ("kind", "spec"),
    kind={"const": "CustomResourceStateMetrics"},
    spec=closed(("resources",), resources={"type": "array", "items": RESOURCE}),
)


def at(document: Any, path: Sequence[str]) -> Any:
    """What a path of kube-state-metrics finds; a part such as `[type=Ready]` looks for an element of a list."""
    for part in path:
        if part.startswith("["):
            key, _, value = part.strip("[]").partition("=")
            document = next((each for each in document if each.get(key) == value), None)
        else:
            document = document.get(part) if isinstance(document, Mapping) else None
        if document is None:
            return None
    return document


def series() -> dict[str, set[str]]:
    """What kube-state-metrics would export: the names of its metrics, and their labels."""
    found = {}
    for metric in FLEET["metrics"]:
        (detail,) = (value for key, value in metric["each"].items() if key != "type")
        labels = {*FLEET["labelsFromPath"], *detail.get("labelsFromPath", {})}
        labels |= {detail[key] for key in ("labelFromKey", "labelName") if key in detail}
        found[f"{FLEET['metricNamePrefix']}_{metric['name']}"] = labels
    return found


def test_the_configuration_has_the_shape_of_the_go_types() -> None:
    assert [error.message for error in Draft202012Validator(SHAPE).iter_errors(CONFIG)] == []


def test_every_path_of_the_configuration_finds_something_in_a_fleet_that_is_ready() -> None:
    fleet = samples()["ready"]
    fleet["status"]["lastAppliedRevision"] = "main@sha1:3f"
    paths = list(FLEET["labelsFromPath"].values())
    for metric in FLEET["metrics"]:
        (detail,) = (value for key, value in metric["each"].items() if key != "type")
        start = at(fleet, detail.get("path", []))
        assert start is not None, metric["name"]
        inner = start[0] if isinstance(start, list) else start
        for path in (
            *detail.get("labelsFromPath", {}).values(),
            *([detail["valueFrom"]] if "valueFrom" in detail else []),
        ):
            assert at(inner, path) is not None, path
    assert all(at(fleet, path) is not None for path in paths)


def test_the_devices_of_a_fleet_are_a_number_for_each_state() -> None:
    (metric,) = (each for each in FLEET["metrics"] if each["name"] == "devices")
    found = at(samples()["wave"], metric["each"]["gauge"]["path"])
    assert found["current"] == 20
    assert all(isinstance(number, int) for number in found.values())


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query")


def known() -> dict[str, set[str]]:
    """Every name that a query may have, with its labels."""
    found: dict[str, set[str]] = series()
    for metric in METRICS:
        endings = ("_bucket", "_sum", "_count") if metric.kind is MetricKind.HISTOGRAM else ("",)
        found |= {metric.name + ending: {*metric.labels, *(("le",) if ending else ())} for ending in endings}
    return found


def test_every_query_of_the_dashboard_names_a_metric_that_exists_and_labels_that_it_has() -> None:
    metrics = known()
    for query in queries():
        names = GO_NAME.findall(query)
        assert names, query
        assert set(names) <= metrics.keys(), query
        labels = {label for name in names for label in metrics[name]}
        asked = {part for group in re.findall(r"\{([^}]*)\}", query) for part in re.findall(r"(\w+)\s*[=!]", group)}
        by = {part.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for part in group.split(",")}
        assert asked | by <= labels, query


def test_the_conditions_that_are_asked_for_exist() -> None:
    asked = {kind for query in queries() for kind in re.findall(r'type="(\w+)"', query)}
    assert asked
    assert asked <= {kind.value for kind in ConditionType}


def test_every_panel_has_its_own_number_and_says_what_it_shows() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["description"] for panel in panels)
