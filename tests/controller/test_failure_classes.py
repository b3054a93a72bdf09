"""What a run does with a failure, by its class."""

from __future__ import annotations

from dataclasses import replace

from reconciler.controller.report import Ending, ending_of
from reconciler.execution.executor import NotSent
from reconciler.model.attempt import FailureClass
from reconciler.model.event import DeviceSetAside
from reconciler.model.fleet import RolloutPolicy, Share
from tests.controller.pretend_world import carried_out, goes_offline, refusing, world_of
from tests.fleet_samples import LOGGER, ONE, device, fleet

FLEET = replace(
    fleet(application=LOGGER), rollout=RolloutPolicy(concurrent_max=Share(1), failures_max=Share(100, percent=True))
)


def test_bytes_that_are_not_the_planned_ones_halt_the_fleet_whatever_its_limit() -> None:
    wrong = NotSent(failure=FailureClass.INTEGRITY, detail="another SHA-256 than the plan")
    world = world_of(*(device(number) for number in range(1, 21)), behaviour=refusing(wrong))
    run, rest = carried_out(world, FLEET)
    assert len(world.sent) == 1
    assert "another SHA-256" in world.journal.halts()[0].reason
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_device_that_is_silent_past_its_deadline_is_told_of_once_as_lost() -> None:
    world = world_of(device(), device(2), behaviour=goes_offline)
    run, _ = carried_out(world, FLEET)
    told = [event for event in world.events if isinstance(event, DeviceSetAside) and event.reason == FailureClass.LOST]
    assert {event.device_id for event in told} == set(run.lost)
    assert [event.device_id for event in told].count(ONE) == 1
