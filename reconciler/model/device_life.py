"""The life of a device in a rollout: where it stands, and where it may stand a pass later.

No state is stored. Every pass derives it anew from what it saw and what the journal remembers (`rollout/standing.py`),
so that a state is never older than the look that it stands on. The table says what one pass may make of another: its
law is that nothing begins on a device that was not seen ready before. A device that is as desired, or out of sight, is
never found moving in the next pass unless somebody else moved it.

What a device waits for in detail (its wave, a window, a slot, an approval) is a verdict's word: `rollout/verdict.py`.
How a single step lives is in `attempt.py`; which devices may start together in `rollout.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class DeviceState(StrEnum):
    """Where a device stands.

    - DONE: as desired, by an observation newer than its last step, and not known to be unwell.
    - READY: its next step may start, by all that is the device's own: it waits for its wave, a window, a slot.
    - MOVING: a step is under way, or it restarts after one.
    - PAUSING: a step has failed, and it is left in peace for a while before another try.
    - FAILED: it counts against the limits, and nothing more is tried on it now.
    - UNREACHED: out of sight; it may come back by itself.
    - EXEMPT: nothing will start on it now: refused, held by a person or for failing again and again, not agreed to.
    """

    DONE = "done"
    READY = "ready"
    MOVING = "moving"
    PAUSING = "pausing"
    FAILED = "failed"
    UNREACHED = "unreached"
    EXEMPT = "exempt"


DEVICE_MOVES: Final[Mapping[DeviceState, Mapping[DeviceState, str]]] = MappingProxyType(
    {
        DeviceState.DONE: {
            DeviceState.READY: "something else is desired, or it has drifted",
            DeviceState.PAUSING: "it has drifted soon after a failure",
            DeviceState.FAILED: "a check finds it unwell",
            DeviceState.UNREACHED: "something else is desired, and it is out of sight",
            DeviceState.EXEMPT: "something else is desired, and it is refused or held",
        },
        DeviceState.READY: {
            DeviceState.MOVING: "its step is sent",
            DeviceState.PAUSING: "its step failed at once",
            DeviceState.DONE: "a look shows it as desired",
            DeviceState.FAILED: "its step failed at once, and counts",
            DeviceState.UNREACHED: "it is out of sight",
            DeviceState.EXEMPT: "it is held, refused, or not agreed to",
        },
        DeviceState.MOVING: {
            DeviceState.DONE: "a look shows it as desired",
            DeviceState.READY: "its step is verified, and there is another one",
            DeviceState.PAUSING: "its step has failed",
            DeviceState.FAILED: "its step has failed for good, or is past its deadline",
            DeviceState.UNREACHED: "it does not come back within the time of a step",
            DeviceState.EXEMPT: "it is held, refused, or not agreed to",
        },
        DeviceState.PAUSING: {
            DeviceState.READY: "its pause is over",
            DeviceState.MOVING: "its pause is over and its step is sent, or it restarts",
            DeviceState.DONE: "a look shows it as desired after all",
            DeviceState.FAILED: "a check finds it unwell",
            DeviceState.UNREACHED: "it is out of sight",
            DeviceState.EXEMPT: "it is held, refused, or not agreed to",
        },
        DeviceState.FAILED: {
            DeviceState.READY: "a person resumes the fleet or retries it, or its hold is over",
            DeviceState.PAUSING: "its overdue step is judged, and it may be tried again",
            DeviceState.MOVING: "its overdue step is judged, and it restarts",
            DeviceState.DONE: "a look shows it as desired after all",
            DeviceState.UNREACHED: "it is out of sight, and does not count any more",
            DeviceState.EXEMPT: "it is held or refused, and does not count any more",
        },
        DeviceState.UNREACHED: {
            DeviceState.READY: "it is back",
            DeviceState.PAUSING: "it is back before its pause is over",
            DeviceState.DONE: "it is back, as desired",
            DeviceState.FAILED: "a check finds it unwell",
            DeviceState.EXEMPT: "it is back and refused, or held",
        },
        DeviceState.EXEMPT: {
            DeviceState.READY: "its hold is over, or a person agrees",
            DeviceState.PAUSING: "its hold is over before its pause is",
            DeviceState.MOVING: "it restarts after its last step",
            DeviceState.DONE: "a look shows it as desired",
            DeviceState.FAILED: "what it failed with counts again",
            DeviceState.UNREACHED: "its hold is over, and it is out of sight",
        },
    }
)
"""Which states may follow which from one pass to the next, and why. Staying is always allowed."""


def may_follow(before: DeviceState | None, after: DeviceState) -> bool:
    """Whether a device that stood there a pass ago may stand here now. None: it was not in the fleet."""
    return before is None or before is after or after in DEVICE_MOVES[before]
