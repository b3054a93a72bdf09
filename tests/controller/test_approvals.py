"""Approvals and agreements in a run: looked at again right before every step, hours after the plan as well."""

from __future__ import annotations

from dataclasses import replace

from reconciler.controller.agreement import agreement_on
from reconciler.controller.approvals import KeptPlans, keep, note_file_approvals
from reconciler.controller.report import Ending, ending_of
from reconciler.execution.executor import SendOutcome
from reconciler.firmware.known import known_catalog
from reconciler.journal.journal import KeptPlan
from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import Fleet, FleetSet, Place, PlanApproval, RolloutPolicy, Share, Wave, WaveSize
from reconciler.model.plan import Plan
from reconciler.model.rollout_entry import Approved
from reconciler.model.step import Step
from reconciler.rollout.approval import BY_COMMAND
from reconciler.rollout.verdict import Hold, Wait
from tests.controller.pretend_world import World, carried_out, obeys, world_of
from tests.fleet_samples import LOGGER, NOW, ONE, device, device_id, fleet
from tests.saved_plans import DIGEST, document_of, saved

FLEET = fleet(application=LOGGER, approval_required=True)
TWO = device_id(2)


def manifests(of_fleet: Fleet, *approvals: PlanApproval) -> FleetSet:
    return FleetSet(fleets=(of_fleet,), approvals=approvals, digest=DIGEST)


def planned(world: World, of_fleet: Fleet) -> Plan:
    plan = world.plan(of_fleet)
    return replace(plan, source=replace(plan.source, manifest_digest=DIGEST))


def approve(world: World, of_fleet: Fleet, wave: str | None = None) -> Plan:
    """A person approves what would be planned now."""
    plan = planned(world, of_fleet)
    document = document_of(plan)
    keep(world.journal, document)
    word = Approved(
        fleet="eu",
        at=world.now,
        plan_id=document["plan_id"],
        digest=document["digest"],
        wave=wave,
        by="ann",
        source=BY_COMMAND,
    )
    world.journal.note([word])
    return plan


def test_nothing_starts_before_the_approval_and_everything_after_it() -> None:
    world = world_of(device(1), device(2))
    run, rest = carried_out(world, FLEET)
    assert (world.sent, ending_of(run, rest)) == ([], Ending.AWAITING_APPROVAL)
    approve(world, FLEET)
    run, rest = carried_out(world, FLEET)
    assert ending_of(run, rest) is Ending.DONE
    assert {each for each, _ in world.sent} == {ONE, TWO}


def test_an_approval_by_another_command_reaches_a_run_that_is_going_on() -> None:
    early = Wave(name="early", size=WaveSize.REMAINING, approval_required=True)
    policy = RolloutPolicy(waves=(Wave(name="canary", size=Share(1)), early))
    of_fleet = fleet(application=LOGGER, rollout=policy)

    def obeys_and_somebody_approves(world: World, to: ObservedDevice, step: Step) -> SendOutcome:
        if len(world.sent) == 1:
            approve(world, of_fleet, wave="early")
        return obeys(world, to, step)

    world = world_of(device(1), device(2), behaviour=obeys_and_somebody_approves)
    run, rest = carried_out(world, of_fleet)
    assert ending_of(run, rest) is Ending.DONE
    assert {each for each, _ in world.sent} == {ONE, TWO}


def test_a_device_that_changes_right_before_its_step_is_sent_nothing_that_was_not_approved() -> None:
    world = world_of(device(1, device_os="6.2.0"), device(2, device_os="6.2.0"))
    approve(world, FLEET)

    def changes(fresh: ObservedDevice) -> ObservedDevice:
        if fresh.id == ONE:
            world.change(ONE, device_os="1.5.2")
            return replace(fresh, device_os="1.5.2")
        return fresh

    world.on_fresh = changes
    run, rest = carried_out(world, FLEET)
    assert {each for each, _ in world.sent} == {TWO}
    assert run.turned_back == {ONE: 1}
    (wait,) = (each for each in run.verdicts["eu"] if isinstance(each, Wait))
    assert (wait.device_id, wait.hold) == (ONE, Hold.NOT_APPROVED)
    assert ending_of(run, rest) is Ending.STALE


def test_a_device_that_changes_between_two_waves_is_sent_nothing_that_was_not_agreed_to() -> None:
    waves = (Wave(name="canary", size=Share(1), devices=frozenset({ONE})), Wave(name="rest", size=WaveSize.REMAINING))
    of_fleet = fleet(application=LOGGER, rollout=RolloutPolicy(waves=waves))

    def obeys_while_another_changes(world: World, to: ObservedDevice, step: Step) -> SendOutcome:
        world.change(TWO, device_os="1.5.2")
        return obeys(world, to, step)

    world = world_of(device(1, device_os="6.2.0"), device(2, device_os="6.2.0"), behaviour=obeys_while_another_changes)
    run, rest = carried_out(world, of_fleet, agreement=agreement_on("plan-1", world.plan(of_fleet)))
    assert {each for each, _ in world.sent} == {ONE}
    assert ending_of(run, rest) is Ending.STALE


def test_an_approved_device_that_comes_back_later_goes_on_by_the_plan_that_was_approved() -> None:
    world = world_of(device(1), device(2))
    approve(world, FLEET)
    world.change(TWO, online=False)
    carried_out(world, FLEET)
    assert {each for each, _ in world.sent} == {ONE}
    world.skip(9 * 24 * 3600)
    world.change(TWO, online=True)
    run, rest = carried_out(world, FLEET)
    assert ending_of(run, rest) is Ending.DONE, "the plan's own day is over; the approval stands"
    assert {each for each, _ in world.sent} == {ONE, TWO}


def test_a_kept_plan_that_cannot_be_read_counts_for_nothing() -> None:
    world = world_of(device(1))
    word = Approved(fleet="eu", at=NOW, plan_id="plan-x", digest=DIGEST, wave=None, by="ann", source=BY_COMMAND)
    world.journal.keep_plan(KeptPlan(plan_id="plan-x", digest=DIGEST, text="{"))
    world.journal.note([word])
    run, rest = carried_out(world, FLEET)
    assert (world.sent, ending_of(run, rest)) == ([], Ending.AWAITING_APPROVAL)


# --- approvals in files ---


def in_a_file(digest: str, plan_id: str = "plan-main-0000000000") -> PlanApproval:
    return PlanApproval(
        name="release",
        plan_id=plan_id,
        digest=digest,
        fleets=None,
        waves=None,
        by="ann",
        at=NOW,
        expires=None,
        place=Place("approvals.yaml", 4, 9),
    )


def noted_of(world: World, approval: PlanApproval, plan: Plan) -> list[str]:
    plans = KeptPlans(world.journal, known_catalog())
    fleets = manifests(FLEET, approval)
    return note_file_approvals(world.journal, plans, fleets, document_of(plan), now=world.now)


def test_a_file_that_approves_what_is_planned_now_is_noted_once_and_its_plan_kept() -> None:
    world = world_of(device(1))
    plan = planned(world, FLEET)
    approval = in_a_file(saved(plan).content_digest)
    assert noted_of(world, approval, plan) == []
    assert noted_of(world, approval, plan) == []
    (noted,) = world.journal.entries()
    assert isinstance(noted.entry, Approved)
    assert world.journal.plan(noted.entry.plan_id) is not None


def test_a_file_stays_bound_to_its_plan_when_the_devices_have_moved_on() -> None:
    world = world_of(device(1, device_os="6.2.0"))
    plan = planned(world, FLEET)
    approval = in_a_file(saved(plan).content_digest)
    noted_of(world, approval, plan)
    world.change(ONE, device_os="6.3.4")
    assert noted_of(world, approval, planned(world, FLEET)) == []
    assert len(world.journal.entries()) == 1


def test_a_file_that_approves_a_kept_plan_after_its_day_is_told_and_not_noted() -> None:
    world = world_of(device(1))
    document = document_of(planned(world, FLEET))
    keep(world.journal, document)
    world.skip(25 * 3600)
    approval = replace(in_a_file(document["digest"], document["plan_id"]), at=world.now)
    (told,) = noted_of(world, approval, planned(world, FLEET))
    assert "in force" in told
    assert world.journal.entries() == ()


def test_a_file_that_approves_another_plan_is_told_and_not_noted() -> None:
    world = world_of(device(1))
    (told,) = noted_of(world, in_a_file("sha256:" + "0" * 64), planned(world, FLEET))
    assert told.startswith("approvals.yaml:4:9: ")
    assert world.journal.entries() == ()
