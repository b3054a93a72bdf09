"""What a fleet wants to know of its devices beyond their versions, and what an outside check answers.

A device that runs what is desired may still be unwell: it restarts again and again, says nothing, or somebody who
watches it says no.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.model.device import DeviceId


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetLoop:
    """So many restarts that nobody asked for, within a time, are a loop."""

    resets: int = 3
    within_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedEvent:
    """An event (by the beginning of its name) that every device publishes within a time after it became as desired.

    `every`: and again within each such time, as long as it is watched.
    """

    name: str
    within_seconds: float
    every: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalsBound:
    """A number in a device's vitals, by its path in their payload (facts 5.9), and between what it must be."""

    path: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Somebody outside who is asked about the devices of a wave: a `webhook` or a `command`, never both.

    `no_go_max` answers of no-go are borne in a wave; one more, and it is bad news.
    """

    name: str
    webhook: str | None = None
    command: tuple[str, ...] = ()
    interval_seconds: float = 60.0
    timeout_seconds: float = 10.0
    no_go_max: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """All that a fleet wants to know. `reset_loop` None: restarts are not counted."""

    reset_loop: ResetLoop | None = ResetLoop()
    events: tuple[ExpectedEvent, ...] = ()
    vitals: tuple[VitalsBound, ...] = ()
    checks: tuple[HealthCheck, ...] = ()


class CheckWord(StrEnum):
    """What an outside check says. UNKNOWN is neither: it passes nothing, and accuses nobody."""

    GO = "go"
    NO_GO = "no-go"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckQuestion:
    """What an outside check is told: the part of a rollout that it is asked about."""

    fleet: str
    rollout_id: str
    wave: str
    devices: tuple[DeviceId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAnswer:
    """An answer. `devices`: whom a no-go is about; None: all that were asked about."""

    word: CheckWord
    why: str = ""
    devices: frozenset[DeviceId] | None = None


_RESET: Final = re.compile(r"(panic|watchdog|user|power_brownout)(?:, ([a-z0-9_]{1,30}))?", re.ASCII)


def unasked_reset(said: str) -> str | None:
    """A restart that neither a person nor an update asked for, in the words of `spark/device/last_reset`; else None.

    The words are those of Device OS (facts 5.8, `system_cloud_internal.cpp`): a panic has its code behind a comma;
    `user` is the application's own `System.reset()`, which its watchdog does too. An update, safe mode, sleep, a pulled
    plug and a pressed button are asked for; what is `unknown` or a bare number says nothing.
    """
    found = _RESET.fullmatch(said.strip().lower())
    return None if found is None else found.group()
