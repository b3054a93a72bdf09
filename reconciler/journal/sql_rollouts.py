"""The part of a journal in a database that is about rollouts: plans, entries, and what people said."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, union

from reconciler.journal import rows, tables
from reconciler.journal.entries import HALTING_KINDS
from reconciler.journal.journal import KeptPlan, Noted, Permit
from reconciler.journal.rules import check_plan, halted_now
from reconciler.journal.store import SqlStore
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Halted, Resumed, RolloutEntry


class SqlRollouts(SqlStore):
    """Rollouts."""

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

    def note(self, entries: Sequence[RolloutEntry], *, permit: Permit | None = None) -> None:
        """See `Journal.note`."""
        with self._writing(permit) as connection:
            if entries:
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
        found = self._all(union(*(select(table.c.fleet) for table in kept)))
        return tuple(sorted(fleet for (fleet,) in found if fleet))

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

    @staticmethod
    def _note(connection: Connection, entries: Sequence[RolloutEntry]) -> None:
        connection.execute(insert(tables.rollout_entries), list(map(rows.entry_row, entries)))

    @staticmethod
    def _halted_now(connection: Connection) -> dict[str, Halted]:
        columns = tables.rollout_entries.c
        words = select(tables.rollout_entries).where(columns.kind.in_(HALTING_KINDS)).order_by(columns.number)
        return halted_now(rows.noted_from(row).entry for row in connection.execute(words))
