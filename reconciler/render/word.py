"""What came of a person's word (`halt`, `approve` and the like), as values, for people and for machines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.render.ink import Page

FORMAT_VERSION: Final = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the word came to for one fleet, device or product (its number). Not `done`: nothing was written down."""

    done: bool
    message: str
    next_step: str = ""
    fleet: str | None = None
    device_id: DeviceId | None = None
    product_id: int | None = None


def told_text(told: Told, *, width: int) -> str:
    """The message, and what to do next below it."""
    page = Page(width=width)
    lines = page.wrapped(told.message, hanging=2)
    return "\n".join(lines + (page.wrapped(f"next: {told.next_step}", indent=2, hanging=2) if told.next_step else []))


def word_document(verb: str, told: Sequence[Told], *, at: Instant, by: str, tool_version: str) -> dict[str, Any]:
    """The same for machines (`schemas/word.v1.schema.json`)."""
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "verb": verb,
        "at": iso_from_instant(at),
        "by": by,
        "results": [
            {
                "fleet": each.fleet,
                "device": each.device_id,
                "product": each.product_id,
                "done": each.done,
                "message": each.message,
                "next_step": each.next_step,
            }
            for each in told
        ],
    }
