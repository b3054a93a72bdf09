"""A release that harms devices: how many it reaches, and what counts as harm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.report import Ending, ending_of, failed_devices
from reconciler.execution.executor import NotSent, SendOutcome
from reconciler.model.attempt import FailureClass
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.event import DeviceSetAside
from reconciler.model.fleet import RolloutPolicy, Share
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Resumed
from reconciler.model.step import Step
from tests.controller.pretend_world import (
    Behaviour,
    World,
    carried_out,
    ends_in_safe_mode,
    ends_in_safe_mode_unheard,
    fails,
    goes_offline,
    obeys,
    refusing,
    world_of,
)
from tests.fleet_samples import LOGGER, ONE, device, device_id, fleet

CAREFUL = RolloutPolicy(concurrent_max=Share(2), failures_max=Share(2))
LENIENT = RolloutPolicy(concurrent_max=Share(100), failures_max=Share(100))
FLEET = fleet(application=LOGGER, rollout=CAREFUL)


def twenty() -> World:
    """Twenty devices that lack nothing but the application."""
    return world_of(*(device(number, device_os="6.3.4") for number in range(1, 21)))


def exposed(world: World) -> int:
    return len({of_device for of_device, _ in world.sent})


@pytest.mark.parametrize("behaviour", [ends_in_safe_mode, ends_in_safe_mode_unheard, goes_offline, fails])
def test_a_bad_release_is_halted_before_it_has_reached_more_than_a_few(behaviour: Behaviour) -> None:
    world = twenty()
    world.behaviour = behaviour
    run, rest = carried_out(world, FLEET)
    assert exposed(world) <= 3
    assert [halt.fleet for halt in world.journal.halts()] == ["eu"]
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_device_that_came_back_without_its_application_counts_before_it_is_tried_again() -> None:
    world = twenty()
    world.behaviour = ends_in_safe_mode
    carried_out(world, replace(FLEET, rollout=RolloutPolicy(concurrent_max=Share(1), failures_max=Share(0))))
    assert len(world.sent) == 1
    assert [halt.reason[:5] for halt in world.journal.halts()] == ["1 of "]


def test_devices_that_never_come_back_halt_their_fleet() -> None:
    world = twenty()
    world.behaviour = goes_offline
    run, _ = carried_out(world, FLEET)
    assert len(failed_devices(run)) == len(world.journal.open_attempts()) >= 2
    assert [halt.reason[:5] for halt in world.journal.halts()] == ["2 of "]


def test_a_device_in_safe_mode_that_says_nothing_has_suffered_after_the_time_of_a_step() -> None:
    # The module arrived, for all that anybody can see; but the application does not run, and nobody can say why.
    world = world_of(*(device(number) for number in range(1, 21)))
    world.behaviour = ends_in_safe_mode
    run, rest = carried_out(world, fleet(rollout=CAREFUL))
    assert exposed(world) <= 3
    assert all(world.devices[each].mode is DeviceMode.SAFE_MODE for each in failed_devices(run))
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_device_that_goes_dark_between_two_steps_keeps_the_next_from_starting_for_the_time_of_a_step() -> None:
    world = world_of(*(device(number) for number in range(1, 4)))
    started: dict[str, float] = {}

    def takes_and_goes_dark(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        started.setdefault(of_device.id, world.now)
        outcome = obeys(world, of_device, step)
        world.change(of_device.id, online=False)
        return outcome

    world.behaviour = takes_and_goes_dark
    carried_out(world, fleet(rollout=RolloutPolicy(concurrent_max=Share(1))))
    first, second, third = sorted(started.values())
    assert second - first > RolloutPolicy().step_deadline_seconds
    assert third - second > RolloutPolicy().step_deadline_seconds


def test_a_device_that_uses_up_its_tries_and_is_offline_then_has_failed() -> None:
    world = world_of(device(device_os="6.2.0"))

    def fails_and_hides_in_the_end(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        outcome = fails(world, of_device, step)
        world.change(of_device.id, online=len(world.sent) < 3)
        return outcome

    world.behaviour = fails_and_hides_in_the_end
    run, rest = carried_out(world, fleet(rollout=LENIENT))
    assert len(world.sent) == 3
    assert [event.device_id for event in world.events if isinstance(event, DeviceSetAside)] == [ONE]
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_devices_that_are_never_there_when_something_is_sent_have_not_failed() -> None:
    world = world_of(*(device(number, device_os="6.2.0") for number in (1, 2, 3)))
    world.behaviour = refusing(NotSent(failure=FailureClass.OFFLINE, detail="404"))
    run, rest = carried_out(world, fleet(rollout=RolloutPolicy(concurrent_max=Share(3), failures_max=Share(0))))
    assert len(world.sent) == 18
    assert (world.journal.halts(), failed_devices(run)) == ((), set())
    assert ending_of(run, rest) is Ending.DONE


def test_failures_of_one_class_use_up_no_tries_of_another() -> None:
    world = world_of(device(device_os="6.2.0"))
    script = [refusing(NotSent(failure=FailureClass.OFFLINE, detail="404"))] * 2 + [fails] * 2 + [obeys]
    world.behaviour = lambda _, of_device, step: script[len(world.sent) - 1](world, of_device, step)
    run, rest = carried_out(world, fleet(rollout=LENIENT))
    assert len(world.sent) == 5
    assert ending_of(run, rest) is Ending.DONE


def test_a_bad_release_of_one_fleet_halts_no_other() -> None:
    first = fleet("a", select=replace(fleet().select, platforms=None, devices=frozenset({ONE})), application=LOGGER)
    others = frozenset({device_id(2), device_id(3)})
    second = fleet("b", select=replace(fleet().select, platforms=None, devices=others), application=LOGGER)
    world = world_of(*(device(number, device_os="6.3.4") for number in (1, 2, 3)))
    world.behaviour = lambda _, of_device, step: (ends_in_safe_mode if of_device.id == ONE else obeys)(
        world, of_device, step
    )
    carried_out(world, first, second)
    assert [halt.fleet for halt in world.journal.halts()] == ["a"]
    assert {world.devices[each].application for each in others} == {44}


def test_a_resume_by_a_clock_that_is_ahead_does_not_blind_the_rollout() -> None:
    world = twenty()
    world.behaviour = ends_in_safe_mode
    carried_out(world, FLEET)
    before = exposed(world)
    seen = Instant(max(attempt.intended_at for attempt in world.journal.attempts()) + 0.001)
    ahead = Instant(world.now + 86_400)
    world.journal.note([Resumed(fleet="eu", at=ahead, by="ada", settled_before=seen)])
    carried_out(world, FLEET)
    assert [halt.fleet for halt in world.journal.halts()] == ["eu"]
    assert exposed(world) <= before + 3
