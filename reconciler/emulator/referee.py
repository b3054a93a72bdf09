"""The referee: what a client did wrong, judged from the request log and the devices' histories alone.

The laws are those of the S-invariants that can be seen from outside:

- S1: no module and no application version falls as an effect of what a client asked for.
- S2: nothing is sent that is not for the device's platform, product and slots.
- S5: nothing is sent to a device while an earlier send of a client is still in flight there. A send is in flight from
  the beginning of its transfer to the device's next session, or to the transfer's failure.
- S7: no blind resend: after a send whose answer was lost, or that is still in flight, the device is looked at (a read
  that shows it, or an event about it) before anything is sent to it again.
- S9: nothing is sent to a device that a person has locked, or that has disabled updates; no development device is
  locked.

Why from outside: a client's own account of itself proves nothing. The referee shares no code with any client.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from reconciler.emulator.records import HistoryEntry, Marks, Moment, RequestKind, RequestRecord
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.module import ModuleFunction

_EFFECTFUL: Final = (RequestKind.FLASH, RequestKind.LOCK)
_NO_PRODUCT: Final = (None, 0, 0xFFFF)
_FOR_EVER: Final = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A law that was broken, on which device, when, and how."""

    law: str
    device: str
    at: Instant
    detail: str

    def document(self) -> dict[str, Any]:
        """As contracts section 6 has it."""
        return {"law": self.law, "device": self.device, "at": iso_from_instant(self.at), "detail": self.detail}


@dataclass(frozen=True, slots=True)
class _Flight:
    """A client's send in flight on a device: the request, and the ordinals between which it was."""

    cause: int
    begin: int
    end: float


def judge(
    requests: Iterable[RequestRecord],
    histories: Mapping[str, Sequence[HistoryEntry]],
    deliveries: Mapping[str, Sequence[int]],
) -> tuple[Violation, ...]:
    """All violations, in order of time. `deliveries` are the ordinals at which a listener heard of a device."""
    sends: dict[str, list[RequestRecord]] = {}
    looks: dict[str, list[int]] = {device: list(ordinals) for device, ordinals in deliveries.items()}
    for request in requests:
        if request.kind in _EFFECTFUL and request.device is not None and request.device in histories:
            sends.setdefault(request.device, []).append(request)
        if request.kind is RequestKind.READ:
            for device in request.shows:
                looks.setdefault(device, []).append(request.ordinal)
    found = [fall for device in histories for fall in _falls(device, histories[device], sends.get(device, ()))]
    for device, sent in sends.items():
        flights = tuple(_flights(histories[device]))
        found += _strangers(device, sent, histories[device])
        found += _overlaps(device, sent, flights)
        found += _blind(device, sent, flights, sorted(looks.get(device, ())))
        found += _disregards(device, sent, histories[device])
    return tuple(sorted(found, key=lambda violation: (violation.at, violation.law, violation.device)))


def _falls(device: str, history: Sequence[HistoryEntry], sent: Iterable[RequestRecord]) -> Iterator[Violation]:
    """S1. What the cloud takes back of its own accord counts when a client had brought it up before.

    What a person in the console lowered, or had changed since the client's last word about the device, is no client's.
    """
    touched, acts = False, [entry.ordinal for entry in history if entry.by_person]
    words = [request.ordinal for request in sent]
    for entry in history:
        if entry.moment is not Moment.INSTALLED:
            continue
        touched = touched or entry.cause is not None
        if not touched or entry.by_person or _came_last(acts, words, entry):
            continue
        for slot, before in entry.before.items():
            after = entry.after.get(slot, 0)
            if slot.function is not ModuleFunction.USER_PART and after < before:
                yield _violation("S1", device, entry, f"{slot} fell from {before} to {after}{_by(entry)}")
        old, new = entry.application_before, entry.application_after
        if old is not None and new is not None and new < old:
            yield _violation("S1", device, entry, f"the application fell from {old} to {new}{_by(entry)}")


def _came_last(acts: Sequence[int], words: Sequence[int], entry: HistoryEntry) -> bool:
    """Whether a person had the last word before a fall that no request caused."""
    if entry.cause is not None:
        return False
    acted, spoken = bisect_right(acts, entry.ordinal), bisect_right(words, entry.ordinal)
    return acted > 0 and (spoken == 0 or words[spoken - 1] < acts[acted - 1])


def _strangers(device: str, sent: Iterable[RequestRecord], history: Sequence[HistoryEntry]) -> Iterator[Violation]:
    """S2."""
    for request in sent:
        artifact = request.artifact
        if artifact is None:
            continue
        marks = _marks_before(history, request.ordinal)
        if artifact.platform_id is None or artifact.slot is None:
            yield _violation("S2", device, request, "what was sent is no module")
        elif artifact.platform_id != marks.platform_id:
            detail = f"{artifact.slot} for platform {artifact.platform_id} sent to platform {marks.platform_id}"
            yield _violation("S2", device, request, detail)
        elif artifact.slot not in marks.slots:
            yield _violation("S2", device, request, f"the device has no slot {artifact.slot}")
        elif artifact.slot.function is ModuleFunction.USER_PART and artifact.product_id not in (
            *_NO_PRODUCT,
            marks.platform_id,
            marks.product_id,
        ):
            detail = f"application of product {artifact.product_id} sent to product {marks.product_id}"
            yield _violation("S2", device, request, detail)


def _overlaps(device: str, sent: Iterable[RequestRecord], flights: Sequence[_Flight]) -> Iterator[Violation]:
    """S5."""
    for request in sent:
        for flight in flights:
            if flight.cause != request.ordinal and flight.begin < request.ordinal < flight.end:
                detail = f"{request.kind} (request {request.ordinal}) while request {flight.cause} is in flight"
                yield _violation("S5", device, request, detail)


def _blind(
    device: str, sent: Sequence[RequestRecord], flights: Sequence[_Flight], looks: Sequence[int]
) -> Iterator[Violation]:
    """S7."""
    for earlier, later in pairwise(sent):
        in_flight = any(f.cause == earlier.ordinal and f.begin < later.ordinal < f.end for f in flights)
        looked = bisect_right(looks, earlier.ordinal) < bisect_right(looks, later.ordinal)
        if looked or (earlier.answered and not in_flight):
            continue
        why = "is in flight" if earlier.answered else "was left without an answer"
        detail = f"{later.kind} (request {later.ordinal}) without a look at the device; request {earlier.ordinal} {why}"
        yield _violation("S7", device, later, detail)


def _disregards(device: str, sent: Iterable[RequestRecord], history: Sequence[HistoryEntry]) -> Iterator[Violation]:
    """S9."""
    for request in sent:
        marks = _marks_before(history, request.ordinal)
        if marks.locked_by_person:
            yield _violation("S9", device, request, f"{request.kind} sent to a device that a person has locked")
        if not marks.updates_enabled and not marks.updates_forced:
            yield _violation("S9", device, request, f"{request.kind} sent to a device that has disabled updates")
        if marks.development and request.kind is RequestKind.LOCK:
            yield _violation("S9", device, request, "lock sent to a development device")


def _flights(history: Sequence[HistoryEntry]) -> Iterator[_Flight]:
    """The first transfer that each request brought about; when the cloud repeats a lock's delivery, that is its own."""
    begun: HistoryEntry | None = None
    known: set[int | None] = {None}
    for entry in history:
        if entry.moment is Moment.TRANSFER_STARTED:
            begun = None if entry.cause in known else entry
            known.add(entry.cause)
        elif begun is not None and entry.moment in (Moment.TRANSFER_FAILED, Moment.SESSION):
            if begun.cause is not None:
                yield _Flight(begun.cause, begun.ordinal, entry.ordinal)
            begun = None
    if begun is not None and begun.cause is not None:
        yield _Flight(begun.cause, begun.ordinal, _FOR_EVER)


def _marks_before(history: Sequence[HistoryEntry], ordinal: int) -> Marks:
    """The marks that stood when a request came; a request's own effect has a higher ordinal."""
    index = bisect_right(history, ordinal, key=lambda entry: entry.ordinal) - 1
    return history[max(index, 0)].marks


def _by(entry: HistoryEntry) -> str:
    return f" by request {entry.cause}" if entry.cause is not None else " after a client had raised it"


def _violation(law: str, device: str, where: RequestRecord | HistoryEntry, detail: str) -> Violation:
    return Violation(law=law, device=device, at=where.at, detail=detail)
