"""The part of a journal in a database that a controller keeps: taken intents, and bookmarks."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from reconciler.journal import rows, tables
from reconciler.journal.rules import storable_words
from reconciler.journal.store import SqlStore
from reconciler.model.revision import TakenIntent


class SqlControl(SqlStore):
    """Taken intents, and bookmarks."""

    def keep_intent(self, intent: TakenIntent) -> None:
        """See `Journal.keep_intent`."""
        with self._writing() as connection:
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
        name, columns = storable_words(name), tables.bookmarks.c
        with self._writing() as connection:
            if value is None:
                connection.execute(delete(tables.bookmarks).where(columns.name == name))
                return
            offered = self._database.insert(tables.bookmarks).values(name=name, value=storable_words(value))
            in_its_place = {"value": offered.excluded.value}
            connection.execute(offered.on_conflict_do_update(index_elements=[columns.name], set_=in_its_place))

    def bookmarks(self, prefix: str) -> Mapping[str, str]:
        """See `Journal.bookmarks`."""
        # They are few, and databases disagree about what begins with what.
        found = sorted((row.name, row.value) for row in self._all(select(tables.bookmarks)))
        return {name: value for name, value in found if name.startswith(prefix)}
