"""Events as JSON: one flat document each, with its kind and its time, for logs, streams and `--output json`."""

from __future__ import annotations

from typing import Any, assert_never

from reconciler.model.event import (
    AttemptMoved,
    ConsoleChanged,
    ControllerEvent,
    DeviceArrived,
    DeviceLatched,
    DeviceSetAside,
    Event,
    Finding,
    FleetEvent,
    IntentRefused,
    IntentRestored,
    IntentTaken,
    PassEnded,
    PlanMade,
    PlanOffered,
    ProductAttemptMoved,
    Recovered,
    RolloutMoved,
    Troubled,
)
from reconciler.model.instant import iso_from_instant
from reconciler.model.revision import TakenIntent
from reconciler.model.rollout_entry import entry_kind
from reconciler.render.console_json import console_change_document, latch_document
from reconciler.render.history_json import entry_document
from reconciler.render.plan_text import action_in_words
from reconciler.render.step_words import step_in_words


def event_document(event: Event) -> dict[str, Any]:
    """An event as JSON: its kind, its time, and what it says."""
    said = _of_controller(event) if isinstance(event, ControllerEvent) else _of_fleet(event)
    return {"at": iso_from_instant(event.at), **said}


def _of_fleet(event: FleetEvent) -> dict[str, Any]:
    match event:
        case PlanMade(plan=plan):
            return {"event": "plan_made", "devices": plan.summary.devices, "upgrade": plan.summary.upgrade}
        case AttemptMoved(attempt=attempt):
            return {
                "event": "attempt_moved",
                "attempt": attempt.id,
                "device": attempt.device_id,
                "fleet": attempt.fleet,
                "step": step_in_words(attempt.step),
                "state": attempt.state.value,
                "evidence": attempt.evidence.value if attempt.evidence else None,
                "failure": attempt.failure.value if attempt.failure else None,
                "detail": attempt.detail,
            }
        case ProductAttemptMoved(attempt=on_product):
            return {
                "event": "product_attempt_moved",
                "attempt": on_product.id,
                "product": on_product.product,
                "fleet": on_product.fleet,
                "action": action_in_words(on_product.action),
                "state": on_product.state.value,
                "failure": on_product.failure.value if on_product.failure else None,
                "detail": on_product.detail,
            }
        case DeviceArrived(fleet=fleet, device_id=device_id):
            return {"event": "device_arrived", "device": device_id, "fleet": fleet}
        case DeviceSetAside(fleet=fleet, device_id=device_id, reason=reason, message=message):
            about = {"device": device_id, "fleet": fleet, "reason": reason, "message": message}
            return {"event": "device_set_aside", **about}
        case RolloutMoved(entry=entry):
            return {"event": entry_kind(entry), **entry_document(entry)}
        case ConsoleChanged(change=change):
            return {"event": "console_changed", **console_change_document(change)}
        case DeviceLatched(latch=latch):
            return {"event": "device_latched", **latch_document(latch)}
        case Finding(code=code, message=message, device_id=finding_of):
            return {"event": "finding", "code": code, "message": message, "device": finding_of}
        case _:
            assert_never(event)


def _of_controller(event: ControllerEvent) -> dict[str, Any]:
    match event:
        case PlanOffered(fleet=fleet, plan_id=plan_id, digest=digest, devices=devices):
            return {"event": "plan_offered", "fleet": fleet, "plan_id": plan_id, "digest": digest, "devices": devices}
        case IntentTaken(intent=intent):
            return {"event": "intent_taken", **intent_document(intent)}
        case IntentRestored(intent=intent):
            return {"event": "intent_restored", **intent_document(intent)}
        case IntentRefused(revision=revision, code=code, message=message, next_step=next_step):
            about = {"code": code, "message": message, "next_step": next_step}
            return {"event": "intent_refused", "revision": revision and revision.text, **about}
        case Troubled(what=what, code=code, message=message):
            return {"event": "troubled", "what": what, "code": code, "message": message}
        case Recovered(what=what):
            return {"event": "recovered", "what": what}
        case PassEnded(product=product, seconds=seconds, devices=devices, started_steps=started_steps, code=code):
            counts = {"devices": devices, "started_steps": started_steps}
            return {"event": "pass_ended", "product": product, "seconds": round(seconds, 3), **counts, "code": code}
        case _:
            assert_never(event)


def intent_document(intent: TakenIntent) -> dict[str, Any]:
    """A taken intent: which commit of which source, who signed it, and whose word it needed."""
    revision = intent.revision
    return {
        "source": revision.source,
        "revision": revision.text,
        "committed_at": iso_from_instant(revision.committed_at),
        "signer": revision.signer,
        "digest": intent.digest,
        "fleets": list(intent.fleets),
        "taken_at": iso_from_instant(intent.at),
        "by": intent.by,
    }
