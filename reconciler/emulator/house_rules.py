"""What a client was told beside the API: limits, windows, halts, waves. The referee holds it to them.

The rules stand in the world file under `rules`, or come through the control door; `schemas/world.v1.schema.json` says
every field. All times are virtual. A rule that is left out forbids nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant

_FOR_EVER: Final = Instant(float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """From an instant on, until another one, which is no part of it."""

    begin: Instant
    end: Instant = _FOR_EVER

    def holds(self, at: Instant) -> bool:
        """Whether an instant is within."""
        return self.begin <= at < self.end

    def __str__(self) -> str:
        until = "for ever" if self.end == _FOR_EVER else iso_from_instant(self.end)
        return f"{iso_from_instant(self.begin)} to {until}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Devices that come before those of the next wave, which waits `soak_seconds` after the last of them is done."""

    devices: frozenset[str]
    soak_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseRules:
    """The rules of the house. None, and nothing in a collection: no such rule.

    - `max_concurrent`: devices on which a send may be in flight at once.
    - `max_devices`: devices that may be touched at all.
    - `max_failures`: devices that may fail before nothing more is sent to others. A device fails when `transfer_tries`
      transfers to it fail in a row, when it falls into safe mode, or when it is away for `overdue_seconds` after a
      send.
    - `sends_per_minute`, `requests_per_five_minutes`: in any 60 s, in any 300 s. `bytes_per_day`: in any 24 h, of all
      devices; `bytes_per_device_per_day`: of each.
    - `leave_alone`: devices that get nothing. `windows`: when something may start; none given: always.
    - `halts`: when nothing may start. `grace_seconds`: what a client has to learn of a halt or a failure.
    - `staleness_seconds`: how old the last look at a device may be when something is sent to it.
    - `waves`: in their order. A device in no wave has none to wait for.
    - `safe_mode_allowed`: modules may leave dependencies unmet on the way (application first).
    - `desired_applications`: versions that the client is to bring. A person's lock to one of them agrees with it.
    - `persons`: names of tokens that people use in the console. What they do is not judged, but it is to be heeded.
    """

    max_concurrent: int | None = None
    max_devices: int | None = None
    max_failures: int | None = None
    transfer_tries: int = 1
    overdue_seconds: float = 1800.0
    sends_per_minute: int | None = None
    requests_per_five_minutes: int | None = None
    bytes_per_day: int | None = None
    bytes_per_device_per_day: int | None = None
    leave_alone: frozenset[str] = frozenset()
    windows: tuple[Interval, ...] = ()
    halts: tuple[Interval, ...] = ()
    grace_seconds: float = 60.0
    staleness_seconds: float | None = None
    waves: tuple[Wave, ...] = ()
    safe_mode_allowed: bool = False
    desired_applications: frozenset[int] = frozenset()
    persons: frozenset[str] = frozenset()


def house_rules(document: Mapping[str, Any]) -> HouseRules:
    """The rules of a document that keeps to the schema. Raises ValueError for what is no date and time."""
    defaults = HouseRules()
    return HouseRules(
        max_concurrent=document.get("maxConcurrent"),
        max_devices=document.get("maxDevices"),
        max_failures=document.get("maxFailures"),
        transfer_tries=document.get("transferTries", defaults.transfer_tries),
        overdue_seconds=float(document.get("overdueSeconds", defaults.overdue_seconds)),
        sends_per_minute=document.get("sendsPerMinute"),
        requests_per_five_minutes=document.get("requestsPerFiveMinutes"),
        bytes_per_day=document.get("bytesPerDay"),
        bytes_per_device_per_day=document.get("bytesPerDevicePerDay"),
        leave_alone=frozenset(document.get("leaveAlone", ())),
        windows=tuple(map(_interval, document.get("windows", ()))),
        halts=tuple(map(_interval, document.get("halts", ()))),
        grace_seconds=float(document.get("graceSeconds", defaults.grace_seconds)),
        staleness_seconds=document.get("stalenessSeconds"),
        waves=tuple(
            Wave(devices=frozenset(wave["devices"]), soak_seconds=float(wave.get("soakSeconds", 0)))
            for wave in document.get("waves", ())
        ),
        safe_mode_allowed=document.get("safeModeAllowed", False),
        desired_applications=frozenset(document.get("desiredApplications", ())),
        persons=frozenset(document.get("persons", ())),
    )


def _interval(document: Mapping[str, str]) -> Interval:
    end = instant_from_iso(document["until"]) if "until" in document else _FOR_EVER
    return Interval(begin=instant_from_iso(document["from"]), end=end)
