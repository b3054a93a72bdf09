"""A device holds its slot from its first step until it is there or left alone, and no longer."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.fleet import DenyWindow, RolloutPolicy
from reconciler.model.instant import Instant
from reconciler.model.plan import WaitingReason
from reconciler.model.rollout import FleetStory
from reconciler.model.rollout_entry import DeviceUnwell
from reconciler.rollout.ledger import TURNED_BACK_MAX, InFlight, Ledger
from reconciler.rollout.slots import released
from tests.fleet_samples import NOW, ONE, attempt, device, device_id, fleet, modules, plan_of

DEADLINE = RolloutPolicy().step_deadline_seconds
VERIFIED = attempt(AttemptState.VERIFIED, evidence=Evidence.RESTARTED, ended_at=NOW)


def failed(failure: FailureClass) -> Attempt:
    return attempt(AttemptState.FAILED, failure=failure, ended_at=NOW)


def keeps(*devices: ObservedDevice, seconds: float = 0.0, of: DeviceId = ONE, windows: Any = (), **fields: Any) -> bool:
    """Whether device ONE still has its slot, so long after its last attempt."""
    plan = plan_of(fleet(windows_deny=windows), *devices)
    agreed = {each: frozenset(route.steps) for route in plan.routes for each in route.devices}
    ledger = Ledger(**{"story": FleetStory(fleet="eu"), "agreed": agreed, "slots": frozenset({of}), **fields})
    return of not in released(plan, ledger, Instant(NOW + seconds))


def test_a_device_that_is_there_lets_go_of_its_slot() -> None:
    assert keeps(device(device_os="6.2.0"), ended={ONE: [VERIFIED]})
    assert not keeps(device(device_os="6.3.4"), ended={ONE: [VERIFIED]})


def test_a_device_whose_window_closes_between_two_steps_lets_others_have_their_night() -> None:
    closed = (DenyWindow(from_instant=Instant(NOW - 1), until_instant=Instant(NOW + 1), reason="no"),)
    assert not keeps(device(device_os="6.2.0"), ended={ONE: [VERIFIED]}, windows=closed)
    flight = InFlight(attempt(AttemptState.SENT, sent_at=NOW), within_deadline=True)
    assert keeps(device(), in_flight={ONE: flight}, windows=closed)


def test_a_step_under_way_keeps_the_slot_until_its_deadline() -> None:
    sent = attempt(AttemptState.SENT, sent_at=NOW)
    assert keeps(device(), in_flight={ONE: InFlight(sent, within_deadline=True)})
    assert not keeps(device(), in_flight={ONE: InFlight(sent, within_deadline=False)})


def test_a_device_that_left_the_plan_keeps_its_slot_while_its_step_is_under_way() -> None:
    flight = InFlight(attempt(AttemptState.SENT, device_id=device_id(9), sent_at=NOW), within_deadline=True)
    assert keeps(device(), of=device_id(9), in_flight={device_id(9): flight})
    assert not keeps(device(), of=device_id(9))


@pytest.mark.parametrize("failure", [FailureClass.BOOT, FailureClass.INSTALL, FailureClass.TRANSPORT])
def test_a_device_that_pauses_after_a_failure_keeps_its_slot(failure: FailureClass) -> None:
    assert keeps(device(), ended={ONE: [failed(failure)]})


def test_a_device_that_pauses_keeps_its_slot_where_it_has_no_route_any_more() -> None:
    complete = modules(bootloader_0=3200, radio_stack_0=202, system_part_1=6305)
    dark = device(device_os="6.3.4", mode=DeviceMode.SAFE_MODE, modules=complete)
    assert [place.reason for place in plan_of(fleet(), dark).waiting] == [WaitingReason.SAFE_MODE]
    assert keeps(dark, ended={ONE: [failed(FailureClass.BOOT)]})


def test_a_device_that_is_held_has_no_slot() -> None:
    assert not keeps(device(), ended={ONE: [failed(FailureClass.BOOT)] * 2})


def test_a_device_that_is_unwell_has_no_slot() -> None:
    unwell = DeviceUnwell(fleet="eu", at=NOW, device_id=ONE, check="resets", why="3 restarts")
    story = FleetStory(fleet="eu").after(unwell)
    assert not keeps(device(), ended={ONE: [VERIFIED]}, story=story)


@pytest.mark.parametrize("why", [{"agreed": {}}, {"turned_back": {ONE: TURNED_BACK_MAX}}], ids=str)
def test_a_device_that_was_changed_and_will_not_go_on_in_this_run_has_no_slot(why: dict[str, Any]) -> None:
    assert not keeps(device(), ended={ONE: [VERIFIED]}, **why)


def test_a_device_that_is_out_of_sight_after_its_step_keeps_its_slot_for_the_time_of_a_step() -> None:
    gone = device(online=False)
    assert keeps(gone, ended={ONE: [VERIFIED]}, seconds=DEADLINE)
    assert not keeps(gone, ended={ONE: [VERIFIED]}, seconds=DEADLINE + 1)


def test_a_device_that_was_out_of_sight_before_anything_was_sent_keeps_none() -> None:
    gone = device(online=False)
    assert not keeps(gone, ended={ONE: [failed(FailureClass.OFFLINE)]}, seconds=31)
    assert keeps(gone, ended={ONE: [failed(FailureClass.OFFLINE), VERIFIED]}, seconds=31)
