"""Whatever is done to a journal, memory and databases answer the same, also when they were closed and opened again."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from reconciler.journal.control_record import Line
from reconciler.journal.journal import Journal, KeptPlan, Looked, Permit
from reconciler.journal.location import JournalPlace, PostgresPlace
from reconciler.journal.memory import MemoryJournal
from reconciler.journal.opening import open_journal
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.console import ChangeKind, ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId, DeviceMode, ModuleReport
from reconciler.model.error import ReconcilerError
from reconciler.model.external_write import ExternalWrite
from reconciler.model.instant import Instant
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.revision import Revision, TakenIntent
from reconciler.model.rollout_entry import Suspended, WaveStarted
from reconciler.model.step import FlashModule, LockApplication
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from tests.postgres_server import new_database

devices = st.sampled_from([DeviceId("d1"), DeviceId("d2")])
fleets = st.sampled_from(["eu", "us"])
times = st.floats(min_value=0, max_value=4e9, allow_nan=False).map(Instant)
near_times = st.integers(1000, 1100).map(lambda at: Instant(float(at)))
words = st.text(max_size=8)
scopes = st.sampled_from(["north", "south"])
permits = st.builds(
    Permit,
    scope=st.none() | scopes,
    epoch=st.integers(0, 2),
    concurrent_max=st.none() | st.integers(0, 2),
    begun_per_minute_max=st.none() | st.integers(0, 3),
    bytes_per_day_max=st.none() | st.integers(0, 4_000_000),
)
modules = st.builds(
    Module,
    slot=st.sampled_from([ModuleSlot(ModuleFunction.BOOTLOADER, 0), ModuleSlot(ModuleFunction.SYSTEM_PART, 1)]),
    version=st.integers(1, 4),
)
steps = st.one_of(
    st.builds(
        FlashModule, module=modules, device_os=st.just(DeviceOsVersion("6.3.4")), boots_into=st.sampled_from(DeviceMode)
    ),
    st.builds(
        LockApplication,
        application=st.integers(0, 3).map(ApplicationVersion),
        size=st.none() | st.integers(0, 1_000_000),
    ),
)


def answer(call: Callable[[], object]) -> tuple[str, Any]:
    """What a journal answers, or the code with which it says no."""
    try:
        return "value", call()
    except ReconcilerError as error:
        return "error", (type(error), str(error))


class JournalMachine(RuleBasedStateMachine):
    attempts = Bundle("attempts")

    def __init__(self, place: JournalPlace) -> None:
        super().__init__()
        self.place = place
        self.memory: Journal = MemoryJournal()
        self.stored: Journal = open_journal(place)

    def teardown(self) -> None:
        self.stored.close()

    def both(self, call: Callable[[Journal], object]) -> tuple[str, Any]:
        remembered, stored = answer(lambda: call(self.memory)), answer(lambda: call(self.stored))
        assert remembered == stored
        return stored

    @rule(
        target=attempts,
        name=st.integers(0, 30),
        device=devices,
        fleet=fleets,
        step=steps,
        at=near_times | times,
        permit=st.none() | permits,
    )
    def begin(
        self,
        name: int,
        device: DeviceId,
        fleet: str,
        step: FlashModule | LockApplication,
        at: Instant,
        permit: Permit | None,
    ) -> Any:
        attempt = Attempt(
            id=f"a{name}",
            device_id=device,
            fleet=fleet,
            plan_id="p",
            step=step,
            state=AttemptState.INTENDED,
            intended_at=at,
            handshake_before=at if name % 2 else None,
            well_before=None if name % 3 else bool(name % 2),
        )
        kind, _ = self.both(lambda journal: journal.begin(attempt, permit=permit))
        return attempt if kind == "value" else multiple()

    @rule(
        attempt=attempts,
        state=st.sampled_from(AttemptState),
        at=times,
        detail=words,
        evidence=st.sampled_from(Evidence),
    )
    def jump(self, attempt: Attempt, state: AttemptState, at: Instant, detail: str, evidence: Evidence) -> None:
        moved = replace(attempt, state=state, sent_at=at, ended_at=at, detail=detail, evidence=evidence)
        self.both(lambda journal: journal.record(moved))

    @rule(
        attempt=attempts,
        at=times,
        evidence=st.sampled_from([Evidence.PRESUMED, Evidence.RESTARTED]),
        failure=st.none() | st.sampled_from([FailureClass.BOOT, FailureClass.INSTALL, FailureClass.OFFLINE]),
    )
    def live(self, attempt: Attempt, at: Instant, evidence: Evidence, failure: FailureClass | None) -> None:
        sent = attempt.sent(at)
        ended = sent.verified(evidence, at) if failure is None else sent.failed(failure, "no", at)
        write = ExternalWrite(at=at, method="PUT", path="/v1/x", status=200, answer="\0 ok")
        self.both(lambda journal: journal.record(sent, at=at, writes=[write], before={"lock": None, "online": True}))
        self.both(lambda journal: journal.record(ended, after={"lock": 44}))

    @rule(scope=scopes, at=times)
    def take_epoch(self, scope: str, at: Instant) -> None:
        self.both(lambda journal: journal.take_epoch(scope, holder="h", at=at))

    @rule(fleet=fleets, released=st.lists(devices, max_size=2))
    def release(self, fleet: str, released: list[DeviceId]) -> None:
        self.both(lambda journal: journal.release(fleet, released))

    @rule(ended_before=near_times | times, at=times)
    def compact(self, ended_before: Instant, at: Instant) -> None:
        known = told_for_ever(self.memory)
        self.both(lambda journal: journal.compact(ended_before=ended_before, at=at))
        assert told_for_ever(self.memory) == known

    @rule(device=devices, offered=st.lists(modules, max_size=3).map(tuple), at=times)
    def report(self, device: DeviceId, offered: tuple[Module, ...], at: Instant) -> None:
        report = ModuleReport(device_id=device, modules=offered, reported_at=at)
        self.both(lambda journal: journal.keep_report(report))

    @rule(plan_id=st.sampled_from(["p", "q"]), digest=st.sampled_from(["1", "2"]), text=words)
    def plan(self, plan_id: str, digest: str, text: str) -> None:
        self.both(lambda journal: journal.keep_plan(KeptPlan(plan_id=plan_id, digest=digest, text=text)))
        self.both(lambda journal: journal.plan(plan_id))

    @rule(fleet=fleets, reason=words, at=times)
    def halt(self, fleet: str, reason: str, at: Instant) -> None:
        self.both(lambda journal: journal.halt(fleet, reason, at))

    @rule(fleet=fleets, at=times, by=words)
    def lift(self, fleet: str, at: Instant, by: str) -> None:
        self.both(lambda journal: journal.lift(fleet, at, by=by))

    @rule(fleet=fleets, at=times, text=words, members=st.none() | st.frozensets(devices))
    def note(self, fleet: str, at: Instant, text: str, members: frozenset[DeviceId] | None) -> None:
        started = WaveStarted(fleet=fleet, at=at, wave=text, devices=3, members=members)
        suspended = Suspended(fleet=fleet, at=at, reason=text, until=None, by=text)
        self.both(lambda journal: journal.note([started, suspended]))

    @rule(device=devices, fleet=st.none() | fleets, groups=st.lists(words, max_size=2).map(tuple), at=times)
    def look(self, device: DeviceId, fleet: str | None, groups: tuple[str, ...], at: Instant) -> None:
        state = ConsoleState(device_id=device, seen_at=at, fleet=fleet, groups=groups, lock=int(at) % 3 or None)
        change = ConsoleChange(
            device_id=device,
            fleet=fleet or "eu",
            intent="i",
            kind=ChangeKind.LOCK,
            before=None,
            after="1",
            not_before=at,
            seen_at=at,
            concerns_git=True,
        )
        latch = Latch(device_id=device, fleet="eu", intent="i", why="w", at=at)
        latches = [latch] if int(at) % 2 else []
        self.both(lambda journal: journal.keep_look(Looked(states=[state], changes=[change], latches=latches)))

    @rule(device=devices)
    def unlatch(self, device: DeviceId) -> None:
        self.both(lambda journal: journal.unlatch(device))

    @rule(source=words, signer=st.none() | words, fleets=st.lists(words, max_size=2).map(tuple), at=times)
    def take(self, source: str, signer: str | None, fleets: tuple[str, ...], at: Instant) -> None:
        revision = Revision(source=source, name="main", commit="sha1:1", committed_at=at, signer=signer)
        intent = TakenIntent(revision=revision, digest="d", fleets=fleets, at=at, by=signer)
        self.both(lambda journal: journal.keep_intent(intent))
        self.both(lambda journal: journal.intents(source=source, limit=2))

    @rule(name=words, value=st.none() | words)
    def mark(self, name: str, value: str | None) -> None:
        self.both(lambda journal: journal.set_bookmark(name, value))
        self.both(lambda journal: journal.bookmark(name))
        self.both(lambda journal: list(journal.bookmarks(name[:1]).items()))

    @rule()
    def reopen(self) -> None:
        self.stored.close()
        self.stored = open_journal(self.place, create=False)

    @rule(device=devices, fleet=fleets, limit=st.none() | st.integers(0, 5))
    def ask(self, device: DeviceId, fleet: str, limit: int | None) -> None:
        self.both(lambda journal: journal.attempts(device_id=device, fleet=fleet, limit=limit))
        self.both(lambda journal: journal.attempts(limit=limit))
        self.both(lambda journal: journal.learnt(device_id=device))
        self.both(lambda journal: journal.locked(device_id=device))

    @invariant()
    def all_answers_agree(self) -> None:
        _, attempts = self.both(lambda journal: journal.attempts())
        self.both(lambda journal: [journal.moves(attempt.id) for attempt in attempts])
        self.both(lambda journal: [journal.writes(attempt.id) for attempt in attempts])
        self.both(lambda journal: [journal.slots(fleet) for fleet in ("eu", "us")])
        _, still_open = self.both(lambda journal: journal.open_attempts())
        self.both(lambda journal: list(journal.learnt().items()))
        self.both(lambda journal: journal.locked())
        self.both(lambda journal: journal.reports())
        self.both(lambda journal: journal.halts())
        self.both(lambda journal: journal.entries())
        self.both(lambda journal: journal.entries(fleet="eu", after=2))
        self.both(lambda journal: journal.console_states())
        self.both(lambda journal: journal.console_changes())
        self.both(lambda journal: journal.latches())
        self.both(lambda journal: journal.intents())
        self.both(lambda journal: [journal.line(line, after=1, limit=2) for line in Line])
        self.both(lambda journal: [journal.last_number(line) for line in Line])
        self.both(lambda journal: list(journal.bookmarks("").items()))
        assert len({attempt.device_id for attempt in still_open}) == len(still_open)


def told_for_ever(journal: Journal) -> tuple[object, ...]:
    """What no compaction may change."""
    kept = {kind: journal.plan(kind) for kind in ("p", "q") if any(kind == each.plan_id for each in journal.attempts())}
    return (
        journal.learnt(),
        journal.locked(),
        journal.open_attempts(),
        journal.halts(),
        journal.entries(),
        journal.latches(),
        journal.intents(),
        journal.bookmarks(""),
        journal.reports(),
        [journal.slots(fleet) for fleet in ("eu", "us")],
        kept,
    )


def test_memory_and_sqlite_agree() -> None:
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        run_state_machine_as_test(
            lambda: JournalMachine(Path(folder) / f"{next(numbers)}.sqlite"),
            settings=settings(max_examples=40, stateful_step_count=25, deadline=None),
        )


def test_memory_and_postgresql_agree(postgres_server: Path, postgres_template: str) -> None:
    run_state_machine_as_test(
        lambda: JournalMachine(PostgresPlace(new_database(postgres_server, like=postgres_template))),
        settings=settings(max_examples=12, stateful_step_count=20, deadline=None),
    )
