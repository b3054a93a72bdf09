"""What a run sees of others in the console, what it writes down, and when it stops fighting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.controller.console import CONFIRMED_AT_ONCE_MAX
from reconciler.execution.executor import SendOutcome
from reconciler.journal.journal import Looked
from reconciler.journal.memory import MemoryJournal
from reconciler.model.attempt import AttemptState
from reconciler.model.console import ConsoleChange
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.error import WireError
from reconciler.model.event import ConsoleChanged, DeviceLatched, Finding
from reconciler.model.fleet import Fleet, Selector
from reconciler.model.step import LockApplication, Step
from tests.controller.pretend_world import World, carried_out, obeys, world_of
from tests.fleet_samples import LOGGER, ONE, device, device_id, fleet

FLEET = fleet(application=LOGGER)
DETECT = replace(FLEET, correct_drift=False)
THERE: dict[str, Any] = {"device_os": "6.3.4", "application": 44}


class CountingJournal(MemoryJournal):
    """Counts what is written of looks."""

    looks = 0

    def keep_look(self, looked: Looked) -> None:
        self.looks += 1
        super().keep_look(looked)


def locks_in_the_cloud(world: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
    """The device obeys, and the console shows the lock."""
    outcome = obeys(world, of_device, step)
    if isinstance(step, LockApplication):
        world.change(of_device.id, desired_application=step.application, targeted_application=step.application)
    return outcome


def locked_world(*numbers: int, **fields: Any) -> World:
    """Devices that are as desired, by locks of ours."""
    devices = [device(number, device_os="6.3.4", application=12) for number in numbers or (1,)]
    world = world_of(*devices, behaviour=locks_in_the_cloud, journal=CountingJournal(), **fields)
    apply(world, FLEET)
    assert {each.application for each in world.devices.values()} == {44}
    world.events.clear()
    return world


def apply(world: World, *fleets: Fleet) -> None:
    carried_out(world, *fleets)
    world.pass_time()


def looks_of(world: World) -> int:
    assert isinstance(world.journal, CountingJournal)
    return world.journal.looks


def told(world: World) -> list[ConsoleChange]:
    return [event.change for event in world.events if isinstance(event, ConsoleChanged)]


def person_locks(world: World, version: int | None, *numbers: int) -> None:
    for number in numbers or (1,):
        world.change(device_id(number), desired_application=version, targeted_application=version)


def test_a_pass_over_an_unchanged_fleet_writes_nothing() -> None:
    world = locked_world(1, 2)
    written = looks_of(world)
    apply(world, FLEET)
    assert looks_of(world) == written
    assert told(world) == []


def test_what_we_do_ourselves_is_never_told_as_somebody_elses() -> None:
    world = world_of(device(1, device_os="1.5.2"), device(2, device_os="5.5.0"), behaviour=locks_in_the_cloud)
    apply(world, FLEET)
    assert told(world) == []
    assert {state.arrived for state in world.journal.console_states().values()} == {FLEET.desired.intent}


def test_a_device_that_is_in_no_fleet_is_not_remembered() -> None:
    world = world_of(device(1, **THERE), device(2, groups=("lab",), **THERE))
    apply(world, replace(FLEET, select=Selector(groups=frozenset({"eu"}))))
    assert set(world.journal.console_states()) == {ONE}


def test_a_lock_that_a_person_changed_is_told_written_down_and_put_back() -> None:
    world = locked_world()
    person_locks(world, 43)
    apply(world, FLEET)
    (change,) = told(world)
    assert (change.kind.value, change.before, change.after) == ("lock", "44", "43")
    assert change.undid == world.journal.attempts()[-1].id
    assert world.journal.console_changes() == (change,)
    assert world.devices[ONE].desired_application == 44
    assert len(world.sent) == 2


def test_two_controllers_that_fight_over_an_application_are_latched() -> None:
    developed = device(device_os="6.3.4", application=12, development=True)
    world = world_of(developed)
    for _ in range(5):
        apply(world, FLEET)
        world.change(ONE, application=12)
    apply(world, FLEET)
    assert len(world.sent) == 3
    assert [event.latch.device_id for event in world.events if isinstance(event, DeviceLatched)] == [ONE]
    (latch,) = world.journal.latches().values()
    assert "application 44 -> 12" in latch.why


def test_another_tool_that_lowers_the_device_os_is_latched_too() -> None:
    world = world_of(device(device_os="6.3.2"))
    for _ in range(5):
        apply(world, fleet())
        world.change(ONE, device_os="6.3.2")
    assert len(world.journal.latches()) == 1
    sent = len(world.sent)
    apply(world, fleet())
    assert len(world.sent) == sent


def test_the_third_round_sends_nothing_any_more_in_the_very_pass_that_sees_it() -> None:
    world = locked_world()
    for _ in range(3):
        person_locks(world, 43)
        apply(world, FLEET)
    assert len(world.sent) == 3
    assert [type(event) for event in world.events if isinstance(event, DeviceLatched)] == [DeviceLatched]


def test_a_latched_device_costs_no_look_of_its_own() -> None:
    world = locked_world()
    for _ in range(3):
        person_locks(world, 43)
        apply(world, FLEET)
    looked: list[DeviceId] = []

    def notes(fresh: ObservedDevice) -> ObservedDevice:
        looked.append(fresh.id)
        return fresh

    world.on_fresh = notes
    person_locks(world, 42)
    apply(world, FLEET)
    assert looked == []
    assert told(world)[-1].after == "42"


def test_a_person_lets_go_of_a_latched_device_and_the_rounds_begin_anew() -> None:
    world = locked_world()
    for _ in range(3):
        person_locks(world, 43)
        apply(world, FLEET)
    assert world.journal.unlatch(ONE)
    for _ in range(4):
        apply(world, FLEET)
        person_locks(world, 43)
    apply(world, FLEET)
    assert len(world.sent) == 6
    assert not world.journal.latches()[ONE].lifted


def test_a_tenth_of_the_fleet_in_a_fight_halts_it() -> None:
    numbers = tuple(range(1, 11))
    world = locked_world(*numbers)
    for _ in range(3):
        person_locks(world, 43, *numbers[:5])
        apply(world, FLEET)
    assert [halt.fleet for halt in world.journal.halts()] == ["eu"]
    assert any(isinstance(event, Finding) and event.code == "PFR2303" for event in world.events)


def test_four_devices_in_a_fight_halt_no_fleet() -> None:
    numbers = tuple(range(1, 11))
    world = locked_world(*numbers)
    for _ in range(3):
        person_locks(world, 43, *numbers[:4])
        apply(world, FLEET)
    assert len(world.journal.latches()) == 4
    assert world.journal.halts() == ()


def test_a_list_that_is_old_is_not_taken_for_a_person() -> None:
    world = locked_world()
    person_locks(world, None)
    world.on_fresh = lambda fresh: replace(fresh, desired_application=44, targeted_application=44)
    written = looks_of(world)
    apply(world, FLEET)
    assert told(world) == []
    assert looks_of(world) == written


@pytest.mark.parametrize("seen", ["gone", "unreadable"])
def test_what_cannot_be_confirmed_is_left_to_the_next_pass(seen: str) -> None:
    def unseen(fresh: ObservedDevice) -> ObservedDevice | None:
        if seen == "unreadable":
            raise WireError("PFR3001", "no answer")
        return None

    world = locked_world()
    person_locks(world, None)
    world.on_fresh = unseen
    apply(world, FLEET)
    assert told(world) == []
    world.on_fresh = lambda fresh: fresh
    apply(world, FLEET)
    assert [change.after for change in told(world)] == [None]


def test_many_changes_at_once_are_confirmed_over_several_passes() -> None:
    numbers = tuple(range(1, CONFIRMED_AT_ONCE_MAX + 21))
    world = locked_world(*numbers)
    person_locks(world, None, *numbers)
    apply(world, FLEET)
    assert len(told(world)) == CONFIRMED_AT_ONCE_MAX
    apply(world, FLEET)
    assert len(told(world)) == len(numbers)


def test_devices_whose_changes_wait_for_a_look_have_not_joined_the_fleet_meanwhile() -> None:
    numbers = tuple(range(1, CONFIRMED_AT_ONCE_MAX + 21))
    world = locked_world(*numbers)
    before_anybody_looked = MemoryJournal()
    for done in reversed(world.journal.attempts()):
        before_anybody_looked.begin(
            replace(done, state=AttemptState.INTENDED, sent_at=None, ended_at=None, evidence=None)
        )
        before_anybody_looked.record(replace(done, state=AttemptState.SENT, ended_at=None, evidence=None))
        before_anybody_looked.record(done)
    world.journal = before_anybody_looked
    person_locks(world, None, *numbers)
    for _ in range(2):
        apply(world, FLEET)
    assert {change.kind.value for change in told(world)} == {"lock"}
    assert len(told(world)) == len(numbers)


def test_where_drift_is_only_detected_a_rollout_arrives_and_what_leaves_again_is_left() -> None:
    world = world_of(device(device_os="6.3.4", application=12), behaviour=locks_in_the_cloud)
    apply(world, DETECT)
    assert (len(world.sent), world.devices[ONE].application) == (1, 44)
    world.change(ONE, application=43)
    apply(world, DETECT)
    assert len(world.sent) == 1
    assert [change.kind.value for change in told(world)] == ["application"]
    apply(world, replace(DETECT, correct_drift=True))
    assert len(world.sent) == 2


def test_a_device_that_joins_or_leaves_by_its_groups_is_told_and_one_that_git_takes_in_is_not() -> None:
    of_group = replace(FLEET, select=Selector(groups=frozenset({"eu"})))
    world = world_of(device(1, **THERE), device(2, groups=("lab",), **THERE))
    apply(world, of_group)
    world.change(device_id(2), groups=("eu",))
    world.change(device_id(1), groups=())
    apply(world, of_group)
    assert [(each.device_id, each.before, each.after) for each in told(world)] == [
        (device_id(1), "eu", None),
        (device_id(2), None, "eu"),
    ]
    world.events.clear()
    apply(world, FLEET)
    assert told(world) == []
