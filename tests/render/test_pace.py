from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.manifests.schema import load_schema
from reconciler.model.fleet import AllowWindow, DenyWindow, Fleet, FleetSet, RolloutPolicy, Selector, Share, ZoneRule
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan
from reconciler.render.pace import budgets_in_words, limits_document, pace_in_words, windows_document, windows_in_words
from reconciler.render.plan_json import digest_of, plan_document
from reconciler.rollout.opening import never_starting
from tests.fleet_samples import NOW, device, device_id, fleet, plan_all, plan_of

EVERY_DAY = tuple(range(7))


def night(*, zone: str | None = "UTC", hours: float = 3, start_hour: int = 2) -> AllowWindow:
    return AllowWindow(days=EVERY_DAY, start_minute=start_hour * 60, duration_seconds=hours * 3600, time_zone=zone)


def planned(count: int = 4, **asked: Any) -> FleetPlan:
    return plan_of(fleet(**asked), *(device(number) for number in range(1, count + 1)))


def by_zone() -> Fleet:
    east = Selector(devices=frozenset({device_id(1), device_id(2), device_id(3)}))
    rules = (ZoneRule(select=east, time_zone="Asia/Tokyo"), ZoneRule(select=Selector(), time_zone="Europe/Lisbon"))
    return fleet(windows_allow=(night(zone=None, start_hour=18),), time_zones=rules)


def test_shares_are_worked_out_over_the_whole_fleet_as_the_gate_does() -> None:
    policy = RolloutPolicy(concurrent_max=Share(10, percent=True), failures_max=Share(2, percent=True))
    current = [device(number, device_os="6.3.4") for number in range(40, 136)]
    plan = plan_of(fleet(rollout=policy), *(device(number) for number in range(1, 25)), *current)
    assert "at most 12 at a time (10% of 120)" in pace_in_words(plan)
    assert "halts at 2 failed devices (2% of 120)" in pace_in_words(plan)
    assert limits_document(plan) == {
        "concurrent_max": 12,
        "halts_at_failures": 2,
        "sends_per_minute": None,
        "bytes_per_day": None,
    }


@pytest.mark.parametrize("nothing", [Share(0), Share(0, percent=True)])
def test_zero_holds_and_the_plan_says_so(nothing: Share) -> None:
    assert pace_in_words(planned(rollout=RolloutPolicy(concurrent_max=nothing))).startswith(
        "Held: rollout.maxConcurrent is 0"
    )


@pytest.mark.parametrize("share", [Share(0), Share(1), Share(0, percent=True), Share(1, percent=True)])
def test_a_limit_of_zero_halts_at_the_first_failure_like_one_of_one(share: Share) -> None:
    assert "halts at 1 failed device" in pace_in_words(planned(rollout=RolloutPolicy(failures_max=share)))


def test_budgets_say_the_least_time_that_they_mean() -> None:
    free = planned()
    assert budgets_in_words(free) == []
    of_day = free.cost.bytes_known // 4
    plan = planned(bytes_per_day_max=of_day, rollout=RolloutPolicy(sends_per_minute=30))
    (sentence,) = budgets_in_words(plan)
    assert sentence.startswith("Budgets: at most 30 sends a minute, ")
    assert sentence.endswith("in 24 hours: at least 3 days")
    assert plan.minutes == pytest.approx(3 * 1440, abs=2)
    slow = planned(rollout=RolloutPolicy(sends_per_minute=1))
    assert slow.minutes == max(slow.cost.steps, free.minutes or 0)


def test_a_window_that_is_closed_shows_its_next_opening() -> None:
    plan = planned(windows_allow=(night(),))
    assert windows_in_words(plan, now=NOW) == ["Windows: closed, next opening 2026-11-23T02:00:00Z"]
    assert windows_in_words(plan, now=Instant(NOW - 6 * 3600)) == ["Windows: open until 2026-11-22T05:00:00Z"]
    assert "in all, closed windows not counted;" in pace_in_words(plan)


def test_a_fleet_without_windows_or_with_nothing_to_start_shows_none() -> None:
    assert windows_in_words(planned(), now=NOW) == []
    current = plan_of(fleet(windows_allow=(night(),)), device(1, device_os="6.3.4"))
    assert (windows_in_words(current, now=NOW), windows_document(current, now=NOW)) == ([], [])


def test_every_zone_of_devices_has_its_own_opening() -> None:
    plan = plan_of(by_zone(), *(device(number) for number in range(1, 5)))
    assert windows_in_words(plan, now=NOW) == [
        "Windows of 3 devices in Asia/Tokyo: open until 2026-11-22T12:00:00Z",
        "Windows of 1 device in Europe/Lisbon: closed, next opening 2026-11-22T18:00:00Z",
    ]


def test_the_windows_of_a_plan_stand_in_its_document_and_outside_its_digest() -> None:
    plan = plan_all(
        FleetSet(fleets=(by_zone(),), digest="sha256:" + "0" * 64), *(device(number) for number in range(1, 5))
    )
    document = plan_document(plan, tool_version="1")
    Draft202012Validator(load_schema("plan")).validate(document)
    (of_fleet,) = document["fleets"]
    assert of_fleet["windows"][1] == {
        "time_zone": "Europe/Lisbon",
        "devices": 1,
        "open": False,
        "until": None,
        "next_opening": "2026-11-22T18:00:00Z",
    }
    assert {route["time_zone"] for route in of_fleet["routes"]} == {"Asia/Tokyo", "Europe/Lisbon"}
    del of_fleet["windows"]
    assert digest_of(document) == document["digest"]


def test_what_no_opening_is_long_enough_for_is_said() -> None:
    short = planned(windows_allow=(night(hours=0.05),))
    (sentence,) = never_starting(short, now=NOW)
    assert "no opening of its windows leaves the" in sentence
    assert "on 4 of its devices needs: it never starts" in sentence
    assert never_starting(planned(windows_allow=(night(),)), now=NOW) == ()


def test_windows_that_never_open_are_said() -> None:
    always = DenyWindow(from_instant=NOW, until_instant=Instant(NOW + 5e8), reason="no")
    (sentence,) = never_starting(planned(windows_deny=(always,)), now=NOW)
    assert sentence == "fleet eu: its windows do not open within 400 days"


def test_a_days_data_below_one_step_is_said() -> None:
    (sentence,) = never_starting(planned(bytes_per_day_max=100_000), now=NOW)
    assert sentence == "fleet eu: limits.dataPerDay is less than a step on 4 of its devices: it never starts"
