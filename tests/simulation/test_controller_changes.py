"""What is desired changes in the midst of things: fleets that go, move, come halted, and wave after wave to approve."""

from __future__ import annotations

import json

import pytest

from reconciler.controller.status import Memory, fleet_statuses
from reconciler.journal.memory import MemoryJournal
from reconciler.model.attempt import AttemptState
from reconciler.model.event import PassEnded, PlanOffered, Recovered, RolloutMoved, Troubled
from reconciler.model.rollout_entry import Approved, Halted, Resumed
from tests.simulation.test_controller import HOUR, fleet, releases
from tests.simulation.virtual import VirtualCloud
from tests.simulation.virtual_controller import PretendSource, VirtualController

WORLD = """
tokens: [{name: operator, token: "7e577e577e577e577e577e577e577e577e577e57"}]
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu, us]}
  - {id: 12346, slug: cold-store, platform: boron, groups: [eu]}
devices:
  - {count: 4, product: cold-chain, platform: boron, deviceOS: "2.0.1", groups: [eu]}
  - {count: 2, product: cold-chain, platform: boron, deviceOS: "2.0.1", groups: [us]}
  - {count: 3, product: cold-store, platform: boron, deviceOS: "2.0.1", groups: [eu]}
"""


@pytest.fixture
def virtual() -> VirtualCloud:
    return VirtualCloud(WORLD)


@pytest.fixture
def source(virtual: VirtualCloud) -> PretendSource:
    return PretendSource(clock=virtual.clock)


@pytest.fixture
def controller(virtual: VirtualCloud, source: PretendSource) -> VirtualController:
    return VirtualController(virtual, source, MemoryJournal())


def accept(controller: VirtualController, commit: str) -> None:
    word = {"commit": commit[:12], "by": "ada", "at": controller.virtual.now}
    controller.journal.set_bookmark("accept/pretend", json.dumps(word))


def by_group(virtual: VirtualCloud, product: int = 12345) -> dict[str, set[str]]:
    """What the devices of a product run in truth, by their group."""
    found: dict[str, set[str]] = {}
    for device in virtual.cloud.state.devices.values():
        if device.product_id == product:
            found.setdefault(",".join(device.groups), set()).add(device.reported_device_os or "")
    return found


def test_a_fleet_that_goes_in_the_midst_of_a_step_starts_nothing_more_and_leaves_nothing_open(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    one_by_one = "  rollout: {maxConcurrent: 1}\n"
    source.push({**fleet(more=one_by_one), **fleet("us")})
    controller.run_for(HOUR, until=lambda: any(a.fleet == "eu" for a in controller.journal.open_attempts()))
    accept(controller, source.push(fleet("us")))
    controller.run_for(60.0)
    begun = [attempt.id for attempt in controller.journal.attempts() if attempt.fleet == "eu"]
    controller.run_for(5 * HOUR)
    assert [attempt.id for attempt in controller.journal.attempts() if attempt.fleet == "eu"] == begun
    assert controller.journal.open_attempts() == ()
    assert by_group(virtual)["us"] == {"3.0.0"}
    assert virtual.cloud.violations() == ()
    source.push({**fleet(), **fleet("us")})
    controller.run_for(5 * HOUR)
    assert by_group(virtual) == {"eu": {"3.0.0"}, "us": {"3.0.0"}}


def test_a_fleet_that_moves_to_another_product_in_the_midst_of_a_step_goes_on_there(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet(more="  rollout: {maxConcurrent: 1}\n"))
    controller.run_for(HOUR, until=lambda: len(controller.journal.attempts()) >= 3)
    source.push({"eu.yaml": fleet()["eu.yaml"].replace("cold-chain", "cold-store")})
    controller.run_for(6 * HOUR)
    assert by_group(virtual, 12346) == {"eu": {"3.0.0"}}
    assert controller.told(Troubled) == []
    assert virtual.cloud.violations() == ()
    source.push({"eu.yaml": fleet()["eu.yaml"].replace("cold-chain", "12345")})
    controller.run_for(6 * HOUR)
    assert by_group(virtual)["eu"] == {"3.0.0"}
    assert controller.journal.open_attempts() == ()


def test_a_product_that_goes_with_its_fleet_in_the_midst_of_steps_is_looked_at_until_they_have_ended(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    elsewhere = fleet()["eu.yaml"].replace("cold-chain", "cold-store").replace("name: eu", "name: store")
    source.push({**fleet(more="  rollout: {maxConcurrent: 2}\n"), "store.yaml": elsewhere})
    controller.run_for(HOUR, until=lambda: any(a.fleet == "eu" for a in controller.journal.open_attempts()))
    accept(controller, source.push({"store.yaml": elsewhere}))
    controller.run_for(60.0)
    begun = [attempt.id for attempt in controller.journal.attempts(fleet="eu")]
    controller.run_for(3 * HOUR)
    assert [attempt.id for attempt in controller.journal.attempts(fleet="eu")] == begun
    assert {attempt.state for attempt in controller.journal.attempts(fleet="eu")} == {AttemptState.VERIFIED}
    looked = [event.product for event in controller.told(PassEnded)]
    controller.run_for(3 * HOUR)
    assert {event.product for event in controller.told(PassEnded)[len(looked) :]} == {"cold-store"}
    assert by_group(virtual, 12346) == {"eu": {"3.0.0"}}
    assert controller.told(Troubled) == []
    source.push({**fleet(), "store.yaml": elsewhere})
    controller.run_for(5 * HOUR)
    assert by_group(virtual)["eu"] == {"3.0.0"}
    assert virtual.cloud.violations() == ()


def test_a_product_that_comes_back_before_its_steps_have_ended_goes_on(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    files = fleet(more="  rollout: {maxConcurrent: 2}\n")
    source.push(files)
    controller.run_for(HOUR, until=lambda: len(controller.journal.open_attempts()) > 0)
    accept(controller, source.push({}))
    controller.run_for(60.0)
    assert len(controller.journal.open_attempts()) > 0
    source.push(files)
    controller.run_for(5 * HOUR)
    assert by_group(virtual)["eu"] == {"3.0.0"}
    assert {attempt.state for attempt in controller.journal.attempts()} == {AttemptState.VERIFIED}
    assert virtual.cloud.violations() == ()


def test_a_step_that_nobody_can_see_the_end_of_holds_no_product_that_has_gone(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet(more="  rollout: {maxConcurrent: 1}\n"))
    controller.run_for(HOUR, until=lambda: len(controller.journal.open_attempts()) > 0)
    (under_way,) = controller.journal.open_attempts()
    device = virtual.cloud.state.devices[under_way.device_id]
    virtual.cloud.state.life.set_online(device, online=False, now=virtual.now)
    accept(controller, source.push({}))
    controller.run_for(12 * HOUR)
    passes = len(controller.told(PassEnded))
    controller.run_for(6 * HOUR)
    assert len(controller.told(PassEnded)) == passes
    assert [attempt.id for attempt in controller.journal.open_attempts()] == [under_way.id]
    virtual.cloud.state.life.set_online(device, online=True, now=virtual.now)
    source.push(fleet())
    controller.run_for(5 * HOUR)
    assert by_group(virtual)["eu"] == {"3.0.0"}
    assert controller.journal.open_attempts() == ()


def test_a_product_that_goes_and_cannot_be_seen_any_more_is_no_trouble_after_the_deadline(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    elsewhere = fleet()["eu.yaml"].replace("cold-chain", "cold-store").replace("name: eu", "name: store")
    source.push({**fleet(more="  rollout: {maxConcurrent: 1}\n"), "store.yaml": elsewhere})
    controller.run_for(HOUR, until=lambda: any(a.fleet == "eu" for a in controller.journal.open_attempts()))
    accept(controller, source.push({"store.yaml": elsewhere}))
    del virtual.cloud.state.products[12345]
    controller.run_for(HOUR / 4)
    assert set(controller.loop.troubles()) == {"product cold-chain"}
    controller.run_for(12 * HOUR)
    assert controller.loop.troubles() == {}
    assert [event.what for event in controller.told(Recovered)] == ["product cold-chain"]
    assert [attempt.fleet for attempt in controller.journal.open_attempts()] == ["eu"]


def test_a_step_in_a_product_that_has_gone_is_still_told_after_a_restart_with_what_to_do(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    elsewhere = fleet()["eu.yaml"].replace("cold-chain", "cold-store").replace("name: eu", "name: store")
    source.push({**fleet(more="  rollout: {maxConcurrent: 1}\n"), "store.yaml": elsewhere})
    controller.run_for(HOUR, until=lambda: any(a.fleet == "eu" for a in controller.journal.open_attempts()))
    (under_way,) = (each for each in controller.journal.open_attempts() if each.fleet == "eu")
    device = virtual.cloud.state.devices[under_way.device_id]
    virtual.cloud.state.life.set_online(device, online=False, now=virtual.now)
    accept(controller, source.push({"store.yaml": elsewhere}))
    controller.run_for(60.0)
    controller.leave()
    another = VirtualController(virtual, source, controller.journal, seed=8)
    another.run_for(12 * HOUR)
    assert another.loop.passes.intent is not None
    wanted = another.loop.passes.intent.fleets
    gone = fleet_statuses(wanted, another.loop.passes.plan(), Memory(another.journal), now=virtual.now)[-1]
    assert (gone.name, gone.desired) == ("eu", None)
    assert [(each.attempt.id, each.overdue) for each in gone.under_way] == [(under_way.id, True)]
    virtual.cloud.state.life.set_online(device, online=True, now=virtual.now)
    source.push({**fleet(), "store.yaml": elsewhere})
    another.run_for(5 * HOUR)
    assert another.journal.open_attempts() == ()


def test_what_is_under_way_in_a_product_that_goes_is_its_own_until_it_has_ended(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet(more="  rollout: {maxConcurrent: 1}\n"))
    controller.run_for(HOUR, until=lambda: len(controller.journal.open_attempts()) > 0)
    (under_way,) = controller.journal.open_attempts()
    source.push({"eu.yaml": fleet()["eu.yaml"].replace("cold-chain", "cold-store")})
    controller.run_for(5 * HOUR)
    states = [move.state for move in controller.journal.moves(under_way.id)]
    assert states == [AttemptState.INTENDED, AttemptState.SENT, AttemptState.VERIFIED]


def test_a_fleet_that_has_moved_is_told_of_once_while_its_last_step_is_silent(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet(more="  rollout: {maxConcurrent: 1}\n"))
    controller.run_for(HOUR, until=lambda: len(controller.journal.open_attempts()) > 0)
    (under_way,) = controller.journal.open_attempts()
    device = virtual.cloud.state.devices[under_way.device_id]
    virtual.cloud.state.life.set_online(device, online=False, now=virtual.now)
    source.push({"eu.yaml": fleet()["eu.yaml"].replace("cold-chain", "cold-store")})
    controller.run_for(HOUR)
    assert by_group(virtual, 12346) == {"eu": {"3.0.0"}}
    told = [moved.entry for moved in controller.told(RolloutMoved)]
    assert len(told) == len({repr(entry) for entry in told}) == len(controller.journal.entries())


def test_a_fleet_that_was_halted_before_the_first_start_stays_halted(
    virtual: VirtualCloud, source: PretendSource
) -> None:
    journal = MemoryJournal()
    journal.note([Halted(fleet="eu", at=virtual.now, reason="by hand", by="ada")])
    controller = VirtualController(virtual, source, journal)
    source.push({**fleet(), **fleet("us")})
    controller.run_for(3 * HOUR)
    assert by_group(virtual) == {"eu": {"2.0.1"}, "us": {"3.0.0"}}
    journal.note([Resumed(fleet="eu", at=virtual.now, by="ada")])
    controller.run_for(3 * HOUR)
    assert by_group(virtual) == {"eu": {"3.0.0"}, "us": {"3.0.0"}}


def test_every_wave_that_waits_for_a_person_is_told(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    waves = (
        "  rollout:\n    waves:\n      - {name: first, size: 1, approval: required}\n"
        "      - {name: rest, size: remaining, approval: required}\n"
    )
    source.push(fleet(more=waves))
    controller.run_for(HOUR)
    for wave in ("first", "rest"):
        offered = controller.told(PlanOffered)[-1]
        approved = Approved(
            fleet="eu",
            at=virtual.now,
            plan_id=offered.plan_id,
            digest=offered.digest,
            wave=wave,
            by="ada",
            source="command",
        )
        controller.journal.note([approved])
        controller.run_for(3 * HOUR)
    assert len(controller.told(PlanOffered)) == 2
    assert by_group(virtual)["eu"] == {"3.0.0"}


def test_a_new_commit_while_an_approval_is_waited_for_is_offered_in_its_place(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    asks = "  approval: {required: true}\n"
    source.push(fleet(more=asks))
    controller.run_for(HOUR)
    source.push(fleet(release="4.0.0", more=asks))
    controller.run_for(HOUR)
    old, new = controller.told(PlanOffered)
    for offered in (old, new):
        approved = Approved(
            fleet="eu",
            at=virtual.now,
            plan_id=offered.plan_id,
            digest=offered.digest,
            wave=None,
            by="ada",
            source="command",
        )
        controller.journal.note([approved])
        controller.run_for(4 * HOUR)
        assert by_group(virtual)["eu"] == ({"2.0.1"} if offered is old else {"4.0.0"})
    assert releases(virtual) == ["2.0.1", "4.0.0"]
    assert virtual.cloud.violations() == ()
