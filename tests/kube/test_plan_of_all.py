"""The plans of several tenants as one document, for whoever asks for everything."""

from __future__ import annotations

from dataclasses import replace

from jsonschema import Draft202012Validator

from reconciler.controller.shown_plan import shown_plan, shown_plan_text
from reconciler.kube.plan_of_all import plan_of_all
from reconciler.manifests.schema import load_schema
from reconciler.model.plan import Plan
from tests.render.sample_plan import PLAN


def of_tenant(namespace: str) -> Plan:
    """The sample plan as a namespace has it."""
    fleets = tuple(
        replace(each, fleet=replace(each.fleet, name=f"{namespace}/{each.fleet.name}")) for each in PLAN.fleets
    )
    source = replace(PLAN.source, revision=f"{namespace}@sha256:{'1' * 64}", manifest_digest=f"sha256:{namespace:0>64}")
    return replace(PLAN, source=source, fleets=fleets)


def test_the_plans_of_all_tenants_are_one_plan_with_every_fleet() -> None:
    plans = {name: of_tenant(name) for name in ("team-b", "team-a")}
    whole = plan_of_all(plans)
    document = shown_plan(whole, None)
    assert document is not None
    Draft202012Validator(load_schema("plan")).validate(document)
    names = [each["name"] for each in document["fleets"]]
    assert names == sorted(each.fleet.name for plan in plans.values() for each in plan.fleets)
    assert document["summary"]["devices"] == 2 * PLAN.summary.devices
    assert document["complete"] == PLAN.complete
    text = shown_plan_text(whole, names[0])
    assert text is not None
    assert names[0] in text
    assert names[-1] not in text


def test_a_tenant_without_a_plan_leaves_it_incomplete_and_of_one_it_is_its_own() -> None:
    ours = of_tenant("team-a")
    found = plan_of_all({"team-a": ours, "team-b": None})
    assert found is not None
    assert not found.complete
    assert plan_of_all({"team-a": ours}) is ours
    assert plan_of_all({"team-a": None}) is None
    assert plan_of_all({}) is None
    assert shown_plan(None, None) is None
    assert shown_plan(ours, "team-b/eu") is None


def test_its_id_follows_from_what_the_tenants_plan() -> None:
    first = shown_plan(plan_of_all({"a": of_tenant("team-a"), "b": of_tenant("team-b")}), None)
    again = shown_plan(plan_of_all({"b": of_tenant("team-b"), "a": of_tenant("team-a")}), None)
    other = shown_plan(plan_of_all({"a": of_tenant("team-a"), "c": of_tenant("team-c")}), None)
    assert first is not None
    assert again is not None
    assert other is not None
    assert first["plan_id"] == again["plan_id"] != other["plan_id"]
