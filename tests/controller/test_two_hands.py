"""The cloud's hand and the bench's hand on one journal: never both on one device, and each believes what it sees."""

from __future__ import annotations

from dataclasses import replace

from reconciler.controller.seat import SeatState
from reconciler.model.attempt import Attempt, AttemptState, Evidence
from reconciler.model.device import DeviceId
from reconciler.model.fleet import Delivery, FleetSet, Selector, Via
from reconciler.model.instant import Instant
from reconciler.model.plan import WaitingReason
from tests.bench.stage import USB, Stage
from tests.controller.pretend_world import carried_out, world_of
from tests.fleet_samples import ONE, attempt, device, flash, fleet

BENCH_FLEET = fleet(delivery=Delivery(via=Via.USB))
OURS = Selector(devices=frozenset({ONE}))


def open_at_the_bench(device_id: DeviceId = ONE) -> Attempt:
    step = flash(slot="system_part/1", via=Via.USB)
    return replace(attempt(), device_id=device_id, step=step, handshake_before=None)


def test_the_cloud_leaves_the_devices_of_a_bench_alone_and_says_why() -> None:
    world = world_of(device(device_os="2.0.1"))
    (plan,) = world.plan(BENCH_FLEET).fleets
    assert [place.reason for place in plan.waiting] == [WaitingReason.NEEDS_BENCH]
    carried_out(world, BENCH_FLEET)
    assert world.journal.attempts() == ()


def test_a_device_that_was_updated_on_a_bench_is_done_at_its_next_handshake() -> None:
    world = world_of(device(device_os="6.3.4"))
    (plan,) = world.plan(BENCH_FLEET).fleets
    assert (plan.current, plan.waiting) == ((ONE,), ())


def test_what_a_bench_is_at_stays_the_benchs_when_a_run_in_the_cloud_begins() -> None:
    world = world_of(device(device_os="2.0.1"))
    world.journal.begin(open_at_the_bench())
    carried_out(world, fleet())
    (left,) = world.journal.attempts()
    assert left.state is AttemptState.INTENDED, "neither judged, nor joined by another one"


def test_what_a_bench_left_open_is_verified_by_what_the_cloud_shows_of_a_later_session() -> None:
    world = world_of(device(device_os="2.0.1"))
    begun = open_at_the_bench()
    world.journal.begin(begun)
    world.journal.record(begun.lost_sight("unplugged"))
    world.devices[ONE] = replace(
        world.devices[ONE], device_os="6.3.4", last_handshake_at=Instant(begun.intended_at + 5)
    )
    world.skip(60)
    carried_out(world, BENCH_FLEET)
    (ended,) = world.journal.attempts()
    assert (ended.state, ended.evidence) == (AttemptState.VERIFIED, Evidence.EFFECT)


def test_nothing_is_presumed_of_what_a_bench_left_open() -> None:
    """A bootloader is not to be seen from the cloud, however long one waits."""
    world = world_of(device(device_os="2.0.1"))
    begun = replace(open_at_the_bench(), step=flash(slot="bootloader/0", via=Via.USB))
    world.journal.begin(begun)
    world.journal.record(begun.lost_sight("unplugged"))
    world.devices[ONE] = replace(world.devices[ONE], last_handshake_at=Instant(begun.intended_at + 5))
    world.skip(3600)
    carried_out(world, BENCH_FLEET)
    (left,) = world.journal.attempts()
    assert left.state is AttemptState.UNKNOWN


def test_the_bench_sets_a_device_aside_that_the_cloud_has_a_step_under_way_for() -> None:
    here = Stage(fleets=FleetSet(fleets=(fleet(select=OURS, delivery=USB),)), is_shared=True)
    plugged = here.bus.plug(1, "boron", "2.0.1")
    here.journal.begin(replace(attempt(), device_id=plugged.id))
    seat = here.serve(plugged)
    assert (seat.state, seat.code) == (SeatState.ASIDE, "PFR5002")
    assert not [moment for moment in plugged.moments if moment.startswith(("erase", "update", "enter"))]
    (left,) = here.journal.attempts()
    assert left.is_open
    assert left.step.via is Via.CLOUD


def test_a_step_of_the_cloud_that_the_bench_sees_done_is_done() -> None:
    here = Stage(fleets=FleetSet(fleets=(fleet(select=OURS, delivery=USB),)), is_shared=True)
    plugged = here.bus.plug(1, "boron", "6.3.4")
    sent = replace(attempt(), device_id=plugged.id, intended_at=Instant(1.0))
    here.journal.begin(sent)
    here.journal.record(sent.sent(Instant(2.0)))
    assert here.serve(plugged).state is SeatState.DONE
    (ended,) = here.journal.attempts()
    assert ended.state is AttemptState.VERIFIED
