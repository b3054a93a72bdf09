"""What an approval lets start, and what it does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.action import ReleaseApplication
from reconciler.model.fleet import Fleet, Place, PlanApproval, RolloutPolicy, Share, Wave, WaveSize
from reconciler.model.instant import Instant
from reconciler.model.plan import Route
from reconciler.model.rollout import FleetStory, story_of
from reconciler.model.rollout_entry import Approved, RolloutBegan, WaveCompleted, WaveStarted
from reconciler.model.saved_plan import SavedPlan
from reconciler.model.version import ApplicationVersion
from reconciler.rollout.approval import BY_COMMAND, Approvals, approvals_of, entries_of_file
from reconciler.rollout.verdict import Hold
from tests.fleet_samples import LOGGER, NOW, ONE, device, device_id, fleet, plan_of
from tests.saved_plans import saved_plan_of

WAVES = RolloutPolicy(
    waves=(
        Wave(name="canary", size=Share(1)),
        Wave(name="early", size=Share(1), approval_required=True),
        Wave(name="rest", size=WaveSize.REMAINING),
    )
)
WHOLE = fleet(approval_required=True)
BY_WAVE = fleet(rollout=WAVES)
OLD = device(1, device_os="6.2.0")
PLANNED = saved_plan_of(WHOLE, OLD)


def approved(plan: SavedPlan = PLANNED, **fields: Any) -> Approved:
    word = Approved(
        fleet="eu", at=NOW, plan_id=plan.plan_id, digest=plan.digest, wave=None, by="ann", source=BY_COMMAND
    )
    return replace(word, **fields)


def approvals(
    of_fleet: Fleet = WHOLE,
    *noted: Approved,
    plans: Iterable[SavedPlan] = (PLANNED,),
    files: Iterable[PlanApproval] = (),
    now: Instant = NOW,
) -> Approvals:
    return approvals_of(of_fleet, noted, files, {plan.plan_id: plan for plan in plans}, now=now)


def route_of(of_fleet: Fleet = WHOLE, **fields: Any) -> Route:
    return plan_of(of_fleet, replace(OLD, **fields)).routes[0]


def nothing_begun() -> FleetStory:
    return FleetStory(fleet="eu")


def hold(found: Approvals, route: Route, story: FleetStory | None = None) -> Hold | None:
    return found.hold(nothing_begun() if story is None else story, route, ONE)


def in_wave(name: str, intent: str = WHOLE.desired.intent) -> FleetStory:
    """A rollout in which device ONE belongs to this wave."""
    began = RolloutBegan(fleet="eu", at=NOW, rollout_id="eu-1", intent=intent, plan_id="p", devices=3)
    return story_of("eu", [began, WaveStarted(fleet="eu", at=NOW, wave=name, devices=1, members=frozenset({ONE}))])


# --- a fleet as a whole ---


def test_a_fleet_that_asks_for_nothing_needs_no_approval() -> None:
    assert hold(approvals(fleet()), route_of()) is None


def test_a_fleet_that_asks_for_an_approval_waits_until_there_is_one() -> None:
    assert hold(approvals(), route_of()) is Hold.AWAITING_APPROVAL
    assert hold(approvals(WHOLE, approved()), route_of()) is None


def test_the_content_digest_names_the_plan_as_well() -> None:
    assert hold(approvals(WHOLE, approved(digest=PLANNED.content_digest)), route_of()) is None


@pytest.mark.parametrize(
    "word",
    [
        approved(digest="sha256:" + "0" * 64),
        approved(plan_id="plan-local-0000000000"),
        approved(fleet="us"),
        approved(at=PLANNED.expires_at),
        approved(expires=NOW),
        approved(wave="canary"),
    ],
    ids=["another digest", "a plan that nobody has", "another fleet", "given too late", "expired", "a wave of it"],
)
def test_an_approval_of_something_else_is_none(word: Approved) -> None:
    found = approvals(WHOLE, word)
    assert found.whole == ()
    assert hold(found, route_of(), in_wave("all")) is Hold.AWAITING_APPROVAL


def test_an_approval_of_another_intent_is_none() -> None:
    found = approvals(fleet(approval_required=True, device_os="6.3.3"), approved())
    assert hold(found, route_of()) is Hold.AWAITING_APPROVAL


def test_what_is_left_of_an_approved_route_is_approved() -> None:
    of_fleet = fleet(approval_required=True, application=LOGGER)
    planned = saved_plan_of(of_fleet, OLD)
    steps = planned.by_device[ONE].steps
    assert len(steps) > 1
    found, route = approvals(of_fleet, approved(planned), plans=[planned]), route_of(of_fleet)
    for done in range(len(steps)):
        assert hold(found, replace(route, steps=steps[done:])) is None


def test_a_device_that_is_not_as_it_was_planned_on_waits_and_the_others_go_on() -> None:
    both = saved_plan_of(WHOLE, OLD, device(2, device_os="6.2.0"))
    found = approvals(WHOLE, approved(both), plans=[both])
    other = plan_of(WHOLE, device(1, device_os="1.5.2"), device(2, device_os="6.2.0"))
    holds = {each: found.hold(nothing_begun(), route, each) for route in other.routes for each in route.devices}
    assert holds == {ONE: Hold.APPROVAL_STALE, device_id(2): None}


def test_a_device_that_the_plan_does_not_name_waits() -> None:
    others = saved_plan_of(WHOLE, device(2))
    assert hold(approvals(WHOLE, approved(others), plans=[others]), route_of()) is Hold.APPROVAL_STALE


def test_a_later_plan_may_be_approved_beside_an_earlier_one() -> None:
    later = saved_plan_of(WHOLE, device(1, device_os="1.5.2"), now=Instant(NOW + 60))
    found = approvals(WHOLE, approved(), approved(later), plans=[PLANNED, later])
    assert [plan.plan_id for plan in found.whole] == [later.plan_id, PLANNED.plan_id]
    assert hold(found, route_of()) is None
    assert hold(found, route_of(device_os="1.5.2")) is None


def test_an_action_on_the_product_needs_the_approval_too() -> None:
    release = ReleaseApplication(product="cold-chain", application=ApplicationVersion(44), groups=("eu",))
    with_release = replace(PLANNED, actions=frozenset({release}))
    assert approvals(fleet()).allow(release)
    assert not approvals(WHOLE).allow(release)
    assert not approvals(WHOLE, approved()).allow(release)
    found = approvals(WHOLE, approved(with_release), plans=[with_release])
    assert found.allow(release)
    assert not found.allow(replace(release, product_default=True))


# --- waves ---


def test_a_wave_that_asks_for_an_approval_is_named_or_does_not_start() -> None:
    canary, early, _ = WAVES.waves
    planned = saved_plan_of(BY_WAVE, OLD)
    assert approvals(BY_WAVE).names(canary)
    assert not approvals(BY_WAVE, approved(planned), plans=[planned]).names(early)
    assert not approvals(BY_WAVE, approved(planned, wave="rest"), plans=[planned]).names(early)
    assert approvals(BY_WAVE, approved(planned, wave="early"), plans=[planned]).names(early)


def test_an_approval_of_the_whole_covers_no_wave_that_asks_for_its_own() -> None:
    planned = saved_plan_of(BY_WAVE, OLD)
    whole = approvals(BY_WAVE, approved(planned), plans=[planned])
    assert hold(whole, route_of(), in_wave("early")) is Hold.AWAITING_APPROVAL
    named = approvals(BY_WAVE, approved(planned, wave="early"), plans=[planned])
    assert hold(named, route_of(), in_wave("early")) is None
    assert hold(named, route_of(device_os="1.5.2"), in_wave("early")) is Hold.APPROVAL_STALE


def test_an_approval_of_the_whole_covers_the_waves_that_ask_for_none() -> None:
    of_fleet = replace(BY_WAVE, approval_required=True)
    assert hold(approvals(of_fleet, approved()), route_of(), in_wave("canary")) is None
    assert hold(approvals(of_fleet, approved()), route_of(), in_wave("early")) is Hold.AWAITING_APPROVAL


def test_an_approval_of_one_wave_lets_no_other_start() -> None:
    of_fleet = replace(BY_WAVE, approval_required=True)
    found = approvals(of_fleet, approved(wave="canary"))
    assert hold(found, route_of(), in_wave("canary")) is None
    assert hold(found, route_of(), in_wave("rest")) is Hold.AWAITING_APPROVAL
    assert hold(found, route_of()) is None, "its wave has not started; whether it is the canary, nobody knows yet"


def test_the_waves_of_an_earlier_rollout_are_no_waves_of_this_one() -> None:
    earlier = in_wave("early", intent="6.0.0 required -")
    earlier = earlier.after(WaveCompleted(fleet="eu", at=NOW, wave="early", verified=1, failed=0, not_reached=0))
    assert hold(approvals(BY_WAVE), route_of(), earlier) is None


# --- files ---

IN_A_FILE = PlanApproval(
    name="release",
    plan_id=PLANNED.plan_id,
    digest=PLANNED.content_digest,
    fleets=None,
    waves=("early", "rest"),
    by="ann",
    at=NOW,
    expires=Instant(NOW + 3600),
    place=Place("approvals.yaml", 5, 9),
)


def test_a_file_comes_to_an_entry_for_every_fleet_and_wave_with_its_place() -> None:
    entries = list(entries_of_file(IN_A_FILE, PLANNED))
    assert [(each.fleet, each.wave, each.by, each.at) for each in entries] == [
        ("eu", "early", "ann", NOW),
        ("eu", "rest", "ann", NOW),
    ]
    assert {each.source for each in entries} == {"file approvals.yaml:5:9"}


def test_a_file_counts_while_it_is_there_wherever_it_lies_and_until_it_expires() -> None:
    entries = list(entries_of_file(IN_A_FILE, PLANNED))
    moved = replace(IN_A_FILE, place=Place("elsewhere.yaml", 1, 1))
    assert set(approvals(WHOLE, *entries, files=[moved]).waves) == {"early", "rest"}
    assert approvals(WHOLE, *entries, files=[]).waves == {}
    assert approvals(WHOLE, *entries, files=[replace(IN_A_FILE, waves=("rest",))]).waves.keys() == {"rest"}
    assert approvals(WHOLE, *entries, files=[IN_A_FILE], now=Instant(NOW + 3600)).waves == {}
