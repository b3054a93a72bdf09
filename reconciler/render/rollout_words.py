"""What follows for a rollout, and what people say to a fleet, as sentences without the fleet's name. Pure."""

from __future__ import annotations

from typing import assert_never

from reconciler.model.instant import iso_from_instant
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


def entry_in_words(entry: RolloutEntry) -> str:
    """One entry as a sentence without its end."""
    match entry:
        case RolloutBegan(rollout_id=rollout_id, devices=devices):
            return f"rollout {rollout_id} begins, {_counted(devices)} to go"
        case WaveStarted() | WaveGrew() | WaveSoaking() | WaveCompleted() | RolloutCompleted() | RolloutSuperseded():
            return _move_in_words(entry)
        case DeviceUnwell(device_id=device_id, check=check, why=why):
            return f"{device_id} is unwell ({check}): {why}"
        case Halted(reason=reason, by=by):
            return f"halted{_by(by)}: {reason}; nothing more is started"
        case Resumed(by=by):
            return f"resumed{_by(by)}"
        case Suspended(reason=reason, until=until, by=by):
            end = "until it is resumed" if until is None else f"until {iso_from_instant(until)}"
            return f"suspended{_by(by)} {end}: {reason}"
        case Retried(device_id=device_id, by=by):
            return f"{device_id} is tried again{_by(by)}"
        case Approved(plan_id=plan_id, wave=wave, by=by):
            what = plan_id if wave is None else f"wave {wave}, {plan_id},"
            return f"{what} approved{_by(by)}"
        case _:
            assert_never(entry)


def _move_in_words(entry: Moving) -> str:
    match entry:
        case WaveStarted(wave=wave, devices=devices):
            return f"wave {wave} starts with {_counted(devices)}"
        case WaveGrew(wave=wave, members=members):
            return f"wave {wave} reached none of its devices and takes {_counted(len(members))} more"
        case WaveSoaking(wave=wave):
            return f"wave {wave} soaks"
        case WaveCompleted(wave=wave, verified=verified, failed=failed, not_reached=not_reached):
            return f"wave {wave} is complete: {verified} as desired, {failed} failed, {not_reached} not reached"
        case RolloutCompleted():
            return "the rollout is complete"
        case RolloutSuperseded():
            return "the rollout ends: the manifests ask for something else"
        case _:
            assert_never(entry)


def _counted(devices: int) -> str:
    return "1 device" if devices == 1 else f"{devices} devices"


def _by(person: str | None) -> str:
    return f" by {person}" if person else ""
