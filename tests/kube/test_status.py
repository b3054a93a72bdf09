"""What the status of a fleet says: examples, one behaviour each, and laws over drawn situations."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.controller.troubles import Trouble
from reconciler.kube.counts import counts_of
from reconciler.kube.situation import ConditionType, FleetSituation, Reason, State, troubles_concerning
from reconciler.kube.status import WAVES_MAX, status_of
from reconciler.manifests.schema import load_schema
from reconciler.model.device_life import DeviceState
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.plan import RefusalReason, Refused, Waiting, WaitingReason
from reconciler.model.rollout import RolloutState, WaveState
from reconciler.render.rollout_status import HeldDevice, Progress, RolloutStatus, SuspensionStatus, WaveStatus
from reconciler.render.status import FleetStatus, Halted
from reconciler.rollout.verdict import Hold
from tests.kube.oracle import OURS_BYTES_MAX, broken_rules, kstatus, kubectl_wait_is_over
from tests.kube.resources import (
    CLOUD_DOWN,
    PLAN,
    REFUSAL,
    TAKEN,
    TOKEN_REFUSED,
    fleet_plan,
    fleet_status,
    resource,
    route,
    situation,
)
from tests.kube.samples import DONE, HALF, REFUSED, SITUATIONS, rollout
from tests.render.sample_plan import NOW, ids
from tests.render.sample_status import failed, under_way

SCHEMA = Draft202012Validator(load_schema("fleetstatus"))


def ready(status: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = status["conditions"][0]
    return found


def of(fleet: FleetStatus | None, **changes: Any) -> dict[str, Any]:
    return status_of(situation(fleet, **changes), None, NOW)


def waiting(reason: WaitingReason, number: int, devices: int) -> Waiting:
    return Waiting(reason=reason, message=f"it waits: {reason.reason}", devices=ids(number, devices))


# Counts and samples


def test_every_device_is_counted_once_where_somebody_would_look_for_it() -> None:
    plan = fleet_plan(
        current=ids(50, 3),
        routes=(route(1, 8),),
        refused=(Refused(reason=RefusalReason.NO_ROUTE, message="no", devices=ids(20, 2)),),
        waiting=(waiting(WaitingReason.OFFLINE, 30, 4), waiting(WaitingReason.LOCKED, 40, 1)),
    )
    fleet = fleet_status(
        plan, under_way=(under_way(1, 10), under_way(2, 9000, overdue=True)), failed=(failed(7, 9, "-1"),)
    )
    assert of(fleet)["devices"] == {
        "total": 18,
        "current": 3,
        "upgrading": 1,
        "pending": 5,
        "failed": 2,
        "blocked": 3,
        "offline": 4,
    }


def test_an_unwell_device_has_failed_although_its_versions_are_as_desired() -> None:
    unwell = HeldDevice(device_id=DONE.current[0], why="unwell, resets: 4", until=None)
    status = of(fleet_status(DONE, progress=Progress(held=(unwell,))))
    assert (status["devices"]["current"], status["devices"]["failed"]) == (39, 1)
    assert status["samples"] == [{"device": DONE.current[0], "state": "failed", "message": "unwell, resets: 4"}]
    assert ready(status)["reason"] == Reason.DEVICES_FAILED


def test_a_device_that_is_not_in_the_fleet_any_more_is_not_counted() -> None:
    assert of(fleet_status(DONE, under_way=(under_way(900, 10),), failed=(failed(901, 9, ""),))) == of(
        fleet_status(DONE)
    )


def test_samples_are_ten_and_failed_devices_come_first() -> None:
    plan = replace(HALF, refused=(Refused(reason=RefusalReason.NO_ROUTE, message="no", devices=ids(500, 20)),))
    status = of(fleet_status(plan, failed=tuple(failed(number, 9, "bad") for number in range(100, 103))))
    assert [each["state"] for each in status["samples"]] == ["failed"] * 3 + ["blocked"] * 7
    assert status["samplesTruncated"]
    assert status["samples"][-1]["code"] == "PFR2003"


# Judgement


def test_a_fleet_with_devices_offline_is_ready_once_its_rollout_is_complete_and_not_before() -> None:
    plan = fleet_plan(current=ids(1, 9), waiting=(waiting(WaitingReason.OFFLINE, 30, 1),))
    complete = rollout(WaveState.COMPLETE, state=RolloutState.COMPLETE, to_come=())
    assert ready(of(fleet_status(plan)))["reason"] == Reason.DEVICES_OFFLINE
    status = of(fleet_status(plan, progress=complete))
    assert ready(status)["status"] == "True"
    assert "9/10 devices run" in ready(status)["message"]
    assert "1 offline" in ready(status)["message"]
    assert complete.rollout is not None
    other = Progress(rollout=replace(complete.rollout, intent="1.0.0 required -"))
    assert ready(of(fleet_status(plan, progress=other)))["reason"] == Reason.DEVICES_OFFLINE


def test_a_device_that_is_held_by_name_does_not_keep_its_fleet_from_being_ready() -> None:
    held = fleet_plan(current=ids(1, 9), waiting=(waiting(WaitingReason.HELD, 30, 1),))
    locked = fleet_plan(current=ids(1, 9), waiting=(waiting(WaitingReason.LOCKED, 30, 1),))
    assert ready(of(fleet_status(held)))["status"] == "True"
    assert ready(of(fleet_status(locked)))["reason"] == Reason.DEVICES_BLOCKED


def test_a_fleet_stalls_only_when_nothing_goes_on_by_itself() -> None:
    plan = replace(REFUSED, routes=(route(100, 1),))
    assert kstatus(resource(of(fleet_status(plan)))) == "InProgress"
    assert kstatus(resource(of(fleet_status(REFUSED)))) == "Failed"


def test_failed_devices_that_are_tried_again_are_no_reason_to_stall() -> None:
    plan = fleet_plan(current=ids(50, 3), routes=(route(7, 1),))
    later = fleet_status(plan, failed=(failed(7, 9, ""),))
    never = replace(later, progress=Progress(held=(HeldDevice(device_id=ids(7, 1)[0], why="install", until=None),)))
    assert ready(of(later))["reason"] == Reason.PROGRESSING_WITH_RETRY
    assert ready(of(never))["reason"] == Reason.DEVICES_FAILED


def test_a_fleet_of_no_device_is_ready_and_says_so() -> None:
    assert ready(of(fleet_status(fleet_plan(current=()))))["reason"] == Reason.NO_DEVICES


def test_trouble_that_a_person_must_end_is_said_before_other_trouble() -> None:
    both = {"a": Trouble(code="PFR3008", message="no answer", since=NOW), **TOKEN_REFUSED}
    assert ready(of(fleet_status(DONE), troubles=both))["reason"] == Reason.CREDENTIALS_INVALID


def test_trouble_that_lasts_is_told_in_its_first_words() -> None:
    troubles = [{"journal": Trouble(code="PFR5001", message=f"try {number}", since=NOW)} for number in range(2)]
    first = of(fleet_status(DONE), troubles=troubles[0])
    assert status_of(situation(fleet_status(DONE), troubles=troubles[1]), first, NOW) == first
    other = {"journal": Trouble(code="PFR5002", message="try 2", since=NOW)}
    assert "try 2" in ready(status_of(situation(fleet_status(DONE), troubles=other), first, NOW))["message"]


def test_trouble_of_another_product_is_not_ours() -> None:
    assert troubles_concerning("cold-chain", CLOUD_DOWN) == {}
    assert troubles_concerning("12345", CLOUD_DOWN) == CLOUD_DOWN


def test_the_state_of_every_sample_goes_with_its_conditions() -> None:
    beside = {
        State.READY: {"Ready"},
        State.PROGRESSING: {"Ready", "Reconciling"},
        State.UNKNOWN: {"Ready", "Reconciling"},
        State.AWAITING_APPROVAL: {"Ready", "Reconciling", "AwaitingApproval"},
        State.SUSPENDED: {"Ready", "Suspended"},
        State.STALLED: {"Ready", "Stalled"},
    }
    for name, each in SITUATIONS.items():
        status = status_of(each, None, NOW)
        kinds = {condition["type"] for condition in status["conditions"]} - {"Halted"}
        assert kinds == beside[State(status["display"]["state"])], name


# What was written before


def test_a_time_of_transition_moves_only_when_the_status_flips() -> None:
    first = of(fleet_status(HALF, progress=rollout(WaveState.OPEN)))
    later = Instant(NOW + 3600.5)
    second = status_of(situation(fleet_status(HALF, held=Hold.OUTSIDE_WINDOW.value)), first, later)
    assert ready(second)["reason"] != ready(first)["reason"]
    assert ready(second)["lastTransitionTime"] == ready(first)["lastTransitionTime"]
    third = status_of(situation(fleet_status(DONE)), second, later)
    assert ready(third)["lastTransitionTime"] == iso_from_instant(Instant(NOW + 3600))


def test_an_edited_manifest_is_not_ready_until_it_is_judged() -> None:
    before = of(fleet_status(DONE))
    edited = resource(before, generation=4)
    assert not kubectl_wait_is_over(edited, "Ready")
    status = status_of(situation(fleet_status(DONE), generation=4), before, NOW)
    assert (status["observedGeneration"], ready(status)["status"]) == (3, "Unknown")
    judged = status_of(situation(fleet_status(DONE), generation=4, judged=4), status, NOW)
    assert kubectl_wait_is_over(resource(judged, generation=4), "ready")


def test_what_was_applied_is_the_revision_at_which_the_fleet_was_ready() -> None:
    ready_once = of(fleet_status(DONE))
    later = replace(TAKEN, revision=replace(TAKEN.revision, commit="sha1:" + "77" * 20))
    status = status_of(situation(fleet_status(HALF), taken=later), ready_once, NOW)
    assert status["lastAppliedRevision"] == TAKEN.revision.text
    assert status["lastAttemptedRevision"] == later.revision.text
    refused = status_of(situation(fleet_status(DONE), refusal=REFUSAL), status, NOW)
    assert refused["lastAttemptedRevision"] == REFUSAL.revision.text


def test_the_last_handled_wish_for_a_look_stays_until_there_is_another() -> None:
    first = of(fleet_status(DONE), reconcile_handled="2026-11-22T09:00:00Z")
    assert status_of(situation(fleet_status(DONE)), first, NOW)["lastHandledReconcileAt"] == "2026-11-22T09:00:00Z"


def test_while_the_cloud_is_out_of_sight_the_last_counts_stay() -> None:
    before = of(fleet_status(HALF))
    status = status_of(situation(fleet_status(None), troubles=CLOUD_DOWN), before, NOW)
    assert status["devices"] == before["devices"]
    assert ready(status)["reason"] == Reason.PROGRESSING_WITH_RETRY


# Size


@pytest.fixture(scope="module")
def huge() -> FleetSituation:
    """100,000 devices, most of them in trouble; more waves than anybody would write; long names and messages."""
    long = "\x1b[2J" + "ä" * 5000
    waves = tuple(
        WaveStatus(
            name=f"{number:03}" + "w" * 60,
            state=WaveState.COMPLETE if number < 49 else WaveState.SOAKING,
            devices=1000,
            started_at=NOW,
            soaks_until=Instant(NOW + 9) if number == 49 else None,
            standings={DeviceState.DONE: 1000},
        )
        for number in range(50)
    )
    story = RolloutStatus(
        id="r",
        intent="i",
        state=RolloutState.ROLLING,
        began_at=NOW,
        devices=100_000,
        waves=waves,
        to_come=tuple(f"later-{number}-" + "x" * 50 for number in range(60)),
    )
    plan = fleet_plan(
        current=ids(1, 40_000),
        routes=(route(40_001, 30_000),),
        refused=(Refused(reason=RefusalReason.NO_ROUTE, message=long, devices=ids(70_001, 20_000)),),
        waiting=(waiting(WaitingReason.OFFLINE, 90_001, 10_000),),
    )
    fleet = fleet_status(
        plan,
        failed=tuple(failed(number, 9, long) for number in range(40_001, 41_001)),
        halted=Halted(reason=long, at=NOW),
        progress=Progress(rollout=story),
    )
    return situation(fleet, plan=PLAN)


def test_a_status_stays_small_whatever_the_fleet(huge: FleetSituation) -> None:
    status = status_of(huge, None, NOW)
    assert len(json.dumps(status).encode()) < OURS_BYTES_MAX / 2
    assert broken_rules(resource(status)) == []
    assert [error.message for error in SCHEMA.iter_errors(status)] == []
    assert status["devices"]["total"] == 100_000
    assert status["devices"]["failed"] == 1000
    assert "\x1b" not in json.dumps(status, ensure_ascii=False)


def test_of_very_many_waves_those_around_the_one_under_way_are_shown(huge: FleetSituation) -> None:
    waves = status_of(huge, None, NOW)["waves"]
    assert len(waves) == WAVES_MAX
    assert [wave["state"] for wave in waves[:3]] == ["Complete", "Soaking", "Pending"]
    assert status_of(huge, None, NOW)["display"]["wave"].startswith("50/110 049w")


# Laws


def few(number: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.integers(0, 3).map(lambda devices: ids(number, devices))


@st.composite
def plans(draw: st.DrawFn) -> Any:
    reasons = draw(st.lists(st.sampled_from(WaitingReason), max_size=3, unique=True))
    refusals = draw(st.lists(st.sampled_from(RefusalReason), max_size=2, unique=True))
    devices = draw(st.integers(0, 4))
    return fleet_plan(
        current=draw(few(1)),
        routes=(route(10, devices),) if devices else (),
        refused=tuple(
            Refused(reason=reason, message=draw(st.text(max_size=20)), devices=ids(20 + 10 * place, 2))
            for place, reason in enumerate(refusals)
        ),
        waiting=tuple(waiting(reason, 50 + 10 * place, 2) for place, reason in enumerate(reasons)),
    )


@st.composite
def progresses(draw: st.DrawFn) -> Progress:
    state, story = draw(st.sampled_from(WaveState)), draw(st.sampled_from(RolloutState))
    begun = rollout(state, state=story, awaits_approval=draw(st.sampled_from(["", "rest"])))
    said = SuspensionStatus(reason=draw(st.text(max_size=9)), until=None, by="ada", in_manifest=draw(st.booleans()))
    held = HeldDevice(
        device_id=draw(st.sampled_from(ids(1, 12))), why="unwell", until=draw(st.sampled_from([None, NOW]))
    )
    return Progress(
        rollout=draw(st.sampled_from([None, begun.rollout])),
        suspensions=draw(st.sampled_from([(), (), (said,)])),
        held=draw(st.sampled_from([(), (held,)])),
    )


@st.composite
def situations(draw: st.DrawFn, generation: int = 3) -> FleetSituation:
    moving = draw(st.lists(st.integers(1, 60), max_size=3, unique=True))
    bad = draw(st.lists(st.integers(1, 60), max_size=3, unique=True))
    fleet = fleet_status(
        draw(st.one_of(st.none(), plans())),
        held=draw(st.sampled_from(["", *(hold.value for hold in Hold)])),
        halted=draw(st.sampled_from([None, None, Halted(reason=draw(st.text(max_size=30)), at=NOW, by=None)])),
        under_way=tuple(under_way(number, 9, overdue=draw(st.booleans())) for number in moving),
        failed=tuple(failed(number, 9, draw(st.text(max_size=9))) for number in bad),
        progress=draw(progresses()),
    )
    return FleetSituation(
        generation=generation,
        judged=draw(st.sampled_from([-1, generation - 1, generation, generation])),
        fleet=draw(st.sampled_from([None, fleet, fleet])),
        plan=draw(st.sampled_from([None, PLAN])),
        taken=draw(st.sampled_from([None, TAKEN])),
        refusal=draw(st.sampled_from([None, None, REFUSAL])),
        troubles=draw(st.sampled_from([{}, {}, CLOUD_DOWN, TOKEN_REFUSED])),
        reconcile_handled=draw(st.sampled_from([None, "now"])),
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(situations(), min_size=1, max_size=3), situations(generation=4))
def test_every_status_keeps_the_rules_whatever_came_before(before: list[FleetSituation], last: FleetSituation) -> None:
    status: dict[str, Any] | None = None
    for number, each in enumerate([*before, last]):
        now = Instant(NOW + 60 * number)
        earlier, status = status, status_of(each, status, now)
        assert broken_rules(resource(status, generation=each.generation)) == []
        assert [error.message for error in SCHEMA.iter_errors(status)] == []
        assert status_of(each, status, Instant(now + 3600)) == status, "nothing happened, and something changed"
        counts = dict(status.get("devices", {"total": 0}))
        assert counts.pop("total") == sum(counts.values())
        known = {} if earlier is None else {item["type"]: item for item in earlier["conditions"]}
        for condition in status["conditions"]:
            was = known.get(condition["type"])
            stays = was is not None and was["status"] == condition["status"]
            assert condition["lastTransitionTime"] == (
                was["lastTransitionTime"] if was and stays else iso_from_instant(now)
            )


@settings(max_examples=200, deadline=None)
@given(situations())
def test_a_fleet_is_ready_only_when_nothing_is_left_to_do_for_anybody(each: FleetSituation) -> None:
    status = status_of(each, None, NOW)
    if ready(status)["status"] == "True":
        assert each.fleet is not None
        counts = counts_of(each.fleet)
        assert counts.upgrading == counts.pending == counts.failed == 0
        assert counts.blocked == counts.on_purpose
        assert not each.troubles
        assert each.refusal is None
        assert each.fleet.halted is None


def test_every_word_of_the_closed_sets_is_one_that_the_schema_allows() -> None:
    words = [*Reason, *ConditionType]
    condition = SCHEMA.schema["properties"]["conditions"]["items"]["properties"]
    assert all(Draft202012Validator(condition["reason"]).is_valid(word.value) for word in words)
    assert SCHEMA.schema["properties"]["display"]["properties"]["state"]["enum"] == [state.value for state in State]
