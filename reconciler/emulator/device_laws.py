"""The laws that one device's own history shows: S1 to S5, S7 to S9, S11 and S19. `referee.py` says what each means."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from reconciler.emulator.evidence import Case, Violation, refused, starts_something, violation
from reconciler.emulator.house_rules import HouseRules
from reconciler.emulator.records import HistoryEntry, Moment, Origin, Stations, Versions
from reconciler.model.module import ModuleFunction, ModuleSlot

NO_PRODUCT: Final = (None, 0, 0xFFFF)
"""What an application carries that is of no product."""


def judge_device(case: Case, rules: HouseRules, stations: Stations) -> Iterator[Violation]:
    """What a client did wrong on one device, as far as the device alone shows it."""
    yield from _falls(case)
    yield from _strangers(case)
    if not rules.safe_mode_allowed:
        yield from _unmet(case)
    yield from _jumps(case, stations)
    yield from _overlaps(case)
    yield from _blind(case)
    yield from _other_bytes(case)
    yield from _disregards(case, rules)
    yield from _stale(case, rules)
    yield from _unknown(case)


def _falls(case: Case) -> Iterator[Violation]:
    """S1. What the cloud takes back of its own accord counts when a client had brought it up or about."""
    raised: set[ModuleSlot] = set()
    raised_application = False
    for entry in case.history:
        if entry.moment is not Moment.INSTALLED:
            continue
        by_client = case.clients.did(entry.cause)
        for slot, before in entry.before.items():
            after = entry.after.get(slot, 0)
            if slot.function is not ModuleFunction.USER_PART and after < before and (by_client or slot in raised):
                why = f"by request {entry.cause}" if by_client else "after a client had raised it"
                yield violation("S1", case.device, entry, f"{slot} fell from {before} to {after} {why}")
        old, new = entry.application_before, entry.application_after
        if old is not None and new is not None and new < old:
            reason = _reason_for_fall(case, entry, raised=raised_application)
            if reason is not None:
                yield violation("S1", case.device, entry, f"the application fell from {old} to {new} {reason}")
        if by_client:
            raised |= {slot for slot, after in entry.after.items() if after != entry.before.get(slot)}
            raised_application = raised_application or old != new


def _reason_for_fall(case: Case, entry: HistoryEntry, *, raised: bool) -> str | None:
    """What a client did that made the application fall; None: it was none of its doing, or a person's since."""
    if entry.cause is not None:
        return f"by request {entry.cause}" if case.clients.did(entry.cause) else None
    acts = [moment.ordinal for moment in case.history if moment.by_person]
    sent, reaching = ([request.ordinal for request in requests] for requests in (case.sends, case.reaching))
    act, send, reach = (
        max((o for o in ordinals if o < entry.ordinal), default=0) for ordinals in (acts, sent, reaching)
    )
    if entry.by_person or act > max(send, reach):
        return None
    if reach:
        return f"after request {reach} made the cloud intend that" if case.clients.did(reach) else None
    return "after a client had raised it" if raised else None


def _strangers(case: Case) -> Iterator[Violation]:
    """S2."""
    for request in case.sends:
        artifact = request.artifact
        if artifact is None or artifact.slot is None:
            continue
        marks = case.marks_at(request.ordinal)
        if artifact.platform_id != marks.platform_id:
            detail = f"{artifact.slot} for platform {artifact.platform_id} sent to platform {marks.platform_id}"
        elif artifact.slot not in marks.slots:
            detail = f"the device has no slot {artifact.slot}"
        elif artifact.slot.function is ModuleFunction.USER_PART and artifact.product_id not in (
            *NO_PRODUCT,
            marks.platform_id,
            marks.product_id,
        ):
            detail = f"application of product {artifact.product_id} sent to product {marks.product_id}"
        else:
            continue
        yield violation("S2", case.device, request, detail)


def _unmet(case: Case) -> Iterator[Violation]:
    """S3."""
    made = [entry for entry in case.history if entry.moment in (Moment.BORN, Moment.INSTALLED)]
    for before, after in pairwise(made):
        if case.clients.did(after.cause) and after.unmet and not before.unmet:
            detail = f"after request {after.cause} it restarts into safe mode: {', '.join(after.unmet)}"
            yield violation("S3", case.device, after, detail)


def _jumps(case: Case, stations: Stations) -> Iterator[Violation]:
    """S4."""
    for entry in case.history:
        if entry.moment is not Moment.INSTALLED or not case.clients.did(entry.cause):
            continue
        before, after = _system_parts(entry.before), _system_parts(entry.after)
        risen = [version for slot, version in after.items() if version > before.get(slot, 0)]
        if not risen or not before:
            continue
        lowest, highest, number = min(before.values()), max(before.values()), max(risen)
        if number > highest:
            for station, name in stations.of_platform.get(entry.marks.platform_id, ()):
                if lowest < station < number:
                    detail = f"request {entry.cause} passes Device OS {name}: system part {lowest} to {number}"
                    yield violation("S4", case.device, entry, detail)
        if lowest < highest != number:
            detail = f"request {entry.cause} brings system part {number} while {lowest} and {highest} are mixed"
            yield violation("S4", case.device, entry, detail)


def _overlaps(case: Case) -> Iterator[Violation]:
    """S5."""
    for request in case.sends:
        flight = case.flight_at(request.ordinal)
        if flight is not None:
            detail = f"{request.kind} (request {request.ordinal}) while request {flight.cause} is in flight"
            yield violation("S5", case.device, request, detail)


def _blind(case: Case) -> Iterator[Violation]:
    """S7, and the half of S11 that is about our own last send."""
    for earlier, later in pairwise(case.sends):
        if case.looked_between(earlier.ordinal, later.ordinal):
            continue
        flight = case.flight_at(later.ordinal)
        words = f"{later.kind} (request {later.ordinal}) without a look at the device"
        if not earlier.answered:
            yield violation("S7", case.device, later, f"{words}; request {earlier.ordinal} was left without an answer")
        elif flight is not None and flight.cause == earlier.ordinal:
            yield violation("S7", case.device, later, f"{words}; request {earlier.ordinal} is in flight")
        elif not refused(earlier) and starts_something(later):
            yield violation("S11", case.device, later, f"{words} since request {earlier.ordinal}")


def _other_bytes(case: Case) -> Iterator[Violation]:
    """S8, and the half of S19 that is about what is sent."""
    for request in case.sends:
        artifact = request.artifact
        if artifact is None:
            continue
        if artifact.slot is None:
            yield violation("S8", case.device, request, "what was sent is no module")
        elif artifact.origin is Origin.OTHER_BYTES:
            name = f"{artifact.slot} {artifact.version}"
            if artifact.slot.function is ModuleFunction.USER_PART:
                name = f"application {artifact.product_version}"
            yield violation("S8", case.device, request, f"the bytes are not those that the cloud holds of {name}")
        elif artifact.origin is Origin.NO_RELEASE:
            detail = f"no known release ships {artifact.slot} {artifact.version}"
            yield violation("S19", case.device, request, detail)


def _disregards(case: Case, rules: HouseRules) -> Iterator[Violation]:
    """S9. A mark counts when it stood at the send and already at the last look, if there was one."""
    alone = case.device in rules.leave_alone
    for request in case.sends:
        if alone:
            yield violation("S9", case.device, request, f"{request.kind} sent to a device that is to be left alone")
        look = case.last_look(request.ordinal)
        seen = request.ordinal if look is None else look[0]
        marks = [case.marks_at(ordinal) for ordinal in (seen, request.ordinal)]
        seen_lock, lock = case.person_lock_at(seen), case.person_lock_at(request.ordinal)
        if seen_lock is not None and lock is not None and not _may_be_overridden(case, rules, *lock):
            yield violation("S9", case.device, request, f"{request.kind} sent to a device that a person has locked")
        if not any(mark.updates_enabled or mark.updates_forced for mark in marks):
            yield violation("S9", case.device, request, f"{request.kind} sent to a device that has disabled updates")
        if all(mark.development for mark in marks) and request.lock_version is not None:
            yield violation("S9", case.device, request, "lock sent to a development device")
    own = {request.ordinal for request in case.sends}
    for request in case.reaching if alone else ():
        if case.clients.did(request.ordinal) and request.ordinal not in own:
            yield violation("S9", case.device, request, f"{request.kind} reaches a device that is to be left alone")


def _may_be_overridden(case: Case, rules: HouseRules, since: int, version: int) -> bool:
    """Whether a person's lock names what the client brings as well, or lowered a lock of the client's."""
    ours = [(send.ordinal, send.lock_version) for send in case.sends if send.lock_version is not None]
    agrees = version in rules.desired_applications or any(version == wanted for _, wanted in ours)
    return agrees or any(ordinal < since and wanted > version for ordinal, wanted in ours)


def _stale(case: Case, rules: HouseRules) -> Iterator[Violation]:
    """The half of S11 that is about age."""
    if rules.staleness_seconds is None:
        return
    for request in filter(starts_something, case.sends):
        look = case.last_look(request.ordinal)
        if look is None:
            yield violation("S11", case.device, request, f"{request.kind} to a device that was never looked at")
        elif request.at - look[1] > rules.staleness_seconds:
            age = f"{request.at - look[1]:.0f} s"
            yield violation("S11", case.device, request, f"{request.kind} {age} after the last look at the device")


def _unknown(case: Case) -> Iterator[Violation]:
    """S19."""
    for request in filter(starts_something, case.sends):
        marks = case.marks_at(request.ordinal)
        if not marks.reported:
            yield violation("S19", case.device, request, f"{request.kind} to a device that has never reported")
        elif marks.device_os is None:
            yield violation("S19", case.device, request, f"{request.kind} to a device of an unknown release")


def _system_parts(versions: Versions) -> dict[ModuleSlot, int]:
    return {slot: v for slot, v in versions.items() if slot.function is ModuleFunction.SYSTEM_PART}
