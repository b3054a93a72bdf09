"""How much an event matters to people: the one table that logs and messages go by. Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import assert_never

from reconciler.model.attempt import AttemptState
from reconciler.model.event import (
    AttemptMoved,
    ConsoleChanged,
    DeviceArrived,
    DeviceLatched,
    DeviceSetAside,
    Event,
    Finding,
    IntentRefused,
    IntentRestored,
    IntentTaken,
    PassEnded,
    PlanMade,
    PlanOffered,
    ProductAttemptMoved,
    Recovered,
    RolloutMoved,
    Troubled,
)
from reconciler.model.rollout_entry import DeviceUnwell, Halted


class Level(IntEnum):
    """The numbers are those of `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


def level_of(event: Event) -> Level:
    """Error: somebody has to come. Warning: bad news that the engine deals with, or that may wait."""
    match event:
        case Troubled() | IntentRefused():
            return Level.ERROR
        case RolloutMoved(entry=entry):
            return _of_entry(entry)
        case DeviceSetAside() | DeviceLatched() | Finding():
            return Level.WARNING
        case AttemptMoved(attempt=attempt):
            return Level.WARNING if attempt.state is AttemptState.FAILED else Level.DEBUG
        case ProductAttemptMoved(attempt=on_product):
            return Level.WARNING if on_product.state is AttemptState.FAILED else Level.INFO
        case ConsoleChanged(change=change):
            return Level.WARNING if change.concerns_git else Level.INFO
        case PassEnded(code=code):
            return Level.DEBUG if code is None else Level.WARNING
        case DeviceArrived() | IntentTaken() | IntentRestored() | PlanOffered() | Recovered():
            return Level.INFO
        case PlanMade():
            return Level.DEBUG
        case _:
            assert_never(event)


def _of_entry(entry: object) -> Level:
    match entry:
        case Halted():
            return Level.ERROR
        case DeviceUnwell():
            return Level.WARNING
        case _:
            return Level.INFO
