"""The part of a journal in a database that a controller keeps: taken intents, and bookmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Row, Table, delete, func, insert, select

from reconciler.journal import rows, tables
from reconciler.journal.control_record import Line, Numbered, TakenMeanwhileError
from reconciler.journal.rules import storable_words
from reconciler.journal.store import SqlStore
from reconciler.model.revision import TakenIntent


class SqlControl(SqlStore):
    """Taken intents, and bookmarks."""

    def keep_intent(self, intent: TakenIntent, *, only_after: str | None = None) -> None:
        """See `Journal.keep_intent`."""
        with self._writing() as connection:
            if only_after is not None:
                columns, source = tables.intents.c, intent.revision.source
                of_source = select(columns.revision).where(columns.source == storable_words(source))
                latest = connection.execute(of_source.order_by(columns.number.desc()).limit(1)).scalar() or ""
                if latest != only_after:
                    raise TakenMeanwhileError(source, latest)
            connection.execute(insert(tables.intents).values(**rows.intent_row(intent)))

    def intents(self, *, source: str | None = None, limit: int | None = None) -> tuple[TakenIntent, ...]:
        """See `Journal.intents`."""
        columns = tables.intents.c
        query = select(tables.intents).order_by(columns.number.desc())
        if source is not None:
            query = query.where(columns.source == storable_words(source))
        if limit is not None:
            query = query.limit(limit)
        return tuple(map(rows.intent_from, self._all(query)))

    def bookmark(self, name: str) -> str | None:
        """See `Journal.bookmark`."""
        columns = tables.bookmarks.c
        found = self._all(select(columns.value).where(columns.name == storable_words(name)))
        return found[0].value if found else None

    def set_bookmark(self, name: str, value: str | None) -> None:
        """See `Journal.set_bookmark`."""
        self.set_bookmarks({name: value})

    def set_bookmarks(self, values: Mapping[str, str | None]) -> None:
        """See `Journal.set_bookmarks`."""
        columns = tables.bookmarks.c
        offered = self._database.insert(tables.bookmarks)
        in_its_place = offered.on_conflict_do_update(
            index_elements=[columns.name], set_={"value": offered.excluded.value}
        )
        with self._writing() as connection:
            for name, value in values.items():
                if value is None:
                    connection.execute(delete(tables.bookmarks).where(columns.name == storable_words(name)))
                else:
                    row = {"name": storable_words(name), "value": storable_words(value)}
                    connection.execute(in_its_place, row)

    def bookmarks(self, prefix: str) -> Mapping[str, str]:
        """See `Journal.bookmarks`."""
        query, plain = select(tables.bookmarks), storable_words(prefix)
        if "\0" not in plain:
            # Databases agree about everything but what lies behind a NUL, and order.
            query = query.where(func.substr(tables.bookmarks.c.name, 1, len(plain)) == plain)
        found = sorted((row.name, row.value) for row in self._all(query))
        return {name: value for name, value in found if name.startswith(prefix)}

    def line(self, line: Line, *, after: int, limit: int) -> tuple[Numbered, ...]:
        """See `Journal.line`."""
        table, read = _LINES[line]
        query = select(table).where(table.c.number > after).order_by(table.c.number).limit(limit)
        return tuple(Numbered(number=row.number, what=read(row)) for row in self._all(query))

    def last_number(self, line: Line) -> int:
        """See `Journal.last_number`."""
        table, _ = _LINES[line]
        ((highest,),) = self._all(select(func.max(table.c.number)))
        return highest or 0


_LINES: Final[Mapping[Line, tuple[Table, Callable[[Row[Any]], Any]]]] = {
    Line.ENTRIES: (tables.rollout_entries, lambda row: rows.noted_from(row).entry),
    Line.CHANGES: (tables.console_changes, rows.console_change_from),
    Line.LATCHES: (tables.latches, rows.latch_from),
    Line.INTENTS: (tables.intents, rows.intent_from),
}
