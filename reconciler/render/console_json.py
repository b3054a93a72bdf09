"""What others changed in the console, for machines: one form in `drift`, `history` and the events of `apply`."""

from __future__ import annotations

from typing import Any

from reconciler.model.console import ConsoleChange, Latch
from reconciler.model.instant import iso_from_instant


def console_change_document(change: ConsoleChange) -> dict[str, Any]:
    """One change, with its time as the two looks between which it was made."""
    return {
        "device": change.device_id,
        "fleet": change.fleet,
        "kind": change.kind.value,
        "before": change.before,
        "after": change.after,
        "not_before": iso_from_instant(change.not_before),
        "seen_at": iso_from_instant(change.seen_at),
        "concerns_git": change.concerns_git,
        "undid": change.undid,
    }


def latch_document(latch: Latch) -> dict[str, Any]:
    """One device that is held because somebody kept undoing what we did."""
    return {
        "device": latch.device_id,
        "fleet": latch.fleet,
        "why": latch.why,
        "latched_at": iso_from_instant(latch.at),
        "lifted": latch.lifted,
    }
