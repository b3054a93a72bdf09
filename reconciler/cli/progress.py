"""How `apply` shows what happens: bars on a terminal, lines elsewhere, JSON lines for machines.

A display that cannot write any more is silent for the rest of the run; the run goes on.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Protocol, Self, assert_never

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from reconciler.cli.saying import say
from reconciler.journal.entries import encode_entry, entry_kind
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.event import (
    AttemptMoved,
    ConsoleChanged,
    DeviceArrived,
    DeviceLatched,
    DeviceSetAside,
    Event,
    Finding,
    PlanMade,
    ProductAttemptMoved,
    RolloutMoved,
)
from reconciler.model.instant import iso_from_instant
from reconciler.render.console_json import console_change_document, latch_document
from reconciler.render.console_text import console_change_in_words
from reconciler.render.plan_text import action_in_words
from reconciler.render.rollout_words import entry_in_words
from reconciler.render.step_words import step_in_words

FORMAT_VERSION: Final = "1.0"


class Display(Protocol):
    """Hears every event, on any thread. A context manager for the time in which it shows."""

    def tell(self, event: Event) -> None:
        """Show an event."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class _Plain:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class Silent(_Plain):
    """Shows nothing."""

    def tell(self, event: Event) -> None:
        """Nothing."""


class JsonLines(_Plain):
    """One JSON object a line on standard output."""

    def tell(self, event: Event) -> None:
        """Print the event."""
        say(json.dumps({"format_version": FORMAT_VERSION, **event_document(event)}, sort_keys=True))


class Lines(_Plain):
    """One line for every event that a person should know of, on standard error; with `verbose` for every step."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose

    def tell(self, event: Event) -> None:
        """Print the event, if it is one to know of."""
        line = _line(event, verbose=self._verbose)
        if line:
            say(line, err=True)


class Bars:
    """A bar for every fleet, on a terminal."""

    def __init__(self, planned: Mapping[str, int], *, colour: bool) -> None:
        console = Console(stderr=True, no_color=not colour)
        self._progress = Progress(
            TextColumn("{task.description:24.24}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[doing]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks = {name: self._progress.add_task(name, total=count, doing="") for name, count in planned.items()}
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def tell(self, event: Event) -> None:
        """Move the bars; what a person should know of stands above them."""
        with self._lock, suppress(OSError):
            match event:
                case DeviceArrived(fleet=fleet) if fleet in self._tasks:
                    self._progress.advance(self._tasks[fleet])
                case AttemptMoved(attempt=attempt):
                    self._count(attempt)
                case _:
                    line = _line(event, verbose=False)
                    if line:
                        self._progress.console.print(line, markup=False, highlight=False)

    def _count(self, attempt: Attempt) -> None:
        if attempt.state is AttemptState.INTENDED:
            self._open[attempt.fleet] += 1
        elif not attempt.is_open:
            self._open[attempt.fleet] -= 1
        if attempt.state is AttemptState.FAILED:
            self._failed[attempt.fleet] += 1
        if attempt.fleet in self._tasks:
            failed = f", {self._failed[attempt.fleet]} steps failed" if self._failed[attempt.fleet] else ""
            doing = f"{max(0, self._open[attempt.fleet])} under way{failed}"
            self._progress.update(self._tasks[attempt.fleet], doing=doing)

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._progress.stop()


def event_document(event: Event) -> dict[str, Any]:
    """An event as JSON: its kind, its time, and what it says."""
    document: dict[str, Any] = {"at": iso_from_instant(event.at)}
    match event:
        case PlanMade(plan=plan):
            return {**document, "event": "plan_made", "devices": plan.summary.devices, "upgrade": plan.summary.upgrade}
        case AttemptMoved(attempt=attempt):
            return {
                **document,
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
                **document,
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
            return {**document, "event": "device_arrived", "device": device_id, "fleet": fleet}
        case DeviceSetAside(fleet=fleet, device_id=device_id, reason=reason, message=message):
            about = {"device": device_id, "fleet": fleet, "reason": reason, "message": message}
            return {**document, "event": "device_set_aside", **about}
        case RolloutMoved(entry=entry):
            return {**document, "event": entry_kind(entry), "fleet": entry.fleet, **json.loads(encode_entry(entry))}
        case ConsoleChanged(change=change):
            return {**document, "event": "console_changed", **console_change_document(change)}
        case DeviceLatched(latch=latch):
            return {**document, "event": "device_latched", **latch_document(latch)}
        case Finding(code=code, message=message, device_id=finding_of):
            return {**document, "event": "finding", "code": code, "message": message, "device": finding_of}
        case _:
            assert_never(event)


def _line(event: Event, *, verbose: bool) -> str:
    match event:
        case DeviceArrived(device_id=device_id, fleet=fleet):
            return f"{device_id} of {fleet} has arrived"
        case DeviceSetAside(device_id=device_id, fleet=fleet, message=message):
            return f"{device_id} of {fleet} is left alone: {message}"
        case RolloutMoved(entry=entry):
            return f"{entry.fleet}: {entry_in_words(entry)}"
        case ProductAttemptMoved(attempt=on_product) if verbose or not on_product.is_open:
            detail = f": {on_product.detail}" if on_product.detail else ""
            return f"{on_product.fleet}: {action_in_words(on_product.action)}: {on_product.state.value}{detail}"
        case AttemptMoved(attempt=attempt) if verbose or attempt.state is AttemptState.FAILED:
            detail = f": {attempt.detail}" if attempt.detail else ""
            return f"{attempt.device_id} {step_in_words(attempt.step)} {attempt.state.value}{detail}"
        case ConsoleChanged(change=change) if verbose or change.concerns_git:
            return f"{change.device_id} of {change.fleet}: {console_change_in_words(change)}"
        case DeviceLatched(latch=latch):
            return f"{latch.device_id} of {latch.fleet} is held: {latch.why}"
        case Finding(message=message, device_id=device_id) if verbose:
            return f"{device_id or 'finding'}: {message}"
        case _:
            return ""
