from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceId
from reconciler.model.fleet import AllowWindow, DenyWindow, Fleet, RolloutPolicy, Selector, Share, ZoneRule
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, WaitingReason
from reconciler.model.rollout import FleetStory, story_of
from reconciler.model.rollout_entry import (
    DeviceUnwell,
    Halted,
    RolloutBegan,
    RolloutEntry,
    Suspended,
    WaveStarted,
)
from reconciler.rollout.approval import Approvals
from reconciler.rollout.gate import verdicts
from reconciler.rollout.ledger import TURNED_BACK_MAX, InFlight, Ledger
from reconciler.rollout.verdict import FINAL_HOLDS, Hold, Start, Verdict, Wait
from tests.fleet_samples import NOW, ONE, attempt, device, device_id, flash, fleet, plan_of

CLOSED = DenyWindow(from_instant=Instant(NOW - 1), until_instant=Instant(NOW + 1), reason="no")
EVERY_DAY = tuple(range(7))
OPEN_TILL_TEN = AllowWindow(days=EVERY_DAY, start_minute=480, duration_seconds=7200, time_zone="UTC")
NEVER = AllowWindow(days=(), start_minute=0, duration_seconds=60, time_zone="UTC")


def planned(of_fleet: Fleet, count: int = 1) -> FleetPlan:
    return plan_of(of_fleet, *(device(number) for number in range(1, count + 1)))


def ledger(plan: FleetPlan, **fields: Any) -> Ledger:
    agreed = {d: frozenset(route.steps) for route in plan.routes for d in route.devices}
    return replace(Ledger(story=rolling(), agreed=agreed), **fields)


def judged(plan: FleetPlan, **fields: Any) -> list[Verdict]:
    return list(verdicts(plan, ledger(plan, **fields), now=NOW))


def words(found: Sequence[Verdict]) -> list[str]:
    return ["START" if isinstance(verdict, Start) else verdict.hold.name for verdict in found]


def failed(failure: FailureClass) -> Attempt:
    return attempt(AttemptState.FAILED, failure=failure, ended_at=NOW)


def in_flight() -> InFlight:
    return InFlight(attempt(AttemptState.SENT, sent_at=NOW), within_deadline=True)


def story(*entries: RolloutEntry) -> FleetStory:
    return story_of("eu", entries)


def rolling(wave: str = "all", *members: DeviceId) -> FleetStory:
    """A rollout whose first wave is under way, with all devices or with these."""
    began = RolloutBegan(fleet="eu", at=NOW, rollout_id="eu-1", intent=fleet().desired.intent, plan_id="p", devices=9)
    of_wave = frozenset(members) or None
    return story(began, WaveStarted(fleet="eu", at=NOW, wave=wave, devices=len(members) or 9, members=of_wave))


HALTED = Halted(fleet="eu", at=NOW, reason="2 failed")
SUSPENDED = Suspended(fleet="eu", at=NOW, reason="a fair", until=None, by="ada")
VERIFIED = attempt(AttemptState.VERIFIED, evidence=Evidence.RESTARTED, ended_at=NOW)

ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # hold, what the ledger has, what the fleet has; each also has everything below it
    ("IN_FLIGHT", {"in_flight": {ONE: in_flight()}}, {}),
    ("HELD", {"ended": {ONE: [failed(FailureClass.BOOT)] * 2}}, {}),
    ("HALTED", {"story": story(HALTED, SUSPENDED)}, {}),
    ("SUSPENDED", {"story": story(SUSPENDED)}, {}),
    ("CONCURRENCY_ZERO", {}, {"rollout": RolloutPolicy(concurrent_max=Share(0))}),
    ("OUTSIDE_WINDOW", {}, {"windows_deny": (CLOSED,)}),
    ("NOT_APPROVED", {"agreed": {}}, {}),
    ("AWAITING_APPROVAL", {"approvals": Approvals(fleet="eu", required=True)}, {}),
    ("TURNED_BACK", {"turned_back": {ONE: TURNED_BACK_MAX}}, {}),
    ("RECEIVING", {"receiving": frozenset({ONE})}, {}),
    ("PAUSED", {"ended": {ONE: [failed(FailureClass.INSTALL)]}}, {}),
    ("EARLIER_WAVE", {"story": rolling("canary", device_id(7))}, {}),
    ("NO_SLOT", {"slots": frozenset(map(device_id, range(20, 30)))}, {}),
    ("START", {}, {}),
]


@pytest.mark.parametrize("first", range(len(ROWS)), ids=[name for name, _, _ in ROWS])
def test_the_first_answer_of_the_table_wins(first: int) -> None:
    of_ledger: dict[str, Any] = {}
    of_fleet: dict[str, Any] = {}
    for _, ledger_fields, fleet_fields in reversed(ROWS[first:]):
        of_ledger |= ledger_fields
        of_fleet |= fleet_fields
    assert words(judged(planned(fleet(**of_fleet)), **of_ledger)) == [ROWS[first][0]]


def test_a_fleet_outside_its_allowed_hours_is_held() -> None:
    assert words(judged(planned(fleet(windows_allow=(NEVER,))))) == ["OUTSIDE_WINDOW"]


def test_a_device_that_waits_for_a_window_is_told_when_it_opens() -> None:
    (verdict,) = judged(planned(fleet(windows_deny=(CLOSED,))))
    assert verdict == Wait(device_id=ONE, hold=Hold.OUTSIDE_WINDOW, until=Instant(NOW + 1))


@pytest.mark.parametrize(("left_seconds", "word"), [(400, "START"), (100, "WINDOW_ENDING")])
def test_a_step_that_does_not_fit_into_what_is_left_of_the_window_waits_for_the_next(
    left_seconds: int, word: str
) -> None:
    # NOW is 09:00; a bootloader takes about 86 s, and twice that must be left.
    window = AllowWindow(days=EVERY_DAY, start_minute=480, duration_seconds=3600 + left_seconds, time_zone="UTC")
    (verdict,) = judged(planned(fleet(windows_allow=(window,))))
    assert words([verdict]) == [word]
    assert isinstance(verdict, Start) or verdict.until == NOW + 23 * 3600


def test_a_step_of_unknown_size_needs_its_whole_deadline() -> None:
    plan = planned(fleet(windows_allow=(OPEN_TILL_TEN,), rollout=RolloutPolicy(step_deadline_seconds=3601)))
    (route,) = plan.routes
    unknown = replace(route, steps=(replace(route.steps[0], size=None), *route.steps[1:]))
    assert words(judged(plan)) == ["START"]
    assert words(judged(replace(plan, routes=(unknown,)))) == ["WINDOW_ENDING"]


def test_each_device_starts_by_the_clock_of_its_own_zone() -> None:
    window = AllowWindow(days=EVERY_DAY, start_minute=600, duration_seconds=3600, time_zone=None)
    east, west = (Selector(devices=frozenset({device_id(number)})) for number in (1, 2))
    rules = (ZoneRule(select=east, time_zone="Europe/Berlin"), ZoneRule(select=west, time_zone="Europe/Lisbon"))
    plan = planned(fleet(windows_allow=(window,), time_zones=rules), 3)
    found = {verdict.device_id: verdict for verdict in judged(plan)}
    assert isinstance(found[device_id(1)], Start)
    assert found[device_id(2)] == Wait(device_id=device_id(2), hold=Hold.OUTSIDE_WINDOW, until=Instant(NOW + 3600))
    assert [(place.reason, place.devices) for place in plan.waiting] == [(WaitingReason.NO_TIME_ZONE, (device_id(3),))]


def test_no_more_devices_start_than_there_are_slots() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(2)))
    assert words(judged(planned(of_fleet, 4))) == ["START", "START", "NO_SLOT", "NO_SLOT"]


def test_devices_that_are_being_changed_take_slots() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(2)))
    found = judged(planned(of_fleet, 4), in_flight={device_id(3): in_flight()}, slots=frozenset({device_id(3)}))
    assert words(found) == ["START", "NO_SLOT", "IN_FLIGHT", "NO_SLOT"]


def test_a_device_between_two_steps_has_its_slot_and_starts_the_next() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(1)))
    found = judged(planned(of_fleet, 3), ended={device_id(3): [VERIFIED]}, slots=frozenset({device_id(3)}))
    assert words(found) == ["NO_SLOT", "NO_SLOT", "START"]


def test_a_device_that_is_unwell_gets_nothing_more() -> None:
    unwell = DeviceUnwell(fleet="eu", at=NOW, device_id=ONE, check="reset_loop", why="3 resets in 10 minutes")
    assert words(judged(planned(fleet(), 2), story=rolling().after(unwell))) == ["HELD", "START"]


def test_a_device_that_only_a_person_frees_is_held_without_an_end() -> None:
    (verdict,) = judged(planned(fleet()), ended={ONE: [failed(FailureClass.LOST)]})
    assert verdict == Wait(device_id=ONE, hold=Hold.HELD, until=None)


def test_a_suspension_ends_by_itself() -> None:
    plan = planned(fleet())
    book = ledger(plan, story=story(replace(SUSPENDED, until=Instant(NOW + 60))))
    assert words(list(verdicts(plan, book, now=Instant(NOW + 59)))) == ["SUSPENDED"]
    assert "SUSPENDED" not in words(list(verdicts(plan, book, now=Instant(NOW + 60))))


def test_a_share_of_the_fleet_counts_all_of_its_devices() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(50, percent=True)))
    plan = plan_of(of_fleet, device(1), device(2), device(3, device_os="6.3.4"), device(4, online=False))
    assert words(judged(plan)) == ["START", "START"]


@pytest.mark.parametrize("nothing", [Share(0), Share(0, percent=True)])
def test_a_concurrency_of_zero_holds_and_a_run_does_not_wait_for_it(nothing: Share) -> None:
    assert words(judged(planned(fleet(rollout=RolloutPolicy(concurrent_max=nothing))))) == ["CONCURRENCY_ZERO"]
    assert Hold.CONCURRENCY_ZERO in FINAL_HOLDS


@pytest.mark.parametrize(
    "agreed",
    [
        {},
        {ONE: frozenset()},
        {device_id(2): frozenset({flash(slot="bootloader/0"), flash()})},
        {ONE: frozenset({flash(slot="system_part/1")})},
    ],
)
def test_a_step_that_was_not_agreed_to_never_starts(agreed: Mapping[DeviceId, Any]) -> None:
    assert words(judged(planned(fleet()), agreed=agreed)) == ["NOT_APPROVED"]


def test_the_step_that_starts_is_the_first_of_the_route() -> None:
    plan = planned(fleet())
    (verdict,) = judged(plan)
    assert isinstance(verdict, Start)
    assert verdict.step == plan.routes[0].steps[0]


def test_a_pause_says_until_when() -> None:
    (verdict,) = judged(planned(fleet()), ended={ONE: [failed(FailureClass.INSTALL)]})
    assert not isinstance(verdict, Start)
    assert verdict.until == NOW + 60


def test_after_its_pause_a_device_starts_again() -> None:
    plan = planned(fleet())
    book = ledger(plan, ended={ONE: [failed(FailureClass.INSTALL)]})
    assert words(list(verdicts(plan, book, now=Instant(NOW + 60)))) == ["START"]


def test_every_device_with_a_route_has_one_verdict_and_no_other_has() -> None:
    plan = plan_of(
        fleet(), device(1), device(2, device_os="1.5.2"), device(3, online=False), device(4, device_os="6.4.1")
    )
    assert sorted(verdict.device_id for verdict in judged(plan)) == [device_id(1), device_id(2)]
