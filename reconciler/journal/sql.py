"""A journal in a database: durable before it returns, shared by threads and by processes."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from reconciler.journal.location import JournalPlace
from reconciler.journal.sql_attempts import SqlAttempts
from reconciler.journal.sql_console import SqlConsole
from reconciler.journal.sql_control import SqlControl
from reconciler.journal.sql_products import SqlProducts
from reconciler.journal.sql_rollouts import SqlRollouts
from reconciler.journal.sql_upkeep import SqlUpkeep


class SqlJournal(SqlAttempts, SqlRollouts, SqlConsole, SqlProducts, SqlControl, SqlUpkeep):
    """`Journal` in a database at `path`, put together from its parts."""

    path: JournalPlace

    def close(self) -> None:
        """See `Journal.close`."""
        with self._writing_lock:
            self._closed = True
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
