"""The promise of every pair of hands: do one step on one device, once, and say truly whether anything left.

- `Accepted`: whoever was asked said yes. It proves no effect; only a newer observation does.
- `NotSent`: it was certainly not done. The attempt can fail or be tried again.
- `MayHaveArrived`: nobody knows. Only a newer observation ends it; it is never sent again before that.

Every outcome has the requests that left to change something, `writes`, in their order: no part of what it says.

An executor never repeats a send by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from reconciler.model.attempt import FailureClass
from reconciler.model.device import ObservedDevice
from reconciler.model.error import ManifestError, OperatorError, WireError
from reconciler.model.external_write import ExternalWrite
from reconciler.model.step import Step
from reconciler.particle.error import RateLimitedError, RefusedError, UnauthorisedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Taken, in the words of whoever took it."""

    detail: str
    writes: tuple[ExternalWrite, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Certainly not done, and why.

    `retry_after_seconds` is a wish of the cloud: later, this may work. `refuses_system_flash`: what the cloud refused
    may be the act itself, a Device OS module for a product's device that is not marked as development (facts 5.4, 8).
    """

    failure: FailureClass
    detail: str
    retry_after_seconds: float | None = None
    refuses_system_flash: bool = False
    writes: tuple[ExternalWrite, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MayHaveArrived:
    """It left, and its fate is unknown."""

    detail: str
    writes: tuple[ExternalWrite, ...] = field(default=(), compare=False)


SendOutcome = Accepted | NotSent | MayHaveArrived


class Executor(Protocol):
    """Hands of one kind."""

    def send(self, device: ObservedDevice, step: Step) -> SendOutcome:
        """Do the step, once. Failures of the world are outcomes; only our own bugs are raised."""


def not_sent(error: WireError) -> NotSent:
    """What an error says that is no lost answer: it was certainly not done."""
    match error:
        case UnauthorisedError():
            return NotSent(failure=FailureClass.UNAUTHORISED, detail=told(error))
        case RateLimitedError():
            return NotSent(
                failure=FailureClass.TRANSPORT,
                detail=told(error),
                retry_after_seconds=error.retry_after_seconds,
            )
        case RefusedError():
            return NotSent(failure=FailureClass.REFUSED, detail=told(error))
        case _:
            return NotSent(failure=FailureClass.TRANSPORT, detail=told(error))


def told(error: ManifestError | OperatorError) -> str:
    """An error in one line."""
    return f"{error.code} {error.message}"
