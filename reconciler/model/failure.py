"""What follows from a failure, by its class: the one table that rollout, controller, journal and report look into.

`docs/failures.md` shows it to people, and a test holds the page to it. A class is here only if something produces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from reconciler.model.attempt import FailureClass


class Counts(Enum):
    """When a failed device counts against `rollout.maxFailures`."""

    NEVER = "never"
    WHEN_GIVEN_UP = "when given up"
    AT_ONCE = "at once"
    HALTS_FLEET = "halts the fleet, whatever the limit"


class Retry(Enum):
    """What must be before the same is tried again."""

    AFTER_PAUSE = "after a pause: it was certainly not done"
    AFTER_LOOK = "after a newer look at the device, and a pause"
    NEVER = "never in this run"


class MustAct(Enum):
    """Who has to do something before it can go well."""

    NOBODY = "nobody: it may pass by itself"
    OPERATOR = "the operator"
    DEVICE_OWNER = "whoever is at the device"
    US = "us: please report it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """One row.

    - `tries` of one class in a row, the first one included; pauses double from `first_pause_seconds`.
    - `reached_device`: something may have reached the device, so that it is being changed until it is seen well again.
      False: whatever said no, the device does not know of it.
    - `doubts_modules`: the device itself said no, so that what was only presumed to be installed may be missing.
    """

    counts: Counts
    retry: Retry
    must_act: MustAct
    tries: int = 1
    first_pause_seconds: float = 0.0
    reached_device: bool = True
    doubts_modules: bool = False


CONSEQUENCES: Final[Mapping[FailureClass, Consequence]] = MappingProxyType(
    {
        FailureClass.OFFLINE: Consequence(
            counts=Counts.NEVER,
            retry=Retry.AFTER_PAUSE,
            must_act=MustAct.NOBODY,
            tries=6,
            first_pause_seconds=30.0,
            reached_device=False,
        ),
        FailureClass.TRANSPORT: Consequence(
            counts=Counts.WHEN_GIVEN_UP,
            retry=Retry.AFTER_LOOK,
            must_act=MustAct.NOBODY,
            tries=6,
            first_pause_seconds=30.0,
        ),
        FailureClass.REFUSED: Consequence(
            counts=Counts.NEVER,
            retry=Retry.AFTER_PAUSE,
            must_act=MustAct.OPERATOR,
            tries=3,
            # Longer than a transfer that stalls (facts 6.2), for who refuses because another one is under way.
            first_pause_seconds=330.0,
            reached_device=False,
        ),
        # The product is left at once. It says nothing of the device, which is tried again with another token.
        FailureClass.UNAUTHORISED: Consequence(
            counts=Counts.NEVER,
            retry=Retry.AFTER_PAUSE,
            must_act=MustAct.OPERATOR,
            tries=6,
            first_pause_seconds=30.0,
            reached_device=False,
        ),
        FailureClass.INCOMPATIBLE: Consequence(
            counts=Counts.AT_ONCE,
            retry=Retry.NEVER,
            must_act=MustAct.US,
            reached_device=False,
            doubts_modules=True,
        ),
        FailureClass.INTEGRITY: Consequence(
            counts=Counts.HALTS_FLEET, retry=Retry.NEVER, must_act=MustAct.OPERATOR, reached_device=False
        ),
        FailureClass.INSTALL: Consequence(
            counts=Counts.WHEN_GIVEN_UP,
            retry=Retry.AFTER_LOOK,
            must_act=MustAct.OPERATOR,
            tries=3,
            first_pause_seconds=60.0,
            doubts_modules=True,
        ),
        FailureClass.BOOT: Consequence(
            counts=Counts.AT_ONCE,
            retry=Retry.AFTER_LOOK,
            must_act=MustAct.OPERATOR,
            tries=2,
            first_pause_seconds=120.0,
            doubts_modules=True,
        ),
        FailureClass.LOST: Consequence(counts=Counts.AT_ONCE, retry=Retry.NEVER, must_act=MustAct.DEVICE_OWNER),
    }
)
