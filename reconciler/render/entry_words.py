"""What is noted of rollouts, in words."""

from __future__ import annotations

from typing import assert_never

from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import (
    Approved,
    DeviceUnwell,
    Halted,
    Moving,
    Resumed,
    Retried,
    RolloutBegan,
    RolloutCompleted,
    RolloutEntry,
    RolloutSuperseded,
    Suspended,
    WaveCompleted,
    WaveGrew,
    WaveSoaking,
    WaveStarted,
)
from reconciler.render.ink import counted
from reconciler.render.step_words import time_in_words

_INTENT_PARTS = 3


def entry_in_words(entry: RolloutEntry) -> str:
    """What happened, without when and in which fleet."""
    match entry:
        case DeviceUnwell():
            return f"{entry.device_id}  unwell, {entry.check}: {entry.why}"
        case Halted():
            return f"HALTED {halted_by(entry.by)}: {entry.reason}"
        case Resumed():
            return f"resumed{_by(entry.by)}: failures are counted anew"
        case Suspended():
            return f"suspended{_by(entry.by)} {until_when(entry.until)}: {entry.reason}"
        case Retried():
            return f"{entry.device_id}  is tried again{_by(entry.by)}"
        case Approved():
            of_wave = "" if entry.wave is None else f", wave {entry.wave}"
            return f"approved{_by(entry.by)} ({entry.source}): {entry.plan_id}{of_wave}"
        case _:
            return _turn_in_words(entry)


def _turn_in_words(entry: RolloutBegan | Moving) -> str:
    match entry:
        case RolloutBegan():
            return f"began: {counted(entry.devices, 'device')}, {entry.plan_id}"
        case WaveStarted():
            rest = ", all that remain" if entry.members is None else ""
            return f"wave {entry.wave} started: {counted(entry.devices, 'device')}{rest}"
        case WaveGrew():
            more = counted(len(entry.members), "device")
            return f"wave {entry.wave} grew by {more}: none of those that it had could be reached"
        case WaveSoaking():
            return f"wave {entry.wave} soaks: every device that can be reached is as desired"
        case WaveCompleted():
            return f"wave {entry.wave} complete: {_ends(entry)}"
        case RolloutCompleted():
            return "complete"
        case RolloutSuperseded():
            return f"superseded: the manifests ask for {intent_in_words(entry.intent)}"
        case _:
            assert_never(entry)


def intent_in_words(intent: str) -> str:
    """`Device OS 6.3.4 and logger 44`, from the short text that `Desired.intent` makes."""
    parts = intent.split(" ", _INTENT_PARTS - 1)
    if len(parts) != _INTENT_PARTS:
        return intent
    device_os, completeness, application = parts
    modules = " (full)" if completeness == "full" else ""
    wanted = [] if device_os == "-" else [f"Device OS {device_os}{modules}"]
    wanted += [] if application == "-" else [" ".join(application.rsplit(":", 1))]
    return " and ".join(wanted) or "nothing"


def halted_by(person: str | None) -> str:
    """`by itself`, or by whom."""
    return "by itself" if person is None else f"by {person or 'a person'}"


def until_when(until: Instant | None) -> str:
    """Until a time, or until `resume`."""
    return "until `resume`" if until is None else f"until {time_in_words(until)}"


def _by(person: str) -> str:
    return f" by {person}" if person else ""


def _ends(entry: WaveCompleted) -> str:
    ends = ((entry.verified, "verified"), (entry.failed, "failed"), (entry.not_reached, "not reached"))
    return ", ".join(f"{number:,} {what}" for number, what in ends if number) or "no device"
