from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceId, DeviceMode
from reconciler.model.fleet import AllowWindow, DenyWindow, Fleet, RolloutPolicy, Share, Wave
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, WaitingReason
from reconciler.rollout.gate import TURNED_BACK_MAX, Ledger, failures_that_halt, verdicts
from reconciler.rollout.verdict import FINAL_HOLDS, Hold, Start, Verdict
from tests.fleet_samples import NOW, ONE, attempt, device, device_id, flash, fleet, modules, plan_of

CLOSED = DenyWindow(from_instant=Instant(NOW - 1), until_instant=Instant(NOW + 1), reason="no")
NEVER = AllowWindow(days=(), start_minute=0, duration_seconds=60, time_zone="UTC")


def planned(of_fleet: Fleet, count: int = 1) -> FleetPlan:
    return plan_of(of_fleet, *(device(number) for number in range(1, count + 1)))


def ledger(plan: FleetPlan, **fields: Any) -> Ledger:
    agreed = {d: frozenset(route.steps) for route in plan.routes for d in route.devices}
    empty = Ledger(in_flight={}, ended={}, given_up=frozenset(), turned_back={}, halted=False, agreed=agreed)
    return replace(empty, **fields)


def judged(plan: FleetPlan, **fields: Any) -> list[Verdict]:
    return list(verdicts(plan, ledger(plan, **fields), now=NOW))


def words(found: Sequence[Verdict]) -> list[str]:
    return ["START" if isinstance(verdict, Start) else verdict.hold.name for verdict in found]


def failed(failure: FailureClass) -> Attempt:
    return attempt(AttemptState.FAILED, failure=failure, ended_at=NOW)


VERIFIED = attempt(AttemptState.VERIFIED, evidence=Evidence.RESTARTED, ended_at=NOW)

ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # hold, what the ledger has, what the fleet has; each also has everything below it
    ("IN_FLIGHT", {"in_flight": {ONE: True}}, {}),
    ("GIVEN_UP", {"given_up": frozenset({ONE})}, {}),
    (
        "WAVES_UNSUPPORTED",
        {},
        {"rollout": RolloutPolicy(waves=(Wave(name="canary", size=Share(1)),), concurrent_max=Share(0))},
    ),
    ("OUTSIDE_WINDOW", {}, {"windows_deny": (CLOSED,)}),
    ("HALTED", {"halted": True}, {}),
    ("CONCURRENCY_ZERO", {}, {"rollout": RolloutPolicy(concurrent_max=Share(0))}),
    ("NOT_APPROVED", {"agreed": {}}, {}),
    ("AWAITING_APPROVAL", {}, {"approval_required": True}),
    ("TURNED_BACK", {"turned_back": {ONE: TURNED_BACK_MAX}}, {}),
    ("RECEIVING", {"receiving": frozenset({ONE})}, {}),
    ("PAUSED", {"ended": {ONE: [failed(FailureClass.INSTALL)]}}, {}),
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


def test_no_more_devices_start_than_there_are_slots() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(2)))
    assert words(judged(planned(of_fleet, 4))) == ["START", "START", "NO_SLOT", "NO_SLOT"]


def test_devices_under_way_take_slots() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(2)))
    found = judged(planned(of_fleet, 4), in_flight={device_id(3): True})
    assert words(found) == ["START", "NO_SLOT", "IN_FLIGHT", "NO_SLOT"]


@pytest.mark.parametrize("failure", [FailureClass.BOOT, FailureClass.INSTALL, FailureClass.TRANSPORT])
def test_a_device_that_pauses_after_a_failure_keeps_its_slot(failure: FailureClass) -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(1)))
    assert words(judged(planned(of_fleet, 2), ended={ONE: [failed(failure)]})) == ["PAUSED", "NO_SLOT"]


def test_a_device_that_pauses_keeps_its_slot_where_it_has_no_route_any_more() -> None:
    complete = modules(bootloader_0=3200, radio_stack_0=202, system_part_1=6305)
    dark = device(2, device_os="6.3.4", mode=DeviceMode.SAFE_MODE, modules=complete)
    plan = plan_of(fleet(rollout=RolloutPolicy(concurrent_max=Share(1))), device(1), dark)
    assert [place.reason for place in plan.waiting] == [WaitingReason.SAFE_MODE]
    assert words(judged(plan, ended={device_id(2): [failed(FailureClass.BOOT)]})) == ["NO_SLOT"]


def test_a_device_between_two_steps_has_its_slot_and_starts_the_next() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(1)))
    assert words(judged(planned(of_fleet, 3), ended={device_id(3): [VERIFIED]})) == ["NO_SLOT", "NO_SLOT", "START"]


def test_a_device_that_is_given_up_has_no_slot() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(1)))
    found = judged(planned(of_fleet, 2), ended={ONE: [failed(FailureClass.BOOT)] * 2}, given_up=frozenset({ONE}))
    assert words(found) == ["GIVEN_UP", "START"]


@pytest.mark.parametrize("hold", ["NOT_APPROVED", "TURNED_BACK"])
def test_a_device_that_was_changed_and_will_not_go_on_in_this_run_has_no_slot(hold: str) -> None:
    plan = planned(fleet(rollout=RolloutPolicy(concurrent_max=Share(1))), 2)
    why: dict[str, dict[str, Any]] = {
        "NOT_APPROVED": {"agreed": {device_id(2): frozenset(plan.routes[0].steps)}},
        "TURNED_BACK": {"turned_back": {ONE: TURNED_BACK_MAX}},
    }
    assert words(judged(plan, ended={ONE: [VERIFIED]}, **why[hold])) == [hold, "START"]


def out_of_sight(*attempts: Attempt, seconds: float) -> list[str]:
    """What is said of device 1, when one slot is all there is, and device 2 was out of sight since its last attempt."""
    plan = plan_of(fleet(rollout=RolloutPolicy(concurrent_max=Share(1))), device(1), device(2, online=False))
    book = ledger(plan, ended={device_id(2): list(attempts)})
    return words(list(verdicts(plan, book, now=Instant(NOW + seconds))))


def test_a_device_that_is_out_of_sight_after_its_step_keeps_its_slot_for_the_time_of_a_step() -> None:
    deadline = RolloutPolicy().step_deadline_seconds
    assert out_of_sight(VERIFIED, seconds=deadline) == ["NO_SLOT"]
    assert out_of_sight(VERIFIED, seconds=deadline + 1) == ["START"]


def test_a_device_that_was_out_of_sight_before_anything_was_sent_has_no_slot() -> None:
    assert out_of_sight(failed(FailureClass.OFFLINE), seconds=31) == ["START"]
    assert out_of_sight(failed(FailureClass.OFFLINE), VERIFIED, seconds=31) == ["NO_SLOT"]


def test_devices_past_their_deadline_take_none_and_start_nothing() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(1)))
    assert words(judged(planned(of_fleet, 2), in_flight={ONE: False})) == ["IN_FLIGHT", "START"]


def test_devices_under_way_that_have_no_route_any_more_take_slots() -> None:
    of_fleet = fleet(rollout=RolloutPolicy(concurrent_max=Share(1)))
    assert words(judged(planned(of_fleet, 1), in_flight={device_id(9): True})) == ["NO_SLOT"]


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


@pytest.mark.parametrize(
    ("allowed", "devices", "expected"),
    [
        (Share(0), 100, 1),
        (Share(3), 100, 3),
        (Share(2, percent=True), 1000, 20),
        (Share(2, percent=True), 10, 1),
        (Share(5), 3, 3),
    ],
)
def test_the_number_of_failures_that_halts(allowed: Share, devices: int, expected: int) -> None:
    assert failures_that_halt(fleet(rollout=RolloutPolicy(failures_max=allowed)), devices) == expected
