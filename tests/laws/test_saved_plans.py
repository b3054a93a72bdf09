"""The law of saved plans and approvals: whatever happened since, nothing is done that was not in the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.plan_check import StalePolicy, check_saved_plan
from reconciler.controller.agreement import agreement_on
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.fleet import FleetSet, Share
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.model.rollout import FleetStory
from reconciler.model.rollout_entry import Approved
from reconciler.model.step import Step
from reconciler.rollout.approval import BY_COMMAND, approvals_of
from reconciler.rollout.ledger import Ledger, hold_for_this_run
from reconciler.rollout.staleness import Found
from tests.fleet_samples import LOGGER, NOW, device, device_id, fleet, plan_all
from tests.saved_plans import saved

RELEASES = [None, "1.5.2", "2.0.1", "4.2.0", "5.8.0", "6.2.0", "6.3.4", "6.4.1"]
FLEET = fleet(application=LOGGER, approval_required=True)

Steps = Mapping[DeviceId, Sequence[Step]]


@st.composite
def devices(draw: st.DrawFn, number: int) -> ObservedDevice:
    return device(
        number,
        device_os=draw(st.sampled_from(RELEASES)),
        application=draw(st.sampled_from([12, 43, 44, 45])),
        online=draw(st.sampled_from([True, True, True, False])),
        desired_application=draw(st.sampled_from([None, None, 13, 44])),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Plan, Plan]:
    """The plan of a few devices, and the plan of what became of them: the same, changed, gone, or new beside them."""
    before = [draw(devices(number)) for number in range(1, 5)]
    after = []
    for seen in before:
        match draw(st.sampled_from(["same", "same", "changed", "gone"])):
            case "same":
                after.append(seen)
            case "changed":
                after.append(replace(draw(devices(1)), id=seen.id, name=seen.name))
    after += [draw(devices(number)) for number in range(5, 5 + draw(st.integers(0, 2)))]
    return planned(before, NOW), planned(after, Instant(NOW + 60))


def planned(seen: Sequence[ObservedDevice], now: Instant) -> Plan:
    return plan_all(FleetSet(fleets=(FLEET,)), *(replace(each, observed_at=now) for each in seen), now=now)


def steps_of(plan: Plan) -> Steps:
    return {each: route.steps for of in plan.fleets for route in of.routes for each in route.devices}


@given(worlds(), st.sampled_from(["fail", "skip"]))
def test_what_apply_agrees_to_is_a_subset_of_the_saved_plan(world: tuple[Plan, Plan], on_stale: str) -> None:
    before, after = world
    checked = check_saved_plan(saved(before), after, StalePolicy(on_stale=on_stale, drifted_max=Share(4)))
    agreement = checked.agreement(agreement_on("plan-1", after))
    allowed = steps_of(before)
    for device_id_, steps in agreement.steps.items():
        assert steps <= frozenset(allowed[device_id_])
    assert agreement.actions <= {action for of in before.fleets for action in of.actions}


@given(worlds())
def test_replanning_reaches_no_device_that_the_saved_plan_does_not_name(world: tuple[Plan, Plan]) -> None:
    before, after = world
    checked = check_saved_plan(saved(before), after, StalePolicy(on_stale="replan", drifted_max=Share(4)))
    assert checked.agreement(agreement_on("plan-1", after)).steps.keys() <= steps_of(before).keys()


@given(worlds())
def test_every_device_of_a_saved_plan_is_in_exactly_one_class(world: tuple[Plan, Plan]) -> None:
    before, after = world
    found = check_saved_plan(saved(before), after, StalePolicy(on_stale="fail", drifted_max=Share(0))).devices
    assert sorted(each for ids in found.values() for each in ids) == sorted(steps_of(before))
    moving = steps_of(after)
    for each in (*found[Found.UNCHANGED], *found[Found.COMPATIBLE]):
        assert each in moving
    for each in (*found[Found.SATISFIED], *found[Found.VANISHED], *found[Found.DEFERRED]):
        assert each not in moving


@given(worlds())
def test_no_step_starts_under_an_approval_that_the_approved_plan_does_not_have_for_that_device(
    world: tuple[Plan, Plan],
) -> None:
    before, after = world
    plan = saved(before)
    word = Approved(
        fleet="eu", at=NOW, plan_id=plan.plan_id, digest=plan.digest, wave=None, by="ann", source=BY_COMMAND
    )
    agreed = {each: frozenset(steps) for each, steps in steps_of(after).items()}
    approvals = approvals_of(FLEET, [word], [], {plan.plan_id: plan}, now=NOW)
    ledger = Ledger(story=FleetStory(fleet="eu"), agreed=agreed, approvals=approvals)
    allowed = steps_of(before)
    for route in after.fleets[0].routes:
        for each in route.devices:
            if hold_for_this_run(route, each, ledger) is None:
                assert route.steps == tuple(allowed[each])[-len(route.steps) :]


def test_the_law_bites_when_a_device_is_swapped_for_another() -> None:
    before = planned([device(1, device_os="6.2.0")], NOW)
    after = planned([device(1, device_os="1.5.2")], NOW)
    replanned = check_saved_plan(saved(before), after, StalePolicy(on_stale="replan", drifted_max=Share(4)))
    steps = replanned.agreement(agreement_on("plan-1", after)).steps[device_id(1)]
    assert not steps <= frozenset(steps_of(before)[device_id(1)]), "replan alone may do what the plan did not say"
