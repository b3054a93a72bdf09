"""A release whose version arrives and whose application is bad: bad news ends the soak early, doubt holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.controller.cycle import reconcile_pass
from reconciler.controller.run import Run
from reconciler.emulator.device import Device, install
from reconciler.emulator.events import Event
from reconciler.emulator.faults import FaultOrder
from reconciler.emulator.records import Moment
from reconciler.journal.journal import Journal
from reconciler.journal.memory import MemoryJournal
from reconciler.model.device import DeviceId
from reconciler.model.event import Finding
from reconciler.model.health import CheckAnswer, CheckQuestion, CheckWord, HealthCheck
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import DeviceUnwell, Resumed, Retried, WaveCompleted
from tests.simulation.stage import manifests_for, world_text
from tests.simulation.virtual import Play, VirtualCloud, fleets_from

FLEET = "cold-chain"
DEVICES = """
  - {count: 6, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 1, groups: [all],
     publishes: {event: app/alive, everySeconds: 300}}
"""
POLL_SECONDS = 15.0
MINUTE = 60.0


@dataclass(kw_only=True)
class Watch:
    """A rollout that soaks, pass by pass."""

    play: Play
    run: Run
    journal: Journal

    @property
    def now(self) -> Instant:
        return self.play.virtual.now

    def look(self, minutes: float, until: Callable[[], bool] = lambda: False) -> None:
        """Passes for so long, or until something is so."""
        end = self.now + minutes * MINUTE
        while self.now < end and not until():
            (scope,) = self.play.scopes
            reconcile_pass(self.run, scope)
            self.play.virtual.sleep(POLL_SECONDS)

    def unwell(self) -> list[DeviceUnwell]:
        return [noted.entry for noted in self.journal.entries() if isinstance(noted.entry, DeviceUnwell)]

    def doubtful(self) -> Mapping[DeviceId, str]:
        return self.run.health[FLEET].doubts

    def told(self, code: str) -> list[str]:
        return [e.message for e in self.play.events if isinstance(e, Finding) and e.code == code]

    def fault(self, name: str, *, rate: float = 1.0) -> None:
        self.play.virtual.cloud.order_fault(FaultOrder(fault=name, rate=rate), self.now)

    def all_arrived(self) -> bool:
        return all(device.reported_application == 2 for device in self.canaries().values())

    def canaries(self) -> Mapping[str, Device]:
        """The devices of the first wave."""
        rollout = self.run.story_of(FLEET).rollout
        assert rollout is not None
        assert rollout.waves[0].members is not None
        return {device_id: self.play.virtual.cloud.state.devices[device_id] for device_id in rollout.waves[0].members}

    def publish(self, name: str, data: str) -> None:
        """Every canary publishes an event now."""
        for device in self.canaries().values():
            event = Event(
                name=name, data=data, device_id=device.id, product_id=device.product_id, version=1, at=self.now
            )
            self.play.virtual.cloud.state.hub.publish(event)

    def exposed(self) -> set[str]:
        """The devices that got the new application."""
        return {d.id for d in self.play.virtual.cloud.state.devices.values() if d.application_version == 2}


def watch(
    folder: Path,
    health: str,
    *,
    soak: str = "2h",
    failures: str = '"100%"',
    fault: str | None = None,
    journal: Journal | None = None,
    ask: Callable[[HealthCheck, CheckQuestion], CheckAnswer] | None = None,
) -> Watch:
    """A fleet of six that is about to get application 2, with three canaries that soak for two hours."""
    virtual = VirtualCloud(world_text(DEVICES))
    waves = f"[{{name: canary, size: 3, soak: {soak}}}, {{name: rest, size: remaining}}]"
    rollout = f"{{waves: {waves}, maxConcurrent: 6, maxFailures: {failures}, health: {health}}}"
    fleets = fleets_from(folder, manifests_for((FLEET,), rollout=rollout))
    journal = journal or MemoryJournal()
    play = Play(virtual=virtual, fleets=fleets, journal=journal)
    if ask is not None:
        play.ask = ask
    plan, agreement = play.agree()
    assert [len(route.devices) for route in plan.fleets[0].routes] == [6]
    found = Watch(play=play, run=play.begin(agreement), journal=journal)
    if fault is not None:
        found.fault(fault)
    return found


def test_a_release_that_is_fine_is_neither_unwell_nor_in_doubt_for_a_day(tmp_path: Path) -> None:
    everything = (
        "{events: [{name: app/alive, within: 15m, every: true}], vitals: [{path: device.system.memory.used, min: 1}]}"
    )
    seen = watch(tmp_path, everything)
    seen.look(60)
    assert seen.all_arrived()
    assert seen.unwell() == []
    assert seen.doubtful() == {}
    assert seen.exposed() == seen.canaries().keys()
    seen.look(90)
    assert len(seen.exposed()) == 6


def test_a_crash_loop_that_begins_after_five_minutes_is_durable_within_a_pass_of_the_third_restart(
    tmp_path: Path,
) -> None:
    seen = watch(tmp_path, "{}", failures="1", fault="crash-loop")
    seen.look(60, until=lambda: bool(seen.unwell()))
    found = seen.unwell()[0]
    assert found.check == "resetLoop"
    assert "panic, hard_fault" in found.why
    device = seen.play.virtual.cloud.state.devices[found.device_id]
    assert device.reported_application == 2
    assert device.mode.value == "normal"
    sessions = [entry.at for entry in device.history if entry.moment is Moment.SESSION]
    first, *crashes = sessions
    assert crashes[0] - first > 5 * MINUTE
    assert found.at - crashes[2] <= POLL_SECONDS + 2
    assert seen.run.story_of(FLEET).halted is not None
    seen.look(30)
    assert sorted(each.device_id for each in seen.unwell()) == sorted(seen.canaries())
    assert seen.exposed() == seen.canaries().keys()


def test_what_a_release_is_there_to_mend_is_not_held_against_it(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{}")
    seen.look(5, until=lambda: len(seen.journal.open_attempts()) == 3)
    for _ in range(3):
        seen.play.virtual.sleep(1)
        seen.publish("spark/device/last_reset", "panic, hard_fault")
    seen.play.virtual.sleep(1)
    assert not seen.all_arrived()
    (scope,) = seen.play.scopes
    assert {len(scope.hearing.signs.of(DeviceId(each)).resets) for each in seen.canaries()} == {3}
    seen.look(30)
    assert seen.all_arrived()
    assert seen.unwell() == []


def test_an_application_that_says_nothing_is_unwell_after_its_time_and_in_doubt_before(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{events: [{name: app/alive, within: 15m}]}", fault="silent-application")
    seen.look(15)
    assert seen.unwell() == []
    assert len(seen.doubtful()) == 3
    seen.look(10)
    assert {found.check for found in seen.unwell()} == {"event app/alive"}
    assert seen.doubtful() == {}


def test_behind_a_gap_silence_is_a_doubt_until_a_full_time_was_listened_to(tmp_path: Path) -> None:
    policy = "{events: [{name: app/alive, within: 15m, every: true}]}"
    seen = watch(tmp_path, policy, fault="silent-application")
    seen.look(10)
    (scope,) = seen.play.scopes
    scope.hearing.signs.miss("app/alive")
    began = seen.now
    seen.look(14)
    assert seen.unwell() == []
    assert len(seen.doubtful()) == 3
    seen.look(10, until=lambda: bool(seen.unwell()))
    assert seen.unwell()[0].at - began > 15 * MINUTE


def test_what_the_old_application_said_does_not_count_for_the_new_one(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{events: [{name: app/alive, within: 15m}]}", fault="silent-application")
    seen.look(5, until=lambda: len(seen.journal.open_attempts()) == 3)
    (scope,) = seen.play.scopes
    seen.publish("app/alive", "1")
    seen.play.virtual.sleep(1)
    assert not seen.all_arrived()
    assert all(scope.hearing.signs.of(DeviceId(device_id)).events for device_id in seen.canaries())
    seen.look(25)
    assert len(seen.unwell()) == 3


def test_vitals_are_asked_for_and_held_against_their_bounds(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{vitals: [{path: device.power.battery.charge, min: 5}]}", fault="vitals-low")
    seen.look(15)
    assert {found.why for found in seen.unwell()} == {"device.power.battery.charge is 3, below 5"}
    assert len(seen.unwell()) == 3


def test_vitals_that_no_device_reports_are_a_doubt_of_which_a_person_is_told_once(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{vitals: [{path: device.no.such.number, min: 5}]}")
    seen.look(60)
    assert seen.unwell() == []
    assert len(seen.doubtful()) == 3
    (said,) = seen.told("PFR2320")
    assert "cold-chain: wave canary stays" in said
    assert "device.no.such.number" in said


@dataclass
class Gatekeeper:
    word: CheckWord = CheckWord.GO
    asked: list[CheckQuestion] = field(default_factory=list)

    def __call__(self, check: HealthCheck, question: CheckQuestion) -> CheckAnswer:
        self.asked.append(question)
        return CheckAnswer(word=self.word, why="as the gatekeeper likes")


CHECK = "{checks: [{name: errors, command: [ask], interval: 2m}]}"


def test_a_device_that_falls_into_safe_mode_during_the_soak_is_unwell(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{}")
    seen.look(15)
    assert seen.unwell() == []
    cloud = seen.play.virtual.cloud
    fallen = next(iter(seen.canaries().values()))
    fallen.crashing = True
    cloud.state.life.set_online(fallen, False, seen.now)
    cloud.state.life.set_online(fallen, True, seen.now)
    seen.look(2)
    assert [(found.device_id, found.check) for found in seen.unwell()] == [(fallen.id, "mode")]
    seen.look(30)
    assert len(seen.unwell()) == 1


@pytest.mark.parametrize(("by_lock", "checks"), [(False, {"version"}), (True, set())])
def test_a_device_that_runs_the_old_version_again_is_unwell_unless_a_person_wanted_it(
    tmp_path: Path, by_lock: bool, checks: set[str]
) -> None:
    seen = watch(tmp_path, "{}")
    seen.look(15)
    state = seen.play.virtual.cloud.state
    device = next(iter(seen.canaries().values()))
    product = state.products[device.product_id or 0]
    install(device, product.firmware[1].artifact)
    if by_lock:
        device.locked, device.locked_by_person = 1, True
    state.life.set_online(device, False, seen.now)
    state.life.set_online(device, True, seen.now)
    seen.look(1)
    assert {found.check for found in seen.unwell()} == checks


def test_a_check_is_asked_about_the_wave_so_often_as_it_wants(tmp_path: Path) -> None:
    gatekeeper = Gatekeeper()
    seen = watch(tmp_path, CHECK, ask=gatekeeper)
    seen.look(30)
    assert seen.doubtful() == {}
    asked = gatekeeper.asked[-1]
    rollout = seen.run.story_of(FLEET).rollout
    assert rollout is not None
    assert (asked.fleet, asked.rollout_id, asked.wave) == (FLEET, rollout.id, "canary")
    assert set(asked.devices) == set(seen.canaries())
    assert 5 < len(gatekeeper.asked) <= 15


@pytest.mark.parametrize(("word", "unwell", "doubtful"), [(CheckWord.NO_GO, 3, 0), (CheckWord.UNKNOWN, 0, 3)])
def test_a_check_that_turns_is_heard_during_the_soak(
    tmp_path: Path, word: CheckWord, unwell: int, doubtful: int
) -> None:
    gatekeeper = Gatekeeper()
    seen = watch(tmp_path, CHECK, ask=gatekeeper)
    seen.look(20)
    assert seen.doubtful() == {}
    gatekeeper.word = word
    seen.look(4)
    assert len(seen.unwell()) == unwell
    assert len(seen.doubtful()) == doubtful


def test_a_wave_without_a_soak_waits_for_an_answer_and_goes_on_with_it(tmp_path: Path) -> None:
    gatekeeper = Gatekeeper(word=CheckWord.UNKNOWN)
    seen = watch(tmp_path, CHECK, soak="0s", ask=gatekeeper)
    seen.look(60)
    assert seen.all_arrived()
    assert seen.exposed() == seen.canaries().keys()
    gatekeeper.word = CheckWord.GO
    seen.look(20)
    assert len(seen.exposed()) == 6
    assert [noted.entry.wave for noted in seen.journal.entries() if isinstance(noted.entry, WaveCompleted)] == [
        "canary",
        "rest",
    ]


def test_a_run_waits_for_an_answer_and_leaves_a_doubt_that_lasts_to_a_person(tmp_path: Path) -> None:
    gatekeeper = Gatekeeper(word=CheckWord.UNKNOWN)
    seen = watch(tmp_path, CHECK, soak="0s", ask=gatekeeper)
    began = seen.now
    run, rest = seen.play.carry_out(seen.play.agree()[1])
    assert rest.left == []
    assert 30 * MINUTE < seen.now - began < 40 * MINUTE
    assert len(run.health[FLEET].doubts) == 3
    assert len(seen.told("PFR2320")) == 1


def test_who_is_away_for_too_long_holds_nobody(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{events: [{name: app/alive, within: 15m}]}", soak="1m", fault="silent-application")
    seen.look(3)
    seen.look(10, until=seen.all_arrived)
    seen.look(1)
    cloud = seen.play.virtual.cloud
    for device in seen.canaries().values():
        cloud.state.life.set_online(device, False, seen.now)
    seen.look(50)
    assert seen.exposed() == seen.canaries().keys()
    assert seen.unwell() == []
    seen.fault("silent-application", rate=0.0)
    seen.look(30)
    assert len(seen.exposed()) == 6


def test_what_a_person_has_seen_is_not_held_against_a_device_again_but_what_is_new_is(tmp_path: Path) -> None:
    gatekeeper = Gatekeeper(word=CheckWord.NO_GO)
    seen = watch(tmp_path, CHECK, ask=gatekeeper)
    seen.look(20)
    assert len(seen.unwell()) == 3
    gatekeeper.word = CheckWord.GO
    seen.journal.note([Resumed(fleet=FLEET, at=seen.now)])
    seen.look(10)
    assert len(seen.unwell()) == 3
    assert seen.doubtful() == {}
    gatekeeper.word = CheckWord.NO_GO
    seen.look(4)
    assert len(seen.unwell()) == 6


def test_low_vitals_that_a_person_has_seen_stop_nobody_again_until_the_device_is_tried_anew(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{vitals: [{path: device.power.battery.charge, min: 5}]}", fault="vitals-low")
    seen.look(15)
    assert len(seen.unwell()) == 3
    seen.journal.note([Resumed(fleet=FLEET, at=seen.now)])
    seen.look(30)
    assert len(seen.unwell()) == 3
    one = seen.unwell()[0].device_id
    seen.journal.note([Retried(fleet=FLEET, at=seen.now, device_id=one)])
    seen.look(5)
    assert [found.device_id for found in seen.unwell()[3:]] == [one]


def test_a_later_run_goes_on_from_the_journal_and_says_nothing_twice(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{vitals: [{path: device.power.battery.charge, min: 5}]}", fault="vitals-low")
    seen.look(15)
    assert len(seen.unwell()) == 3
    later = Watch(play=seen.play, run=seen.play.begin(seen.play.agree()[1]), journal=seen.journal)
    later.run.take_over(later.play.scopes)
    later.look(15)
    assert len(later.unwell()) == 3
    assert later.run.health[FLEET].devices.keys() == seen.run.health[FLEET].devices.keys()


def test_nothing_is_remembered_of_devices_that_took_no_step(tmp_path: Path) -> None:
    seen = watch(tmp_path, "{events: [{name: app/alive, within: 15m}]}")
    (scope,) = seen.play.scopes
    seen.play.virtual.sleep(1000)
    assert not any(scope.hearing.signs.of(DeviceId(each)).events for each in seen.play.virtual.cloud.state.devices)
    seen.look(15)
    heard = {each for each in seen.play.virtual.cloud.state.devices if scope.hearing.signs.of(DeviceId(each)).events}
    assert heard == seen.canaries().keys()
