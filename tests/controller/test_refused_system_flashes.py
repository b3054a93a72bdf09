"""A cloud that takes no Device OS module for devices that are not marked as development: learnt with few requests."""

from __future__ import annotations

from dataclasses import replace

from reconciler.controller.direct_flash import REFUSALS_THAT_TEACH, DirectFlashes
from reconciler.controller.report import Ending, ending_of
from reconciler.execution.executor import NotSent, SendOutcome
from reconciler.model.attempt import FailureClass
from reconciler.model.device import ObservedDevice
from reconciler.model.event import Finding
from reconciler.model.fleet import RolloutPolicy, Share
from reconciler.model.plan import WaitingReason
from reconciler.model.refusal import KEPT_SECONDS
from reconciler.model.step import FlashModule, Step
from tests.controller.pretend_world import World, carried_out, fails, obeys, world_of
from tests.fleet_samples import COLD_CHAIN, LOGGER, device, fleet

REFUSED = NotSent(failure=FailureClass.REFUSED, detail="403 not allowed", refuses_system_flash=True)
EVERYONE_AT_ONCE = RolloutPolicy(concurrent_max=Share(100, percent=True), failures_max=Share(100, percent=True))
FLEET = replace(fleet(application=LOGGER), rollout=EVERYONE_AT_ONCE)


def takes_modules_in_development_only(world: World, device: ObservedDevice, step: Step) -> SendOutcome:
    refused = isinstance(step, FlashModule) and not device.development
    return REFUSED if refused else obeys(world, device, step)


def waiting(world: World) -> dict[WaitingReason, int]:
    return {entry.reason: len(entry.devices) for entry in world.plan(FLEET).fleets[0].waiting}


def test_a_thousand_devices_cost_a_handful_of_requests() -> None:
    world = world_of(*map(device, range(1, 1001)), behaviour=takes_modules_in_development_only)
    run, rest = carried_out(world, FLEET)
    assert len(world.sent) == REFUSALS_THAT_TEACH
    assert waiting(world) == {WaitingReason.SYSTEM_FLASH_REFUSED: 1000}
    assert ending_of(run, rest) is Ending.DONE
    [refusal] = world.journal.refusals()
    assert (refusal.product_id, refusal.words) == (COLD_CHAIN.id, "403 not allowed")
    assert [event.code for event in world.events if isinstance(event, Finding)] == ["PFR2130"]


def test_the_next_run_sends_nothing() -> None:
    world = world_of(*map(device, range(1, 21)), behaviour=takes_modules_in_development_only)
    carried_out(world, FLEET)
    before = len(world.sent)
    carried_out(world, FLEET)
    assert len(world.sent) == before


def test_after_a_week_it_is_tried_again_with_as_few_requests() -> None:
    world = world_of(*map(device, range(1, 21)), behaviour=takes_modules_in_development_only)
    carried_out(world, FLEET)
    world.skip(KEPT_SECONDS)
    carried_out(world, FLEET)
    assert len(world.sent) == 2 * REFUSALS_THAT_TEACH
    assert world.journal.refusals()[0].until > world.now


def test_what_a_person_clears_is_tried_again_and_goes_well_where_the_cloud_changed_its_mind() -> None:
    world = world_of(*map(device, range(1, 6)), behaviour=takes_modules_in_development_only)
    carried_out(world, FLEET)
    world.journal.forget_refusal(COLD_CHAIN.id)
    world.behaviour = obeys
    run, _ = carried_out(world, FLEET)
    assert len(run.arrived) == 5


def test_a_device_that_is_marked_as_development_is_served() -> None:
    marked = device(1, development=True)
    others = [device(number) for number in range(2, 8)]
    world = world_of(marked, *others, behaviour=takes_modules_in_development_only)
    run, _ = carried_out(world, FLEET)
    assert run.arrived == {marked.id}
    world.change(others[0].id, development=True)
    run, _ = carried_out(world, FLEET)
    assert run.arrived == {others[0].id}


def test_an_application_needs_no_module_and_is_locked_all_the_same() -> None:
    behind = device(1, device_os="6.3.4")
    world = world_of(behind, *map(device, range(2, 9)), behaviour=takes_modules_in_development_only)
    run, _ = carried_out(world, FLEET)
    assert run.arrived == {behind.id}


def test_two_refusals_among_acceptances_teach_nothing() -> None:
    picky = {device(number).id for number in (1, 2)}

    def refuses_two(world: World, device: ObservedDevice, step: Step) -> SendOutcome:
        return REFUSED if device.id in picky and len(world.sent) < 20 else obeys(world, device, step)

    world = world_of(*map(device, range(1, 9)), behaviour=refuses_two)
    run, _ = carried_out(world, FLEET)
    assert world.journal.refusals() == ()
    assert len(run.arrived) == 8


def test_a_failed_transfer_was_accepted_and_teaches_nothing() -> None:
    world = world_of(*map(device, range(1, 6)), behaviour=fails)
    carried_out(world, FLEET)
    assert world.journal.refusals() == ()


def test_three_refusals_in_a_row_teach_it_whenever_they_come() -> None:
    flashes = DirectFlashes()
    assert [flashes.refused(1) for _ in range(6)] == [False, False, True, False, False, True]
    assert [flashes.refused(2), flashes.refused(2)] == [False, False]
    flashes.accepted(2)
    assert [flashes.refused(2) for _ in range(3)] == [False, False, True]
