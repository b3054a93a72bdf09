"""The part of a journal in a database that is about attempts on devices: their lives, their writes, their permits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, case, delete, func, insert, select, update

from reconciler.journal import rows, tables
from reconciler.journal.encoding import FLASH_MODULE, LOCK_APPLICATION, encode_facts
from reconciler.journal.journal import DeviceBusyError, KeptWrite, Move, Permit
from reconciler.journal.lessons import DOUBT_FAILURES, modules_learnt
from reconciler.journal.permits import (
    DAY_SECONDS,
    MINUTE_SECONDS,
    REACHED_NO_DEVICE,
    UNKNOWN_STEP_BYTES,
    FleetHaltedError,
    bytes_of,
    check_bytes,
    check_count,
    check_slots,
)
from reconciler.journal.rules import check_begin, check_record, ending_of, lock_may_stand, storable, time_of_state
from reconciler.journal.store import SqlStore, is_halted, newest_epoch
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import DeviceId
from reconciler.model.error import BugError
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion

_DOUBTS: Final = sorted(failure.value for failure in DOUBT_FAILURES)
_NOTHING_SENT: Final = sorted(failure.value for failure in REACHED_NO_DEVICE)


class SqlAttempts(SqlStore):
    """Attempts on devices."""

    def begin(self, attempt: Attempt, *, permit: Permit | None = None) -> Attempt:
        """See `Journal.begin`."""
        check_begin(attempt)
        attempt = storable(attempt)
        with self._writing(permit) as connection:
            if not self._added(connection, tables.attempts, rows.attempt_row(attempt)):
                raise self._why_not_begun(connection, attempt)
            if permit is not None:
                if is_halted(connection, attempt.fleet):
                    raise FleetHaltedError(attempt.fleet)
                self._take_slot(connection, attempt, permit)
                _check_rates(connection, attempt, permit)
            self._add_move(connection, attempt, attempt.intended_at)
            columns = tables.attempts.c
            number = select(columns.number).where(columns.id == attempt.id)
            return replace(attempt, number=connection.execute(number).scalar_one())

    def record(
        self,
        attempt: Attempt,
        *,
        at: Instant | None = None,
        permit: Permit | None = None,
        writes: Sequence[ExternalWrite] = (),
        before: Facts | None = None,
        after: Facts | None = None,
    ) -> None:
        """See `Journal.record`."""
        attempt = storable(attempt)
        with self._writing(permit) as connection:
            found = connection.execute(select(tables.attempts).where(tables.attempts.c.id == attempt.id)).one_or_none()
            check_record(None if found is None else rows.attempt_from(found), attempt)
            connection.execute(
                update(tables.attempts)
                .where(tables.attempts.c.id == attempt.id)
                .values(**rows.changing_values(attempt))
            )
            self._add_move(connection, attempt, time_of_state(attempt) if at is None else at)
            add_writes(connection, attempt, writes, before)
            end_writes(connection, attempt, after)

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

    def writes(self, attempt_id: str) -> tuple[KeptWrite, ...]:
        """See `Journal.writes`."""
        columns = tables.writes.c
        query = select(tables.writes).where(columns.attempt_id == attempt_id).order_by(columns.number)
        return tuple(map(rows.kept_write_from, self._all(query)))

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

    def take_epoch(self, scope: str, *, holder: str, at: Instant) -> int:
        """See `Journal.take_epoch`. Every taking stays in the journal."""
        with self._writing() as connection:
            epoch = newest_epoch(connection, scope) + 1
            connection.execute(insert(tables.epochs).values(scope=scope, epoch=epoch, holder=holder, at=at))
        return epoch

    def slots(self, fleet: str) -> Mapping[DeviceId, Instant]:
        """See `Journal.slots`."""
        found = self._all(select(tables.slots).where(tables.slots.c.fleet == fleet))
        held = {DeviceId(row.device_id): Instant(row.taken_at) for row in found}
        return dict(sorted(held.items()))

    def release(self, fleet: str, device_ids: Iterable[DeviceId], *, permit: Permit | None = None) -> None:
        """See `Journal.release`."""
        columns = tables.slots.c
        with self._writing(permit) as connection:
            for device_id in device_ids:
                connection.execute(delete(tables.slots).where(columns.fleet == fleet, columns.device_id == device_id))

    def _take_slot(self, connection: Connection, attempt: Attempt, permit: Permit) -> None:
        if permit.concurrent_max is None:
            return
        slot = {"fleet": attempt.fleet, "device_id": attempt.device_id, "taken_at": attempt.intended_at}
        if self._added(connection, tables.slots, slot):
            held = select(func.count()).select_from(tables.slots).where(tables.slots.c.fleet == attempt.fleet)
            check_slots(attempt.fleet, connection.execute(held).scalar_one() - 1, permit.concurrent_max)

    @staticmethod
    def _add_move(connection: Connection, attempt: Attempt, at: Instant | None) -> None:
        connection.execute(insert(tables.moves).values(**rows.move_row(attempt, at)))

    @staticmethod
    def _why_not_begun(connection: Connection, attempt: Attempt) -> Exception:
        columns = tables.attempts.c
        if connection.execute(select(columns.number).where(columns.id == attempt.id)).one_or_none() is not None:
            return BugError("PFR9503", f"the id of attempt {attempt.id} was used before")
        open_id = connection.execute(
            select(columns.id).where(columns.device_id == attempt.device_id, tables.IS_OPEN)
        ).scalar_one()
        return DeviceBusyError(attempt.device_id, open_id)


def add_writes(
    connection: Connection, attempt: Attempt | ProductAttempt, writes: Sequence[ExternalWrite], before: Facts | None
) -> None:
    """Write down the requests that left for an attempt."""
    if writes:
        connection.execute(insert(tables.writes), [rows.write_row(attempt, write, before) for write in writes])


def end_writes(connection: Connection, attempt: Attempt | ProductAttempt, after: Facts | None) -> None:
    """Add to an attempt's writes how it has ended, if it has."""
    if not attempt.is_open:
        ended = update(tables.writes).where(
            tables.writes.c.attempt_id == attempt.id, tables.writes.c.seen_after.is_(None)
        )
        connection.execute(ended.values(seen_after=encode_facts(ending_of(attempt, after))))


def _check_rates(connection: Connection, attempt: Attempt, permit: Permit) -> None:
    """Hold the attempt, which is written already, to the limits of a minute and a day."""
    columns = tables.attempts.c
    others = columns.id != attempt.id
    if permit.begun_per_minute_max is not None:
        times = select(columns.intended_at).where(_near(attempt, MINUTE_SECONDS), others)
        found = [Instant(at) for (at,) in connection.execute(times)]
        check_count(attempt.fleet, [*found, attempt.intended_at], permit.begun_per_minute_max)
    if permit.bytes_per_day_max is not None:
        weight = _weight()
        day = _near(attempt, DAY_SECONDS)
        total = connection.execute(select(func.sum(weight)).where(day)).scalar_one()
        if total > permit.bytes_per_day_max:
            sent = connection.execute(select(columns.intended_at, weight).where(day, others))
            known = [(Instant(at), int(count)) for at, count in sent]
            check_bytes(attempt.fleet, [*known, (attempt.intended_at, bytes_of(attempt))], permit.bytes_per_day_max)


def _near(attempt: Attempt, seconds: float) -> ColumnElement[bool]:
    columns = tables.attempts.c
    begin, end = attempt.intended_at - seconds, attempt.intended_at + seconds
    return (columns.fleet == attempt.fleet) & (columns.intended_at > begin) & (columns.intended_at < end)


def _weight() -> ColumnElement[Any]:
    """`bytes_of` in SQL."""
    columns = tables.attempts.c
    nothing = (columns.state == AttemptState.WITHDRAWN.value) | columns.failure.in_(_NOTHING_SENT)
    return case((nothing, 0), else_=func.coalesce(columns.bytes, UNKNOWN_STEP_BYTES))
