"""The log and the histories, sorted by device for the laws to read.

What people did by themselves (tokens of persons) is no client's doing: it is left out of all that a client is judged
by, and noted where a client had to heed it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final

from reconciler.emulator.house_rules import HouseRules
from reconciler.emulator.records import HistoryEntry, Marks, Moment, RequestKind, RequestRecord
from reconciler.model.instant import Instant, iso_from_instant

_REFUSED: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A law that was broken, on which device, when, and how. `device` is empty where it is about none in particular."""

    law: str
    device: str
    at: Instant
    detail: str

    def document(self) -> dict[str, Any]:
        """As contracts section 6 has it."""
        return {"law": self.law, "device": self.device, "at": iso_from_instant(self.at), "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Flight:
    """A client's send in flight on a device: from the beginning of its transfer to its failure or the next session."""

    begin: HistoryEntry
    end: HistoryEntry | None

    @property
    def cause(self) -> int:
        """The request that brought it about."""
        assert self.begin.cause is not None
        return self.begin.cause

    def holds(self, ordinal: int) -> bool:
        """Whether it is in flight at an ordinal."""
        return self.begin.ordinal < ordinal and (self.end is None or ordinal < self.end.ordinal)

    def over_at(self, overdue_seconds: float) -> tuple[Instant, float]:
        """When it is over, by instant and ordinal: at its end, or when nobody waits for it any longer."""
        overdue = Instant(self.begin.at + overdue_seconds)
        if self.end is None or self.end.at > overdue:
            return overdue, float("inf")
        return self.end.at, self.end.ordinal


@dataclass(frozen=True, slots=True)
class Clients:
    """Tells what clients did from what persons did."""

    of_persons: frozenset[int] = frozenset()

    def did(self, cause: int | None) -> bool:
        """Whether the request of this ordinal is a client's."""
        return cause is not None and cause not in self.of_persons


@dataclass(slots=True, kw_only=True)
class Case:
    """All about one device that a client did something to, in the order in which it happened.

    - `sends`: flashes and locks of clients. `reaching`: requests, of persons too, by which the cloud has come to intend
      an application for it.
    - `reads`, `heard`: requests whose answers showed it, and ordinals at which a listener heard of it.
    - `person_locks`: locks by a person's requests by ordinal, with the version; None: an unlock. Where there are any,
      those in the console are among them.
    """

    device: str
    history: Sequence[HistoryEntry]
    heard: Sequence[int]
    clients: Clients = Clients()
    sends: list[RequestRecord] = field(default_factory=list)
    reaching: list[RequestRecord] = field(default_factory=list)
    reads: list[RequestRecord] = field(default_factory=list)
    person_locks: list[tuple[int, int | None]] = field(default_factory=list)
    flights: tuple[Flight, ...] = ()

    def marks_at(self, ordinal: int) -> Marks:
        """The marks that stood when a request came; a request's own effect has a higher ordinal."""
        return self.history[max(bisect_right(self.history, ordinal, key=_ordinal) - 1, 0)].marks

    def person_lock_at(self, ordinal: int) -> tuple[int, int] | None:
        """The person's lock that stood then: since which ordinal, and to which version."""
        index = bisect_left(self.person_locks, ordinal, key=itemgetter(0)) - 1
        if index >= 0:
            since, version = self.person_locks[index]
            return None if version is None else (since, version)
        place = max(bisect_right(self.history, ordinal, key=_ordinal) - 1, 0)
        version = self.history[place].marks.locked_by_person
        while place and self.history[place - 1].marks.locked_by_person == version:
            place -= 1
        return None if version is None else (self.history[place].ordinal, version)

    def last_look(self, ordinal: int) -> tuple[int, Instant] | None:
        """The last look at the device before an ordinal, and of when it tells; None: there was none."""
        read, heard = bisect_left(self.reads, ordinal, key=_ordinal) - 1, bisect_left(self.heard, ordinal) - 1
        shown = (self.reads[read].ordinal, self.reads[read].at) if read >= 0 else None
        if heard < 0 or (shown is not None and shown[0] > self.heard[heard]):
            return shown
        # An event tells of the moment before it, and takes nothing away from what was read later than that.
        moment = self.history[max(bisect_left(self.history, self.heard[heard], key=_ordinal) - 1, 0)].at
        return self.heard[heard], moment if shown is None else max(moment, shown[1])

    def looked_between(self, earlier: int, later: int) -> bool:
        """Whether the device was looked at between two ordinals."""
        look = self.last_look(later)
        return look is not None and look[0] > earlier

    def flight_at(self, ordinal: int) -> Flight | None:
        """The send that is in flight at an ordinal; there is one transfer at a time."""
        index = bisect_left(self.flights, ordinal, key=lambda flight: flight.begin.ordinal) - 1
        return self.flights[index] if index >= 0 and self.flights[index].holds(ordinal) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is judged. `requests` are those of clients."""

    rules: HouseRules
    requests: Sequence[RequestRecord]
    cases: Mapping[str, Case]
    strangers: Sequence[RequestRecord]
    """Sends to devices that do not exist, and that no answer has ever shown."""


def gather(
    requests: Sequence[RequestRecord],
    histories: Mapping[str, Sequence[HistoryEntry]],
    deliveries: Mapping[str, Sequence[int]],
    rules: HouseRules,
) -> Evidence:
    """Sort the log by device. `deliveries` are the ordinals at which a listener heard of a device."""
    of_clients: list[RequestRecord] = []
    of_persons: list[RequestRecord] = []
    for request in requests:
        (of_persons if request.token in rules.persons else of_clients).append(request)
    cases, strangers = _touched(of_clients, histories, deliveries)
    shown = {device for request in requests for device in request.shows} if strangers else set()
    for request in of_clients:
        if request.kind is RequestKind.READ and request.answered:
            for device in request.shows:
                case = cases.get(device)
                if case is not None:
                    case.reads.append(request)
    clients = Clients(frozenset(request.ordinal for request in of_persons))
    for case in cases.values():
        case.clients = clients
        case.flights = tuple(_flights(case.history, clients))
    _add_persons(of_persons, cases)
    strangers = [request for request in strangers if request.device not in shown]
    return Evidence(rules=rules, requests=of_clients, cases=cases, strangers=strangers)


def _touched(
    requests: Iterable[RequestRecord],
    histories: Mapping[str, Sequence[HistoryEntry]],
    deliveries: Mapping[str, Sequence[int]],
) -> tuple[dict[str, Case], list[RequestRecord]]:
    """A case for every device that clients did something to, and what they sent to devices that do not exist."""
    cases: dict[str, Case] = {}
    strangers = []

    def case_of(device: str) -> Case:
        case = cases.get(device)
        if case is None:
            case = cases[device] = Case(device=device, history=histories[device], heard=deliveries.get(device, ()))
        return case

    for request in requests:
        for device in request.reaches:
            if device in histories:
                case_of(device).reaching.append(request)
        if request.kind in (RequestKind.FLASH, RequestKind.LOCK) and request.device is not None:
            if request.device in histories:
                case_of(request.device).sends.append(request)
            else:
                strangers.append(request)
    return cases, strangers


def _add_persons(requests: Sequence[RequestRecord], cases: Mapping[str, Case]) -> None:
    """What persons did to the devices of the cases."""
    for request in requests:
        for device in request.reaches:
            if device in cases:
                cases[device].reaching.append(request)
        locked = cases.get(request.device) if request.device is not None else None
        if locked is not None and request.kind is RequestKind.LOCK and _was_done(request, locked):
            locked.person_locks.append((request.ordinal, request.lock_version))
    for case in cases.values() if requests else ():
        case.reaching.sort(key=_ordinal)
        if case.person_locks:
            case.person_locks += _locks_in_the_console(case.history)
            case.person_locks.sort(key=itemgetter(0))


def _locks_in_the_console(history: Sequence[HistoryEntry]) -> Iterator[tuple[int, int | None]]:
    for before, entry in pairwise(history):
        if entry.by_person and entry.marks.locked != before.marks.locked:
            yield entry.ordinal, entry.marks.locked


def refused(request: RequestRecord) -> bool:
    """Whether the cloud said no, in words that could be read."""
    return request.answered and request.status is not None and request.status >= _REFUSED


def _was_done(request: RequestRecord, case: Case) -> bool:
    """Whether the cloud did it. Of one without an answer the device's own history tells."""
    if request.answered:
        return not refused(request)
    return any(entry.cause == request.ordinal for entry in case.history)


def starts_something(request: RequestRecord) -> bool:
    """Whether a request means to start something on devices; to take a lock away does not."""
    match request.kind:
        case RequestKind.FLASH | RequestKind.RELEASE:
            return True
        case RequestKind.LOCK:
            return request.lock_version is not None
        case RequestKind.READ | RequestKind.UPLOAD | RequestKind.OTHER:
            return False


def violation(law: str, device: str, where: RequestRecord | HistoryEntry, detail: str) -> Violation:
    """A violation where a request or a moment shows it."""
    return Violation(law=law, device=device, at=where.at, detail=detail)


def _flights(history: Sequence[HistoryEntry], clients: Clients) -> Iterator[Flight]:
    """The first transfer that each request brought about; when the cloud repeats a lock's delivery, that is its own."""
    begun: HistoryEntry | None = None
    known: set[int | None] = set()
    for entry in history:
        if entry.moment is Moment.TRANSFER_STARTED:
            begun = entry if clients.did(entry.cause) and entry.cause not in known else None
            known.add(entry.cause)
        elif begun is not None and entry.moment in (Moment.TRANSFER_FAILED, Moment.SESSION):
            yield Flight(begun, entry)
            begun = None
    if begun is not None:
        yield Flight(begun, None)


def _ordinal(record: RequestRecord | HistoryEntry) -> int:
    return record.ordinal
