"""A journal that lasts as long as its process: for tests, rehearsals and the demonstration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, groupby, islice
from operator import attrgetter
from types import TracebackType
from typing import Self

from reconciler.journal.compaction import live_since, plans_named, removable
from reconciler.journal.journal import (
    Compacted,
    DeviceBusyError,
    KeptPlan,
    KeptWrite,
    Looked,
    Move,
    Noted,
    Permit,
    ProductBusyError,
)
from reconciler.journal.lessons import DOUBT_FAILURES, Doubt, Lesson, modules_learnt
from reconciler.journal.memory_control import MemoryControl
from reconciler.journal.memory_limits import MemoryLimits
from reconciler.journal.memory_writes import MemoryWrites
from reconciler.journal.permits import FleetHaltedError
from reconciler.journal.rules import (
    check_begin,
    check_nothing_unread,
    check_plan,
    check_record,
    check_record_product,
    halted_now,
    lock_may_stand,
    storable,
    storable_entry,
    time_of_state,
)
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.console import ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId, ModuleReport
from reconciler.model.error import BugError
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.rollout_entry import Halted, Resumed, RolloutEntry
from reconciler.model.step import FlashModule, LockApplication
from reconciler.model.version import ApplicationVersion


class MemoryJournal(MemoryControl):
    """`Journal` in dictionaries under one lock. "Durable" is: until this process ends."""

    def __init__(self) -> None:
        super().__init__()
        self._attempts: dict[str, Attempt] = {}  # in the order of begin
        self._open: dict[DeviceId, str] = {}
        self._moves: list[Move] = []
        self._move_numbers, self._numbers = count(1), count(1)
        self._reports: dict[DeviceId, ModuleReport] = {}
        self._plans: dict[str, KeptPlan] = {}
        self._console_states: dict[DeviceId, ConsoleState] = {}
        self._product_attempts: dict[str, ProductAttempt] = {}  # in the order of begin
        self._refusals: dict[int, SystemFlashRefusal] = {}
        self._limits = MemoryLimits(self._attempts)
        self._writes = MemoryWrites()

    def begin(self, attempt: Attempt, *, permit: Permit | None = None) -> Attempt:
        """See `Journal.begin`."""
        check_begin(attempt)
        attempt = replace(storable(attempt), number=next(self._numbers))
        with self._exclusively(permit):
            open_id = self._open.get(attempt.device_id)
            if attempt.id in self._attempts:
                raise BugError("PFR9503", f"the id of attempt {attempt.id} was used before")
            if open_id is not None:
                raise DeviceBusyError(attempt.device_id, open_id)
            if permit is not None and attempt.fleet in halted_now(self._entries):
                raise FleetHaltedError(attempt.fleet)
            self._limits.begin(attempt, permit)
            self._open[attempt.device_id] = attempt.id
            self._store(attempt, attempt.intended_at)
            return attempt

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
        with self._exclusively(permit):
            kept = self._attempts.get(attempt.id)
            check_record(kept, attempt)
            attempt = replace(attempt, number=None if kept is None else kept.number)
            if not attempt.is_open:
                del self._open[attempt.device_id]
            self._store(attempt, time_of_state(attempt) if at is None else at)
            self._writes.keep(attempt, writes, before, after)

    def open_attempts(self) -> tuple[Attempt, ...]:
        """See `Journal.open_attempts`."""
        with self._exclusively():
            return tuple(attempt for attempt in self._attempts.values() if attempt.is_open)

    def attempts(
        self, *, device_id: DeviceId | None = None, fleet: str | None = None, limit: int | None = None
    ) -> tuple[Attempt, ...]:
        """See `Journal.attempts`."""
        with self._exclusively():
            found = (
                attempt
                for attempt in reversed(self._attempts.values())
                if device_id in (None, attempt.device_id) and fleet in (None, attempt.fleet)
            )
            return tuple(islice(found, limit))

    def moves(self, attempt_id: str) -> tuple[Move, ...]:
        """See `Journal.moves`."""
        with self._exclusively():
            return tuple(move for move in self._moves if move.attempt_id == attempt_id)

    def learnt(self, *, device_id: DeviceId | None = None) -> Mapping[DeviceId, tuple[Module, ...]]:
        """See `Journal.learnt`."""
        lessons = []
        doubts = []
        with self._exclusively():
            for number, attempt in enumerate(self._attempts.values()):
                if device_id not in (None, attempt.device_id):
                    continue
                if attempt.state is AttemptState.VERIFIED and isinstance(attempt.step, FlashModule):
                    lessons.append(
                        Lesson(
                            number=number,
                            device_id=attempt.device_id,
                            evidence=attempt.evidence,
                            module=attempt.step.module,
                        )
                    )
                if attempt.state is AttemptState.FAILED and attempt.failure in DOUBT_FAILURES:
                    module = attempt.step.module if isinstance(attempt.step, FlashModule) else None
                    doubts.append(Doubt(number=number, device_id=attempt.device_id, module=module))
        return modules_learnt(lessons, doubts)

    def locked(self, *, device_id: DeviceId | None = None) -> Mapping[DeviceId, ApplicationVersion]:
        """See `Journal.locked`."""
        with self._exclusively():
            return {
                attempt.device_id: attempt.step.application
                for attempt in self._attempts.values()
                if isinstance(attempt.step, LockApplication)
                and lock_may_stand(attempt)
                and device_id in (None, attempt.device_id)
            }

    def keep_report(self, report: ModuleReport) -> None:
        """See `Journal.keep_report`."""
        with self._exclusively():
            kept = self._reports.get(report.device_id)
            if kept is None or kept.reported_at <= report.reported_at:
                self._reports[report.device_id] = report

    def reports(self) -> Mapping[DeviceId, ModuleReport]:
        """See `Journal.reports`."""
        with self._exclusively():
            return dict(self._reports)

    def keep_plan(self, plan: KeptPlan) -> None:
        """See `Journal.keep_plan`."""
        with self._exclusively():
            check_plan(self._plans.setdefault(plan.plan_id, plan), plan)

    def plan(self, plan_id: str) -> KeptPlan | None:
        """See `Journal.plan`."""
        with self._exclusively():
            return self._plans.get(plan_id)

    def note(self, entries: Sequence[RolloutEntry], *, permit: Permit | None = None, after: int | None = None) -> None:
        """See `Journal.note`."""
        with self._exclusively(permit):
            if after is not None:
                fleets = {entry.fleet for entry in entries}
                check_nothing_unread(next((each.fleet for each in self._entries[after:] if each.fleet in fleets), None))
            self._entries += map(storable_entry, entries)

    def entries(self, *, fleet: str | None = None, after: int = 0) -> tuple[Noted, ...]:
        """See `Journal.entries`."""
        with self._exclusively():
            found = enumerate(self._entries[after:], start=after + 1)
            return tuple(Noted(number=number, entry=entry) for number, entry in found if fleet in (None, entry.fleet))

    def fleets(self) -> tuple[str, ...]:
        """See `Journal.fleets`."""
        with self._exclusively():
            kept = (*self._attempts.values(), *self._product_attempts.values(), *self._entries)
            seen = {each.fleet for each in kept} | {state.fleet for state in self._console_states.values()}
            return tuple(sorted(fleet for fleet in seen if fleet is not None))

    def halt(self, fleet: str, reason: str, at: Instant, *, by: str | None = None) -> None:
        """See `Journal.halt`."""
        with self._exclusively():
            if fleet not in halted_now(self._entries):
                self._entries.append(storable_entry(Halted(fleet=fleet, at=at, reason=reason, by=by)))

    def halts(self) -> tuple[Halted, ...]:
        """See `Journal.halts`."""
        with self._exclusively():
            return tuple(halted_now(self._entries).values())

    def lift(self, fleet: str, at: Instant, *, by: str = "") -> bool:
        """See `Journal.lift`."""
        with self._exclusively():
            if fleet not in halted_now(self._entries):
                return False
            self._entries.append(storable_entry(Resumed(fleet=fleet, at=at, by=by)))
            return True

    def keep_look(self, looked: Looked) -> None:
        """See `Journal.keep_look`."""
        with self._exclusively():
            self._console_states |= {state.device_id: state for state in looked.states}
            self._console_changes += looked.changes
            self._all_latches += looked.latches

    def console_states(self) -> Mapping[DeviceId, ConsoleState]:
        """See `Journal.console_states`."""
        with self._exclusively():
            return dict(self._console_states)

    def console_changes(
        self, *, device_id: DeviceId | None = None, fleet: str | None = None, limit: int | None = None
    ) -> tuple[ConsoleChange, ...]:
        """See `Journal.console_changes`."""
        with self._exclusively():
            return tuple(
                change
                for change in reversed(self._console_changes)
                if device_id in (None, change.device_id) and fleet in (None, change.fleet)
            )[:limit]

    def latches(self) -> Mapping[DeviceId, Latch]:
        """See `Journal.latches`."""
        with self._exclusively():
            return {latch.device_id: latch for latch in self._all_latches}

    def unlatch(self, device_id: DeviceId) -> bool:
        """See `Journal.unlatch`."""
        with self._exclusively():
            held = [at for at, each in enumerate(self._all_latches) if each.device_id == device_id and not each.lifted]
            for at in held:
                self._all_latches[at] = replace(self._all_latches[at], lifted=True)
            return bool(held)

    def begin_product(self, attempt: ProductAttempt, *, permit: Permit | None = None) -> None:
        """See `Journal.begin_product`."""
        check_begin(attempt)
        with self._exclusively(permit):
            if attempt.id in self._product_attempts:
                raise BugError("PFR9503", f"the id of attempt {attempt.id} was used before")
            if any(each.is_open and each.product == attempt.product for each in self._product_attempts.values()):
                raise ProductBusyError(attempt.product)
            self._product_attempts[attempt.id] = storable(attempt)

    def record_product(
        self,
        attempt: ProductAttempt,
        *,
        permit: Permit | None = None,
        writes: Sequence[ExternalWrite] = (),
        before: Facts | None = None,
        after: Facts | None = None,
    ) -> None:
        """See `Journal.record_product`."""
        with self._exclusively(permit):
            check_record_product(self._product_attempts.get(attempt.id), attempt)
            self._product_attempts[attempt.id] = storable(attempt)
            self._writes.keep(attempt, writes, before, after)

    def open_product_attempts(self) -> tuple[ProductAttempt, ...]:
        """See `Journal.open_product_attempts`."""
        with self._exclusively():
            return tuple(attempt for attempt in self._product_attempts.values() if attempt.is_open)

    def product_attempts(self, *, fleet: str | None = None, limit: int | None = None) -> tuple[ProductAttempt, ...]:
        """See `Journal.product_attempts`."""
        with self._exclusively():
            latest_first = reversed(self._product_attempts.values())
            return tuple(attempt for attempt in latest_first if fleet in (None, attempt.fleet))[:limit]

    def keep_refusal(self, refusal: SystemFlashRefusal) -> None:
        """See `Journal.keep_refusal`."""
        with self._exclusively():
            self._refusals[refusal.product_id] = refusal

    def refusals(self) -> tuple[SystemFlashRefusal, ...]:
        """See `Journal.refusals`."""
        with self._exclusively():
            return tuple(refusal for _, refusal in sorted(self._refusals.items()))

    def forget_refusal(self, product_id: int) -> bool:
        """See `Journal.forget_refusal`."""
        with self._exclusively():
            return self._refusals.pop(product_id, None) is not None

    def take_epoch(self, scope: str, *, holder: str, at: Instant) -> int:  # noqa: ARG002  # nobody asks here
        """See `Journal.take_epoch`."""
        with self._exclusively():
            return self._limits.take_epoch(scope)

    def slots(self, fleet: str) -> Mapping[DeviceId, Instant]:
        """See `Journal.slots`."""
        with self._exclusively():
            return self._limits.slots(fleet)

    def release(self, fleet: str, device_ids: Iterable[DeviceId], *, permit: Permit | None = None) -> None:
        """See `Journal.release`."""
        with self._exclusively(permit):
            self._limits.release(fleet, device_ids)

    def writes(self, attempt_id: str) -> tuple[KeptWrite, ...]:
        """See `Journal.writes`."""
        with self._exclusively():
            return self._writes.of(attempt_id)

    def compact(self, *, ended_before: Instant, at: Instant) -> Compacted:  # noqa: ARG002  # nobody asks here when
        """See `Journal.compact`."""
        with self._exclusively():
            by_device = sorted(self._attempts.values(), key=attrgetter("device_id"))
            since = live_since(self._entries)
            ids = {
                name
                for _, found in groupby(by_device, key=attrgetter("device_id"))
                for name in removable(list(found), ended_before, since)
            }
            plans = {self._attempts.pop(name).plan_id for name in ids}
            on_products = {
                each.id for each in self._product_attempts.values() if each.ended_at and each.ended_at < ended_before
            }
            writes = self._writes.forget(ids) + self._writes.forget_older(on_products, ended_before)
            self._limits.forget(ids)
            moves = len(self._moves)
            self._moves = [move for move in self._moves if move.attempt_id not in ids]
            plans -= plans_named(self._entries)
            plans -= {each.plan_id for each in self._attempts.values()}
            plans -= {each.plan_id for each in self._product_attempts.values()}
            removed = [self._plans.pop(name) for name in plans & self._plans.keys()]
            return Compacted(attempts=len(ids), moves=moves - len(self._moves), writes=writes, plans=len(removed))

    def close(self) -> None:
        """See `Journal.close`. What was remembered is gone."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _exclusively(self, permit: Permit | None = None) -> Iterator[None]:
        with super()._exclusively():
            self._limits.check_epoch(permit)
            yield

    def _store(self, attempt: Attempt, at: Instant | None) -> None:
        self._attempts[attempt.id] = attempt
        self._moves.append(
            Move(
                number=next(self._move_numbers),
                attempt_id=attempt.id,
                device_id=attempt.device_id,
                state=attempt.state,
                at=at,
                detail=attempt.detail,
            )
        )
