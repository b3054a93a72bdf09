"""Where a rollout and its devices are, for who only looks: what the next pass of a run would say, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.controller.health_memory import FleetHealth
from reconciler.controller.progress import ledger_of_look, progress_of, progress_of_device
from reconciler.controller.status import Memory, fleet_statuses
from reconciler.journal.memory import MemoryJournal
from reconciler.manifests.schema import load_schema
from reconciler.model.attempt import Attempt, FailureClass
from reconciler.model.device import DeviceId
from reconciler.model.device_life import DeviceState
from reconciler.model.fleet import Fleet, FleetSet, RolloutPolicy, Share, Suspension, Wave, WaveSize
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan
from reconciler.model.rollout import FleetStory, RolloutState, WaveState, story_of
from reconciler.model.rollout_entry import (
    DeviceUnwell,
    Halted,
    Retried,
    RolloutBegan,
    RolloutEntry,
    Suspended,
    WaveCompleted,
    WaveSoaking,
    WaveStarted,
)
from reconciler.render.device_progress import DeviceProgress
from reconciler.render.explain_json import explain_document
from reconciler.render.rollout_status import Progress, RolloutStatus
from reconciler.rollout.verdict import Hold, Start, Wait
from tests.fleet_samples import NOW, attempt, device, device_id, fleet, plan_of

CANARY = Wave(name="canary", size=Share(2), soak_seconds=3600)
REST = Wave(name="rest", size=WaveSize.REMAINING, approval_required=True)
EU = fleet(rollout=RolloutPolicy(waves=(CANARY, REST)))
DEVICES = (
    device(1, device_os="6.3.4"),
    device(2, device_os="6.2.0"),
    device(3, device_os="6.2.0"),
    device(4, device_os="6.2.0", online=False),
)


def at(seconds: float) -> Instant:
    return Instant(NOW + seconds)


BEGAN = RolloutBegan(
    fleet="eu", at=at(-7200), rollout_id="eu-1", intent=EU.desired.intent, plan_id="p", devices=len(DEVICES)
)
STARTED = WaveStarted(
    fleet="eu", at=at(-7200), wave="canary", devices=2, members=frozenset({device_id(1), device_id(2)})
)
DOUBTS = {device_id(1): "no vitals yet"}
SOAKING = WaveSoaking(fleet="eu", at=at(-600), wave="canary")
COMPLETED = WaveCompleted(fleet="eu", at=at(-60), wave="canary", verified=2, failed=0, not_reached=0)


def story(*entries: RolloutEntry) -> FleetStory:
    return story_of("eu", entries)


def failure(number: int, seconds: float, kind: FailureClass = FailureClass.BOOT) -> Attempt:
    made = attempt(id=f"a{number}{seconds}", device_id=device_id(number), fleet="eu", intended_at=at(seconds))
    return made.sent(at(seconds + 1)).failed(kind, "safe mode", at(seconds + 100))


def rollout_of(found: Progress) -> RolloutStatus:
    assert found.rollout is not None
    return found.rollout


def progress(told: FleetStory, *attempts: Attempt, of: Fleet = EU, plan: FleetPlan | None = None) -> Progress:
    seen = plan_of(of, *DEVICES) if plan is None else plan
    ledger = ledger_of_look(seen, told, [each for each in attempts if not each.is_open], attempts, NOW)
    return progress_of(told, of, seen, ledger, NOW)


def of_device(told: FleetStory, number: int, *attempts: Attempt) -> DeviceProgress:
    seen = plan_of(EU, *DEVICES)
    ledger = ledger_of_look(seen, told, attempts, [each for each in attempts if each.is_open], NOW)
    return progress_of_device(seen, ledger, device_id(number), NOW)


def test_a_wave_is_counted_by_where_its_devices_are_now() -> None:
    rollout = progress(story(BEGAN, STARTED)).rollout
    assert rollout is not None
    (canary,) = rollout.waves
    assert canary.standings == {DeviceState.DONE: 1, DeviceState.READY: 1}
    assert rollout.to_come == ("rest",)


def test_a_wave_counts_its_devices_that_are_unwell_and_not_those_of_other_waves() -> None:
    unwell = [DeviceUnwell(fleet="eu", at=NOW, device_id=device_id(n), check="resets", why="4") for n in (1, 3)]
    (canary,) = rollout_of(progress(story(BEGAN, STARTED, *unwell))).waves
    assert canary.unwell == 1
    settled = Retried(fleet="eu", at=at(1), device_id=device_id(1), by="ada")
    (canary,) = rollout_of(progress(story(BEGAN, STARTED, *unwell, settled))).waves
    assert canary.unwell == 0


@pytest.mark.parametrize(
    ("health", "in_doubt"),
    [
        (None, None),
        ({}, {}),
        ({"eu": FleetHealth(rollout_id="eu-1", wave="canary", doubts=DOUBTS)}, DOUBTS),
        ({"eu": FleetHealth(rollout_id="eu-1", wave="rest", doubts=DOUBTS)}, {}),
        ({"eu": FleetHealth(rollout_id="eu-0", wave="canary", doubts=DOUBTS)}, {}),
    ],
    ids=["nobody is asked", "nobody watches", "in doubt", "another wave", "another rollout"],
)
def test_whose_health_is_unknown_is_told_of_the_wave_that_it_keeps_where_it_is(
    health: dict[str, FleetHealth] | None, in_doubt: dict[DeviceId, str] | None
) -> None:
    journal = MemoryJournal()
    journal.note([BEGAN, STARTED])
    (status,) = fleet_statuses(FleetSet(fleets=(EU,)), None, Memory(journal), now=NOW, health=health)
    assert [wave.in_doubt for wave in rollout_of(status.progress).waves] == [in_doubt]


def test_a_wave_soaks_until_its_time() -> None:
    rollout = progress(story(BEGAN, STARTED, SOAKING)).rollout
    assert rollout is not None
    assert (rollout.waves[0].state, rollout.waves[0].soaks_until) == (WaveState.SOAKING, at(3000))


def test_the_wave_that_waits_for_an_approval_is_named() -> None:
    rollout = progress(story(BEGAN, STARTED, COMPLETED)).rollout
    assert rollout is not None
    assert rollout.awaits_approval == "rest"


def test_a_journal_alone_knows_the_waves_but_neither_their_devices_nor_what_is_to_come() -> None:
    told = story(BEGAN, STARTED, SOAKING)
    rollout = progress_of(told, None, None, None, NOW).rollout
    assert rollout is not None
    assert (rollout.state, rollout.to_come) == (RolloutState.ROLLING, ())
    assert (rollout.waves[0].standings, rollout.waves[0].soaks_until) == (None, None)


def test_manifests_that_ask_for_something_else_by_now_say_nothing_of_its_waves() -> None:
    other = fleet(device_os="6.3.3", rollout=EU.rollout)
    rollout = progress(story(BEGAN, STARTED, SOAKING), of=other).rollout
    assert rollout is not None
    assert (rollout.to_come, rollout.waves[0].soaks_until) == ((), None)


def test_a_suspension_in_the_manifest_and_one_by_command_are_both_told() -> None:
    suspended = Suspended(fleet="eu", at=at(-60), reason="storm", until=at(60), by="ada")
    declared = replace(EU, suspension=Suspension(reason="trade fair", by="ben"))
    found = progress(story(suspended), of=declared).suspensions
    assert [(each.reason, each.in_manifest) for each in found] == [("storm", False), ("trade fair", True)]


def test_suspensions_that_are_over_are_not_told() -> None:
    over = Suspended(fleet="eu", at=at(-60), reason="storm", until=NOW, by="ada")
    declared = replace(EU, suspension=Suspension(reason="trade fair", until=NOW))
    assert progress(story(over), of=declared).suspensions == ()


def test_devices_that_keep_failing_are_held_with_until_when_and_those_for_a_person_first() -> None:
    told = story(BEGAN, STARTED, DeviceUnwell(fleet="eu", at=NOW, device_id=device_id(1), check="resets", why="4"))
    held = progress(told, failure(2, -400), failure(2, -600)).held
    assert [(each.device_id, each.until) for each in held] == [(device_id(1), None), (device_id(2), at(-300 + 3600))]


def test_who_is_as_desired_by_now_or_has_left_the_fleet_is_not_held() -> None:
    told = story(BEGAN, STARTED)
    failures = [failure(number, seconds) for number in (1, 9) for seconds in (-400, -600)]
    assert progress(told, *failures).held == ()


def test_a_device_that_a_person_wants_to_be_tried_again_is_not_held() -> None:
    retried = Retried(fleet="eu", at=at(-100), device_id=device_id(2), by="ada")
    assert progress(story(BEGAN, STARTED, retried), failure(2, -400), failure(2, -600)).held == ()


def test_the_next_step_of_a_device_in_a_started_wave_may_start() -> None:
    found = of_device(story(BEGAN, STARTED), 2)
    assert found.wave is not None
    assert found.wave.name == "canary"
    assert isinstance(found.verdict, Start)


def test_a_device_of_a_later_wave_waits_for_the_soak_of_the_earlier_one() -> None:
    found = of_device(story(BEGAN, STARTED, SOAKING), 3)
    assert found.wave is None
    assert found.verdict == Wait(device_id=device_id(3), hold=Hold.SOAKING, until=at(3000))


def test_what_failed_on_a_device_is_told_with_the_latest_first() -> None:
    found = of_device(story(BEGAN, STARTED), 2, failure(2, -400), failure(2, -600), failure(3, -500))
    assert [each.intended_at for each in found.failures] == [at(-400), at(-600)]
    assert found.held is not None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "told",
    [
        story(),
        story(BEGAN, STARTED),
        story(BEGAN, STARTED, Halted(fleet="eu", at=NOW, reason="smoke", by="ada")),
    ],
)
def test_the_document_of_an_explanation_is_what_the_published_schema_describes(told: FleetStory, number: int) -> None:
    seen = DEVICES[number - 1]
    placed: Any = next((route for route in plan_of(EU, *DEVICES).routes if seen.id in route.devices), None)
    found = of_device(told, number, failure(2, -400), failure(2, -600))
    made = explain_document(seen, EU, placed, (), found, tool_version="0.1.0")
    assert [each.message for each in Draft202012Validator(load_schema("explain")).iter_errors(made)] == []
