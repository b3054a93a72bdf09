"""A route that leaves Device OS to the cloud's healer, in every format; and what a console's release has to say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from jsonschema import Draft202012Validator

from reconciler.firmware.application import read_application
from reconciler.firmware.builder import build_application
from reconciler.firmware.known import known_catalog
from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import ApplicationBinary, Delivery, Fleet, Order, Via
from reconciler.model.plan import FleetPlan, Plan, PlanSource, Route
from reconciler.planning.answer import Answers, Goal
from reconciler.planning.planner import PLAN_VALID_SECONDS
from reconciler.render.explain_text import explain_text
from reconciler.render.plan_json import plan_document
from reconciler.render.plan_reading import plan_from_document
from reconciler.render.plan_text import plan_text
from tests.fleet_samples import LOGGER, NOW, ONE, device, fleet, platform, situation

BUILT = read_application(build_application(platform("boron"), system_version=6305, product=(12345, 44), size=20_000))
BINARY = ApplicationBinary(platform="boron", file="logger.bin", built=BUILT)
SCHEMAS = Path(__file__).parents[2] / "schemas"
DIGEST = "sha256:" + "0" * 64
BELOW = device(device_os="5.9.0", targeted_application=12)


def of_fleet() -> Fleet:
    application = replace(LOGGER, binaries=(BINARY,))
    return fleet(application=application, delivery=Delivery(order=Order.APPLICATION_FIRST))


def route(order: Order = Order.APPLICATION_FIRST) -> Route:
    goal = Goal(of_fleet().desired, Via.CLOUD, None, order=order)
    found = Answers(known_catalog()).of(situation(BELOW), goal)
    assert isinstance(found, Route)
    return replace(found, devices=(ONE,))


def plan() -> Plan:
    source = PlanSource(
        revision=None,
        manifest_digest=DIGEST,
        catalog_digest=DIGEST,
        observed_at=NOW,
        observed_digest=DIGEST,
    )
    fleets = (FleetPlan(fleet=of_fleet(), current=(), routes=(route(),), refused=(), waiting=()),)
    return Plan(
        source=source, fleets=fleets, created_at=NOW, expires_at=type(NOW)(NOW + PLAN_VALID_SECONDS), complete=True
    )


def explained(of_device: ObservedDevice, of_route: Route) -> str:
    text = explain_text(of_device, of_fleet(), of_route, known_catalog(), width=200)
    return " ".join(text.split())


def test_the_document_lists_what_the_healer_is_expected_to_send_apart_from_our_steps() -> None:
    (document,) = plan_document(plan(), tool_version="0")["fleets"][0]["routes"]
    assert [step["action"] for step in document["steps"]] == ["lock_application"]
    healed = [(step["module"]["function"], step["device_os"]) for step in document["healed_by_cloud"]]
    assert healed == [("bootloader", "6.3.4"), ("system_part", "6.3.4")]
    sizes = [step.get("bytes", 0) for step in (*document["steps"], *document["healed_by_cloud"])]
    assert document["bytes"] == sum(sizes)
    assert (document["restarts"], document["safe_mode_boots"], document["requests"]) == (3, 2, 1)


def test_the_document_keeps_its_schema() -> None:
    schema = json.loads((SCHEMAS / "plan.v1.schema.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(plan_document(plan(), tool_version="0"))) == []


def test_a_route_of_ours_alone_has_no_such_list() -> None:
    alone = replace(plan(), fleets=(replace(plan().fleets[0], routes=(route(Order.DEVICE_OS_FIRST),)),))
    (document,) = plan_document(alone, tool_version="0")["fleets"][0]["routes"]
    assert "healed_by_cloud" not in document


def test_a_saved_plan_agrees_to_the_lock_alone() -> None:
    saved = plan_from_document(plan_document(plan(), tool_version="0"), known_catalog(), now=NOW)
    assert saved.by_device[ONE].steps == route().steps


def test_the_text_shows_who_does_what() -> None:
    text = " ".join(plan_text(plan(), plan_id="plan-x", width=200).split())
    assert "1. lock to application 12 -> 44" in text
    assert "flash system_part/1 5901 -> 6305 of Device OS 6.3.4" in text
    assert text.count("by the cloud's healer") == 2
    assert "1 step," in text


def test_the_explanation_names_the_rest_that_is_the_cloud_s() -> None:
    said = explained(BELOW, route())
    assert "healer is expected to send bootloader/0 3200, then system_part/1 6305, one a session" in said


def test_a_release_in_the_console_that_wants_another_application_is_named() -> None:
    assert "A release in the console asks for application 12; the lock to 44 beats it." in explained(BELOW, route())


def test_a_release_in_the_console_that_wants_the_same_is_not_worth_a_word() -> None:
    assert "console" not in explained(replace(BELOW, targeted_application=44), route())


def test_what_a_lock_targets_is_not_called_a_release() -> None:
    locked = replace(BELOW, desired_application=12)
    assert "console" not in explained(locked, route())


def test_in_dfu_mode_nothing_is_checked_and_the_explanation_says_so() -> None:
    placed = Answers(known_catalog()).of(situation(BELOW), Goal(of_fleet().desired, Via.USB, None))
    assert isinstance(placed, Route)
    said = explained(BELOW, placed)
    assert "in DFU mode the device checks no dependency of this module" in said
