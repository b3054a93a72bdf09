"""A journal of format 1, as programs before format 2 left it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from reconciler.journal import rows
from reconciler.journal.journal import KeptPlan, Looked
from reconciler.journal.memory import MemoryJournal
from reconciler.model.action import UploadApplication
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.console import ChangeKind, ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId, DeviceMode, ModuleReport
from reconciler.model.instant import Instant
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.step import FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion

OLD_TABLES = (Path(__file__).parent / "format_1.sql").read_text(encoding="utf-8")
BOOTLOADER = Module(slot=ModuleSlot(ModuleFunction.BOOTLOADER, 0), version=3200)
FLASH = FlashModule(module=BOOTLOADER, device_os=DeviceOsVersion("6.3.4"), boots_into=DeviceMode.NORMAL, size=47_000)
LOCK = LockApplication(application=ApplicationVersion(44))
HALTS = [("eu", "3 of 3 failed", 10.5, 1), ("eu", "again \0 ü", 20.0, 0), ("us", "smoke", 30.0, 0)]


def a_full_life() -> MemoryJournal:
    """One of everything that format 1 could hold, but for halts."""
    journal = MemoryJournal()
    for number, (step, evidence) in enumerate([(FLASH, Evidence.RESTARTED), (LOCK, Evidence.EFFECT)]):
        attempt = an_attempt(f"a{number}", "d1", step, 100 + number * 10)
        journal.begin(attempt)
        journal.record(attempt.sent(Instant(101 + number * 10)))
        journal.record(attempt.sent(Instant(101 + number * 10)).verified(evidence, Instant(102 + number * 10)))
    open_one, refused = an_attempt("a8", "d2", LOCK, 200), an_attempt("a9", "d3", FLASH, 201)
    journal.begin(open_one)
    journal.record(open_one.lost_sight("killed"))
    journal.begin(refused)
    journal.record(refused.failed(FailureClass.REFUSED, "403", Instant(202)))
    product = ProductAttempt(
        id="p1",
        product="cold-chain",
        fleet="eu",
        plan_id="plan",
        action=UploadApplication(product="c", application=ApplicationVersion(44), platform="boron", sha256="ab" * 32),
        state=AttemptState.INTENDED,
        intended_at=Instant(300),
    )
    journal.begin_product(product)
    journal.record_product(product.sent(Instant(301)))
    journal.keep_report(ModuleReport(device_id=DeviceId("d1"), modules=(BOOTLOADER,), reported_at=Instant(5)))
    journal.keep_plan(KeptPlan(plan_id="plan", digest="sha256:1", text="{}"))
    journal.keep_refusal(SystemFlashRefusal(product_id=12345, at=Instant(7), words="no"))
    state = ConsoleState(device_id=DeviceId("d1"), seen_at=Instant(1), fleet="eu", groups=("eu",), lock=44)
    journal.keep_look(Looked(states=[state], changes=[a_change()], latches=[a_latch()]))
    journal.unlatch(DeviceId("d1"))
    return journal


def an_attempt(name: str, device: str, step: Step, at: float) -> Attempt:
    return Attempt(
        id=name,
        device_id=DeviceId(device),
        fleet="eu",
        plan_id="plan",
        step=step,
        state=AttemptState.INTENDED,
        intended_at=Instant(at),
        handshake_before=Instant(at - 50.125),
    )


def a_change() -> ConsoleChange:
    return ConsoleChange(
        device_id=DeviceId("d1"),
        fleet="eu",
        intent="i",
        kind=ChangeKind.LOCK,
        before="44",
        after=None,
        not_before=Instant(1),
        seen_at=Instant(2),
        concerns_git=True,
    )


def a_latch() -> Latch:
    return Latch(device_id=DeviceId("d1"), fleet="eu", intent="i", why="w", at=Instant(3))


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    known = [name for (_, name, *_) in connection.execute(f"PRAGMA table_info({table})") if name in row]
    marks = ", ".join("?" for _ in known)
    connection.execute(f"INSERT INTO {table} ({', '.join(known)}) VALUES ({marks})", [row[name] for name in known])


def lay_out(path: Path) -> None:
    """The file as a program of format 1 left it."""
    life = a_full_life()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(OLD_TABLES)
        attempts = list(reversed(life.attempts()))
        for attempt in attempts:
            insert(connection, "attempts", rows.attempt_row(attempt))
        for move in sorted((move for each in attempts for move in life.moves(each.id)), key=lambda move: move.number):
            insert(connection, "moves", {name: getattr(move, name) for name in move.__slots__})
        for product in life.product_attempts():
            insert(connection, "product_attempts", rows.product_attempt_row(product))
        for report in life.reports().values():
            insert(connection, "reports", rows.report_row(report))
        insert(connection, "plans", {"plan_id": "plan", "digest": "sha256:1", "text": "{}"})
        for refusal in life.refusals():
            insert(connection, "refusals", {**rows.refusal_row(refusal), "forgotten": False})
        for state in life.console_states().values():
            insert(connection, "console_states", rows.console_state_row(state))
        insert(connection, "console_changes", rows.console_change_row(a_change()))
        latch = a_latch()
        insert(connection, "latches", {**{name: getattr(latch, name) for name in latch.__slots__}, "lifted": True})
        connection.executemany("INSERT INTO halts (fleet, reason, at, lifted) VALUES (?, ?, ?, ?)", HALTS)
        connection.commit()
