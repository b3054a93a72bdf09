"""What follows for a rollout, and what people say to a fleet, as sentences without the fleet's name. Pure."""

from __future__ import annotations

from typing import Final, assert_never

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

_INTENT_PARTS: Final = 3


def entry_in_words(entry: RolloutEntry) -> str:
    """One entry as a sentence without its end."""
    match entry:
        case RolloutBegan(rollout_id=rollout_id, devices=devices):
            return f"rollout {rollout_id} begins, {counted(devices, 'device')} to go"
        case WaveStarted() | WaveGrew() | WaveSoaking() | WaveCompleted() | RolloutCompleted() | RolloutSuperseded():
            return _move_in_words(entry)
        case DeviceUnwell(device_id=device_id, check=check, why=why):
            return f"{device_id} is unwell ({check}): {why}"
        case Halted(reason=reason, by=by):
            return f"HALTED {halted_by(by)}: {reason}"
        case Resumed(by=by):
            return f"resumed{_by(by)}: failures are counted anew"
        case Suspended(reason=reason, until=until, by=by):
            return f"suspended{_by(by)} {until_when(until)}: {reason}"
        case Retried(device_id=device_id, by=by):
            return f"{device_id} is tried again{_by(by)}"
        case Approved(plan_id=plan_id, wave=wave, by=by, source=source):
            what = plan_id if wave is None else f"wave {wave} of {plan_id}"
            return f"{what} is approved{_by(by)} ({source})"
        case _:
            assert_never(entry)


def _move_in_words(entry: Moving) -> str:
    match entry:
        case WaveStarted(wave=wave, devices=devices):
            return f"wave {wave} starts with {counted(devices, 'device')}"
        case WaveGrew(wave=wave, members=members):
            return f"wave {wave} reached none of its devices and takes {counted(len(members), 'device')} more"
        case WaveSoaking(wave=wave):
            return f"wave {wave} soaks"
        case WaveCompleted(wave=wave, verified=verified, failed=failed, not_reached=not_reached):
            ends = ((verified, "as desired"), (failed, "failed"), (not_reached, "not reached"))
            told = ", ".join(f"{number:,} {what}" for number, what in ends if number)
            return f"wave {wave} is complete: {told or 'it had no device'}"
        case RolloutCompleted():
            return "the rollout is complete"
        case RolloutSuperseded(intent=intent):
            return f"the rollout ends: the manifests ask for {intent_in_words(intent)}"
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


def _by(person: str | None) -> str:
    return f" by {person}" if person else ""
