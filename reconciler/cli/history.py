"""`history`: what the journal remembers, told in the order in which it happened. Reads only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any, assert_never

import click

from reconciler.cli.display_options import output_options
from reconciler.journal.journal import Halt, Journal, Move
from reconciler.journal.location import journal_location
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.attempt import Attempt, AttemptState, Evidence
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.render.ink import harmless
from reconciler.render.plan_json import action_document
from reconciler.render.plan_text import action_in_words

FORMAT_VERSION = "1.0"

_SECONDS_PER_MINUTE = 60
_MINUTES_PER_HOUR = 60

_DEVICE_ID = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)

_EVIDENCE = {
    Evidence.EFFECT: "the device reports it",
    Evidence.RESTARTED: "the transfer ended well and the device restarted",
    Evidence.PRESUMED: "presumed: the device restarted, and nobody heard how the transfer ended",
}


@click.command()
@click.option(
    "--journal",
    "journal_file",
    type=click.Path(path_type=Path),
    help="The journal's file. Default: $RECONCILER_JOURNAL, else ./.reconciler/journal.sqlite.",
)
@click.option("--device", "device_id", help="Only the attempts on this device (its id).")
@click.option("--fleet", help="Only the attempts of this fleet.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most the last so many.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@output_options("quiet")
def command(
    journal_file: Path | None, device_id: str | None, fleet: str | None, limit: int, output: str, quiet: bool
) -> None:
    """Show the attempts that the journal remembers, the oldest first."""
    if device_id is not None and not _DEVICE_ID.fullmatch(device_id):
        raise click.BadParameter("the journal knows devices by their ids, 24 hexadecimal digits", param_hint="--device")
    with SqliteJournal(journal_location(journal_file, os.environ), create=False) as journal:
        wanted = None if device_id is None else DeviceId(device_id.lower())
        # One more than is shown tells whether there are more.
        found = journal.attempts(device_id=wanted, fleet=fleet, limit=limit + 1)
        attempts = tuple(reversed(found[:limit]))
        halts = tuple(halt for halt in journal.halts() if fleet in (None, halt.fleet))
        refusals = journal.refusals()
        on_products = () if wanted else tuple(reversed(journal.product_attempts(fleet=fleet, limit=limit)))
        if output == "json":
            click.echo(
                json.dumps(history_document(journal, attempts, halts, refusals, on_products), indent=2, sort_keys=True)
            )
        else:
            click.echo("\n".join(history_lines(attempts, halts, refusals, on_products)))
    if len(found) > limit and not quiet:
        click.echo(f"There are earlier attempts; --limit {limit * 10} shows more.", err=True)


def history_lines(
    attempts: Iterable[Attempt],
    halts: Iterable[Halt],
    refusals: Iterable[SystemFlashRefusal] = (),
    on_products: Iterable[ProductAttempt] = (),
) -> list[str]:
    """The attempts as sentences, one a line, the fleets that are halted now, and what the cloud refuses."""
    dated = [
        (attempt.intended_at, f"{attempt.device_id}  {attempt.fleet}  {step_in_words(attempt.step)}", attempt)
        for attempt in attempts
    ] + [
        (attempt.intended_at, f"product {attempt.product}  {attempt.fleet}  {action_in_words(attempt.action)}", attempt)
        for attempt in on_products
    ]
    lines = [
        f"{iso_from_instant(at)}  {what}: {outcome_in_words(attempt)}"
        for at, what, attempt in sorted(dated, key=itemgetter(0))
    ]
    if not lines:
        lines = ["The journal remembers no such attempt."]
    lines += [f"Fleet {halt.fleet} is halted since {iso_from_instant(halt.at)}: {halt.reason}" for halt in halts]
    lines += [
        f"Since {iso_from_instant(refusal.at)} the cloud refuses Device OS modules for product {refusal.product_id}, "
        f"tried again after {iso_from_instant(refusal.until)}: {refusal.words}"
        for refusal in refusals
    ]
    return [harmless(line) for line in lines]


def step_in_words(step: Step) -> str:
    """`bootloader/0 3200 of Device OS 6.3.4`, or what is done with which application."""
    match step:
        case FlashModule():
            return f"{step.module} of Device OS {step.device_os}"
        case LockApplication():
            return f"lock to application {step.application}"
        case FlashApplication():
            return f"application {step.application}"
        case _:
            assert_never(step)


def outcome_in_words(attempt: Attempt | ProductAttempt) -> str:
    """What came of an attempt, how long it took, and how that is known."""
    took = "" if attempt.ended_at is None else f" after {duration_in_words(attempt.ended_at - attempt.intended_at)}"
    detail = f": {attempt.detail}" if attempt.detail else ""
    match attempt.state:
        case AttemptState.INTENDED:
            return "intended, not known to be sent"
        case AttemptState.SENT:
            return "sent, its outcome is still to come"
        case AttemptState.UNKNOWN:
            return f"unknown{detail}; the next observation will tell"
        case AttemptState.VERIFIED:
            shown = attempt.evidence if isinstance(attempt, Attempt) else None
            evidence = "" if shown is None else f", {_EVIDENCE[shown]}"
            return f"verified{took}{evidence}"
        case AttemptState.FAILED:
            return f"failed{took} ({attempt.failure or 'for no known reason'}){detail}"
        case AttemptState.WITHDRAWN:
            return f"withdrawn, nothing was sent{detail}"
        case _:
            assert_never(attempt.state)


def duration_in_words(seconds: float) -> str:
    """`43 s`, `12 min 5 s`, `3 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < _SECONDS_PER_MINUTE:
        return f"{whole} s"
    minutes, rest = divmod(whole, _SECONDS_PER_MINUTE)
    if minutes < _MINUTES_PER_HOUR:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(minutes, _MINUTES_PER_HOUR)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def history_document(
    journal: Journal,
    attempts: Iterable[Attempt],
    halts: Iterable[Halt],
    refusals: Iterable[SystemFlashRefusal] = (),
    on_products: Iterable[ProductAttempt] = (),
) -> dict[str, Any]:
    """The attempts with their moves, the fleets that are halted now, and what the cloud refuses, for machines."""
    return {
        "format_version": FORMAT_VERSION,
        "attempts": [_attempt_document(attempt, journal.moves(attempt.id)) for attempt in attempts],
        "halts": [{"fleet": halt.fleet, "reason": halt.reason, "at": iso_from_instant(halt.at)} for halt in halts],
        "product_attempts": [
            {
                "id": attempt.id,
                "product": attempt.product,
                "fleet": attempt.fleet,
                "plan_id": attempt.plan_id,
                "action": action_document(attempt.action),
                "state": attempt.state.value,
                "intended_at": _time(attempt.intended_at),
                "sent_at": _time(attempt.sent_at),
                "ended_at": _time(attempt.ended_at),
                "failure": None if attempt.failure is None else attempt.failure.value,
                "detail": attempt.detail,
            }
            for attempt in on_products
        ],
        "refusals": [
            {
                "product": refusal.product_id,
                "at": _time(refusal.at),
                "until": _time(refusal.until),
                "words": refusal.words,
            }
            for refusal in refusals
        ],
    }


def _attempt_document(attempt: Attempt, moves: Iterable[Move]) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "device": attempt.device_id,
        "fleet": attempt.fleet,
        "plan_id": attempt.plan_id,
        "step": _step_document(attempt.step),
        "state": attempt.state.value,
        "intended_at": _time(attempt.intended_at),
        "sent_at": _time(attempt.sent_at),
        "ended_at": _time(attempt.ended_at),
        "evidence": None if attempt.evidence is None else attempt.evidence.value,
        "failure": None if attempt.failure is None else attempt.failure.value,
        "detail": attempt.detail,
        "moves": [{"state": move.state.value, "at": _time(move.at), "detail": move.detail} for move in moves],
    }


def _step_document(step: Step) -> dict[str, Any]:
    """The step in the words of the plan's format (contracts section 4)."""
    document: dict[str, Any] = {"via": step.via.value, "boots_into": step.boots_into.value}
    if step.size is not None:
        document["bytes"] = step.size
    match step:
        case FlashModule():
            slot = step.module.slot
            document["action"] = "flash"
            document["module"] = {"function": slot.function.label, "index": slot.index, "version": step.module.version}
            document["device_os"] = step.device_os.text
        case LockApplication():
            document |= {"action": "lock_application", "application": step.application}
        case FlashApplication():
            document |= {"action": "flash_application", "application": step.application}
        case _:
            assert_never(step)
    return document


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else iso_from_instant(instant)
