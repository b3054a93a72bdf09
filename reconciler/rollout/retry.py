"""When a failed step is tried again, by the class of its failure. Growing pauses, and an end.

| class | tries | first pause | what follows |
|---|---|---|---|
| offline, transport | 6 | 30 s | nothing was taken by the device: try again |
| install | 3 | 60 s | the transfer or the device's check failed: try again, a few times |
| boot | 2 | 120 s | the device came back without its application: once more, then a person |
| refused | 3 | 120 s | the device may be busy, or a person may change what forbids it |
| incompatible, integrity, unauthorised, lost | 1 | - | trying again changes nothing |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.model.attempt import Attempt, AttemptState, FailureClass
from reconciler.model.instant import Instant


@dataclass(frozen=True, slots=True)
class _Patience:
    tries: int
    first_pause_seconds: float


_NONE: Final = _Patience(1, 0.0)
_PATIENCE: Final = {
    FailureClass.OFFLINE: _Patience(6, 30.0),
    FailureClass.TRANSPORT: _Patience(6, 30.0),
    FailureClass.INSTALL: _Patience(3, 60.0),
    FailureClass.BOOT: _Patience(2, 120.0),
    FailureClass.REFUSED: _Patience(3, 120.0),
    FailureClass.INCOMPATIBLE: _NONE,
    FailureClass.INTEGRITY: _NONE,
    FailureClass.UNAUTHORISED: _NONE,
    FailureClass.LOST: _NONE,
}

GIVEN_UP: Final = Instant(float("inf"))
"""Never again in this run."""


def may_start_at(attempts: Sequence[Attempt]) -> Instant | None:
    """When a device may be tried again, by its ended attempts of this run, the latest first; None: at once.

    Failures are counted back to the last attempt that was verified.
    """
    failures = []
    for attempt in attempts:
        if attempt.state is AttemptState.VERIFIED:
            break
        if attempt.state is AttemptState.FAILED:
            failures.append(attempt)
    if not failures:
        return None
    last = failures[0]
    assert last.failure is not None
    assert last.ended_at is not None
    patience = _PATIENCE[last.failure]
    if len(failures) >= patience.tries:
        return GIVEN_UP
    return Instant(last.ended_at + patience.first_pause_seconds * 2 ** (len(failures) - 1))
