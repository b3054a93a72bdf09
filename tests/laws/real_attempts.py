"""How attempts move in the small world: by the real methods, the real rules of the journal, and the real judge."""

from __future__ import annotations

from enum import Enum
from functools import cache

from reconciler.execution.evidence import judge
from reconciler.firmware.known import known_catalog
from reconciler.journal.rules import check_begin, check_record
from reconciler.model.attempt import Attempt, AttemptState, FailureClass
from reconciler.model.error import JournalError
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.instant import Instant
from tests.fleet_samples import attempt as an_attempt
from tests.fleet_samples import device as a_device

_DEADLINE_SECONDS = 1800.0
_BEGAN_AT = Instant(1_000.0)
_BEFORE, _SINCE = Instant(500.0), Instant(1_010.0)


class Shown(Enum):
    """What a device shows: nothing new since the intent, a new session without the effect, or the effect."""

    SAME = "same"
    BACK = "back"
    DONE = "done"

    __hash__ = object.__hash__


@cache
def moved(state: AttemptState, verb: str) -> tuple[AttemptState, bool] | None:
    """The real attempt after a verb, as the journal takes it, and whether it counts as failed; None: it says no."""
    recorded = an_attempt(AttemptState.INTENDED, intended_at=_BEGAN_AT, handshake_before=_BEFORE)
    recorded = _lived(recorded, state)
    # What a process writes goes by what it sent itself, whatever another one wrote meanwhile.
    own = an_attempt(AttemptState.INTENDED, intended_at=_BEGAN_AT, handshake_before=_BEFORE)
    match verb:
        case "accepted":
            after = own.sent(_BEGAN_AT)
        case "refused":
            after = own.failed(FailureClass.REFUSED, "no", _BEGAN_AT)
        case "lost":
            after = own.lost_sight("no answer")
        case "given up unseen":
            after = own.failed(FailureClass.TRANSPORT, "no answer", _BEGAN_AT)
        case _:
            assert verb == "disowned"
            after = recorded.lost_sight("found open")
    try:
        check_record(recorded, after)
    except JournalError:
        return None
    return after.state, _counts(after)


@cache
def judged(state: AttemptState, shown: Shown, overdue: bool) -> tuple[AttemptState, bool]:
    """The real judge's word on an open attempt: its state afterwards, and whether it counts as failed."""
    device = a_device(
        device_os="6.3.4" if shown is Shown.DONE else "2.0.1",
        last_handshake_at=_BEFORE if shown is Shown.SAME else _SINCE,
        observed_at=Instant(_SINCE + (_DEADLINE_SECONDS if overdue else 5)),
    )
    recorded = _lived(an_attempt(AttemptState.INTENDED, intended_at=_BEGAN_AT, handshake_before=_BEFORE), state)
    after = judge(recorded, device, None, known_catalog(), deadline_seconds=_DEADLINE_SECONDS)
    if after is not recorded:
        check_record(recorded, after)
    return after.state, _counts(after)


def _lived(attempt: Attempt, state: AttemptState) -> Attempt:
    check_begin(attempt)
    match state:
        case AttemptState.INTENDED:
            return attempt
        case AttemptState.SENT:
            return attempt.sent(_BEGAN_AT)
        case AttemptState.UNKNOWN:
            return attempt.lost_sight("")
        case AttemptState.VERIFIED | AttemptState.FAILED | AttemptState.WITHDRAWN:
            return attempt.lost_sight("").failed(FailureClass.TRANSPORT, "", _BEGAN_AT)


def _counts(attempt: Attempt) -> bool:
    return attempt.failure is not None and CONSEQUENCES[attempt.failure].reached_device
