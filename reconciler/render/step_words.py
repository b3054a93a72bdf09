"""A step, when it was, and how long it took, in a few words."""

from __future__ import annotations

import math
from typing import Final, assert_never

from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step

_SECONDS_PER_MINUTE: Final = 60
_MINUTES_PER_HOUR: Final = 60
_HOURS_PER_DAY: Final = 24


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


def time_in_words(at: Instant) -> str:
    """`2026-11-22T09:00:00Z`: to the second, which is as much as a person wants to read."""
    return iso_from_instant(Instant(math.floor(at)))


def duration_in_words(seconds: float) -> str:
    """`43 s`, `12 min 5 s`, `3 h 5 min`, `2 days 5 h`."""
    whole = max(0, round(seconds))
    if whole < _SECONDS_PER_MINUTE:
        return f"{whole} s"
    minutes, rest = divmod(whole, _SECONDS_PER_MINUTE)
    if minutes < _MINUTES_PER_HOUR:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(minutes, _MINUTES_PER_HOUR)
    if hours < 2 * _HOURS_PER_DAY:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, rest = divmod(hours, _HOURS_PER_DAY)
    return f"{days} days {rest} h" if rest else f"{days} days"
