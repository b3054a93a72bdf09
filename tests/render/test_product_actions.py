"""Actions on a product in every form of a plan, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.action import ReleaseApplication, UploadApplication
from reconciler.model.error import OperatorError
from reconciler.model.plan import FleetPlan, Plan
from reconciler.model.version import ApplicationVersion
from reconciler.render.plan_json import content_digest_of, digest_of, plan_document, plan_id_of, plan_json
from reconciler.render.plan_markdown import plan_markdown
from reconciler.render.plan_reading import read_plan
from reconciler.render.plan_text import plan_text
from tests.render.sample_plan import COLD_CHAIN_PLAN, NOW, PLAN

V44 = ApplicationVersion(44)
UPLOAD = UploadApplication(product="cold-chain", application=V44, platform="boron", sha256="ab" * 32, size=12_000)
RELEASE = ReleaseApplication(product="cold-chain", application=V44, groups=("eu", "us"), product_default=True)
ACTING = replace(COLD_CHAIN_PLAN, preparation=(UPLOAD,), conclusion=RELEASE, unreleased=("group lab has \x1b[31m45",))
DONE = replace(ACTING, preparation=(), routes=(), refused=(), waiting=(), unreleased=())
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.v1.schema.json").read_text(encoding="utf-8"))


def plan_with(fleet: FleetPlan) -> Plan:
    return replace(PLAN, fleets=(fleet,))


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_text_says_what_is_done_to_the_product_and_when() -> None:
    text = words(plan_text(plan_with(ACTING), plan_id="plan-x"))
    assert "Before a device needs it: upload application 44 for boron to product cold-chain" in text
    release = "release application 44 of product cold-chain to groups eu, us and everybody as the product's default"
    assert f"When every device of the fleet is there: {release}" in text
    assert "Not released: group lab has" in text
    assert "\x1b" not in text


def test_a_fleet_that_is_there_has_its_release_for_a_verdict() -> None:
    text = plan_text(plan_with(DONE), plan_id="plan-x")
    assert "Plan: release application 44" in words(text)
    assert "Nothing to do" not in text
    assert "Every device is there: release application 44" in words(text)


def test_markdown_says_the_same() -> None:
    text = plan_markdown(plan_with(ACTING), plan_id="plan-x")
    assert "upload application 44 for boron" in text
    assert "release application 44 of product cold-chain" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("fleet", [ACTING, replace(ACTING, conclusion=None), replace(ACTING, preparation=()), DONE])
def test_a_saved_plan_holds_its_actions_and_fits_the_schema(fleet: FleetPlan) -> None:
    document = json.loads(plan_json(plan_document(plan_with(fleet), tool_version="0.1.0")))
    jsonschema.validate(document, SCHEMA)
    assert read_plan(json.dumps(document), known_catalog(), now=NOW).actions == frozenset(fleet.actions)


def test_actions_are_inside_the_digest() -> None:
    with_action, without = (
        plan_document(plan_with(fleet), tool_version="0.1.0") for fleet in (ACTING, replace(ACTING, conclusion=None))
    )
    assert with_action["digest"] != without["digest"]


def no_product(action: dict[str, Any]) -> None:
    del action["product"]


def unknown(action: dict[str, Any]) -> None:
    action["action"] = "remove_application"


def no_groups(action: dict[str, Any]) -> None:
    action["groups"] = [1]


@pytest.mark.parametrize("change", [no_product, unknown, no_groups])
def test_an_action_that_cannot_be_read_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(plan_json(plan_document(plan_with(ACTING), tool_version="0.1.0")))
    change(document["fleets"][0]["conclusion"])
    document["content_digest"] = content_digest_of(document)
    document["digest"] = digest_of(document)
    document["plan_id"] = plan_id_of(document["source"]["revision"], document["digest"])
    with pytest.raises(OperatorError) as caught:
        read_plan(json.dumps(document), known_catalog(), now=NOW)
    assert caught.value.code == "PFR6401"
