"""The journal's promise, held against every implementation; for files also across reopening, threads and processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.journal.journal import (
    AttemptMovedError,
    DeviceBusyError,
    Journal,
    KeptPlan,
    Looked,
    NotedMeanwhileError,
    ProductBusyError,
)
from reconciler.journal.settling import settled
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.attempt import MOVES, Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.console import ChangeKind, ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId, DeviceMode, ModuleReport
from reconciler.model.error import BugError
from reconciler.model.instant import NEVER, Instant
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.rollout_entry import Halted, Resumed
from reconciler.model.step import FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion

BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
SYSTEM = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
LOCK = LockApplication(application=ApplicationVersion(44), size=12_000)


def flash(slot: ModuleSlot = SYSTEM, version: int = 6305) -> FlashModule:
    return FlashModule(
        module=Module(slot=slot, version=version, first_dependency=Dependency(BOOTLOADER, 3200)),
        device_os=DeviceOsVersion("6.3.4"),
        boots_into=DeviceMode.NORMAL,
        size=520_000,
    )


def an_attempt(
    name: str = "a1", device: str = "d1", *, step: Step = LOCK, fleet: str = "eu", at: float = 100
) -> Attempt:
    return Attempt(
        id=name,
        device_id=DeviceId(device),
        fleet=fleet,
        plan_id="plan-main-0123456789",
        step=step,
        state=AttemptState.INTENDED,
        intended_at=Instant(at),
        handshake_before=Instant(at - 50.125),
    )


def in_state(attempt: Attempt, state: AttemptState) -> Attempt:
    """The attempt as it would look in a state, whether or not it may get there."""
    return replace(attempt, state=state, sent_at=Instant(101), ended_at=Instant(102))


def lived(journal: Journal, attempt: Attempt, last: Callable[[Attempt], Attempt]) -> None:
    journal.begin(attempt)
    sent = attempt.sent(Instant(attempt.intended_at + 1))
    journal.record(sent)
    journal.record(last(sent))


def flashed(
    journal: Journal, name: str, module: tuple[ModuleSlot, int], evidence: Evidence, device: str = "d1"
) -> None:
    attempt = an_attempt(name, device, step=flash(*module))
    lived(journal, attempt, lambda sent: sent.verified(evidence, Instant(103)))


def failed(journal: Journal, name: str, failure: FailureClass, device: str = "d1") -> None:
    lived(journal, an_attempt(name, device), lambda sent: sent.failed(failure, "no", Instant(103)))


# The life of an attempt


def test_an_attempt_comes_back_equal(journal: Journal) -> None:
    attempt = an_attempt(step=flash())
    journal.begin(attempt)
    assert journal.attempts() == (attempt,)


@pytest.mark.parametrize("state", sorted(set(AttemptState) - {AttemptState.INTENDED}))
def test_an_attempt_begins_its_life_intended_and_not_otherwise(journal: Journal, state: AttemptState) -> None:
    with pytest.raises(BugError, match="PFR9501"):
        journal.begin(in_state(an_attempt(), state))
    assert journal.attempts() == ()


def test_an_id_is_used_once(journal: Journal) -> None:
    journal.begin(an_attempt("a1", "d1"))
    with pytest.raises(BugError, match="PFR9503"):
        journal.begin(an_attempt("a1", "d2"))


def test_a_device_has_one_open_attempt(journal: Journal) -> None:
    journal.begin(an_attempt("a1"))
    with pytest.raises(DeviceBusyError, match="PFR5002") as caught:
        journal.begin(an_attempt("a2"))
    assert (caught.value.device_id, caught.value.open_attempt_id) == ("d1", "a1")
    assert [attempt.id for attempt in journal.attempts()] == ["a1"]
    assert journal.moves("a2") == ()


def test_attempts_are_numbered_as_they_begin_whatever_the_clock_says(journal: Journal) -> None:
    first = journal.begin(an_attempt("a1", "d1", at=200))
    second = journal.begin(an_attempt("a2", "d2", at=100))
    journal.record(replace(second, number=None).sent(Instant(101)))
    assert first.number is not None
    assert second.number is not None
    assert first.number < second.number
    assert [attempt.number for attempt in journal.attempts()] == [second.number, first.number]


def test_a_word_knows_the_latest_attempt_and_what_is_under_way(journal: Journal) -> None:
    assert settled(journal, fleet="eu") == {"settled_before": NEVER, "latest_attempt": 0, "under_way": frozenset()}
    lived(journal, an_attempt("a1", "d1"), lambda sent: sent.failed(FailureClass.BOOT, "no", Instant(103)))
    latest = journal.begin(an_attempt("a2", "d2"))
    of_fleet, of_device = settled(journal, fleet=latest.fleet), settled(journal, device_id=DeviceId("d1"))
    assert (of_fleet["latest_attempt"], of_fleet["under_way"]) == (latest.number, {"a2"})
    assert of_device["latest_attempt"] < of_fleet["latest_attempt"]
    assert of_device["under_way"] == frozenset()


def test_two_devices_may_have_open_attempts_at_once(journal: Journal) -> None:
    journal.begin(an_attempt("a1", "d1"))
    journal.begin(an_attempt("a2", "d2"))
    assert [attempt.id for attempt in journal.open_attempts()] == ["a1", "a2"]


def test_a_device_is_free_again_when_its_attempt_has_ended(journal: Journal) -> None:
    lived(journal, an_attempt("a1"), lambda sent: sent.verified(Evidence.EFFECT, Instant(103)))
    journal.begin(an_attempt("a2"))
    assert [attempt.id for attempt in journal.open_attempts()] == ["a2"]


@pytest.mark.parametrize("last", [AttemptState.SENT, AttemptState.UNKNOWN])
def test_a_device_stays_busy_while_nobody_knows_what_came_of_it(journal: Journal, last: AttemptState) -> None:
    attempt = an_attempt("a1")
    journal.begin(attempt)
    journal.record(attempt.sent(Instant(101)) if last is AttemptState.SENT else attempt.lost_sight("killed"))
    with pytest.raises(DeviceBusyError):
        journal.begin(an_attempt("a2"))


WAYS: dict[AttemptState, tuple[AttemptState, ...]] = {
    AttemptState.INTENDED: (),
    AttemptState.SENT: (AttemptState.SENT,),
    AttemptState.UNKNOWN: (AttemptState.SENT, AttemptState.UNKNOWN),
    AttemptState.VERIFIED: (AttemptState.SENT, AttemptState.VERIFIED),
    AttemptState.FAILED: (AttemptState.SENT, AttemptState.FAILED),
    AttemptState.WITHDRAWN: (AttemptState.WITHDRAWN,),
}


@pytest.mark.parametrize("before", AttemptState)
@pytest.mark.parametrize("after", AttemptState)
def test_an_attempt_moves_as_its_life_is_drawn(journal: Journal, before: AttemptState, after: AttemptState) -> None:
    journal.begin(an_attempt())
    for state in WAYS[before]:
        journal.record(in_state(an_attempt(), state))
    moves_before = journal.moves("a1")
    if after in MOVES[before]:
        journal.record(in_state(an_attempt(), after))
        assert journal.attempts()[0].state is after
    else:
        with pytest.raises(AttemptMovedError, match="PFR5003") as caught:
            journal.record(in_state(an_attempt(), after))
        assert caught.value.recorded is before
        assert journal.attempts()[0].state is before
        assert journal.moves("a1") == moves_before


def test_an_attempt_that_was_never_begun_is_not_recorded(journal: Journal) -> None:
    with pytest.raises(BugError, match="PFR9502"):
        journal.record(an_attempt().sent(Instant(101)))
    assert journal.attempts() == ()


@pytest.mark.parametrize(
    "change",
    [
        {"device_id": DeviceId("d2")},
        {"fleet": "us"},
        {"plan_id": "another"},
        {"step": flash()},
        {"intended_at": Instant(99)},
        {"handshake_before": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_an_attempt_is_about_never_changes(journal: Journal, change: dict[str, Any]) -> None:
    journal.begin(an_attempt())
    with pytest.raises(BugError, match="PFR9504"):
        journal.record(replace(an_attempt(), **change).sent(Instant(101)))
    assert journal.attempts() == (an_attempt(),)


def test_a_life_is_told_in_its_order(journal: Journal) -> None:
    attempt = an_attempt()
    journal.begin(attempt)
    journal.begin(an_attempt("a2", "d2"))
    unknown = attempt.sent(Instant(101)).lost_sight("killed")
    journal.record(attempt.sent(Instant(101)))
    journal.record(unknown)
    journal.record(unknown.failed(FailureClass.LOST, "never came back", Instant(200)))
    moves = journal.moves("a1")
    assert [(move.state.value, move.at, move.detail) for move in moves] == [
        ("intended", 100, ""),
        ("sent", 101, ""),
        ("unknown", None, "killed"),
        ("failed", 200, "never came back"),
    ]
    assert sorted(move.number for move in moves) == [move.number for move in moves]
    assert {move.device_id for move in moves} == {"d1"}


def test_the_time_of_a_move_may_be_given(journal: Journal) -> None:
    journal.begin(an_attempt())
    journal.record(an_attempt().lost_sight("killed"), at=Instant(150))
    assert journal.moves("a1")[-1].at == 150


@pytest.mark.parametrize(
    ("words", "kept"), [("half \ud83d a pair", "half \\ud83d a pair"), ("nul \0 'quote' ü 🚀", "nul \0 'quote' ü 🚀")]
)
def test_the_words_of_strangers_never_stop_a_record(journal: Journal, words: str, kept: str) -> None:
    journal.begin(an_attempt())
    journal.record(an_attempt().failed(FailureClass.REFUSED, words, Instant(101)))
    assert journal.attempts()[0].detail == kept


# Asking for attempts


def test_attempts_come_latest_begun_first(journal: Journal) -> None:
    for number in (1, 2, 3):
        journal.begin(an_attempt(f"a{number}", f"d{number}", at=100 - number))
    assert [attempt.id for attempt in journal.attempts()] == ["a3", "a2", "a1"]


def test_attempts_are_found_by_device_fleet_and_number(journal: Journal) -> None:
    for name, device, fleet in (("a1", "d1", "eu"), ("a2", "d2", "us"), ("a3", "d3", "eu")):
        lived(journal, an_attempt(name, device, fleet=fleet), lambda sent: sent.verified(Evidence.EFFECT, Instant(103)))
    journal.begin(an_attempt("a4", "d1"))
    assert [attempt.id for attempt in journal.attempts(device_id=DeviceId("d1"))] == ["a4", "a1"]
    assert [attempt.id for attempt in journal.attempts(fleet="eu")] == ["a4", "a3", "a1"]
    assert [attempt.id for attempt in journal.attempts(fleet="eu", limit=2)] == ["a4", "a3"]
    assert journal.attempts(device_id=DeviceId("d2"), fleet="eu") == ()
    assert journal.attempts(limit=0) == ()


# What was learnt


def test_a_verified_module_is_learnt(journal: Journal) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.RESTARTED)
    assert journal.learnt() == {"d1": (flash(BOOTLOADER, 3200).module,)}


def test_nothing_is_learnt_from_what_is_open_failed_withdrawn_or_no_module(journal: Journal) -> None:
    journal.begin(an_attempt("a1", "d1", step=flash()))
    lived(journal, an_attempt("a2", "d2", step=flash()), lambda sent: sent.failed(FailureClass.LOST, "", Instant(1)))
    lived(journal, an_attempt("a3", "d3"), lambda sent: sent.verified(Evidence.EFFECT, Instant(1)))
    journal.begin(an_attempt("a4", "d4", step=flash()))
    journal.record(an_attempt("a4", "d4", step=flash()).withdrawn("stopped", Instant(1)))
    assert journal.learnt() == {}


def test_of_one_slot_the_highest_version_is_learnt(journal: Journal) -> None:
    flashed(journal, "a1", (SYSTEM, 6305), Evidence.EFFECT)
    flashed(journal, "a2", (BOOTLOADER, 3200), Evidence.RESTARTED)
    flashed(journal, "a3", (BOOTLOADER, 3100), Evidence.RESTARTED)
    assert journal.learnt() == {"d1": (flash(BOOTLOADER, 3200).module, flash(SYSTEM, 6305).module)}


DOUBTS = [FailureClass.INSTALL, FailureClass.BOOT, FailureClass.INCOMPATIBLE]


@pytest.mark.parametrize("failure", DOUBTS)
def test_a_presumed_module_is_forgotten_when_a_later_step_fails_on_the_device(
    journal: Journal, failure: FailureClass
) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.PRESUMED)
    failed(journal, "a2", failure)
    assert journal.learnt() == {}


@pytest.mark.parametrize("failure", sorted(set(FailureClass) - set(DOUBTS)))
def test_a_presumed_module_is_believed_in_after_failures_that_say_nothing_about_it(
    journal: Journal, failure: FailureClass
) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.PRESUMED)
    failed(journal, "a2", failure)
    assert journal.learnt() == {"d1": (flash(BOOTLOADER, 3200).module,)}


def failed_flash(journal: Journal, name: str, failure: FailureClass, device: str = "d1") -> None:
    """A system part, which needs bootloader 3200, failed."""
    lived(journal, an_attempt(name, device, step=flash()), lambda sent: sent.failed(failure, "no", Instant(103)))


def test_a_module_that_was_seen_is_never_forgotten(journal: Journal) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.EFFECT)
    for number in range(2, 6):
        failed_flash(journal, f"a{number}", FailureClass.BOOT)
    assert journal.learnt() == {"d1": (flash(BOOTLOADER, 3200).module,)}


@pytest.mark.parametrize("failure", DOUBTS)
def test_a_module_that_was_seen_to_restart_is_forgotten_when_one_that_needs_it_failed_twice(
    journal: Journal, failure: FailureClass
) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.RESTARTED)
    failed_flash(journal, "a2", failure)
    assert journal.learnt() == {"d1": (flash(BOOTLOADER, 3200).module,)}
    failed_flash(journal, "a3", failure)
    assert journal.learnt() == {}


@pytest.mark.parametrize("failure", sorted(set(FailureClass) - set(DOUBTS)))
def test_failures_of_the_way_there_unlearn_nothing(journal: Journal, failure: FailureClass) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.RESTARTED)
    failed_flash(journal, "a2", failure)
    failed_flash(journal, "a3", failure)
    assert journal.learnt() == {"d1": (flash(BOOTLOADER, 3200).module,)}


def test_a_module_that_was_seen_to_restart_is_believed_in_when_what_does_not_need_it_fails(journal: Journal) -> None:
    flashed(journal, "a1", (SYSTEM, 6305), Evidence.RESTARTED)
    for number in range(2, 6):
        failed_flash(journal, f"a{number}", FailureClass.INSTALL)  # the same slot, not one that needs it
        failed(journal, f"b{number}", FailureClass.BOOT)  # a lock
    assert journal.learnt() == {"d1": (flash(SYSTEM, 6305).module,)}


def test_failures_before_a_module_was_seen_to_restart_say_nothing_about_it(journal: Journal) -> None:
    failed_flash(journal, "a1", FailureClass.INSTALL)
    flashed(journal, "a2", (BOOTLOADER, 3200), Evidence.RESTARTED)
    failed_flash(journal, "a3", FailureClass.INSTALL)
    assert journal.learnt() == {"d1": (flash(BOOTLOADER, 3200).module,)}


def test_failures_of_another_device_unlearn_nothing(journal: Journal) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.RESTARTED, device="d1")
    failed_flash(journal, "a2", FailureClass.INSTALL, device="d1")
    failed_flash(journal, "a3", FailureClass.INSTALL, device="d2")
    assert set(journal.learnt()) == {"d1"}
    assert set(journal.learnt(device_id=DeviceId("d1"))) == {"d1"}


def test_a_presumed_module_is_believed_in_again_when_it_was_sent_after_the_failure(journal: Journal) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.PRESUMED)
    failed(journal, "a2", FailureClass.BOOT)
    flashed(journal, "a3", (BOOTLOADER, 3200), Evidence.PRESUMED)
    assert journal.learnt() == {"d1": (flash(BOOTLOADER, 3200).module,)}


def test_forgetting_a_presumed_module_brings_back_what_was_known_before_it(journal: Journal) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3100), Evidence.RESTARTED)
    flashed(journal, "a2", (BOOTLOADER, 3200), Evidence.PRESUMED)
    failed(journal, "a3", FailureClass.INCOMPATIBLE)
    assert journal.learnt() == {"d1": (flash(BOOTLOADER, 3100).module,)}


def test_a_failure_of_one_device_says_nothing_about_another(journal: Journal) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.PRESUMED, device="d1")
    failed(journal, "a2", FailureClass.BOOT, device="d2")
    assert set(journal.learnt()) == {"d1"}


def test_one_device_may_be_asked_for(journal: Journal) -> None:
    flashed(journal, "a1", (BOOTLOADER, 3200), Evidence.PRESUMED, device="d1")
    flashed(journal, "a2", (SYSTEM, 6305), Evidence.EFFECT, device="d2")
    assert journal.learnt(device_id=DeviceId("d2")) == {"d2": (flash(SYSTEM, 6305).module,)}


# What we locked


def lock(name: str, application: int, device: str = "d1") -> Attempt:
    return an_attempt(name, device, step=LockApplication(application=ApplicationVersion(application)))


def test_our_last_lock_of_each_device_is_remembered(journal: Journal) -> None:
    lived(journal, lock("a1", 43), lambda sent: sent.verified(Evidence.EFFECT, Instant(103)))
    lived(journal, lock("a2", 44), lambda sent: sent.failed(FailureClass.BOOT, "no", Instant(103)))
    flashed(journal, "a3", (SYSTEM, 6305), Evidence.EFFECT)
    journal.begin(lock("a4", 12, "d2"))
    assert journal.locked() == {"d1": 44, "d2": 12}
    assert journal.locked(device_id=DeviceId("d2")) == {"d2": 12}


@pytest.mark.parametrize("failure", [FailureClass.REFUSED, FailureClass.UNAUTHORISED])
def test_a_lock_that_the_cloud_refused_is_not_ours(journal: Journal, failure: FailureClass) -> None:
    lived(journal, lock("a1", 43), lambda sent: sent.verified(Evidence.EFFECT, Instant(103)))
    journal.begin(lock("a2", 44))
    journal.record(lock("a2", 44).failed(failure, "no", Instant(101)))
    assert journal.locked() == {"d1": 43}


def test_a_lock_that_never_left_is_not_ours(journal: Journal) -> None:
    journal.begin(lock("a1", 44))
    journal.record(lock("a1", 44).withdrawn("stopped", Instant(101)))
    assert journal.locked() == {}


# Reports, plans, halts


def test_the_latest_report_of_each_device_is_kept(journal: Journal) -> None:
    def report(device: str, version: int, at: float) -> ModuleReport:
        return ModuleReport(
            device_id=DeviceId(device), modules=(flash(SYSTEM, version).module,), reported_at=Instant(at)
        )

    for offered in (report("d1", 1, 100), report("d2", 2, 100), report("d1", 3, 200), report("d1", 4, 150)):
        journal.keep_report(offered)
    assert journal.reports() == {"d1": report("d1", 3, 200), "d2": report("d2", 2, 100)}


def test_a_plan_is_kept_as_it_was_executed(journal: Journal) -> None:
    plan = KeptPlan(plan_id="plan-main-3f9c1e0b2a", digest="sha256:3f9c", text='{"format_version": "1.0"}\n')
    journal.keep_plan(plan)
    journal.keep_plan(replace(plan, text="written again at another time"))
    assert journal.plan(plan.plan_id) == plan
    assert journal.plan("plan-main-0000000000") is None


def test_another_plan_under_the_same_id_is_our_mistake(journal: Journal) -> None:
    plan = KeptPlan(plan_id="plan-main-3f9c1e0b2a", digest="sha256:3f9c", text="{}")
    journal.keep_plan(plan)
    with pytest.raises(BugError, match="PFR9505"):
        journal.keep_plan(replace(plan, digest="sha256:aaaa"))
    assert journal.plan(plan.plan_id) == plan


def test_a_fleet_stays_halted_for_its_first_reason_until_a_person_lifts_it(journal: Journal) -> None:
    journal.halt("eu", "3 of 3 failed", Instant(100))
    journal.halt("eu", "4 of 3 failed", Instant(101))
    journal.halt("us", "1 of 1 failed", Instant(102))
    assert journal.halts() == (
        Halted(fleet="eu", reason="3 of 3 failed", at=Instant(100)),
        Halted(fleet="us", reason="1 of 1 failed", at=Instant(102)),
    )
    assert journal.lift("eu", Instant(150), by="ada") is True
    assert journal.lift("eu", Instant(151)) is False
    assert [halt.fleet for halt in journal.halts()] == ["us"]


def test_a_fleet_may_be_halted_again(journal: Journal) -> None:
    journal.halt("eu", "first", Instant(100))
    journal.lift("eu", Instant(150))
    journal.halt("eu", "second", Instant(200))
    assert journal.halts() == (Halted(fleet="eu", reason="second", at=Instant(200)),)


def test_every_fleet_of_which_anything_was_written_down_is_known_by_its_name(journal: Journal) -> None:
    assert journal.fleets() == ()
    journal.begin(an_attempt(fleet="attempted"))
    journal.note([Halted(fleet="noted", reason="a typo", at=Instant(100))])
    journal.keep_look(Looked(states=[a_state("d1", fleet="seen"), a_state("d2", fleet=None)]))
    assert journal.fleets() == ("attempted", "noted", "seen")


def test_what_was_judged_before_somebody_elses_entry_was_read_is_not_noted(journal: Journal) -> None:
    journal.note([Halted(fleet="eu", reason="smoke", at=Instant(100))], after=0)
    [read] = journal.entries()
    journal.note([Resumed(fleet="us", at=Instant(101))], permit=None, after=read.number)
    journal.note([Resumed(fleet="eu", at=Instant(102), by="ada")])
    with pytest.raises(NotedMeanwhileError, match="PFR5028"):
        journal.note([Halted(fleet="eu", reason="2 failed", at=Instant(103))] * 2, after=read.number)
    *_, latest = kept = journal.entries()
    assert len(kept) == 3
    journal.note([Halted(fleet="eu", reason="2 failed", at=Instant(104))], after=latest.number)
    assert [halted.fleet for halted in journal.halts()] == ["eu"]


# The console


def a_state(device: str = "d1", **fields: Any) -> ConsoleState:
    known = ConsoleState(
        device_id=DeviceId(device),
        seen_at=Instant(100.5),
        fleet="eu",
        selection="0a1b2c3d",
        groups=("eu", 'ünïcode, "quoted"'),
        lock=44,
        release=12,
        development=True,
        updates_forced=False,
        application=44,
        device_os="6.3.4",
        arrived="6.3.4 required logger:44",
    )
    return replace(known, **fields)


def a_change(device: str = "d1", **fields: Any) -> ConsoleChange:
    known = ConsoleChange(
        device_id=DeviceId(device),
        fleet="eu",
        intent="6.3.4 required logger:44",
        kind=ChangeKind.LOCK,
        before="44",
        after=None,
        not_before=Instant(100.5),
        seen_at=Instant(200),
        concerns_git=True,
        undid="a1",
    )
    return replace(known, **fields)


def a_latch(device: str = "d1", at: float = 200) -> Latch:
    return Latch(device_id=DeviceId(device), fleet="eu", intent="6.3.4", why="three times", at=Instant(at))


def test_what_was_seen_in_the_console_comes_back_equal(journal: Journal) -> None:
    bare = ConsoleState(device_id=DeviceId("d2"), seen_at=Instant(1), fleet=None)
    journal.keep_look(Looked(states=[a_state(), bare], changes=[a_change()], latches=[a_latch()]))
    assert journal.console_states() == {"d1": a_state(), "d2": bare}
    assert journal.console_changes() == (a_change(),)
    assert journal.latches() == {"d1": a_latch()}


def test_a_later_look_takes_the_place_of_the_device_alone(journal: Journal) -> None:
    journal.keep_look(Looked(states=[a_state("d1"), a_state("d2")]))
    journal.keep_look(Looked(states=[a_state("d2", lock=None)]))
    assert journal.console_states() == {"d1": a_state("d1"), "d2": a_state("d2", lock=None)}


def test_changes_are_asked_for_by_device_fleet_and_number_the_latest_first(journal: Journal) -> None:
    first, second, third = a_change(), a_change("d2", fleet="us"), a_change(after="43")
    journal.keep_look(Looked(changes=[first, second]))
    journal.keep_look(Looked(changes=[third]))
    assert journal.console_changes() == (third, second, first)
    assert journal.console_changes(device_id=DeviceId("d1")) == (third, first)
    assert journal.console_changes(fleet="us") == (second,)
    assert journal.console_changes(limit=1) == (third,)


def test_a_latch_holds_until_a_person_lifts_it_and_is_remembered(journal: Journal) -> None:
    journal.keep_look(Looked(latches=[a_latch()]))
    assert journal.unlatch(DeviceId("d2")) is False
    assert journal.unlatch(DeviceId("d1")) is True
    assert journal.unlatch(DeviceId("d1")) is False
    assert journal.latches() == {"d1": replace(a_latch(), lifted=True)}
    journal.keep_look(Looked(latches=[a_latch(at=300)]))
    assert journal.latches() == {"d1": a_latch(at=300)}


def refusal(product_id: int = 12345, at: float = 100, words: str = "403 no") -> SystemFlashRefusal:
    return SystemFlashRefusal(product_id=product_id, at=Instant(at), words=words)


def test_of_what_was_learnt_of_a_product_the_last_counts(journal: Journal) -> None:
    journal.keep_refusal(refusal(9))
    journal.keep_refusal(refusal(at=100))
    journal.keep_refusal(refusal(at=200))
    assert journal.refusals() == (refusal(9), refusal(at=200))


def test_what_was_learnt_is_forgotten_by_a_persons_word_and_may_be_learnt_again(journal: Journal) -> None:
    journal.keep_refusal(refusal())
    assert journal.forget_refusal(12345)
    assert journal.refusals() == ()
    assert not journal.forget_refusal(12345)
    journal.keep_refusal(refusal(at=200))
    assert journal.refusals() == (refusal(at=200),)


# Attempts on products

RELEASE = ReleaseApplication(product="cold-chain", application=ApplicationVersion(44), groups=("eu", "us"))
UPLOAD = UploadApplication(
    product="cold-chain", application=ApplicationVersion(44), platform="boron", sha256="ab" * 32, size=9, bundle=True
)


def on_product(name: str = "p1", product: str = "cold-chain", action: ProductAction = RELEASE) -> ProductAttempt:
    return ProductAttempt(
        id=name,
        product=product,
        fleet="eu",
        plan_id="plan-main-0123456789",
        action=action,
        state=AttemptState.INTENDED,
        intended_at=Instant(100),
    )


@pytest.mark.parametrize("action", [RELEASE, UPLOAD])
def test_an_attempt_on_a_product_comes_back_equal_and_lives_its_life(journal: Journal, action: ProductAction) -> None:
    intended = on_product(action=action)
    journal.begin_product(intended)
    assert journal.open_product_attempts() == (intended,)
    for next_state in (
        intended.sent(Instant(101)),
        intended.sent(Instant(101)).lost_sight("no answer"),
        intended.sent(Instant(101)).lost_sight("no answer").failed(FailureClass.TRANSPORT, "not there", Instant(200)),
    ):
        journal.record_product(next_state)
        assert journal.product_attempts() == (next_state,)
    assert journal.open_product_attempts() == ()


def test_a_product_has_one_open_attempt(journal: Journal) -> None:
    first = on_product()
    journal.begin_product(first)
    with pytest.raises(ProductBusyError):
        journal.begin_product(on_product("p2"))
    journal.begin_product(on_product("p3", product="home-hub"))
    journal.record_product(first.failed(FailureClass.REFUSED, "no", Instant(101)))
    journal.begin_product(on_product("p2"))
    assert [attempt.id for attempt in journal.product_attempts()] == ["p2", "p3", "p1"]
    assert [attempt.id for attempt in journal.product_attempts(fleet="eu", limit=1)] == ["p2"]


def test_an_attempt_on_a_product_is_held_to_the_rules_of_all_attempts(journal: Journal) -> None:
    attempt = on_product()
    with pytest.raises(BugError, match="never begun"):
        journal.record_product(attempt.sent(Instant(101)))
    with pytest.raises(BugError, match="not as intended"):
        journal.begin_product(attempt.sent(Instant(101)))
    journal.begin_product(attempt)
    with pytest.raises(BugError, match="used before"):
        journal.begin_product(attempt)
    with pytest.raises(BugError, match="something else"):
        journal.record_product(replace(attempt, action=UPLOAD).sent(Instant(101)))
    done = attempt.sent(Instant(101)).verified(Instant(102))
    with pytest.raises(AttemptMovedError):
        journal.record_product(done)


# Closing, threads


@pytest.mark.parametrize(
    "use", [lambda j: j.begin(an_attempt()), lambda j: j.attempts(), lambda j: j.learnt(), lambda j: j.halts()]
)
def test_a_closed_journal_is_not_used(journal: Journal, use: Callable[[Journal], object]) -> None:
    journal.close()
    journal.close()
    with pytest.raises(BugError, match="PFR9506"):
        use(journal)


def test_threads_race_for_a_device_and_exactly_one_wins(journal: Journal) -> None:
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def race(number: int) -> None:
        start.wait()
        try:
            journal.begin(an_attempt(f"a{number}"))
            outcomes.append("won")
        except DeviceBusyError:
            outcomes.append("busy")

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["busy"] * 7 + ["won"]
    assert len(journal.open_attempts()) == 1


def test_threads_live_their_attempts_side_by_side_and_nothing_is_lost(journal: Journal) -> None:
    def work(number: int) -> None:
        for turn in range(10):
            lived(
                journal,
                an_attempt(f"a{number}-{turn}", f"d{number}"),
                lambda sent: sent.verified(Evidence.EFFECT, Instant(103)),
            )
            assert len(journal.attempts(device_id=DeviceId(f"d{number}"))) == turn + 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    attempts = journal.attempts()
    assert len(attempts) == 60
    assert {attempt.state for attempt in attempts} == {AttemptState.VERIFIED}
    assert all(len(journal.moves(attempt.id)) == 3 for attempt in attempts)


# What holds for files: reopening, processes


def test_everything_is_there_when_a_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "journal.sqlite"
    report = ModuleReport(device_id=DeviceId("d1"), modules=(flash().module,), reported_at=Instant(5.25))
    plan = KeptPlan(plan_id="p", digest="sha256:1", text="{}")
    with SqliteJournal(path) as first:
        flashed(first, "a1", (BOOTLOADER, 3200), Evidence.PRESUMED)
        first.begin(an_attempt("a2", step=flash()))
        first.record(an_attempt("a2", step=flash()).lost_sight("killed"))
        first.keep_report(report)
        first.keep_plan(plan)
        first.halt("eu", "too many", Instant(7))
        first.keep_refusal(refusal(words="no \udc80"))
        before = (first.attempts(), first.moves("a1"), first.learnt())
    with SqliteJournal(path) as second:
        assert (second.attempts(), second.moves("a1"), second.learnt()) == before
        assert [attempt.id for attempt in second.open_attempts()] == ["a2"]
        assert second.reports() == {"d1": report}
        assert second.plan("p") == plan
        assert second.halts() == (Halted(fleet="eu", reason="too many", at=Instant(7)),)
        assert second.refusals() == (refusal(words="no \\udc80"),)
        with pytest.raises(DeviceBusyError):
            second.begin(an_attempt("a3"))


WRITER = """
import sys
from pathlib import Path
from reconciler.journal.journal import DeviceBusyError
from reconciler.journal.settling import settled
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.step import LockApplication

def attempt(name, device):
    return Attempt(id=name, device_id=device, fleet="eu", plan_id="p", step=LockApplication(application=44),
                   state=AttemptState.INTENDED, intended_at=1.0, handshake_before=None)

path, name, count, wait = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "wait"
print("ready", flush=True)
sys.stdin.readline()
journal = SqliteJournal(path, busy_seconds=30)
for number in range(count):
    try:
        journal.begin(attempt(f"{name}-{number}", f"d{number}"))
        print("won", number, flush=True)
    except DeviceBusyError as error:
        assert error.code == "PFR5002"
        print("busy", number, flush=True)
if wait:
    sys.stdin.readline()
"""


def start_writer(path: Path, name: str, count: int, *, wait: bool) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count), "wait" if wait else "go"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_what_was_begun_survives_the_killing_of_its_process(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with start_writer(path, "w", 3, wait=True) as process:
        tell(process)
        assert process.stdout is not None
        begun = [process.stdout.readline() for _ in range(3)]
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert begun == ["won 0\n", "won 1\n", "won 2\n"]
    with SqliteJournal(path) as journal:
        assert [attempt.id for attempt in journal.open_attempts()] == ["w-0", "w-1", "w-2"]
        journal.record(journal.open_attempts()[0].lost_sight("the process was killed"))


def test_of_two_processes_exactly_one_begins_with_each_device(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.sqlite"  # both make the file, too
    writers = [start_writer(path, name, 25, wait=False) for name in ("one", "two")]
    for writer in writers:
        tell(writer)
    said = [writer.communicate()[0].splitlines() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [len(lines) for lines in said] == [25, 25]
    for number in range(25):
        assert sorted(lines[number] for lines in said) == [f"busy {number}", f"won {number}"]
    with SqliteJournal(path) as journal:
        assert len(journal.open_attempts()) == 25
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["journal.sqlite"]
