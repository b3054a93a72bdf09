"""Whose word it is, when it is said, and what every word asks of the journal first."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.journal.journal import Journal
from reconciler.model.device import DeviceId
from reconciler.model.duration import seconds_of
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant
from reconciler.render.step_words import duration_in_words, time_in_words
from reconciler.render.word import Told

_LATEST: Final = 200
"""Attempts, the latest begun: as many as may be under way at once, or about that."""

_NAMED_MAX: Final = 5
"""Fleets that are named where one is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A person who says something to a journal.

    `by` is who. `clock` is the time by the machine that carries the word. `is_heard` says whether a run is going on
    that reads it in its next pass.
    """

    journal: Journal
    by: str
    clock: Callable[[], Instant]
    is_heard: Callable[[], bool]

    def moment(self, *, fleet: str | None = None, device_id: DeviceId | None = None) -> Instant:
        """When it is said: see `moment`."""
        return moment(self.journal, self.clock(), fleet=fleet, device_id=device_id)

    def hearing_in_words(self, fleet: str) -> str:
        """Who hears it: the run that is going on, and what of the fleet ends its step first."""
        under_way = sum(attempt.fleet == fleet for attempt in self.journal.open_attempts())
        steps = "1 step under way ends" if under_way == 1 else f"{under_way:,} steps under way end"
        ending = f"; {steps} first" if under_way else ""
        if not self.is_heard():
            return f"no run is going on{ending}"
        return f"the run that is going on hears it in its next pass{ending}"


def moment(journal: Journal, now: Instant, *, fleet: str | None = None, device_id: DeviceId | None = None) -> Instant:
    """Now, and later than what was last seen of attempts of the fleet or device.

    Attempts have the times of the cloud, whose clock may be ahead of ours (a pretend cloud's may be days ahead). A
    person answers to what there is already, so their word never stands before it.
    """
    latest = journal.attempts(fleet=fleet, device_id=device_id, limit=_LATEST)
    seen = max((attempt.ended_at or attempt.began_at for attempt in latest), default=0.0)
    # Sent or ended may lie before intended where two clocks differ.
    seen = max(seen, latest[0].intended_at) if latest else seen
    return Instant(max(now, math.nextafter(seen, math.inf)))


def time_from_words(text: str, *, now: Instant, sign: int = 1) -> Instant:
    """`2h`, `3d`: so long from now (before it with `sign` -1); else an ISO 8601 time. Raises ValueError.

    Raises it, too, for a time of no year from 1 to 9999: it could be written down and never be told again.
    """
    try:
        found = Instant(now + sign * seconds_of(text))
    except ValueError:
        try:
            found = instant_from_iso(text)
        except (ValueError, OverflowError):
            message = f"{text!r} is neither a duration such as 2h or 3d nor a time such as 2026-12-01T08:00:00Z"
            raise ValueError(message) from None
    try:
        iso_from_instant(found)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is too far away") from None
    return found


def until_in_words(until: Instant | None, *, now: Instant) -> str:
    """`until 2026-12-01T00:00:00Z, 2 days 3 h from now`, or until when nobody knows."""
    if until is None:
        return "until `resume`"
    return f"until {time_in_words(until)}, {duration_in_words(until - now)} from now"


def known_fleets(journal: Journal) -> tuple[str, ...]:
    """Every fleet of which something was ever written down, or that the manifests taken last ask for."""
    latest = journal.intents(limit=1)
    return tuple(sorted({*journal.fleets(), *(latest[0].fleets if latest else ())}))


def unknown_fleet(journal: Journal, fleet: str) -> OperatorError | None:
    """PFR6706 when the journal does not know the fleet, with one that may be meant; None: it is known."""
    known = known_fleets(journal)
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
