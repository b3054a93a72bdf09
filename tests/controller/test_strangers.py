"""Transfers, sessions and clocks that are not ours: what this run concludes from them, and what it unlearns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.controller.report import Ending, ending_of, failed_devices
from reconciler.execution.executor import Accepted, MayHaveArrived, SendOutcome
from reconciler.model.attempt import AttemptState, Evidence, FailureClass
from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import RolloutPolicy, Share
from reconciler.model.instant import Instant
from reconciler.model.module import ModuleFunction
from reconciler.model.step import FlashModule, Step
from tests.controller.pretend_world import RESTART_SECONDS, World, carried_out, fails, obeys, world_of
from tests.fleet_samples import NOW, ONE, attempt, device, device_id, fleet

FLEET = fleet(rollout=RolloutPolicy(failures_max=Share(100)))


def is_bootloader(step: Step) -> bool:
    return isinstance(step, FlashModule) and step.module.slot.function is ModuleFunction.BOOTLOADER


def a_strangers_success(world: World, of_device: ObservedDevice) -> None:
    """Somebody else's transfer ends well and the device restarts; of ours it took nothing."""
    world.hear(of_device.id, "success")
    world.change(of_device.id, last_handshake_at=Instant(world.now + RESTART_SECONDS))


def without_its_bootloader(first: Callable[[World, ObservedDevice], SendOutcome]) -> World:
    """A device that refuses the system part until it really has the bootloader, of which the first send is `first`."""
    world = world_of(device())
    has_bootloader = False

    def strict(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        nonlocal has_bootloader
        if len(world.sent) == 1:
            assert is_bootloader(step)
            return first(world, of_device)
        has_bootloader = has_bootloader or is_bootloader(step)
        return (obeys if has_bootloader else fails)(world, of_device, step)

    world.behaviour = strict
    return world


def lost_request(world: World, of_device: ObservedDevice) -> SendOutcome:
    a_strangers_success(world, of_device)
    return MayHaveArrived(detail="no answer")


def taken_for_ours(world: World, of_device: ObservedDevice) -> SendOutcome:
    a_strangers_success(world, of_device)
    return Accepted(detail="Update started")


def test_a_strangers_success_lets_a_lost_request_be_presumed_and_one_failure_unlearns_it() -> None:
    world = without_its_bootloader(lost_request)
    run, rest = carried_out(world, FLEET)
    assert run.ended[ONE][-1].evidence is Evidence.PRESUMED
    assert [is_bootloader(step) for _, step in world.sent] == [True, False, True, False]
    assert ending_of(run, rest) is Ending.DONE


def test_a_strangers_success_that_was_taken_for_ours_is_unlearnt_after_two_failures() -> None:
    world = without_its_bootloader(taken_for_ours)
    run, rest = carried_out(world, FLEET)
    assert run.ended[ONE][-1].evidence is Evidence.RESTARTED
    assert [is_bootloader(step) for _, step in world.sent] == [True, False, False, True, False]
    assert ending_of(run, rest) is Ending.DONE


def test_a_strangers_failure_after_our_success_fails_nothing() -> None:
    world = world_of(device())

    def obeys_and_refuses_a_stranger(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        outcome = obeys(world, of_device, step)
        world.hear(of_device.id, "started")
        world.hear(of_device.id, "failed")
        return outcome

    world.behaviour = obeys_and_refuses_a_stranger
    run, rest = carried_out(world, fleet())
    assert {ended.state for ended in run.ended[ONE]} == {AttemptState.VERIFIED}
    assert ending_of(run, rest) is Ending.DONE


def test_an_event_of_an_earlier_session_that_comes_late_proves_nothing_of_this_step() -> None:
    world = world_of(device())

    def hears_of_the_past(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        if len(world.sent) > 1:
            return obeys(world, of_device, step)
        world.hear(of_device.id, "success", at=Instant(NOW - 3700))
        world.change(of_device.id, last_handshake_at=Instant(world.now + RESTART_SECONDS))
        return Accepted(detail="Update started")

    world.behaviour = hears_of_the_past
    run, _ = carried_out(world, fleet())
    first = run.ended[ONE][-1]
    assert first.ended_at is not None
    assert first.ended_at - NOW > RolloutPolicy().step_deadline_seconds
    assert first.evidence is Evidence.PRESUMED


def gap_in_which_it_is_taken(world: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
    """The device takes the step while nobody listens."""
    world.hearing.miss()
    world.take(of_device.id, step, heard=False)
    return Accepted(detail="Update started")


def test_what_nobody_heard_in_a_gap_is_found_by_looking_and_nothing_is_sent_twice() -> None:
    world = world_of(device())
    world.behaviour = gap_in_which_it_is_taken
    run, rest = carried_out(world, fleet())
    assert ending_of(run, rest) is Ending.DONE
    assert len(world.sent) == len(set(world.sent))
    assert {ended.evidence for ended in run.ended[ONE]} == {Evidence.PRESUMED, Evidence.EFFECT}
    # Long before the deadline, which is what a step that is not heard would wait for.
    assert world.now - NOW < RolloutPolicy().step_deadline_seconds


def test_a_strangers_failure_that_is_heard_behind_a_gap_fails_no_step_of_ours() -> None:
    world = world_of(device())

    def unheard_then_a_stranger(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        outcome = gap_in_which_it_is_taken(world, of_device, step)
        world.hear(of_device.id, "failed")
        return outcome

    world.behaviour = unheard_then_a_stranger
    run, rest = carried_out(world, fleet())
    assert ending_of(run, rest) is Ending.DONE
    assert {ended.state for ended in run.ended[ONE]} == {AttemptState.VERIFIED}
    assert len(world.sent) == len(set(world.sent))


def test_a_strangers_success_that_is_heard_behind_a_gap_is_presumed_and_no_more() -> None:
    world = world_of(device())

    def gap_and_a_strangers_success(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        if len(world.sent) > 1:
            return obeys(world, of_device, step)
        world.hearing.miss()
        a_strangers_success(world, of_device)
        return Accepted(detail="Update started")

    world.behaviour = gap_and_a_strangers_success
    run, _ = carried_out(world, fleet())
    assert run.ended[ONE][-1].evidence is Evidence.PRESUMED


def test_a_device_that_vanishes_after_the_send_is_neither_verified_nor_failed_nor_sent_to_again() -> None:
    world = world_of(device(1), device(2))

    def vanishes(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        if of_device.id != ONE:
            return obeys(world, of_device, step)
        del world.devices[ONE]
        return Accepted(detail="Update started")

    world.behaviour = vanishes
    run, rest = carried_out(world, fleet(rollout=RolloutPolicy(failures_max=Share(100))))
    assert [attempt.device_id for attempt in world.journal.open_attempts()] == [ONE]
    assert sum(device_id == ONE for device_id, _ in world.sent) == 1
    assert device_id(2) in run.arrived
    assert ending_of(run, rest) is Ending.DEVICES_FAILED
    assert failed_devices(run) == {ONE}


@pytest.mark.parametrize("skew_seconds", [-300.0, -20.0, 20.0, 300.0])
def test_a_failed_transfer_is_heard_whatever_the_dates_of_the_answers_say(skew_seconds: float) -> None:
    world = world_of(device(device_os="6.2.0"), skew_seconds=skew_seconds)
    world.behaviour = lambda _, of_device, step: (fails if len(world.sent) == 1 else obeys)(world, of_device, step)
    run, rest = carried_out(world, FLEET)
    first = run.ended[ONE][-1]
    assert (first.failure, first.detail) == (FailureClass.INSTALL, "the transfer was reported as failed")
    assert first.ended_at is not None
    assert first.ended_at - NOW < RolloutPolicy().step_deadline_seconds
    assert (len(world.sent), ending_of(run, rest)) == (2, Ending.DONE)


def test_a_step_of_an_earlier_run_on_a_device_that_left_the_product_fails_no_later_run() -> None:
    world = world_of(device(device_os="6.3.4"))
    world.journal.begin(attempt(id="of-before", device_id=device_id(77)))
    run, rest = carried_out(world, fleet())
    assert [open_attempt.id for open_attempt in world.journal.open_attempts()] == ["of-before"]
    assert (failed_devices(run), world.journal.halts()) == (set(), ())
    assert ending_of(run, rest) is Ending.DONE
