"""What others changed in the console, in words."""

from __future__ import annotations

from typing import assert_never

from reconciler.model.console import ChangeKind, ConsoleChange
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.render.ink import harmless


def console_change_in_words(change: ConsoleChange) -> str:
    """`lock 44 -> 43, which undid what we had done, between … and …`."""
    return f"{change_with_undoing(change)}, {between(change.not_before, change.seen_at)}"


def change_with_undoing(change: ConsoleChange) -> str:
    """`lock 44 -> 43, which undid what we had done`."""
    undoing = ", which undid what we had done" if change.undid is not None else ""
    return harmless(f"{_what_changed(change)}{undoing}")


def _what_changed(change: ConsoleChange) -> str:
    """`lock 44 -> 43`."""
    before, after = change.before or "none", change.after or "none"
    match change.kind:
        case ChangeKind.LOCK:
            return f"lock {before} -> {after}"
        case ChangeKind.RELEASE:
            return f"released application {before} -> {after}"
        case ChangeKind.FLEET:
            return f"fleet {before} -> {after}, by its groups"
        case ChangeKind.DEVELOPMENT:
            return "marked as development" if change.after == "true" else "no longer marked as development"
        case ChangeKind.UPDATES_FORCED:
            return "updates forced" if change.after == "true" else "updates no longer forced"
        case ChangeKind.APPLICATION:
            return f"application {before} -> {after}, not by us"
        case ChangeKind.DEVICE_OS:
            return f"Device OS {before} -> {after}, not by us"
        case _:
            assert_never(change.kind)


def between(earlier: Instant, later: Instant) -> str:
    """`between … and …`: the two looks."""
    return f"between {iso_from_instant(earlier)} and {iso_from_instant(later)}"
