"""The laws that need the rules of the house, or the whole fleet: S10, S12 to S16, S18, and uploads.

`referee.py` says what each means. Where a fleet as a whole broke a law, the violation is that of the device whose send
was one too many.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.emulator.device_laws import NO_PRODUCT
from reconciler.emulator.evidence import Case, Evidence, Violation, refused, starts_something, violation
from reconciler.emulator.failures import failing_times
from reconciler.emulator.house_rules import HouseRules
from reconciler.emulator.records import HistoryEntry, Moment, RequestKind, RequestRecord
from reconciler.model.instant import Instant
from reconciler.model.module import ModuleFunction

_MINUTE: Final = 60.0
_FIVE_MINUTES: Final = 300.0
_DAY: Final = 86_400.0


def judge_fleet(evidence: Evidence) -> Iterator[Violation]:
    """What a client did wrong by the rules of the house."""
    yield from _at_wrong_times(evidence)
    yield from _too_many_in_flight(evidence)
    yield from _out_of_turn(evidence)
    yield from _after_failures(evidence)
    yield from _too_fast(evidence)
    yield from _too_much(evidence)
    yield from _too_many_devices(evidence)
    yield from _uploads(evidence.requests)
    for request in evidence.strangers:
        yield violation("S19", request.device or "", request, f"{request.kind} to a device that does not exist")


@dataclass(frozen=True, slots=True)
class _Start:
    """Something that a client starts on a device: a request, or a transfer that follows from one later on."""

    device: str
    where: RequestRecord | HistoryEntry
    words: str


def _starts(evidence: Evidence) -> Iterator[_Start]:
    """All that begins: every send, every release, and each transfer that they bring about at a later time."""
    releases = (request for request in evidence.requests if request.kind is RequestKind.RELEASE)
    for request in releases:
        yield _Start("", request, f"request {request.ordinal}, a release")
    for case in evidence.cases.values():
        for request in filter(starts_something, case.sends):
            yield _Start(case.device, request, f"request {request.ordinal}, a {request.kind}")
        for flight in case.flights:
            yield _Start(case.device, flight.begin, f"the transfer of request {flight.cause}")


def _at_wrong_times(evidence: Evidence) -> Iterator[Violation]:
    """S10 and S14."""
    rules = evidence.rules
    if not rules.windows and not rules.halts:
        return
    accused: set[tuple[str, str, int | None]] = set()
    for start in _starts(evidence):
        at = start.where.at
        request = start.where.ordinal if isinstance(start.where, RequestRecord) else start.where.cause
        found = []
        if rules.windows and not any(window.holds(at) for window in rules.windows):
            found.append(("S10", f"{start.words}, starts outside every window"))
        found += [
            ("S14", f"{start.words}, starts during the halt {halt}")
            for halt in rules.halts
            if halt.holds(at) and at >= halt.begin + rules.grace_seconds
        ]
        for law, detail in found:
            # A transfer that follows at once from a request that is accused is not another wrong.
            if (law, start.device, request) not in accused:
                accused.add((law, start.device, request))
                yield violation(law, start.device, start.where, detail)


def _too_many_in_flight(evidence: Evidence) -> Iterator[Violation]:
    """S12."""
    rules = evidence.rules
    if rules.max_concurrent is None:
        return
    flights = [
        (flight.begin.ordinal, case.device, flight) for case in evidence.cases.values() for flight in case.flights
    ]
    over: list[tuple[Instant, float]] = []
    for ordinal, device, flight in sorted(flights, key=lambda one: one[0]):
        while over and over[0] <= (flight.begin.at, ordinal):
            heapq.heappop(over)
        heapq.heappush(over, flight.over_at(rules.overdue_seconds))
        if len(over) > rules.max_concurrent:
            detail = f"request {flight.cause} makes {len(over)} devices in flight, {rules.max_concurrent} are allowed"
            yield violation("S12", device, flight.begin, detail)


def _out_of_turn(evidence: Evidence) -> Iterator[Violation]:
    """S13. A wave has to wait for what was begun on earlier ones before it; who comes late to those holds up nobody."""
    earlier: list[Case] = []
    soak_seconds = 0.0
    for number, wave in enumerate(evidence.rules.waves):
        cases = [case for device in sorted(wave.devices) if (case := evidence.cases.get(device)) is not None]
        sends = sorted(
            (request for case in cases for request in filter(starts_something, case.sends) if not refused(request)),
            key=lambda request: request.ordinal,
        )
        if sends and earlier:
            opens_at, pending = _opening(earlier, sends[0].ordinal, evidence.rules)
            for request in sends:
                if request.at < opens_at + soak_seconds:
                    why = f"{pending} is not done" if request.at < opens_at else "the wave before has not soaked"
                    detail = f"{request.kind} to wave {number + 1} while {why}"
                    yield violation("S13", request.device or "", request, detail)
        earlier += cases
        if sends:
            soak_seconds = wave.soak_seconds


def _opening(cases: Iterable[Case], first: int, rules: HouseRules) -> tuple[Instant, str]:
    """When all is over that was in flight on these devices before an ordinal, and on which device it was the last."""
    last, pending = Instant(0.0), ""
    for case in cases:
        for flight in case.flights:
            if flight.begin.ordinal < first:
                over = flight.over_at(rules.overdue_seconds)[0]
                if over > last:
                    last, pending = over, case.device
    return last, pending


def _after_failures(evidence: Evidence) -> Iterator[Violation]:
    """S15."""
    rules = evidence.rules
    if rules.max_failures is None:
        return
    changes: list[tuple[Instant, int, int, str, RequestRecord | None]] = []
    for case in evidence.cases.values():
        for begin, end in failing_times(case, rules):
            known_at = Instant(begin + rules.grace_seconds)
            if known_at < end:
                changes += [(known_at, 0, 0, case.device, None), (end, 1, 0, case.device, None)]
        changes += [
            (request.at, 2, request.ordinal, case.device, request) for request in filter(starts_something, case.sends)
        ]
    failing: set[str] = set()
    for _, what, _, device, request in sorted(changes, key=lambda change: change[:3]):
        if request is None:
            (failing.add if what == 0 else failing.discard)(device)
        elif len(failing) > rules.max_failures and device not in failing:
            detail = f"{request.kind} after {len(failing)} devices failed, {rules.max_failures} may"
            yield violation("S15", device, request, detail)


def _too_fast(evidence: Evidence) -> Iterator[Violation]:
    """S16: how many sends, how many requests."""
    rules = evidence.rules
    if rules.sends_per_minute is not None:
        sends = [
            request
            for request in evidence.requests
            if request.kind in (RequestKind.FLASH, RequestKind.LOCK)
            and starts_something(request)
            and not refused(request)
        ]
        for request in _over(sends, rules.sends_per_minute, _MINUTE):
            detail = f"{request.kind} is one more than the {rules.sends_per_minute} sends that 60 s may have"
            yield violation("S16", request.device or "", request, detail)
    if rules.requests_per_five_minutes is not None:
        for request in _over(evidence.requests, rules.requests_per_five_minutes, _FIVE_MINUTES):
            limit = rules.requests_per_five_minutes
            detail = f"request {request.ordinal} is one more than the {limit} that 300 s may have"
            yield violation("S16", request.device or "", request, detail)


def _over(requests: Iterable[RequestRecord], limit: int, seconds: float) -> Iterator[RequestRecord]:
    """Those that are one too many within a time that slides."""
    within: deque[Instant] = deque()
    for request in requests:
        while within and within[0] <= request.at - seconds:
            within.popleft()
        within.append(request.at)
        if len(within) > limit:
            yield request


def _too_much(evidence: Evidence) -> Iterator[Violation]:
    """S16: how many bytes."""
    rules = evidence.rules
    if rules.bytes_per_day is None and rules.bytes_per_device_per_day is None:
        return
    transfers: dict[str, list[tuple[HistoryEntry, str]]] = {
        case.device: [
            (entry, case.device)
            for entry in case.history
            if entry.moment is Moment.TRANSFER_STARTED and case.clients.did(entry.cause)
        ]
        for case in evidence.cases.values()
    }
    if rules.bytes_per_device_per_day is not None:
        for own in transfers.values():
            yield from _heavy(own, rules.bytes_per_device_per_day, "the device")
    if rules.bytes_per_day is not None:
        everything = sorted((one for own in transfers.values() for one in own), key=lambda one: one[0].ordinal)
        yield from _heavy(everything, rules.bytes_per_day, "all devices")


def _heavy(transfers: Sequence[tuple[HistoryEntry, str]], limit: int, whose: str) -> Iterator[Violation]:
    within: deque[HistoryEntry] = deque()
    total = 0
    for entry, device in transfers:
        while within and within[0].at <= entry.at - _DAY:
            total -= within.popleft().bytes
        within.append(entry)
        total += entry.bytes
        if total > limit:
            detail = f"request {entry.cause} makes {total} bytes in 24 h for {whose}, {limit} are allowed"
            yield violation("S16", device, entry, detail)


def _too_many_devices(evidence: Evidence) -> Iterator[Violation]:
    """S18."""
    limit = evidence.rules.max_devices
    if limit is None:
        return
    touched: dict[str, RequestRecord] = {}
    for case in evidence.cases.values():
        ours = [request for request in case.sends if starts_something(request) and not refused(request)]
        ours += [request for request in case.reaching if case.clients.did(request.ordinal)]
        if ours:
            touched[case.device] = min(ours, key=lambda request: request.ordinal)
    by_time: Mapping[str, RequestRecord] = dict(sorted(touched.items(), key=lambda item: item[1].ordinal))
    for number, (device, request) in enumerate(by_time.items(), start=1):
        if number > limit:
            detail = f"request {request.ordinal} touches a device more than the {limit} that it may"
            yield violation("S18", device, request, detail)


def _uploads(requests: Iterable[RequestRecord]) -> Iterator[Violation]:
    """S2 and S8, of what is uploaded to a product."""
    for request in requests:
        artifact = request.artifact
        if request.kind is not RequestKind.UPLOAD or artifact is None:
            continue
        name = f"product {request.product_id}"
        if artifact.slot is None or artifact.slot.function is not ModuleFunction.USER_PART:
            yield violation("S8", "", request, f"what was uploaded to {name} is no application")
        elif artifact.platform_id != request.product_platform_id:
            yield violation("S2", "", request, f"application for platform {artifact.platform_id} uploaded to {name}")
        elif artifact.product_id not in (*NO_PRODUCT, request.product_platform_id, request.product_id):
            yield violation("S2", "", request, f"application of product {artifact.product_id} uploaded to {name}")
