"""What `halt`, `suspend`, `resume` and `retry` share: a person's word, noted in the journal and nowhere else.

No manifests, no cloud and no network: a word must be possible when all of them are down. It is durable when the command
says so; a run on the same journal hears it in its next pass.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from reconciler import __version__
from reconciler.cli.display_options import text_width
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.lock import holder_of
from reconciler.journal.opening import open_if_there, open_journal
from reconciler.journal.sql import SqlJournal
from reconciler.model.device import DeviceId
from reconciler.model.duration import seconds_of
from reconciler.model.error import JournalError, OperatorError
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.render.step_words import duration_in_words, time_in_words
from reconciler.render.word import Told, told_text, word_document

Command = TypeVar("Command", bound=Callable[..., Any])

_LATEST: Final = 200
"""Attempts, the latest begun: as many as may be under way at once, or about that."""

_NAMED_MAX: Final = 5
"""Fleets that are named where one is not known."""


def word_output_option(command: Command) -> Command:
    """Adds `--output`; the command gets `output`."""
    return click.option(
        "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom."
    )(command)


def force_option(command: Command) -> Command:
    """Adds `--force`; the command gets `force`."""
    return click.option("--force", is_flag=True, help="Also where the journal knows no fleet of this name.")(command)


def journal_of_runs(journal: JournalPlace | None, *, create: bool = False) -> SqlJournal:
    """The journal that runs here work on. Raises JournalError PFR5001 when there is none, unless `create` is set."""
    place = journal_location(journal, os.environ)
    kept = open_journal(place) if create else open_if_there(place)
    if kept is not None:
        return kept
    raise JournalError(
        "PFR5001",
        f"there is no journal at {place}, so no run here would hear it",
        next_step="name the journal of the run with --journal or RECONCILER_JOURNAL; before the first run, `halt` and "
        "`suspend` make it with --force",
    )


def moment(kept: Journal, *, fleet: str | None = None, device_id: DeviceId | None = None) -> Instant:
    """Now by this machine's clock, and later than what was last seen of attempts of the fleet or device.

    Attempts have the times of the cloud, whose clock may be ahead of ours (a pretend cloud's may be days ahead). A
    person answers to what there is already, so their word never stands before it.
    """
    latest = kept.attempts(fleet=fleet, device_id=device_id, limit=_LATEST)
    seen = max((attempt.ended_at or attempt.began_at for attempt in latest), default=0.0)
    # Sent or ended may lie before intended where two clocks differ.
    seen = max(seen, latest[0].intended_at) if latest else seen
    return Instant(max(time.time(), math.nextafter(seen, math.inf)))


def time_from_words(text: str, *, now: Instant, sign: int = 1) -> Instant:
    """`2h`, `3d`: so long from now (before it with `sign` -1); else an ISO 8601 time. Raises click.BadParameter."""
    try:
        return Instant(now + sign * seconds_of(text))
    except ValueError:
        pass
    try:
        return instant_from_iso(text)
    except ValueError:
        message = f"{text!r} is neither a duration such as 2h or 3d nor a time such as 2026-12-01T08:00:00Z"
        raise click.BadParameter(message) from None


def until_in_words(until: Instant | None, *, now: Instant) -> str:
    """`until 2026-12-01T00:00:00Z, 2 days 3 h from now`, or until when nobody knows."""
    if until is None:
        return "until `resume`"
    return f"until {time_in_words(until)}, {duration_in_words(until - now)} from now"


def unknown_fleet(kept: Journal, fleet: str) -> OperatorError | None:
    """PFR6706 when nothing of the fleet was ever written down, with a fleet that may be meant; None: it is known."""
    known = kept.fleets()
    if fleet in known:
        return None
    close = difflib.get_close_matches(fleet, known, n=1)
    names = ", ".join(known[:_NAMED_MAX]) + (f" and {len(known) - _NAMED_MAX} more" if len(known) > _NAMED_MAX else "")
    hint = f"did you mean {close[0]}?" if close else f"it knows {names or 'none yet'}"
    return OperatorError("PFR6706", f"the journal knows no fleet {fleet}: {hint}")


def not_known(unknown: OperatorError, fleet: str, verb: str) -> Told:
    """Nothing is done for a fleet that may be a slip of the pen; for one that is only new, `--force` is the word."""
    return Told(
        done=False,
        fleet=fleet,
        message=str(unknown.message) + f" ({unknown.code})",
        next_step=f"mend the name; or, for a fleet that no run has looked at yet: reconciler {verb} {fleet} --force",
    )


def hearing_in_words(kept: SqlJournal, fleet: str) -> str:
    """Who hears it: the run that is going on, and what of the fleet ends its step first."""
    holder = holder_of(kept.path)
    under_way = sum(attempt.fleet == fleet for attempt in kept.open_attempts())
    steps = "1 step under way ends" if under_way == 1 else f"{under_way:,} steps under way end"
    ending = f"; {steps} first" if under_way else ""
    if holder is None or not holder.alive:
        return f"no run is going on{ending}"
    return f"the run that is going on hears it in its next pass{ending}"


def tell(verb: str, told: Sequence[Told], *, at: Instant, by: str, output: str, quiet: bool) -> None:
    """Say what came of it, on standard error what did not, and end with 1 unless all of it was done."""
    if output == "json":
        document = word_document(verb, told, at=at, by=by, tool_version=__version__)
        click.echo(json.dumps(document, indent=2, sort_keys=True))
    else:
        for each in told:
            if not (each.done and quiet):
                click.echo(told_text(each, width=text_width()), err=not each.done)
    if not all(each.done for each in told):
        sys.exit(1)
