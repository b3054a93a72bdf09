"""The status as a JSON document (`schemas/status.v1.schema.json`)."""

from __future__ import annotations

from typing import Any, Final

from reconciler.model.instant import Instant, iso_from_instant
from reconciler.render.desired_json import desired_document
from reconciler.render.plan_json import set_aside_document, step_document, summary_document
from reconciler.render.rollout_status import progress_document
from reconciler.render.status import FailedDevice, FleetStatus, LastRun, Status, UnderWay

FORMAT_VERSION: Final = "1.2"


def status_document(status: Status, *, tool_version: str) -> dict[str, Any]:
    """The status in the published format; fleets by name."""
    token, budget, run = status.token, status.budget, status.run
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "at": iso_from_instant(status.at),
        "observed_at": _time(status.observed_at),
        "complete": status.complete,
        "blind_because": status.blind_because,
        "fleets": [_fleet(fleet) for fleet in sorted(status.fleets, key=lambda each: each.name)],
        "run": {
            "journal_found": run.journal_found,
            "under_way": run.under_way,
            "broken_off": run.broken_off,
            "last": None if run.last is None else _last(run.last),
        },
        "budget": {
            "requests_max": budget.requests_max,
            "window_seconds": budget.window_seconds,
            "requests_of_this_command": budget.requests_of_this_command,
            "steps_begun": budget.steps_begun,
        },
        "token": {
            "state": token.state.value,
            "scopes": None if token.scopes is None else list(token.scopes),
            "expires_at": token.expires_at,
            "detail": token.detail,
        },
    }


def _fleet(fleet: FleetStatus) -> dict[str, Any]:
    plan, halted = fleet.plan, fleet.halted
    return {
        "name": fleet.name,
        "desired": None if fleet.desired is None else desired_document(fleet.desired),
        "summary": None if plan is None else summary_document(plan.summary),
        "refused": [] if plan is None else [set_aside_document(entry) for entry in plan.refused],
        "waiting": [] if plan is None else [set_aside_document(entry) for entry in plan.waiting],
        "halted": None
        if halted is None
        else {"reason": halted.reason, "at": iso_from_instant(halted.at), "by": halted.by},
        "held": fleet.held,
        "held_until": _time(fleet.held_until),
        "under_way": [_under_way(each) for each in fleet.under_way],
        "failed": [_failed(each) for each in fleet.failed],
        **progress_document(fleet.progress),
    }


def _under_way(each: UnderWay) -> dict[str, Any]:
    attempt = each.attempt
    return {
        "device": attempt.device_id,
        "step": step_document(attempt.step),
        "state": attempt.state.value,
        "since": iso_from_instant(attempt.began_at),
        "overdue": each.overdue,
        "detail": attempt.detail,
    }


def _failed(each: FailedDevice) -> dict[str, Any]:
    attempt = each.attempt
    return {
        "device": attempt.device_id,
        "step": step_document(attempt.step),
        "failure": None if attempt.failure is None else attempt.failure.value,
        "at": _time(attempt.ended_at),
        "detail": attempt.detail,
        "tries": each.tries,
        "given_up": each.given_up,
    }


def _last(last: LastRun) -> dict[str, Any]:
    return {
        "plan_id": last.plan_id,
        "began_at": iso_from_instant(last.began_at),
        "moved_at": iso_from_instant(last.moved_at),
        "verified": last.verified,
        "failed": last.failed,
        "under_way": last.under_way,
        "withdrawn": last.withdrawn,
    }


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else iso_from_instant(instant)
