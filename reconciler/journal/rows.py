"""Values to rows of a journal's tables and back. A row that cannot be read raises JournalError PFR5011."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Row

from reconciler.journal.encoding import (
    decode_action,
    decode_facts,
    decode_modules,
    decode_step,
    encode_action,
    encode_facts,
    encode_modules,
    encode_step,
    step_kind,
    unreadable,
)
from reconciler.journal.entries import decode_entry, encode_entry
from reconciler.journal.journal import KeptPlan, KeptWrite, Move, Noted
from reconciler.journal.lessons import Doubt, Lesson
from reconciler.journal.rules import storable_entry, storable_intent, storable_words, storable_write
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.console import ChangeKind, ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId, ModuleReport
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.revision import Revision, TakenIntent
from reconciler.model.rollout_entry import RolloutEntry, entry_kind
from reconciler.model.step import FlashModule

_Value = TypeVar("_Value")


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """The row of an attempt that begins."""
    return {
        "id": attempt.id,
        "device_id": attempt.device_id,
        "fleet": attempt.fleet,
        "plan_id": attempt.plan_id,
        "kind": step_kind(attempt.step),
        "step": encode_step(attempt.step),
        "intended_at": attempt.intended_at,
        "handshake_before": attempt.handshake_before,
        "well_before": attempt.well_before,
        "bytes": attempt.step.size,
        **changing_values(attempt),
    }


def changing_values(attempt: Attempt) -> dict[str, Any]:
    """What of an attempt's row changes in its life."""
    return {
        "state": attempt.state.value,
        "sent_at": attempt.sent_at,
        "ended_at": attempt.ended_at,
        "evidence": None if attempt.evidence is None else attempt.evidence.value,
        "failure": None if attempt.failure is None else attempt.failure.value,
        "detail": attempt.detail,
    }


def attempt_from(row: Row[Any]) -> Attempt:
    """The attempt of a row of `attempts`."""
    return _read(
        row,
        lambda: Attempt(
            id=row.id,
            device_id=DeviceId(row.device_id),
            fleet=row.fleet,
            plan_id=row.plan_id,
            step=decode_step(row.step),
            state=AttemptState(row.state),
            intended_at=Instant(row.intended_at),
            handshake_before=_optional_instant(row.handshake_before),
            sent_at=_optional_instant(row.sent_at),
            ended_at=_optional_instant(row.ended_at),
            evidence=None if row.evidence is None else Evidence(row.evidence),
            failure=None if row.failure is None else FailureClass(row.failure),
            detail=row.detail,
            well_before=row.well_before,
            number=row.number,
        ),
    )


def lesson_from(*, number: int, device_id: str, evidence: str | None, step: str) -> Lesson:
    """The lesson of a verified `FlashModule` attempt, from its columns."""
    decoded = decode_step(step)
    if not isinstance(decoded, FlashModule):
        raise unreadable("a step", step, "it stands in a row of another kind")
    return Lesson(
        number=number,
        device_id=DeviceId(device_id),
        evidence=None if evidence is None else Evidence(evidence),
        module=decoded.module,
    )


def doubt_from(*, number: int, device_id: str, step: str) -> Doubt:
    """The doubt that a failed attempt raises, from its columns."""
    decoded = decode_step(step)
    module = decoded.module if isinstance(decoded, FlashModule) else None
    return Doubt(number=number, device_id=DeviceId(device_id), module=module)


def move_row(attempt: Attempt, at: Instant | None) -> dict[str, Any]:
    """The row that says that the attempt has entered its state."""
    return {
        "attempt_id": attempt.id,
        "device_id": attempt.device_id,
        "state": attempt.state.value,
        "at": at,
        "detail": attempt.detail,
    }


def move_from(row: Row[Any]) -> Move:
    """The move of a row of `moves`."""
    return _read(
        row,
        lambda: Move(
            number=row.number,
            attempt_id=row.attempt_id,
            device_id=DeviceId(row.device_id),
            state=AttemptState(row.state),
            at=_optional_instant(row.at),
            detail=row.detail,
        ),
    )


def write_row(attempt: Attempt | ProductAttempt, write: ExternalWrite, before: Facts | None) -> dict[str, Any]:
    """The row of a request that left for an attempt."""
    write = storable_write(attempt, write)
    return {
        "attempt_id": attempt.id,
        "at": write.at,
        "method": write.method,
        "path": write.path,
        "status": write.status,
        "answer": write.answer,
        "seen_before": encode_facts(before or {}),
    }


def kept_write_from(row: Row[Any]) -> KeptWrite:
    """The request of a row of `writes`."""
    write = ExternalWrite(at=Instant(row.at), method=row.method, path=row.path, status=row.status, answer=row.answer)
    return KeptWrite(
        number=row.number,
        attempt_id=row.attempt_id,
        write=write,
        before=decode_facts(row.seen_before),
        after=None if row.seen_after is None else decode_facts(row.seen_after),
    )


def report_row(report: ModuleReport) -> dict[str, Any]:
    """The row of a device's report."""
    return {
        "device_id": report.device_id,
        "modules": encode_modules(report.modules),
        "reported_at": report.reported_at,
    }


def report_from(row: Row[Any]) -> ModuleReport:
    """The report of a row of `reports`."""
    return ModuleReport(
        device_id=DeviceId(row.device_id),
        modules=decode_modules(row.modules),
        reported_at=Instant(row.reported_at),
    )


def plan_from(row: Row[Any]) -> KeptPlan:
    """The plan of a row of `plans`."""
    return KeptPlan(plan_id=row.plan_id, digest=row.digest, text=row.text)


def entry_row(entry: RolloutEntry) -> dict[str, Any]:
    """The row of an entry of the life of a rollout."""
    entry = storable_entry(entry)
    return {"fleet": entry.fleet, "kind": entry_kind(entry), "at": entry.at, "entry": encode_entry(entry)}


def noted_from(row: Row[Any]) -> Noted:
    """The entry of a row of `rollout_entries`."""
    return Noted(number=row.number, entry=decode_entry(row.kind, row.entry, fleet=row.fleet, at=Instant(row.at)))


def console_state_row(state: ConsoleState) -> dict[str, Any]:
    """The row of what was last seen of a device."""
    # asdict() copies deeply, which 100,000 rows would feel.
    row = {name: getattr(state, name) for name in ConsoleState.__slots__}
    return {**row, "groups": json.dumps(state.groups)}


def console_state_from(row: Row[Any]) -> ConsoleState:
    """The state of a row of `console_states`."""
    return _read(
        row,
        lambda: ConsoleState(
            device_id=DeviceId(row.device_id),
            seen_at=Instant(row.seen_at),
            fleet=row.fleet,
            selection=row.selection,
            groups=_words(row.groups),
            lock=row.lock,
            release=row.release,
            development=row.development,
            updates_forced=row.updates_forced,
            application=row.application,
            device_os=row.device_os,
            arrived=row.arrived,
        ),
    )


@lru_cache(maxsize=1024)
def _words(text: str) -> tuple[str, ...]:
    words = json.loads(text)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(text)
    return tuple(words)


def console_change_row(change: ConsoleChange) -> dict[str, Any]:
    """The row of something that somebody else changed."""
    return {**asdict(change), "kind": change.kind.value}


def console_change_from(row: Row[Any]) -> ConsoleChange:
    """The change of a row of `console_changes`."""
    return _read(
        row,
        lambda: ConsoleChange(
            device_id=DeviceId(row.device_id),
            fleet=row.fleet,
            intent=row.intent,
            kind=ChangeKind(row.kind),
            before=row.before,
            after=row.after,
            not_before=Instant(row.not_before),
            seen_at=Instant(row.seen_at),
            concerns_git=row.concerns_git,
            undid=row.undid,
        ),
    )


def latch_from(row: Row[Any]) -> Latch:
    """The latch of a row of `latches`."""
    return Latch(
        device_id=DeviceId(row.device_id),
        fleet=row.fleet,
        intent=row.intent,
        why=row.why,
        at=Instant(row.at),
        lifted=row.lifted,
    )


def product_attempt_row(attempt: ProductAttempt) -> dict[str, Any]:
    """The row of an attempt on a product that begins."""
    return {
        "id": attempt.id,
        "product": attempt.product,
        "fleet": attempt.fleet,
        "plan_id": attempt.plan_id,
        "action": encode_action(attempt.action),
        "intended_at": attempt.intended_at,
        **changing_values_of_product(attempt),
    }


def changing_values_of_product(attempt: ProductAttempt) -> dict[str, Any]:
    """What of its row changes in its life."""
    return {
        "state": attempt.state.value,
        "sent_at": attempt.sent_at,
        "ended_at": attempt.ended_at,
        "failure": None if attempt.failure is None else attempt.failure.value,
        "detail": attempt.detail,
    }


def product_attempt_from(row: Row[Any]) -> ProductAttempt:
    """The attempt of a row of `product_attempts`."""
    return _read(
        row,
        lambda: ProductAttempt(
            id=row.id,
            product=row.product,
            fleet=row.fleet,
            plan_id=row.plan_id,
            action=decode_action(row.action),
            state=AttemptState(row.state),
            intended_at=Instant(row.intended_at),
            sent_at=_optional_instant(row.sent_at),
            ended_at=_optional_instant(row.ended_at),
            failure=None if row.failure is None else FailureClass(row.failure),
            detail=row.detail,
        ),
    )


def refusal_row(refusal: SystemFlashRefusal) -> dict[str, Any]:
    """The row of what was learnt of a product."""
    return {"product_id": refusal.product_id, "at": refusal.at, "words": storable_words(refusal.words)}


def refusal_from(row: Row[Any]) -> SystemFlashRefusal:
    """What was learnt of a product, from a row of `refusals`."""
    return SystemFlashRefusal(product_id=row.product_id, at=Instant(row.at), words=row.words)


def intent_row(intent: TakenIntent) -> dict[str, Any]:
    """The row of a taken intent."""
    intent = storable_intent(intent)
    revision = intent.revision
    return {
        "source": revision.source,
        "reference": revision.name,
        "revision": revision.commit,
        "committed_at": revision.committed_at,
        "signer": revision.signer,
        "digest": intent.digest,
        "fleets": json.dumps(intent.fleets),
        "taken_at": intent.at,
        "taken_by": intent.by,
    }


def intent_from(row: Row[Any]) -> TakenIntent:
    """The taken intent of a row of `intents`."""
    return _read(
        row,
        lambda: TakenIntent(
            revision=Revision(
                source=row.source,
                name=row.reference,
                commit=row.revision,
                committed_at=Instant(row.committed_at),
                signer=row.signer,
            ),
            digest=row.digest,
            fleets=_words(row.fleets),
            at=Instant(row.taken_at),
            by=row.taken_by,
        ),
    )


def _optional_instant(value: float | None) -> Instant | None:
    return None if value is None else Instant(value)


def _read(row: Row[Any], build: Callable[[], _Value]) -> _Value:
    try:
        return build()
    except ValueError as error:  # a word that is no member of its enum
        raise unreadable("an entry", str(tuple(row)), error) from error
