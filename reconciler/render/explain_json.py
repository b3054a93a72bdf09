"""One device explained, for machines (`schemas/explain.v1.schema.json`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from reconciler.model.console import ConsoleChange
from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import Fleet
from reconciler.model.instant import iso_from_instant
from reconciler.model.plan import Refused, Route, Waiting
from reconciler.render.console_json import console_change_document
from reconciler.render.device_progress import DeviceProgress, device_progress_document
from reconciler.render.plan_json import step_document

FORMAT_VERSION: Final = "1.0"


def explain_document(
    device: ObservedDevice,
    fleet: Fleet | None,
    placed: Route | Refused | Waiting | None,
    changes: Sequence[ConsoleChange],
    progress: DeviceProgress | None,
    *,
    tool_version: str,
) -> dict[str, Any]:
    """As `explain_text`. `placed` None: as desired, or of no fleet."""
    reason = placed if isinstance(placed, Refused | Waiting) else None
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "device": device.id,
        "name": device.name,
        "observed_at": iso_from_instant(device.observed_at),
        "fleet": None if fleet is None else fleet.name,
        "place": "no_fleet" if fleet is None else "current" if placed is None else type(placed).__name__.lower(),
        "code": None if reason is None else reason.reason.code,
        "message": "" if reason is None else reason.message,
        "steps": [step_document(step) for step in placed.steps] if isinstance(placed, Route) else [],
        "console_changes": list(map(console_change_document, changes)),
        "rollout": None if progress is None else device_progress_document(progress),
    }
