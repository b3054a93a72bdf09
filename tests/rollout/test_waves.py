"""What follows from a pass for the waves of a rollout, as a person would say it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.fleet import RolloutPolicy, Selector, Share, Wave, WaveSize
from reconciler.model.instant import Instant
from reconciler.model.rollout import FleetStory, RolloutState, WaveState
from reconciler.model.rollout_entry import (
    Approved,
    DeviceUnwell,
    Halted,
    Resumed,
    RolloutEntry,
    WaveCompleted,
    WaveGrew,
    WaveStarted,
)
from reconciler.planning.claims import claims_in
from reconciler.rollout.approval import approvals_of
from reconciler.rollout.ledger import InFlight, Ledger
from reconciler.rollout.verdict import Hold
from reconciler.rollout.waves import Pass, before_its_wave, judgement, may_pass_by_time, see
from tests.fleet_samples import NOW, attempt, device, device_id, fleet, observation, plan_of
from tests.saved_plans import saved_plan_of

CANARY = Wave(name="canary", size=Share(2), soak_seconds=600.0)
REST = Wave(name="rest", size=WaveSize.REMAINING)
TWO_WAVES = RolloutPolicy(waves=(CANARY, REST), failures_max=Share(50, percent=True))


@dataclass
class Rolled:
    """A fleet of ten devices on its way, seen again and again."""

    rollout: RolloutPolicy = TWO_WAVES
    device_os: str = "6.3.4"
    devices: dict[DeviceId, ObservedDevice] = field(
        default_factory=lambda: {device_id(number): device(number, device_os="6.2.0") for number in range(1, 11)}
    )
    story: FleetStory = field(default_factory=lambda: FleetStory(fleet="eu"))
    ended: dict[DeviceId, Sequence[Attempt]] = field(default_factory=dict)
    in_flight: dict[DeviceId, InFlight] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    now: Instant = NOW
    held: bool = False

    def see(self) -> Pass:
        plan = plan_of(fleet(device_os=self.device_os, rollout=self.rollout), *self.devices.values(), now=self.now)
        every_step = frozenset(step for route in plan.routes for step in route.steps)
        ledger = Ledger(
            **{
                "story": self.story,
                "agreed": dict.fromkeys(self.devices, every_step),
                "ended": self.ended,
                "in_flight": self.in_flight,
                **self.fields,
            }
        )
        claims = claims_in(plan.fleet, observation(*self.devices.values()))
        return see(plan, ledger, held=self.held, claims=claims, plan_id="plan-1", now=self.now)

    def passes(self, seconds: float = 0.0) -> list[RolloutEntry]:
        """One pass, so many seconds later, with what follows from it told on."""
        self.now = Instant(self.now + seconds)
        found = judgement(self.see())
        for entry in found:
            self.story = self.story.after(entry)
        return list(found)

    def arrive(self, devices: Iterable[DeviceId]) -> None:
        for each in devices:
            self.devices[each] = replace(self.devices[each], device_os="6.3.4", observed_at=self.now)
            verified = attempt(AttemptState.VERIFIED, device_id=each, evidence=Evidence.EFFECT, ended_at=self.now)
            self.ended[each] = [replace(verified, intended_at=self.now)]

    def change(self, devices: Iterable[DeviceId], **fields: Any) -> None:
        for each in devices:
            self.devices[each] = replace(self.devices[each], **fields)

    def fail(self, devices: Iterable[DeviceId], failure: FailureClass = FailureClass.BOOT, times: int = 2) -> None:
        for each in devices:
            lost = attempt(AttemptState.FAILED, device_id=each, failure=failure, intended_at=self.now)
            self.ended[each] = [replace(lost, ended_at=self.now)] * times

    @property
    def canaries(self) -> list[DeviceId]:
        return sorted(self.wave("canary").members or ())

    @property
    def others(self) -> list[DeviceId]:
        return sorted(self.devices.keys() - set(self.canaries))

    def wave(self, name: str) -> Any:
        assert self.story.rollout is not None
        return next(wave for wave in self.story.rollout.waves if wave.name == name)


def kinds(entries: Iterable[RolloutEntry]) -> list[str]:
    return [type(entry).__name__ for entry in entries]


def test_a_rollout_begins_with_its_first_wave() -> None:
    rolled = Rolled()
    assert kinds(rolled.passes()) == ["RolloutBegan", "WaveStarted"]
    assert len(rolled.canaries) == rolled.wave("canary").devices == 2
    assert rolled.passes(60) == []


def test_nothing_begins_where_nothing_may_start() -> None:
    assert Rolled(held=True).passes() == []
    assert Rolled(fields={"agreed": {}}).passes() == []


def test_the_next_wave_starts_when_the_first_is_there_and_has_soaked() -> None:
    rolled = Rolled()
    rolled.passes()
    rolled.arrive(rolled.canaries[:1])
    assert rolled.passes(60) == []
    rolled.arrive(rolled.canaries)
    assert kinds(rolled.passes(60)) == ["WaveSoaking"]
    assert rolled.passes(599) == []
    completed, started = rolled.passes(1)
    assert completed == WaveCompleted(fleet="eu", at=rolled.now, wave="canary", verified=2, failed=0, not_reached=0)
    assert started == WaveStarted(fleet="eu", at=rolled.now, wave="rest", devices=8, members=None)
    rolled.arrive(rolled.others)
    assert kinds(rolled.passes(60)) == ["WaveCompleted", "RolloutCompleted"]
    assert rolled.passes(60) == []


def test_a_device_on_its_way_keeps_its_wave_open() -> None:
    rolled = Rolled()
    rolled.passes()
    first, second = rolled.canaries
    rolled.arrive([first, second])
    sent = attempt(AttemptState.SENT, device_id=second, sent_at=rolled.now, intended_at=rolled.now)
    rolled.in_flight[second] = InFlight(sent, within_deadline=True)
    assert rolled.passes(60) == []


def test_who_falls_back_while_the_wave_soaks_keeps_the_next_one_waiting() -> None:
    rolled = Rolled()
    rolled.passes()
    rolled.arrive(rolled.canaries)
    rolled.passes(60)
    rolled.change(rolled.canaries[:1], device_os="6.2.0")
    assert rolled.passes(600) == []
    assert rolled.story.rollout is not None
    assert rolled.wave("canary").state is WaveState.SOAKING


def test_an_unwell_device_halts_while_the_wave_soaks() -> None:
    rolled = Rolled(rollout=replace(TWO_WAVES, waves=(replace(CANARY, failures_max=Share(0)), REST)))
    rolled.passes()
    rolled.arrive(rolled.canaries)
    rolled.passes(60)
    unwell = DeviceUnwell(fleet="eu", at=rolled.now, device_id=rolled.canaries[0], check="resets", why="4 resets")
    rolled.story = rolled.story.after(unwell)
    assert kinds(rolled.passes(60)) == ["Halted"]


def test_a_check_that_cannot_say_keeps_the_wave_soaking() -> None:
    rolled = Rolled()
    rolled.passes()
    rolled.arrive(rolled.canaries)
    rolled.passes(60)
    rolled.fields["health_unknown"] = frozenset(rolled.canaries[:1])
    assert rolled.passes(600) == []
    rolled.fields["health_unknown"] = frozenset()
    assert kinds(rolled.passes(60)) == ["WaveCompleted", "WaveStarted"]


@pytest.mark.parametrize("limit", [Share(0), Share(1), Share(50, percent=True), Share(10, percent=True)], ids=str)
def test_a_wave_halts_at_its_own_limit(limit: Share) -> None:
    rolled = Rolled(rollout=replace(TWO_WAVES, waves=(replace(CANARY, failures_max=limit), REST)))
    rolled.passes()
    rolled.fail(rolled.canaries[:1])
    (halted,) = rolled.passes(60)
    assert isinstance(halted, Halted)
    assert halted.reason == "1 of the 2 devices of wave canary failed, fewer than 1 may"
    assert rolled.passes(60) == []


def test_a_wave_without_a_limit_of_its_own_takes_the_same_percentage_as_the_fleet() -> None:
    waves = (replace(CANARY, size=Share(4)), REST)
    rolled = Rolled(rollout=RolloutPolicy(waves=waves, failures_max=Share(50, percent=True)))
    rolled.passes()
    rolled.fail(rolled.canaries[:1])
    assert rolled.passes(60) == []
    rolled.fail(rolled.canaries[:2])
    assert kinds(rolled.passes(60)) == ["Halted"]


def test_a_fleet_halts_at_its_limit_over_all_waves() -> None:
    waves = (replace(CANARY, soak_seconds=0.0, failures_max=Share(100, percent=True)), REST)
    rolled = Rolled(rollout=RolloutPolicy(waves=waves, failures_max=Share(3)))
    rolled.passes()
    rolled.fail(rolled.canaries[:1])
    rolled.arrive(rolled.canaries[1:])
    assert kinds(rolled.passes(60)) == ["WaveCompleted", "WaveStarted"]
    rolled.fail(rolled.others[:1])
    assert rolled.passes(60) == []
    rolled.fail(rolled.others[:2])
    assert kinds(rolled.passes(60)) == ["Halted"]


def test_a_wave_in_which_more_failed_than_arrived_never_lets_the_next_one_start() -> None:
    waves = (replace(CANARY, size=Share(3), failures_max=Share(9)), REST)
    rolled = Rolled(rollout=RolloutPolicy(waves=waves, failures_max=Share(9)))
    rolled.passes()
    rolled.fail(rolled.canaries[:2])
    assert rolled.passes(60) == []
    rolled.arrive(rolled.canaries[2:])
    (halted,) = rolled.passes(60)
    assert isinstance(halted, Halted)
    assert halted.reason == "wave canary is over with 2 devices failed and 1 as desired"


def test_an_outcome_that_is_unknown_past_its_deadline_counts_as_a_failure() -> None:
    rolled = Rolled(rollout=replace(TWO_WAVES, waves=(replace(CANARY, failures_max=Share(0)), REST)))
    rolled.passes()
    first = rolled.canaries[0]
    sent = attempt(AttemptState.UNKNOWN, device_id=first, intended_at=rolled.now)
    rolled.in_flight[first] = InFlight(sent, within_deadline=False)
    assert kinds(rolled.passes(1801)) == ["Halted"]


def test_offline_devices_are_no_failures_and_hold_up_their_wave_no_longer_than_the_deadline() -> None:
    rolled = Rolled(rollout=replace(TWO_WAVES, waves=(replace(CANARY, soak_seconds=0.0), REST)))
    rolled.passes()
    first, second = rolled.canaries
    rolled.change([first], online=False)
    rolled.arrive([second])
    assert rolled.passes(3599) == []
    completed, started = rolled.passes(1)
    assert completed == WaveCompleted(fleet="eu", at=rolled.now, wave="canary", verified=1, failed=0, not_reached=1)
    assert isinstance(started, WaveStarted)


def test_a_wave_that_reaches_none_of_its_devices_takes_others_in_their_place() -> None:
    rolled = Rolled()
    rolled.passes()
    before = set(rolled.canaries)
    rolled.change(before, online=False)
    assert rolled.passes(3599) == []
    (grew,) = rolled.passes(1)
    assert isinstance(grew, WaveGrew)
    assert len(grew.members) == 2
    assert not grew.members & before
    assert set(rolled.canaries) == before | grew.members
    rolled.arrive(grew.members)
    assert kinds(rolled.passes(60)) == ["WaveSoaking"]


def test_a_wave_that_selects_takes_others_of_its_selection_first() -> None:
    lab = Wave(name="canary", size=Share(2), select=Selector(groups=frozenset({"lab"})))
    rolled = Rolled(rollout=replace(TWO_WAVES, waves=(lab, REST)))
    in_lab = [device_id(number) for number in (2, 5, 9)]
    rolled.change(in_lab, groups=("lab",))
    rolled.passes()
    before = set(rolled.canaries)
    assert before < {*in_lab}
    rolled.change(before, online=False)
    (grew,) = rolled.passes(3600)
    assert isinstance(grew, WaveGrew)
    assert len(grew.members) == 2
    assert {*in_lab} - before < grew.members


def test_who_joins_the_selection_of_a_later_wave_goes_with_that_wave() -> None:
    lab = Wave(name="lab", size=WaveSize.LISTED, select=Selector(groups=frozenset({"lab"})))
    rolled = Rolled(rollout=replace(TWO_WAVES, waves=(replace(CANARY, soak_seconds=0.0), lab, REST)))
    rolled.passes()
    late = rolled.others[0]
    rolled.change([late], groups=("eu", "lab"))
    rolled.arrive(rolled.canaries)
    assert kinds(rolled.passes(60)) == ["WaveCompleted", "WaveStarted"]
    assert rolled.wave("lab").members == {late}


def test_canaries_that_were_away_when_the_plan_was_agreed_to_are_not_skipped_in_silence() -> None:
    named = Wave(name="canary", size=Share(2), devices=frozenset({device_id(3), device_id(7)}), soak_seconds=600.0)
    rolled = Rolled(rollout=replace(TWO_WAVES, waves=(named, REST)))
    rolled.change([device_id(3), device_id(7)], online=False)
    routed = {each for route in rolled.see().plan.routes for each in route.devices}
    every_step = frozenset(step for route in rolled.see().plan.routes for step in route.steps)
    rolled.fields["agreed"] = dict.fromkeys(routed, every_step)
    assert kinds(rolled.passes()) == ["RolloutBegan", "WaveStarted", "WaveGrew"]
    assert {device_id(3), device_id(7)} < set(rolled.canaries)
    assert len(rolled.canaries) == 4


def test_where_nobody_can_be_reached_the_wave_waits() -> None:
    rolled = Rolled()
    rolled.passes()
    rolled.change(rolled.devices, online=False)
    assert rolled.passes(7200) == []


def test_who_joins_late_waits_for_a_wave_that_has_not_started() -> None:
    rolled = Rolled()
    rolled.passes()
    rolled.devices[device_id(50)] = device(50, device_os="6.2.0")
    rolled.passes(60)
    assert device_id(50) not in rolled.canaries
    rolled.arrive(rolled.canaries)
    rolled.passes(60)
    rolled.passes(600)
    assert rolled.story.rollout is not None
    place = rolled.story.rollout.wave_of(device_id(50))
    assert place is not None
    assert place.name == "rest"


def test_a_wave_without_a_device_is_complete_at_once() -> None:
    named = Wave(name="bench", size=Share(0), devices=frozenset({"not-there"}))
    rolled = Rolled(rollout=RolloutPolicy(waves=(named, REST)))
    assert kinds(rolled.passes()) == ["RolloutBegan", "WaveStarted", "WaveCompleted", "WaveStarted"]


def test_named_devices_come_first() -> None:
    named = Wave(name="canary", size=Share(2), devices=frozenset({"eu-7", device_id(3)}))
    rolled = Rolled(rollout=RolloutPolicy(waves=(named, REST)))
    rolled.passes()
    assert rolled.canaries == [device_id(3), device_id(7)]


def test_a_wave_that_asks_for_an_approval_waits_for_it() -> None:
    rolled = Rolled(rollout=RolloutPolicy(waves=(replace(CANARY, approval_required=True), REST)))
    assert kinds(rolled.passes()) == ["RolloutBegan"]
    assert before_its_wave(rolled.rollout, rolled.story) == (Hold.AWAITING_APPROVAL, None)
    of_fleet = fleet(rollout=rolled.rollout)
    plan = saved_plan_of(of_fleet, *rolled.devices.values())
    approved = Approved(
        fleet="eu", at=NOW, plan_id=plan.plan_id, digest=plan.digest, wave="canary", by="ada", source="command"
    )
    rolled.fields["approvals"] = approvals_of(of_fleet, [approved], [], {plan.plan_id: plan}, now=NOW)
    assert kinds(rolled.passes(60)) == ["WaveStarted"]


def test_who_waits_for_a_wave_is_told_why_and_until_when() -> None:
    rolled = Rolled()
    rolled.passes()
    assert before_its_wave(rolled.rollout, rolled.story) == (Hold.EARLIER_WAVE, None)
    rolled.arrive(rolled.canaries)
    rolled.passes(60)
    assert before_its_wave(rolled.rollout, rolled.story) == (Hold.SOAKING, rolled.now + 600)


def test_time_alone_brings_a_soaking_wave_on_and_nothing_brings_a_halted_one_on() -> None:
    rolled = Rolled()
    rolled.passes()
    assert not may_pass_by_time(rolled.see(), rolled.story)
    rolled.arrive(rolled.canaries)
    rolled.passes(60)
    assert may_pass_by_time(rolled.see(), rolled.story)
    rolled.story = rolled.story.after(Halted(fleet="eu", at=rolled.now, reason="a person"))
    assert not may_pass_by_time(rolled.see(), rolled.story)


def test_another_intent_ends_a_rollout_and_begins_another_with_its_own_waves() -> None:
    rolled = Rolled()
    rolled.passes()
    first = rolled.story.rollout
    rolled.device_os = "6.3.3"
    found = rolled.passes(60)
    assert kinds(found) == ["RolloutSuperseded", "RolloutBegan", "WaveStarted"]
    assert first is not None
    assert rolled.story.rollout is not None
    assert first.id != rolled.story.rollout.id


def test_the_failures_of_a_superseded_rollout_do_not_count_in_the_next() -> None:
    rolled = Rolled(rollout=replace(TWO_WAVES, failures_max=Share(2)))
    rolled.passes()
    rolled.fail(rolled.canaries[:1])
    rolled.device_os = "6.3.3"
    rolled.now = Instant(rolled.now + 60)
    assert "Halted" not in kinds(rolled.passes())


def test_after_a_persons_word_the_failures_so_far_do_not_count() -> None:
    rolled = Rolled(rollout=replace(TWO_WAVES, waves=(replace(CANARY, failures_max=Share(0)), REST)))
    rolled.passes()
    rolled.fail(rolled.canaries[:1])
    rolled.passes(60)
    rolled.story = rolled.story.after(Resumed(fleet="eu", at=Instant(rolled.now + 1), by="ada"))
    rolled.arrive(rolled.canaries[1:])
    assert kinds(rolled.passes(60)) == ["WaveSoaking"]
    rolled.fail(rolled.canaries[:1])
    assert kinds(rolled.passes(60)) == ["Halted"]


def test_one_failure_of_a_certain_kind_is_enough() -> None:
    rolled = Rolled(rollout=RolloutPolicy(failures_max=Share(100, percent=True)))
    rolled.passes()
    rolled.fail([device_id(1)], FailureClass.INTEGRITY, times=1)
    (halted,) = rolled.passes(60)
    assert isinstance(halted, Halted)
    assert "integrity" in halted.reason


def test_a_fleet_of_many_devices_that_asks_for_no_waves_gets_canaries() -> None:
    many = {device_id(number): device(number, device_os="6.2.0") for number in range(1, 201)}
    rolled = Rolled(rollout=RolloutPolicy(), devices=many)
    rolled.passes()
    assert len(rolled.canaries) == 2
    rolled.fail(rolled.canaries[:1])
    assert kinds(rolled.passes(60)) == ["Halted"]


def test_a_fleet_of_few_devices_that_asks_for_no_waves_has_one() -> None:
    rolled = Rolled(rollout=RolloutPolicy())
    rolled.passes()
    assert rolled.story.rollout is not None
    assert [(wave.name, wave.members) for wave in rolled.story.rollout.waves] == [("all", None)]


def test_a_wave_that_the_manifests_rename_in_the_middle_ends_and_the_rest_still_comes() -> None:
    rolled = Rolled(rollout=replace(TWO_WAVES, waves=(replace(CANARY, name="rest"),)))
    rolled.passes()
    assert rolled.wave("rest").members is not None
    rolled.rollout = replace(TWO_WAVES, waves=(REST,))
    rolled.arrive(rolled.wave("rest").members)
    assert kinds(rolled.passes(60)) == ["WaveCompleted", "WaveStarted"]


def test_a_complete_rollout_takes_who_joins_later_and_can_still_be_halted() -> None:
    rolled = Rolled(rollout=RolloutPolicy(failures_max=Share(1)))
    rolled.passes()
    rolled.arrive(rolled.devices)
    assert kinds(rolled.passes(60)) == ["WaveCompleted", "RolloutCompleted"]
    rolled.devices[device_id(50)] = device(50, device_os="6.2.0")
    assert rolled.passes(60) == []
    rolled.fail([device_id(50)])
    assert kinds(rolled.passes(60)) == ["Halted"]
    assert rolled.story.rollout is not None
    assert rolled.story.rollout.state is RolloutState.HALTED


@pytest.mark.parametrize(
    ("allowed", "devices", "expected"),
    [
        (Share(0), 100, 1),
        (Share(3), 100, 3),
        (Share(2, percent=True), 1000, 20),
        (Share(2, percent=True), 10, 1),
        (Share(5), 3, 3),
    ],
)
def test_the_number_of_failures_that_halts(allowed: Share, devices: int, expected: int) -> None:
    assert allowed.reached_at(devices) == expected
