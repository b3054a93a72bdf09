"""The real kstatus, and the CEL that Flux evaluates, on a resource in every kind of state."""

from __future__ import annotations

import yaml

from tests.kube.judging import judged
from tests.kube.oracle import broken_rules, kstatus
from tests.kube.samples import ROOT, samples

EXPRESSIONS = yaml.safe_load((ROOT / "deploy" / "flux" / "kustomization.yaml").read_text())["spec"]["healthCheckExprs"]
STALLED = {"halted", "blocked", "commit_refused", "token_refused"}


def of_cluster() -> dict[str, dict[str, object]]:
    """The samples as an API server has them: status begins with the default of the CRD."""
    return {
        name: {**each, "status": each.get("status", {"observedGeneration": -1})} for name, each in samples().items()
    }


def test_kstatus_reads_every_state_as_it_is_meant() -> None:
    resources = of_cluster()
    found = {name: each["status"] for name, each in zip(resources, judged(list(resources.values())), strict=True)}
    assert found == {name: kstatus(each) for name, each in resources.items()}
    assert {name for name, status in found.items() if status == "Failed"} == STALLED
    assert {name for name, status in found.items() if status == "Current"} == {"ready", "suspended_by_argocd"}


def test_flux_reads_every_state_by_its_expressions_as_kstatus_does() -> None:
    ((expressions),) = [{name: each[name] for name in ("inProgress", "failed", "current")} for each in EXPRESSIONS]
    resources = of_cluster()
    for name, found in zip(resources, judged(list(resources.values()), expressions), strict=True):
        said = found["values"]
        by_flux = "InProgress" if said["inProgress"] else "Failed" if said["failed"] else None
        by_flux = by_flux or ("Current" if said["current"] else "InProgress")
        assert by_flux == found["status"], name


def test_every_sample_keeps_the_rules() -> None:
    for name, each in samples().items():
        if name not in {"edited", "no_status"}:  # not as a pass left them
            assert broken_rules(each) == [], name
