"""What happened, for machines (`schemas/history.v1.schema.json`): nothing is put together, and every move is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.console import ConsoleChange
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.revision import RefusedRevision, Revision, TakenIntent
from reconciler.model.rollout import FleetStory, Rollout
from reconciler.model.rollout_entry import RolloutEntry, entry_kind
from reconciler.render.console_json import console_change_document, latch_document
from reconciler.render.history import Chapter, History, when
from reconciler.render.plan_json import action_document, step_document

FORMAT_VERSION: Final = "1.2"

_TIMES: Final = frozenset({"at", "until", "expires", "settled_before"})


def history_document(
    chapters: Sequence[Chapter],
    moves: Mapping[str, Sequence[Mapping[str, Any]]],
    writes: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    history: History,
    stories: Iterable[FleetStory],
    now: Instant,
    tool_version: str,
) -> dict[str, Any]:
    """The chapters in the order of time, and what holds now. `moves` and `writes` are those of attempts, by ids."""
    stories = list(stories)
    told = [(one, chapter) for chapter in chapters for happening in chapter.happenings for one in happening.ones]
    told.sort(key=lambda each: when(each[0]))
    ones = [one for one, _ in told]
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "rollouts": [_rollout(chapter.rollout) for chapter in chapters if chapter.rollout is not None],
        "entries": [
            {
                "kind": entry_kind(one),
                "rollout": None if chapter.rollout is None else chapter.rollout.id,
                **entry_document(one),
            }
            for one, chapter in told
            if not isinstance(one, Attempt | ProductAttempt | ConsoleChange | TakenIntent | RefusedRevision)
        ],
        "attempts": [
            {**_attempt(one), "moves": [*moves.get(one.id, ())], "writes": [*writes.get(one.id, ())]}
            for one in ones
            if isinstance(one, Attempt)
        ],
        "product_attempts": [
            {**_product_attempt(one), "writes": [*writes.get(one.id, ())]}
            for one in ones
            if isinstance(one, ProductAttempt)
        ],
        "console_changes": [console_change_document(one) for one in ones if isinstance(one, ConsoleChange)],
        "intents": [_intent(one) for one in ones if isinstance(one, TakenIntent)],
        "refused_revisions": [_refused(one) for one in ones if isinstance(one, RefusedRevision)],
        **_in_force(stories, now),
        "latches": list(map(latch_document, history.latches)),
        "refusals": [
            {
                "product": each.product_id,
                "at": iso_from_instant(each.at),
                "until": iso_from_instant(each.until),
                "words": each.words,
            }
            for each in history.refusals
        ],
    }


def _in_force(stories: Iterable[FleetStory], now: Instant) -> dict[str, Any]:
    """The words that stand now."""
    stories = list(stories)
    return {
        "halts": [
            {
                "fleet": story.fleet,
                "reason": story.halted.reason,
                "at": iso_from_instant(story.halted.at),
                "by": story.halted.by,
            }
            for story in stories
            if story.halted is not None
        ],
        "suspensions": [
            {
                "fleet": story.fleet,
                "reason": story.suspended.reason,
                "at": iso_from_instant(story.suspended.at),
                "until": _time(story.suspended.until),
                "by": story.suspended.by,
            }
            for story in stories
            if story.suspended is not None and story.is_suspended(now)
        ],
    }


def move_document(state: AttemptState, at: Instant | None, detail: str) -> dict[str, Any]:
    """An attempt entered a state."""
    return {"state": state.value, "at": _time(at), "detail": detail}


def write_document(write: ExternalWrite, before: Facts, after: Facts | None) -> dict[str, Any]:
    """A request that left for an attempt; what was seen before it, and how the attempt ended."""
    return {
        "at": _time(write.at),
        "method": write.method,
        "path": write.path,
        "status": write.status,
        "answer": write.answer,
        "before": dict(before),
        "after": None if after is None else dict(after),
    }


def entry_document(entry: RolloutEntry) -> dict[str, Any]:
    """What an entry says, but for its kind and the id of its rollout."""
    document: dict[str, Any] = {}
    for field in fields(entry):
        value = getattr(entry, field.name)
        match field.name:
            case "rollout_id":
                pass
            case "device_id":
                document["device"] = value
            case "members" | "under_way" | "overdue":
                document[field.name] = None if value is None else sorted(value)
            case name if name in _TIMES:
                document[name] = _time(value)
            case name:
                document[name] = value
    return document


def _intent(intent: TakenIntent) -> dict[str, Any]:
    return {
        **_revision(intent.revision),
        "at": iso_from_instant(intent.at),
        "by": intent.by,
        "digest": intent.digest,
        "fleets": sorted(intent.fleets),
    }


def _refused(refused: RefusedRevision) -> dict[str, Any]:
    return {
        **_revision(refused.revision),
        "at": iso_from_instant(refused.at),
        "code": refused.code,
        "message": refused.message,
        "next_step": refused.next_step,
    }


def _revision(revision: Revision) -> dict[str, Any]:
    return {
        "source": revision.source,
        "revision": revision.text,
        "committed_at": iso_from_instant(revision.committed_at),
        "signer": revision.signer,
    }


def _rollout(rollout: Rollout) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "fleet": rollout.fleet,
        "intent": rollout.intent,
        "plan_id": rollout.plan_id,
        "devices": rollout.devices,
        "state": rollout.state.value,
        "began_at": iso_from_instant(rollout.began_at),
        "waves": [
            {
                "name": wave.name,
                "state": wave.state.value,
                "devices": wave.devices,
                "started_at": iso_from_instant(wave.started_at),
                "soaking_since": _time(wave.soaking_since),
                "ended_at": _time(wave.ended_at),
            }
            for wave in rollout.waves
        ],
    }


def _product_attempt(attempt: ProductAttempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "product": attempt.product,
        "fleet": attempt.fleet,
        "plan_id": attempt.plan_id,
        "action": action_document(attempt.action),
        "state": attempt.state.value,
        "intended_at": iso_from_instant(attempt.intended_at),
        "sent_at": _time(attempt.sent_at),
        "ended_at": _time(attempt.ended_at),
        "failure": None if attempt.failure is None else attempt.failure.value,
        "detail": attempt.detail,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "device": attempt.device_id,
        "fleet": attempt.fleet,
        "plan_id": attempt.plan_id,
        "step": step_document(attempt.step),
        "state": attempt.state.value,
        "intended_at": iso_from_instant(attempt.intended_at),
        "sent_at": _time(attempt.sent_at),
        "ended_at": _time(attempt.ended_at),
        "evidence": None if attempt.evidence is None else attempt.evidence.value,
        "failure": None if attempt.failure is None else attempt.failure.value,
        "detail": attempt.detail,
        "well_before": attempt.well_before,
    }


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else iso_from_instant(instant)
