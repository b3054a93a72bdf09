"""Which of several operators hears people's words, and tells people: one at a time, for as long as it is fit for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from reconciler.journal.postgres_lock import Lead
from reconciler.model.error import JournalError


class Leading:
    """A context manager. `telling` tells people while it lasts; `is_fit`: whether resources can be seen here."""

    def __init__(
        self, lead: Lead, *, telling: Callable[[], AbstractContextManager[object]], is_fit: Callable[[], bool]
    ) -> None:
        self._lead = lead
        self._telling = telling
        self._is_fit = is_fit
        self._told = ExitStack()
        self._tells = False

    def __enter__(self) -> Callable[[], bool]:
        return self.leads

    def __exit__(self, *_: object) -> None:
        self._end()
        self._lead.close()

    def leads(self) -> bool:
        """Whether this process does now; asked again and again, on one thread. Raises JournalError."""
        try:
            leads = self._is_fit() and self._lead.hold()
            if leads and not self._tells:
                self._told.enter_context(self._telling())
                self._tells = True
        except JournalError:
            self._end()
            raise
        if not leads:
            self._end()
        return leads

    def _end(self) -> None:
        if self._tells:
            self._tells = False
            self._told.close()
        self._lead.let_go()
