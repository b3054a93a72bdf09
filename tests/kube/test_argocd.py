"""The scripts for Argo CD, run by the Lua that Argo CD speaks (5.1), on the test data in Argo CD's own format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lupa.lua51
import pytest
import yaml

from tests.kube.oracle import kstatus
from tests.kube.samples import ARGOCD, TESTDATA, samples

HEALTH = yaml.safe_load((ARGOCD / "health_test.yaml").read_text())["tests"]
ACTIONS = yaml.safe_load((ARGOCD / "actions" / "action_test.yaml").read_text())
REQUESTED = "fleet.reconciler.dev/reconcile-requested-at"
CLOSED = ("string", "io", "debug", "math", "coroutine", "loadfile", "dofile")
"""Libraries that Argo CD does not load for scripts."""


def run(script: str, document: Mapping[str, Any]) -> Any:
    """What a script makes of a resource, as Python values."""
    lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
    for name in CLOSED:
        lua.globals()[name] = None
    lua.globals()["obj"] = lua.table_from(document, recursive=True)
    return plain(lua.execute((ARGOCD / script).read_text()))


def plain(value: Any) -> Any:
    """Tables as dictionaries, or as lists where they are numbered."""
    if lupa.lua51.lua_type(value) != "table":
        return value
    entries = dict(value.items())
    if entries and all(isinstance(key, int) for key in entries):
        return [plain(entries[key]) for key in sorted(entries)]
    return {key: plain(each) for key, each in entries.items()}


def of_file(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ARGOCD / name).read_text())
    return document


def without_empty(value: Any) -> Any:
    """Lua has one word for an empty list and an empty object, and Argo CD compares without them."""
    if isinstance(value, dict):
        return {key: without_empty(each) for key, each in value.items() if each not in ({}, [])}
    return [without_empty(each) for each in value] if isinstance(value, list) else value


def test_the_test_data_are_what_the_operator_writes() -> None:
    assert {path.stem: yaml.safe_load(path.read_text()) for path in TESTDATA.glob("*.yaml")} == samples()


@pytest.mark.parametrize("test", HEALTH, ids=lambda test: test["inputPath"])
def test_the_health_of_a_fleet(test: dict[str, Any]) -> None:
    assert run("health.lua", of_file(test["inputPath"])) == test["healthStatus"]


def test_the_health_and_kstatus_never_contradict_each_other() -> None:
    told = {name: (run("health.lua", each)["status"], kstatus(each)) for name, each in samples().items()}
    del told["no_status"]  # the default of the CRD gives it an observedGeneration of -1 before anybody sees it
    del told["suspended_by_argocd"]  # edited: its generation is the old one in the sample alone
    for name, (health, status) in told.items():
        assert (health == "Healthy") == (status == "Current"), name
        assert status != "Failed" or health == "Degraded", name


@pytest.mark.parametrize("test", ACTIONS["discoveryTests"], ids=lambda test: test["inputPath"])
def test_the_actions_that_are_offered(test: dict[str, Any]) -> None:
    found = run("actions/discovery.lua", of_file(test["inputPath"]))
    assert {name: each.get("disabled", False) for name, each in found.items()} == {
        each["name"]: each["disabled"] for each in test["result"]
    }


def test_every_action_that_is_offered_has_a_script() -> None:
    found = run("actions/discovery.lua", samples()["ready"])
    assert {path.parent.name for path in ARGOCD.glob("actions/*/action.lua")} == found.keys()


@pytest.mark.parametrize("test", ACTIONS["actionTests"], ids=lambda test: test["action"])
def test_an_action(test: dict[str, Any]) -> None:
    found = run(f"actions/{test['action']}/action.lua", of_file(test["inputPath"]))
    assert without_empty(found) == without_empty(of_file(test["expectedOutputPath"]))


def test_a_look_is_asked_for_by_an_annotation_and_nothing_else_changes() -> None:
    before = samples()["ready"]
    found = run("actions/reconcile/action.lua", before)
    assert found["metadata"].pop("annotations").keys() == {REQUESTED}
    assert without_empty(found) == without_empty(before)


def test_what_nobody_asks_for_cannot_be_approved() -> None:
    with pytest.raises(lupa.lua51.LuaError, match="no plan that waits"):
        run("actions/approve/action.lua", samples()["wave"])
