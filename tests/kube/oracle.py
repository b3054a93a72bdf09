"""What others hold a status to: the algorithm of kstatus, and the rules of Flux' check of conditions.

Written from their texts. Nothing of the code under test is used here, so that a mistake there is not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

ABNORMAL = ("Reconciling", "Stalled", "Halted", "AwaitingApproval")
"""True means that something is not as it should be."""
ETCD_BYTES_MAX = 1_500_000
OURS_BYTES_MAX = 64 * 1024


def kstatus(resource: Mapping[str, Any]) -> str:
    """`core.go` and `generic.go` of sigs.k8s.io/cli-utils/pkg/kstatus/status."""
    metadata, status = resource["metadata"], resource.get("status", {})
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if "generation" in metadata and status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    for condition in status.get("conditions", ()):
        if condition["type"] == "Reconciling" and condition["status"] == "True":
            return "InProgress"
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return "Failed"
    for condition in status.get("conditions", ()):
        if condition["type"] == "Ready":
            return "Current" if condition["status"] == "True" else "InProgress"
    return "Current"


def kubectl_wait_is_over(resource: Mapping[str, Any], kind: str) -> bool:
    """Whether `kubectl wait --for=condition=<kind>` ends: a condition of an older generation does not count."""
    generation, status = resource["metadata"]["generation"], resource.get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"].lower() == kind.lower():
            observed = condition.get("observedGeneration", status.get("observedGeneration", generation))
            return observed >= generation and condition["status"] == "True"
    return False


def broken_rules(resource: Mapping[str, Any]) -> list[str]:
    """The rules that a status at the end of a pass breaks, by the names that Flux gives them; and limits of size."""
    return [*_of_flux(resource), *_of_size(resource["status"])]


def _of_flux(resource: Mapping[str, Any]) -> Iterator[str]:
    generation, status = resource["metadata"]["generation"], resource["status"]
    conditions = {each["type"]: each for each in status["conditions"]}
    true = {kind for kind, each in conditions.items() if each["status"] == "True"}
    if len(conditions) != len(status["conditions"]):
        yield "a type is there twice"
    ready = conditions.get("Ready")
    if ready is None:
        yield "FAIL0002: Ready is missing"
        return
    # Unknown is for a fleet that no pass has judged, and says that one is to come.
    not_ready = ready["status"] == "False" or (ready["status"] == "Unknown" and "Reconciling" in true)
    if ready["status"] == "True" and true & set(ABNORMAL):
        yield "FAIL0001: something abnormal while Ready"
    if "Reconciling" in true and not not_ready:
        yield "FAIL0003: Reconciling while Ready"
    if "Stalled" in true and ready["status"] != "False":
        yield "FAIL0004: Stalled while Ready"
    if {"Reconciling", "Stalled"} <= true:
        yield "FAIL0005: Reconciling and Stalled"
    if ready["status"] == "Unknown" and "Reconciling" not in true:
        yield "FAIL0011: Unknown, and nothing goes on"
    yield from _of_generations(generation, status, may_be_behind=not_ready)
    yield from _warnings(conditions)


def _of_generations(generation: int, status: Mapping[str, Any], *, may_be_behind: bool) -> Iterator[str]:
    observed = [status["observedGeneration"], *(each["observedGeneration"] for each in status["conditions"])]
    if max(observed) > generation:
        yield "FAIL0006: a generation that does not exist yet"
    if min(observed) < generation and not may_be_behind:
        yield "FAIL0007 and 0008: Ready for an older generation"
    if not may_be_behind and len(set(observed)) > 1:
        yield "FAIL0009: conditions of several generations"


def _warnings(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    ready = conditions["Ready"]
    if any(each["status"] != "True" for kind, each in conditions.items() if kind != "Ready"):
        yield "WARN0001, 0003 and 0004: a condition that is not true is still listed"
    said = (ready["reason"], ready["message"])
    for kind in ("Stalled", "Reconciling"):
        if kind in conditions and said != (conditions[kind]["reason"], conditions[kind]["message"]):
            yield f"WARN0002: Ready does not say why it is {kind}"
    if any("observedGeneration" not in each for each in conditions.values()):
        yield "WARN0005: a condition without observedGeneration"


def _of_size(status: Mapping[str, Any]) -> Iterator[str]:
    if len(json.dumps(status).encode()) > OURS_BYTES_MAX:
        yield "the status is too large"
    if any(len(each["message"].encode()) > 1024 for each in status["conditions"]):
        yield "a message is too long"
    if any("\n" in each["message"] for each in status["conditions"]):
        yield "a message has several lines"
