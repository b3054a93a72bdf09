"""What others intend in the console, and what a plan makes of it: put back, respected, waited for, or only told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.fleet import Delivery, Suspension
from reconciler.model.plan import FleetPlan, RouteReason, Waiting
from reconciler.model.step import LockApplication
from tests.fleet_samples import LOGGER, device, fleet, plan_of

FLEET = fleet(application=LOGGER)
DETECT = replace(FLEET, correct_drift=False)
THERE = device(device_os="6.3.4", application=44, locked_by_us=44, desired_application=44, targeted_application=44)
BELOW = device(device_os="6.3.4", application=12)


def outline(plan: FleetPlan) -> str:
    if plan.current:
        return "current"
    return "route" if plan.routes else (*plan.waiting, *plan.refused)[0].reason.reason


def waits(plan: FleetPlan) -> Waiting:
    (waiting,) = plan.waiting
    return waiting


@pytest.mark.parametrize(
    "changed",
    [
        {"desired_application": 43, "targeted_application": 43},
        {"desired_application": None, "targeted_application": 12},
    ],
    ids=["changed", "taken away"],
)
def test_our_lock_is_put_back_where_the_cloud_would_move_the_device_down(changed: dict[str, Any]) -> None:
    plan = plan_of(FLEET, replace(THERE, **changed))
    (route,) = plan.routes
    assert route.reason is RouteReason.LOCK_CHANGED
    assert [type(step) for step in route.steps] == [LockApplication]
    assert outline(plan_of(DETECT, replace(THERE, **changed))) == "current"


def test_to_put_a_lock_back_transfers_nothing_whatever_data_costs() -> None:
    changed = replace(THERE, desired_application=43, targeted_application=43)
    (route,) = plan_of(replace(FLEET, delivery=Delivery(bytes_per_device_max=1)), changed).routes
    assert (route.bytes_known, route.bytes_unknown, route.restarts, route.requests) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"desired_application": None, "targeted_application": None},
        {"desired_application": None, "targeted_application": 44},
        {"desired_application": 45, "targeted_application": 45},
        {"desired_application": 43, "targeted_application": 43, "locked_by_us": None},
        {"desired_application": 43, "targeted_application": 43, "development": True},
    ],
    ids=["nothing intended", "the same released", "locked higher", "never ours", "development"],
)
def test_a_device_that_is_as_desired_is_left_as_it_is_otherwise(changed: dict[str, Any]) -> None:
    assert outline(plan_of(FLEET, replace(THERE, **changed))) == "current"


def test_a_lock_of_ours_is_put_back_only_when_anything_may_start() -> None:
    changed = replace(THERE, desired_application=43, targeted_application=43)
    assert outline(plan_of(FLEET, replace(changed, online=False))) == "offline"
    assert outline(plan_of(replace(FLEET, suspension=Suspension(reason="no")), changed)) == "suspended"


@pytest.mark.parametrize(
    ("fields", "in_correct", "in_detect"),
    [
        ({"desired_application": 13}, "locked", "locked"),
        ({"desired_application": 13, "locked_by_us": 44}, "route", "locked"),
        ({"desired_application": 13, "locked_by_us": 30}, "route", "locked"),
        ({"desired_application": 45, "locked_by_us": 44}, "locked", "locked"),
        ({"desired_application": 44}, "route", "route"),
        ({"desired_application": 30, "locked_by_us": 30}, "route", "route"),
    ],
    ids=str,
)
def test_a_persons_lock_is_respected_unless_it_lowered_ours(
    fields: dict[str, Any], in_correct: str, in_detect: str
) -> None:
    assert outline(plan_of(FLEET, replace(BELOW, **fields))) == in_correct
    assert outline(plan_of(DETECT, replace(BELOW, **fields))) == in_detect


def test_a_respected_lock_is_named_with_both_versions() -> None:
    waiting = waits(plan_of(FLEET, replace(BELOW, desired_application=13)))
    assert waiting.message == "locked to application 13 by somebody else, 44 is desired"


def test_a_higher_release_waits_for_a_person_and_a_lower_one_does_not() -> None:
    waiting = waits(plan_of(FLEET, replace(BELOW, targeted_application=45)))
    assert waiting.reason.code == "PFR2121"
    assert waiting.message == "the cloud is to bring it application 45, 44 is desired"
    for lower in (13, 12, 44, None):
        assert outline(plan_of(FLEET, replace(BELOW, targeted_application=lower))) == "route"
    assert outline(plan_of(FLEET, replace(BELOW, targeted_application=45, development=True))) == "route"


def test_where_drift_is_only_detected_a_rollout_goes_on_and_what_had_arrived_is_left() -> None:
    intent = DETECT.desired.intent
    assert outline(plan_of(DETECT, BELOW)) == "route"
    assert outline(plan_of(DETECT, replace(BELOW, arrived="5.5.0 required logger:43"))) == "route"
    assert outline(plan_of(FLEET, replace(BELOW, arrived=intent))) == "route"
    waiting = waits(plan_of(DETECT, replace(BELOW, arrived=intent)))
    assert waiting.reason.code == "PFR2122"
    assert "it runs Device OS 6.3.4, application 12" in waiting.message


def test_a_latched_device_waits_for_a_person_or_another_intent() -> None:
    fought = replace(BELOW, latched=FLEET.desired.intent, latched_why="somebody undid it")
    waiting = waits(plan_of(FLEET, fought))
    assert (waiting.reason.code, waiting.message) == ("PFR2120", "somebody undid it")
    assert outline(plan_of(replace(FLEET, desired=replace(FLEET.desired, allow_prerelease=True)), fought)) == "fight"
    assert outline(plan_of(fleet("eu", "6.3.3", LOGGER), replace(fought, device_os="6.3.2"))) == "route"
    assert outline(plan_of(FLEET, replace(THERE, latched=FLEET.desired.intent))) == "current"
