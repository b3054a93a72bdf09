"""A journal in one SQLite file: durable before it returns, shared by threads, and by processes on one machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import CompoundSelect, Connection, Row, Select, Update, insert, select, union, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import IntegrityError

from reconciler.journal import rows, tables
from reconciler.journal.database import WRITING, create_database, open_database, translated_errors
from reconciler.journal.encoding import FLASH_MODULE, LOCK_APPLICATION
from reconciler.journal.entries import HALTING_KINDS
from reconciler.journal.journal import DeviceBusyError, KeptPlan, Looked, Move, Noted, ProductBusyError
from reconciler.journal.lessons import DOUBT_FAILURES, modules_learnt
from reconciler.journal.rules import (
    check_begin,
    check_plan,
    check_record,
    check_record_product,
    closed_error,
    halted_now,
    lock_may_stand,
    storable,
    time_of_state,
)
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.console import ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId, ModuleReport
from reconciler.model.error import BugError, JournalError
from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.rollout_entry import Halted, Resumed, RolloutEntry
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion

_DOUBTS = sorted(failure.value for failure in DOUBT_FAILURES)


class SqliteJournal:
    """`Journal` in the SQLite file at `path`, which is made with its directories when `create` is set.

    `busy_seconds` is how long a write waits for another process before it raises PFR5009.

    Raises JournalError: PFR5001 no such file (and not `create`); PFR5004 to PFR5010 a file that cannot be used, which
    stays as it is.
    """

    def __init__(self, path: Path, *, create: bool = True, busy_seconds: float = 10.0) -> None:
        if create:
            create_database(path)
        elif not path.exists():
            raise JournalError(
                "PFR5001",
                f"there is no journal at {path}",
                next_step="`apply` makes one; or name the file with --journal or RECONCILER_JOURNAL",
            )
        self.path = path
        self._engine = open_database(path, busy_seconds)
        self._writing_lock = threading.Lock()
        self._closed = False

    def begin(self, attempt: Attempt) -> None:
        """See `Journal.begin`."""
        check_begin(attempt)
        attempt = storable(attempt)
        with self._writing() as connection:
            try:
                connection.execute(insert(tables.attempts).values(**rows.attempt_row(attempt)))
            except IntegrityError as error:
                raise self._why_not_begun(connection, attempt) or error from error
            self._add_move(connection, attempt, attempt.intended_at)

    def record(self, attempt: Attempt, *, at: Instant | None = None) -> None:
        """See `Journal.record`."""
        attempt = storable(attempt)
        with self._writing() as connection:
            found = connection.execute(select(tables.attempts).where(tables.attempts.c.id == attempt.id)).one_or_none()
            check_record(None if found is None else rows.attempt_from(found), attempt)
            connection.execute(
                update(tables.attempts)
                .where(tables.attempts.c.id == attempt.id)
                .values(**rows.changing_values(attempt))
            )
            self._add_move(connection, attempt, time_of_state(attempt) if at is None else at)

    def open_attempts(self) -> tuple[Attempt, ...]:
        """See `Journal.open_attempts`."""
        # Sorted here: asked for an order, SQLite walks the whole table in that order and leaves the index aside.
        found = self._all(select(tables.attempts).where(tables.IS_OPEN))
        return tuple(map(rows.attempt_from, sorted(found, key=lambda row: row.number)))

    def attempts(
        self, *, device_id: DeviceId | None = None, fleet: str | None = None, limit: int | None = None
    ) -> tuple[Attempt, ...]:
        """See `Journal.attempts`."""
        query = select(tables.attempts).order_by(tables.attempts.c.number.desc())
        if device_id is not None:
            query = query.where(tables.attempts.c.device_id == device_id)
        if fleet is not None:
            query = query.where(tables.attempts.c.fleet == fleet)
        if limit is not None:
            query = query.limit(limit)
        return tuple(map(rows.attempt_from, self._all(query)))

    def moves(self, attempt_id: str) -> tuple[Move, ...]:
        """See `Journal.moves`."""
        query = select(tables.moves).where(tables.moves.c.attempt_id == attempt_id).order_by(tables.moves.c.number)
        return tuple(map(rows.move_from, self._all(query)))

    def learnt(self, *, device_id: DeviceId | None = None) -> Mapping[DeviceId, tuple[Module, ...]]:
        """See `Journal.learnt`."""
        columns = tables.attempts.c
        verified = (
            select(columns.number, columns.device_id, columns.evidence, columns.step)
            .where(columns.state == AttemptState.VERIFIED.value, columns.kind == FLASH_MODULE)
            .order_by(columns.number)
        )
        doubts = (
            select(columns.number, columns.device_id, columns.step)
            .where(columns.state == AttemptState.FAILED.value, columns.failure.in_(_DOUBTS))
            .order_by(columns.number)
        )
        if device_id is not None:
            verified = verified.where(columns.device_id == device_id)
            doubts = doubts.where(columns.device_id == device_id)
        with self._reading() as connection:
            lessons = [
                rows.lesson_from(number=number, device_id=device, evidence=evidence, step=step)
                for number, device, evidence, step in connection.execute(verified)
            ]
            doubted = [
                rows.doubt_from(number=number, device_id=device, step=step)
                for number, device, step in connection.execute(doubts)
            ]
        return modules_learnt(lessons, doubted)

    def locked(self, *, device_id: DeviceId | None = None) -> Mapping[DeviceId, ApplicationVersion]:
        """See `Journal.locked`."""
        columns = tables.attempts.c
        query = select(tables.attempts).where(columns.kind == LOCK_APPLICATION).order_by(columns.number)
        if device_id is not None:
            query = query.where(columns.device_id == device_id)
        locks = filter(lock_may_stand, map(rows.attempt_from, self._all(query)))
        return {lock.device_id: lock.step.application for lock in locks if isinstance(lock.step, LockApplication)}

    def keep_report(self, report: ModuleReport) -> None:
        """See `Journal.keep_report`."""
        offered = sqlite_insert(tables.reports).values(**rows.report_row(report))
        kept = offered.on_conflict_do_update(
            index_elements=[tables.reports.c.device_id],
            set_={"modules": offered.excluded.modules, "reported_at": offered.excluded.reported_at},
            where=offered.excluded.reported_at >= tables.reports.c.reported_at,
        )
        with self._writing() as connection:
            connection.execute(kept)

    def reports(self) -> Mapping[DeviceId, ModuleReport]:
        """See `Journal.reports`."""
        return {report.device_id: report for report in map(rows.report_from, self._all(select(tables.reports)))}

    def keep_plan(self, plan: KeptPlan) -> None:
        """See `Journal.keep_plan`."""
        with self._writing() as connection:
            found = connection.execute(select(tables.plans).where(tables.plans.c.plan_id == plan.plan_id)).one_or_none()
            if found is not None:
                check_plan(rows.plan_from(found), plan)
                return
            connection.execute(insert(tables.plans).values(plan_id=plan.plan_id, digest=plan.digest, text=plan.text))

    def plan(self, plan_id: str) -> KeptPlan | None:
        """See `Journal.plan`."""
        found = self._all(select(tables.plans).where(tables.plans.c.plan_id == plan_id))
        return rows.plan_from(found[0]) if found else None

    def note(self, entries: Sequence[RolloutEntry]) -> None:
        """See `Journal.note`."""
        if entries:
            with self._writing() as connection:
                self._note(connection, entries)

    def entries(self, *, fleet: str | None = None, after: int = 0) -> tuple[Noted, ...]:
        """See `Journal.entries`."""
        columns = tables.rollout_entries.c
        query = select(tables.rollout_entries).where(columns.number > after).order_by(columns.number)
        if fleet is not None:
            query = query.where(columns.fleet == fleet)
        return tuple(map(rows.noted_from, self._all(query)))

    def fleets(self) -> tuple[str, ...]:
        """See `Journal.fleets`."""
        kept = (tables.attempts, tables.product_attempts, tables.rollout_entries, tables.console_states)
        return tuple(sorted(fleet for (fleet,) in self._all(union(*(select(t.c.fleet) for t in kept))) if fleet))

    def halt(self, fleet: str, reason: str, at: Instant, *, by: str | None = None) -> None:
        """See `Journal.halt`."""
        with self._writing() as connection:
            if fleet not in self._halted_now(connection):
                self._note(connection, [Halted(fleet=fleet, at=at, reason=reason, by=by)])

    def halts(self) -> tuple[Halted, ...]:
        """See `Journal.halts`."""
        with self._reading() as connection:
            return tuple(self._halted_now(connection).values())

    def lift(self, fleet: str, at: Instant, *, by: str = "") -> bool:
        """See `Journal.lift`."""
        with self._writing() as connection:
            is_halted = fleet in self._halted_now(connection)
            if is_halted:
                self._note(connection, [Resumed(fleet=fleet, at=at, by=by)])
            return is_halted

    def keep_look(self, looked: Looked) -> None:
        """See `Journal.keep_look`."""
        with self._writing() as connection:
            if looked.states:
                states = insert(tables.console_states).prefix_with("OR REPLACE")
                connection.execute(states, [rows.console_state_row(state) for state in looked.states])
            if looked.changes:
                changes = [rows.console_change_row(change) for change in looked.changes]
                connection.execute(insert(tables.console_changes), changes)
            if looked.latches:
                connection.execute(insert(tables.latches), [asdict(latch) for latch in looked.latches])

    def console_states(self) -> Mapping[DeviceId, ConsoleState]:
        """See `Journal.console_states`."""
        found = self._all(select(tables.console_states))
        return {state.device_id: state for state in map(rows.console_state_from, found)}

    def console_changes(
        self, *, device_id: DeviceId | None = None, fleet: str | None = None, limit: int | None = None
    ) -> tuple[ConsoleChange, ...]:
        """See `Journal.console_changes`."""
        columns = tables.console_changes.c
        query = select(tables.console_changes).order_by(columns.number.desc())
        if device_id is not None:
            query = query.where(columns.device_id == device_id)
        if fleet is not None:
            query = query.where(columns.fleet == fleet)
        if limit is not None:
            query = query.limit(limit)
        return tuple(map(rows.console_change_from, self._all(query)))

    def latches(self) -> Mapping[DeviceId, Latch]:
        """See `Journal.latches`."""
        found = self._all(select(tables.latches).order_by(tables.latches.c.number))
        return {latch.device_id: latch for latch in map(rows.latch_from, found)}

    def unlatch(self, device_id: DeviceId) -> bool:
        """See `Journal.unlatch`. The latch stays in the file, as one that was lifted."""
        columns = tables.latches.c
        lifting = update(tables.latches).where(columns.device_id == device_id, ~columns.lifted).values(lifted=True)
        with self._writing() as connection:
            return connection.execute(lifting).rowcount > 0

    def begin_product(self, attempt: ProductAttempt) -> None:
        """See `Journal.begin_product`."""
        check_begin(attempt)
        columns = tables.product_attempts.c
        with self._writing() as connection:
            try:
                connection.execute(
                    insert(tables.product_attempts).values(**rows.product_attempt_row(storable(attempt)))
                )
            except IntegrityError as error:
                used = select(columns.number).where(columns.id == attempt.id)
                if connection.execute(used).one_or_none() is not None:
                    raise BugError("PFR9503", f"the id of attempt {attempt.id} was used before") from error
                raise ProductBusyError(attempt.product) from error

    def record_product(self, attempt: ProductAttempt) -> None:
        """See `Journal.record_product`."""
        table, changed = tables.product_attempts, rows.changing_values_of_product(storable(attempt))
        with self._writing() as connection:
            found = connection.execute(select(table).where(table.c.id == attempt.id)).one_or_none()
            check_record_product(None if found is None else rows.product_attempt_from(found), attempt)
            connection.execute(update(table).where(table.c.id == attempt.id).values(**changed))

    def open_product_attempts(self) -> tuple[ProductAttempt, ...]:
        """See `Journal.open_product_attempts`."""
        table = tables.product_attempts
        query = select(table).where(tables.IS_OPEN_OF_PRODUCT).order_by(table.c.number)
        return tuple(map(rows.product_attempt_from, self._all(query)))

    def product_attempts(self, *, fleet: str | None = None, limit: int | None = None) -> tuple[ProductAttempt, ...]:
        """See `Journal.product_attempts`."""
        table = tables.product_attempts
        query = select(table).order_by(table.c.number.desc()).limit(limit)
        if fleet is not None:
            query = query.where(table.c.fleet == fleet)
        return tuple(map(rows.product_attempt_from, self._all(query)))

    def keep_refusal(self, refusal: SystemFlashRefusal) -> None:
        """See `Journal.keep_refusal`."""
        with self._writing() as connection:
            connection.execute(_forgetting(refusal.product_id))
            connection.execute(insert(tables.refusals).values(**rows.refusal_row(refusal)))

    def refusals(self) -> tuple[SystemFlashRefusal, ...]:
        """See `Journal.refusals`."""
        columns = tables.refusals.c
        query = select(tables.refusals).where(~columns.forgotten).order_by(columns.product_id)
        return tuple(map(rows.refusal_from, self._all(query)))

    def forget_refusal(self, product_id: int) -> bool:
        """See `Journal.forget_refusal`. It stays in the file, as one that was forgotten."""
        with self._writing() as connection:
            return connection.execute(_forgetting(product_id)).rowcount > 0

    def close(self) -> None:
        """See `Journal.close`."""
        with self._writing_lock:
            self._closed = True
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction that holds the file's write lock from its beginning; committed when the block ends well."""
        with self._writing_lock:
            if self._closed:
                raise closed_error()
            with (
                translated_errors(self.path),
                self._engine.connect().execution_options(**{WRITING: True}) as connection,
                connection.begin(),
            ):
                yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """One transaction that sees the journal as it is at its beginning."""
        if self._closed:
            raise closed_error()
        with translated_errors(self.path), self._engine.connect() as connection, connection.begin():
            yield connection

    def _all(self, query: Select[Any] | CompoundSelect[Any]) -> list[Row[Any]]:
        with self._reading() as connection:
            return list(connection.execute(query))

    @staticmethod
    def _note(connection: Connection, entries: Sequence[RolloutEntry]) -> None:
        connection.execute(insert(tables.rollout_entries), list(map(rows.entry_row, entries)))

    @staticmethod
    def _halted_now(connection: Connection) -> dict[str, Halted]:
        columns = tables.rollout_entries.c
        words = select(tables.rollout_entries).where(columns.kind.in_(HALTING_KINDS)).order_by(columns.number)
        return halted_now(rows.noted_from(row).entry for row in connection.execute(words))

    @staticmethod
    def _add_move(connection: Connection, attempt: Attempt, at: Instant | None) -> None:
        connection.execute(insert(tables.moves).values(**rows.move_row(attempt, at)))

    @staticmethod
    def _why_not_begun(connection: Connection, attempt: Attempt) -> Exception | None:
        columns = tables.attempts.c
        if connection.execute(select(columns.number).where(columns.id == attempt.id)).one_or_none() is not None:
            return BugError("PFR9503", f"the id of attempt {attempt.id} was used before")
        open_id = connection.execute(
            select(columns.id).where(columns.device_id == attempt.device_id, tables.IS_OPEN)
        ).scalar_one_or_none()
        return None if open_id is None else DeviceBusyError(attempt.device_id, open_id)


def _forgetting(product_id: int) -> Update:
    columns = tables.refusals.c
    return update(tables.refusals).where(columns.product_id == product_id, ~columns.forgotten).values(forgotten=True)
