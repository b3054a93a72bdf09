"""When a device counts as failed by a client's doing, as its history shows it.

It fails when the transfers of as many requests in a row fail as the rules let a client try (what the cloud repeats by
itself is no other try), when it falls into safe mode after what a client made it install, or when it stays away too
long after a send. It is mended by a normal session after a later installation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.emulator.evidence import Case
from reconciler.emulator.house_rules import HouseRules
from reconciler.emulator.records import HistoryEntry, Moment
from reconciler.model.device import DeviceMode
from reconciler.model.instant import Instant

_FOR_EVER: Final = Instant(float("inf"))


def failing_times(case: Case, rules: HouseRules) -> Iterator[tuple[Instant, Instant]]:
    """The times in which the device counts as failed, each from its beginning to its end."""
    watch = _Watch(case, rules)
    for entry in case.history:
        begun_at = watch.failed_at
        watch.see(entry)
        if begun_at is not None and watch.failed_at is None:
            yield begun_at, entry.at
    watch.see_nothing_until(_FOR_EVER)
    if watch.failed_at is not None:
        yield watch.failed_at, _FOR_EVER


class _Watch:
    """What is known of a device while its history is read."""

    def __init__(self, case: Case, rules: HouseRules) -> None:
        self._clients = case.clients
        self._rules = rules
        self._awaited_since: Instant | None = None
        self._failed_tries: set[int | None] = set()
        self._installed = False
        self._by_client = False
        self._safe_mode_declared = False
        self._was_normal = True
        self.failed_at: Instant | None = None

    def see(self, entry: HistoryEntry) -> None:
        """Take in the next moment."""
        self.see_nothing_until(entry.at)
        by_client = self._clients.did(entry.cause)
        match entry.moment:
            case Moment.TRANSFER_STARTED if by_client:
                self._awaited_since = entry.at
            case Moment.TRANSFER_FAILED if by_client:
                self._awaited_since = None
                self._failed_tries.add(entry.cause)
                if len(self._failed_tries) >= self._rules.transfer_tries:
                    self._fail(entry.at)
            case Moment.INSTALLED:
                self._installed, self._by_client = True, by_client
                self._failed_tries.clear()
                self._safe_mode_declared = self._rules.safe_mode_allowed and bool(entry.unmet)
            case Moment.SESSION:
                self._see_session(entry)

    def see_nothing_until(self, at: Instant) -> None:
        """Let time pass."""
        if self._awaited_since is not None and at > self._awaited_since + self._rules.overdue_seconds:
            self._fail(Instant(self._awaited_since + self._rules.overdue_seconds))

    def _see_session(self, entry: HistoryEntry) -> None:
        normal = entry.detail == DeviceMode.NORMAL.value
        if normal and self._installed:
            self.failed_at = None
        elif not normal and self._was_normal and self._by_client and not self._safe_mode_declared:
            self._fail(entry.at)
        self._awaited_since = None
        self._installed = self._by_client = False
        self._was_normal = normal

    def _fail(self, at: Instant) -> None:
        if self.failed_at is None:
            self.failed_at = at
