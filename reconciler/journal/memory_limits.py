"""What a journal in memory holds permits to. Not for several threads by itself: the journal's lock is around it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from reconciler.journal.journal import Permit
from reconciler.journal.permits import (
    DAY_SECONDS,
    MINUTE_SECONDS,
    bytes_of,
    check_bytes,
    check_count,
    check_epoch,
    check_slots,
)
from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant


class MemoryLimits:
    """Epochs, slots, and when attempts began; `attempts` are the journal's own, by their ids."""

    def __init__(self, attempts: Mapping[str, Attempt]) -> None:
        self._attempts = attempts
        self._epochs: dict[str, int] = {}
        self._slots: defaultdict[str, dict[DeviceId, Instant]] = defaultdict(dict)
        self._begun: defaultdict[str, list[tuple[Instant, str]]] = defaultdict(list)  # by fleet, in order of time

    def take_epoch(self, scope: str) -> int:
        """The next one."""
        self._epochs[scope] = self._epochs.get(scope, 0) + 1
        return self._epochs[scope]

    def check_epoch(self, permit: Permit | None) -> None:
        """Raise FencedError unless the permit's epoch is the newest."""
        if permit is not None and permit.scope is not None:
            check_epoch(permit, self._epochs.get(permit.scope, 0))

    def begin(self, attempt: Attempt, permit: Permit | None) -> None:
        """Hold an attempt to its permit, take its slot, and count it; when it is refused nothing is."""
        fleet, at = attempt.fleet, attempt.intended_at
        if permit is not None:
            self._check(attempt, permit)
            if permit.concurrent_max is not None:
                self._slots[fleet].setdefault(attempt.device_id, at)
        insort(self._begun[fleet], (at, attempt.id))

    def slots(self, fleet: str) -> dict[DeviceId, Instant]:
        """Who holds one since when, in the order of their ids."""
        return dict(sorted(self._slots[fleet].items()))

    def release(self, fleet: str, device_ids: Iterable[DeviceId]) -> None:
        """Give slots back."""
        for device_id in device_ids:
            self._slots[fleet].pop(device_id, None)

    def forget(self, ids: Collection[str]) -> None:
        """Count these attempts no more."""
        for fleet, begun in self._begun.items():
            self._begun[fleet] = [(at, name) for at, name in begun if name not in ids]

    def _check(self, attempt: Attempt, permit: Permit) -> None:
        fleet, at = attempt.fleet, attempt.intended_at
        held = self._slots[fleet]
        if permit.concurrent_max is not None and attempt.device_id not in held:
            check_slots(fleet, len(held), permit.concurrent_max)
        if permit.begun_per_minute_max is not None:
            near = [other.intended_at for other in self._near(attempt, MINUTE_SECONDS)]
            check_count(fleet, [*near, at], permit.begun_per_minute_max)
        if permit.bytes_per_day_max is not None:
            sent = [(other.intended_at, bytes_of(other)) for other in self._near(attempt, DAY_SECONDS)]
            check_bytes(fleet, [*sent, (at, bytes_of(attempt))], permit.bytes_per_day_max)

    def _near(self, attempt: Attempt, seconds: float) -> list[Attempt]:
        """The fleet's attempts that began less than so many seconds before or after this one."""
        begun, at = self._begun[attempt.fleet], attempt.intended_at
        first = bisect_right(begun, at - seconds, key=_time)
        return [self._attempts[name] for _, name in begun[first : bisect_left(begun, at + seconds, key=_time)]]


def _time(begun: tuple[Instant, str]) -> Instant:
    return begun[0]
