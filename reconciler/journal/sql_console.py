"""The part of a journal in a database that is about what was seen and learnt: reports, the console, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import Update, insert, select, update

from reconciler.journal import rows, tables
from reconciler.journal.journal import Looked
from reconciler.journal.store import SqlStore, Upsert
from reconciler.model.console import ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId, ModuleReport
from reconciler.model.refusal import SystemFlashRefusal


class SqlConsole(SqlStore):
    """What was seen and learnt."""

    def keep_report(self, report: ModuleReport) -> None:
        """See `Journal.keep_report`."""
        offered = self._database.insert(tables.reports).values(**rows.report_row(report))
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

    def keep_look(self, looked: Looked) -> None:
        """See `Journal.keep_look`."""
        with self._writing() as connection:
            if looked.states:
                states = [rows.console_state_row(state) for state in looked.states]
                connection.execute(_in_their_place(self._database.insert(tables.console_states)), states)
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


def _in_their_place(states: Upsert) -> Upsert:
    key = tables.console_states.c.device_id
    rest = {column.name: states.excluded[column.name] for column in tables.console_states.c if column is not key}
    return states.on_conflict_do_update(index_elements=[key], set_=rest)


def _forgetting(product_id: int) -> Update:
    columns = tables.refusals.c
    return update(tables.refusals).where(columns.product_id == product_id, ~columns.forgotten).values(forgotten=True)
