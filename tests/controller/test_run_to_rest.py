"""The loop of apply over a pretend world: what is written when, what is started, and when it comes to rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from reconciler.controller.report import Ending, ending_of, failed_devices, outcome_of
from reconciler.execution.executor import Accepted, NotSent, SendOutcome
from reconciler.model.attempt import AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.event import AttemptMoved, DeviceArrived, DeviceSetAside
from reconciler.model.fleet import RolloutPolicy, Share
from reconciler.model.instant import Instant
from reconciler.model.step import FlashModule, Step
from reconciler.particle.traffic import Traffic
from reconciler.rollout.verdict import Hold, Wait
from tests.controller.pretend_world import (
    World,
    carried_out,
    ends_in_safe_mode,
    fails,
    goes_offline,
    is_at,
    loses_the_answer,
    loses_the_request,
    obeys,
    refusing,
    world_of,
)
from tests.fleet_samples import LOGGER, NOW, ONE, attempt, device, device_id, flash, fleet, modules

FLEET = fleet(application=LOGGER)
QUIET = Traffic(requests=0, writes=0, bytes_sent=0, devices={})
LENIENT = RolloutPolicy(failures_max=Share(100), concurrent_max=Share(100))


def moves(world: World) -> list[str]:
    """The life of every attempt in the order in which it was lived, by its own words."""
    return [event.attempt.state.value for event in world.events if isinstance(event, AttemptMoved)]


# --- a run that goes well ---


def test_a_device_is_brought_to_its_release_and_application() -> None:
    world = world_of(device())
    run, rest = carried_out(world, FLEET)
    assert is_at(world.devices[ONE], "6.3.4")
    assert world.devices[ONE].application == 44
    assert ending_of(run, rest) is Ending.DONE
    assert moves(world) == ["intended", "sent", "verified"] * 3


def test_the_intent_is_in_the_journal_before_anything_is_sent() -> None:
    world = world_of(*(device(number) for number in range(1, 6)))
    carried_out(world, FLEET)
    assert len(world.recorded_at_send) == 15
    assert all(world.recorded_at_send)


def test_no_step_is_sent_twice() -> None:
    world = world_of(*(device(number) for number in range(1, 6)))
    carried_out(world, FLEET)
    assert set(Counter(world.sent).values()) == {1}


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_devices_are_ever_under_way_than_the_fleet_allows(limit: int) -> None:
    world = world_of(*(device(number) for number in range(1, 9)))
    run, rest = carried_out(world, replace(FLEET, rollout=RolloutPolicy(concurrent_max=Share(limit))))
    assert world.under_way_most == limit
    assert ending_of(run, rest) is Ending.DONE


def test_every_device_arrives_once() -> None:
    world = world_of(device(1), device(2), device(3, device_os="6.3.4", application=44))
    carried_out(world, FLEET)
    arrived = Counter(event.device_id for event in world.events if isinstance(event, DeviceArrived))
    assert arrived == {device_id(1): 1, device_id(2): 1}


def test_the_counts_of_a_run_add_up() -> None:
    world = world_of(device(1), device(2), device(3, device_os="6.4.1"))
    run, _ = carried_out(world, FLEET)
    outcome = outcome_of(run, QUIET, interrupted=False)
    assert (outcome.devices_planned, outcome.devices_arrived, outcome.devices_refused) == (2, 2, 1)
    assert (outcome.steps_planned, outcome.steps_done, outcome.steps_failed, outcome.steps_open) == (6, 6, 0, 0)


def test_a_world_as_desired_is_looked_at_once_and_left_alone() -> None:
    world = world_of(device(device_os="6.3.4", application=44))
    run, rest = carried_out(world, FLEET)
    assert (world.now, world.sent, ending_of(run, rest)) == (NOW, [], Ending.DONE)


def test_what_was_put_on_a_device_counts_in_the_next_plan() -> None:
    # The cloud never shows the bootloader; without our own memory it would be sent again and again.
    world = world_of(device())
    carried_out(world, FLEET)
    assert world.journal.learnt()[ONE]
    assert sum(isinstance(step, FlashModule) and "bootloader" in str(step.module.slot) for _, step in world.sent) == 1


# --- answers that are lost ---


def test_a_lost_answer_leaves_the_attempt_unknown_until_the_device_shows_the_effect() -> None:
    world = world_of(device(device_os="6.2.0"), behaviour=loses_the_answer)  # one step, which the cloud shows
    run, rest = carried_out(world, fleet())
    assert moves(world) == ["intended", "unknown", "verified"]
    assert [attempt.evidence for attempt in run.ended[ONE]] == [Evidence.EFFECT]
    assert ending_of(run, rest) is Ending.DONE


def test_a_lost_answer_is_verified_by_a_newer_look_only() -> None:
    world = world_of(device(device_os="6.2.0"), behaviour=loses_the_answer)
    carried_out(world, fleet())
    (ended,) = world.journal.attempts()
    assert ended.ended_at is not None
    assert ended.ended_at > ended.intended_at


def test_a_lost_request_is_tried_again_after_its_deadline_only() -> None:
    world = world_of(device(device_os="6.2.0"), behaviour=loses_the_request)

    def second_time_lucky(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        return obeys(world, of_device, step) if len(world.sent) > 1 else loses_the_request(world, of_device, step)

    world.behaviour = second_time_lucky
    run, rest = carried_out(world, fleet())
    first, second = reversed(world.journal.attempts())
    assert (first.state, first.failure) == (AttemptState.FAILED, FailureClass.TRANSPORT)
    assert second.intended_at - first.intended_at > RolloutPolicy().step_deadline_seconds
    assert ending_of(run, rest) is Ending.DONE


def test_a_device_that_goes_offline_is_waited_for_until_the_deadline_and_then_counts_as_failed() -> None:
    world = world_of(device(device_os="6.2.0"), behaviour=goes_offline)
    run, rest = carried_out(world, fleet())
    assert RolloutPolicy().step_deadline_seconds < world.now - NOW < RolloutPolicy().step_deadline_seconds + 180
    assert [open_attempt.device_id for open_attempt in world.journal.open_attempts()] == [ONE]
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_device_that_came_back_is_found_by_the_next_run() -> None:
    world = world_of(device(device_os="6.2.0"), behaviour=goes_offline)
    carried_out(world, fleet())
    world.change(ONE, online=True, device_os="6.3.4", last_handshake_at=world.now)
    world.pass_time()
    run, rest = carried_out(world, fleet())
    assert world.journal.open_attempts() == ()
    assert run.ended[ONE][0].evidence is Evidence.EFFECT
    assert (len(world.sent), ending_of(run, rest)) == (1, Ending.DONE)


def test_a_device_that_is_no_longer_listed_is_waited_for_until_the_deadline() -> None:
    world = world_of(device(1, device_os="6.2.0"), device(2, device_os="6.3.4"))

    def leaves(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        del world.devices[of_device.id]
        return Accepted(detail="Update started")

    world.behaviour = leaves
    run, rest = carried_out(world, fleet())
    assert world.now - NOW > RolloutPolicy().step_deadline_seconds
    assert failed_devices(run) == {ONE}
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_run_that_does_not_wait_leaves_its_steps_open_and_has_not_failed() -> None:
    world = world_of(device())
    run, rest = carried_out(world, FLEET, once=True)
    assert [open_attempt.state for open_attempt in world.journal.open_attempts()] == [AttemptState.SENT]
    assert failed_devices(run) == set()
    assert ending_of(run, rest) is Ending.DONE


# --- a run before ours ---


@pytest.mark.parametrize("state", [AttemptState.INTENDED, AttemptState.SENT])
def test_what_an_earlier_run_left_open_is_unknown_first(state: AttemptState) -> None:
    world = world_of(device(device_os="6.2.0"))
    earlier = attempt(step=flash())
    world.journal.begin(earlier)
    if state is AttemptState.SENT:
        world.journal.record(earlier.sent(NOW))
    world.pass_time()
    carried_out(world, fleet())
    lived = [move.state for move in world.journal.moves(earlier.id)]
    assert lived[-2:] == [AttemptState.UNKNOWN, AttemptState.FAILED]


def test_what_an_earlier_run_did_is_not_done_again() -> None:
    world = world_of(device(device_os="6.3.4", last_handshake_at=Instant(NOW + 10)))
    world.journal.begin(attempt(step=flash()))
    world.pass_time()
    run, rest = carried_out(world, fleet())
    assert (world.sent, ending_of(run, rest)) == ([], Ending.DONE)
    assert run.ended[ONE][0].evidence is Evidence.EFFECT


def test_a_device_with_a_step_open_for_a_fleet_of_another_name_is_not_touched() -> None:
    world = world_of(device(device_os="6.2.0"), behaviour=obeys)
    world.journal.begin(attempt(step=flash(), fleet="eu-as-it-was-called"))
    world.pass_time()
    world.change(ONE, online=True)
    run, _ = carried_out(world, fleet(), once=True)
    (verdict,) = run.verdicts["eu"]
    assert isinstance(verdict, Wait)
    assert verdict.hold is Hold.IN_FLIGHT
    assert world.sent == []
    assert run.turned_back == {}


# --- what suffers ---


def test_a_device_whose_tries_are_used_up_is_given_up_and_the_others_go_on() -> None:
    world = world_of(device(1), device(2))

    def first_fails(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        return (fails if of_device.id == ONE else obeys)(world, of_device, step)

    world.behaviour = first_fails
    run, rest = carried_out(world, replace(FLEET, rollout=LENIENT))
    assert [a.failure for a in run.ended[ONE]] == [FailureClass.INSTALL] * 3
    assert [event.device_id for event in world.events if isinstance(event, DeviceSetAside)] == [ONE]
    assert world.devices[device_id(2)].application == 44
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_tries_are_spaced_by_their_pauses() -> None:
    world = world_of(device(device_os="6.2.0"), behaviour=fails)
    run, _ = carried_out(world, fleet(rollout=LENIENT))
    third, second, first = run.ended[ONE]
    assert first.ended_at is not None
    assert second.ended_at is not None
    assert second.intended_at - first.ended_at >= 60
    assert third.intended_at - second.ended_at >= 120


def test_a_request_that_certainly_never_left_fails_at_once() -> None:
    world = world_of(device(), behaviour=refusing(NotSent(failure=FailureClass.INTEGRITY, detail="other bytes")))
    run, rest = carried_out(world, replace(FLEET, rollout=LENIENT))
    assert moves(world) == ["intended", "failed"]
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_fleet_is_halted_in_the_journal_when_too_many_devices_fail() -> None:
    world = world_of(*(device(number) for number in range(1, 11)), behaviour=fails)
    run, rest = carried_out(
        world, replace(FLEET, rollout=RolloutPolicy(concurrent_max=Share(2), failures_max=Share(2)))
    )
    (halt,) = world.journal.halts()
    assert halt.fleet == "eu"
    assert all(begun.intended_at < halt.at for begun in world.journal.attempts())
    assert len({of_device for of_device, _ in world.sent}) < 10
    assert halt.reason.startswith("2 of its devices failed")
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_nothing_starts_in_the_pass_that_halts() -> None:
    world = world_of(device(1), device(2), behaviour=refusing(NotSent(failure=FailureClass.LOST, detail="gone")))
    carried_out(world, replace(FLEET, rollout=RolloutPolicy(concurrent_max=Share(1), failures_max=Share(0))))
    assert [of_device for of_device, _ in world.sent] == [ONE]


def test_a_halt_outlives_its_run_until_a_person_lifts_it() -> None:
    world = world_of(device())
    world.journal.halt("eu", "a person", NOW)
    run, rest = carried_out(world, FLEET)
    assert (world.sent, ending_of(run, rest)) == ([], Ending.DEVICES_FAILED)
    world.journal.lift("eu", NOW)
    run, rest = carried_out(world, FLEET)
    assert ending_of(run, rest) is Ending.DONE


def test_a_halt_of_one_fleet_does_not_hold_another() -> None:
    first = fleet("a", select=replace(fleet().select, platforms=None, devices=frozenset({ONE})))
    second = fleet("b", select=replace(fleet().select, platforms=None, devices=frozenset({device_id(2)})))
    world = world_of(device(1), device(2))
    world.journal.halt("a", "a person", NOW)
    carried_out(world, first, second)
    assert {of_device for of_device, _ in world.sent} == {device_id(2)}


def test_devices_that_come_back_in_safe_mode_halt_their_fleet() -> None:
    # They have no route any more: they wait for a report of their modules. Without counting them, all would follow.
    world = world_of(*(device(number, device_os="6.3.4") for number in range(1, 11)), behaviour=ends_in_safe_mode)
    run, rest = carried_out(
        world, replace(FLEET, rollout=RolloutPolicy(concurrent_max=Share(2), failures_max=Share(2)))
    )
    assert [halt.fleet for halt in world.journal.halts()] == ["eu"]
    assert len(world.sent) == 2
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_devices_that_were_in_safe_mode_before_and_stay_there_do_not_halt_their_fleet() -> None:
    lacking = modules(bootloader_0=1101, radio_stack_0=202, system_part_1=6305)
    repaired = modules(bootloader_0=3200, radio_stack_0=202, system_part_1=6305)
    world = world_of(*(device(n, mode=DeviceMode.SAFE_MODE, modules=lacking) for n in (1, 2, 3)))

    def repaired_and_still_dark(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        world.take(of_device.id, step)
        world.change(of_device.id, modules=repaired)
        return Accepted(detail="Update started")

    world.behaviour = repaired_and_still_dark
    run, rest = carried_out(world, fleet(rollout=RolloutPolicy(failures_max=Share(0))))
    assert world.journal.halts() == ()
    assert len(world.sent) == 3
    assert ending_of(run, rest) is Ending.DONE
