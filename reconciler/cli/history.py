"""`history`: what the journal remembers, told in the order in which it happened. Reads only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, assert_never

import click

from reconciler.cli.display_options import output_options
from reconciler.journal.journal import Journal, Move
from reconciler.journal.location import JournalPlace, journal_location, journal_place
from reconciler.journal.opening import open_journal
from reconciler.model.attempt import Attempt, AttemptState, Evidence
from reconciler.model.console import ConsoleChange, Latch
from reconciler.model.device import DeviceId
from reconciler.model.instant import NEVER, Instant, iso_from_instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.rollout_entry import Halted
from reconciler.render.console_json import console_change_document, latch_document
from reconciler.render.console_text import console_change_in_words
from reconciler.render.ink import harmless
from reconciler.render.plan_json import action_document, step_document
from reconciler.render.plan_text import action_in_words
from reconciler.render.step_words import duration_in_words, step_in_words

FORMAT_VERSION = "1.0"

_DEVICE_ID = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)

_EVIDENCE = {
    Evidence.EFFECT: "the device reports it",
    Evidence.RESTARTED: "the transfer ended well and the device restarted",
    Evidence.PRESUMED: "presumed: the device restarted, and nobody heard how the transfer ended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is told, each in the order in which it happened. `halts`, `latches` and `refusals` are those in force."""

    attempts: tuple[Attempt, ...] = ()
    on_products: tuple[ProductAttempt, ...] = ()
    changes: tuple[ConsoleChange, ...] = ()
    halts: tuple[Halted, ...] = ()
    latches: tuple[Latch, ...] = ()
    refusals: tuple[SystemFlashRefusal, ...] = ()


@click.command()
@click.option(
    "--journal",
    "journal_file",
    type=journal_place,
    metavar="FILE|URL",
    help="The journal: a file, or postgresql://…. Default: $RECONCILER_JOURNAL, else .reconciler/journal.sqlite.",
)
@click.option("--device", "device_id", help="Only the attempts on this device (its id).")
@click.option("--fleet", help="Only the attempts of this fleet.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most the last so many.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@output_options("quiet")
def command(
    journal_file: JournalPlace | None, device_id: str | None, fleet: str | None, limit: int, output: str, quiet: bool
) -> None:
    """Show the attempts that the journal remembers and what others changed meanwhile, the oldest first."""
    if device_id is not None and not _DEVICE_ID.fullmatch(device_id):
        raise click.BadParameter("the journal knows devices by their ids, 24 hexadecimal digits", param_hint="--device")
    with open_journal(journal_location(journal_file, os.environ), create=False) as journal:
        wanted = None if device_id is None else DeviceId(device_id.lower())
        history, has_earlier = _read(journal, wanted, fleet, limit)
        if output == "json":
            click.echo(json.dumps(history_document(journal, history), indent=2, sort_keys=True))
        else:
            click.echo("\n".join(history_lines(history)))
    if has_earlier and not quiet:
        click.echo(f"There are earlier attempts; --limit {limit * 10} shows more.", err=True)


def _read(journal: Journal, device_id: DeviceId | None, fleet: str | None, limit: int) -> tuple[History, bool]:
    """What is asked for, and whether there is more of it."""
    # One more than is shown tells whether there are more.
    found = journal.attempts(device_id=device_id, fleet=fleet, limit=limit + 1)
    attempts = tuple(reversed(found[:limit]))
    changed = journal.console_changes(device_id=device_id, fleet=fleet, limit=limit + 1)
    # Changes from before the first attempt that is shown would stand there without what they followed.
    begin = attempts[0].intended_at if len(found) > limit else NEVER
    history = History(
        attempts=attempts,
        on_products=() if device_id else tuple(reversed(journal.product_attempts(fleet=fleet, limit=limit))),
        changes=tuple(change for change in reversed(changed[:limit]) if change.seen_at >= begin),
        halts=tuple(halt for halt in journal.halts() if fleet in (None, halt.fleet)),
        latches=tuple(
            latch
            for latch in journal.latches().values()
            if not latch.lifted and fleet in (None, latch.fleet) and device_id in (None, latch.device_id)
        ),
        refusals=journal.refusals(),
    )
    return history, max(len(found), len(changed)) > limit


def history_lines(history: History) -> list[str]:
    """What happened as sentences, one a line, then who is halted or held now, and what the cloud refuses."""
    dated = [
        (each.intended_at, f"{each.device_id}  {each.fleet}  {step_in_words(each.step)}: {outcome_in_words(each)}")
        for each in history.attempts
    ]
    dated += [
        (
            each.intended_at,
            f"product {each.product}  {each.fleet}  {action_in_words(each.action)}: {outcome_in_words(each)}",
        )
        for each in history.on_products
    ]
    dated += [
        (change.seen_at, f"{change.device_id}  {change.fleet}  somebody else: {console_change_in_words(change)}")
        for change in history.changes
    ]
    lines = [f"{iso_from_instant(at)}  {text}" for at, text in sorted(dated, key=itemgetter(0))]
    if not lines:
        lines = ["The journal remembers no such attempt."]
    lines += [
        f"Fleet {halt.fleet} is halted since {iso_from_instant(halt.at)}: {halt.reason}" for halt in history.halts
    ]
    lines += [
        f"Device {latch.device_id} of {latch.fleet} is held since {iso_from_instant(latch.at)}: {latch.why}"
        for latch in history.latches
    ]
    lines += [
        f"Since {iso_from_instant(refusal.at)} the cloud refuses Device OS modules for product {refusal.product_id}, "
        f"tried again after {iso_from_instant(refusal.until)}: {refusal.words}"
        for refusal in history.refusals
    ]
    return [harmless(line) for line in lines]


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


def history_document(journal: Journal, history: History) -> dict[str, Any]:
    """The same, with the moves of every attempt, for machines."""
    return {
        "format_version": FORMAT_VERSION,
        "attempts": [
            {**_attempt_document(attempt, journal.moves(attempt.id)), "writes": _write_documents(journal, attempt.id)}
            for attempt in history.attempts
        ],
        "product_attempts": [
            {**_product_attempt_document(attempt), "writes": _write_documents(journal, attempt.id)}
            for attempt in history.on_products
        ],
        "console_changes": list(map(console_change_document, history.changes)),
        "halts": [{"fleet": halt.fleet, "reason": halt.reason, "at": _time(halt.at)} for halt in history.halts],
        "latches": list(map(latch_document, history.latches)),
        "refusals": [
            {"product": each.product_id, "at": _time(each.at), "until": _time(each.until), "words": each.words}
            for each in history.refusals
        ],
    }


def _product_attempt_document(attempt: ProductAttempt) -> dict[str, Any]:
    return {
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


def _attempt_document(attempt: Attempt, moves: Iterable[Move]) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "device": attempt.device_id,
        "fleet": attempt.fleet,
        "plan_id": attempt.plan_id,
        "step": step_document(attempt.step),
        "state": attempt.state.value,
        "intended_at": _time(attempt.intended_at),
        "sent_at": _time(attempt.sent_at),
        "ended_at": _time(attempt.ended_at),
        "evidence": None if attempt.evidence is None else attempt.evidence.value,
        "failure": None if attempt.failure is None else attempt.failure.value,
        "detail": attempt.detail,
        "well_before": attempt.well_before,
        "moves": [{"state": move.state.value, "at": _time(move.at), "detail": move.detail} for move in moves],
    }


def _write_documents(journal: Journal, attempt_id: str) -> list[dict[str, Any]]:
    return [
        {
            "at": _time(kept.write.at),
            "method": kept.write.method,
            "path": kept.write.path,
            "status": kept.write.status,
            "answer": kept.write.answer,
            "before": dict(kept.before),
            "after": None if kept.after is None else dict(kept.after),
        }
        for kept in journal.writes(attempt_id)
    ]


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else iso_from_instant(instant)
