"""Where the rollout of a fleet is, and what a person has said to it: as values, for people and for machines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.model.device import DeviceId
from reconciler.model.device_life import DeviceState
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.rollout import RolloutState, WaveState
from reconciler.render.ink import Page, Style, counted
from reconciler.render.rollout_words import intent_in_words, until_when
from reconciler.render.step_words import duration_in_words, time_in_words

STANDING_WORDS: Final[Mapping[DeviceState, str]] = {
    DeviceState.DONE: "as desired",
    DeviceState.MOVING: "under way",
    DeviceState.READY: "to come",
    DeviceState.PAUSING: "pausing before another try",
    DeviceState.FAILED: "failed",
    DeviceState.UNREACHED: "not reached",
    DeviceState.EXEMPT: "held or refused",
}
_STATE_WORDS: Final = {
    RolloutState.ROLLING: "under way",
    RolloutState.HALTED: "halted",
    RolloutState.COMPLETE: "complete",
    RolloutState.SUPERSEDED: "superseded",
}
_HELD_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveStatus:
    """A wave that has started.

    - `devices`: how many it had at its start; `standings`: where those are now, None where nobody looked.
    - `soaks_until`: the earliest end of its soak; None: it does not soak, or nobody knows for how long.
    - `unwell`: how many of its devices were found unwell, by what the journal has and no person has settled.
    - `in_doubt`: the devices whose health is unknown, and why, which keeps the wave where it is. None: only a run
      that watches them knows.
    """

    name: str
    state: WaveState
    devices: int
    started_at: Instant
    soaks_until: Instant | None = None
    standings: Mapping[DeviceState, int] | None = None
    unwell: int = 0
    in_doubt: Mapping[DeviceId, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDevice:
    """A device that is left alone, why, and until when; None: until a person comes."""

    device_id: DeviceId
    why: str
    until: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStatus:
    """The latest rollout of a fleet. `to_come`: the waves that have not started, by name; `awaits_approval` of one.

    `plan_id` is the plan that it began with, which the journal keeps: who approves a wave approves that.
    """

    id: str
    intent: str
    state: RolloutState
    began_at: Instant
    devices: int
    waves: tuple[WaveStatus, ...] = ()
    to_come: tuple[str, ...] = ()
    awaits_approval: str = ""
    plan_id: str = ""

    @property
    def is_rolling(self) -> bool:
        """Whether it is on its way, and not halted."""
        return self.state is RolloutState.ROLLING


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspensionStatus:
    """Nothing starts in the fleet, by a person's command (`in_manifest` False) or by its manifest."""

    reason: str
    until: Instant | None
    by: str
    in_manifest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Everything of this file about one fleet."""

    rollout: RolloutStatus | None = None
    suspensions: tuple[SuspensionStatus, ...] = ()
    held: tuple[HeldDevice, ...] = ()


NO_PROGRESS: Final = Progress()
"""No rollout ever began, and nobody said anything."""


def progress_lines(page: Page, fleet: str, progress: Progress, now: Instant) -> list[str]:
    """The lines of one fleet, with what a person may do next below what holds it."""
    lines = []
    for suspension in progress.suspensions:
        where = "in its manifest" if suspension.in_manifest else "by command"
        by = f" by {suspension.by}" if suspension.by else ""
        no_end = suspension.in_manifest and suspension.until is None
        end = "" if no_end else f", {until_when(suspension.until)}"
        lines += _inked(page, f"SUSPENDED{by}, {where}{end}: {suspension.reason}")
        word = "take it out of the manifest, in Git" if suspension.in_manifest else f"reconciler resume {fleet}"
        lines += page.wrapped(f"next: to end it: {word}", indent=4, hanging=2)
    if progress.rollout is not None:
        lines += _rollout(page, fleet, progress.rollout, now)
    lines += _held(page, fleet, progress.held, now)
    return lines


def progress_document(progress: Progress) -> dict[str, Any]:
    """`rollout`, `suspensions` and `held_devices` of a fleet in the status's format."""
    return {
        "rollout": None if progress.rollout is None else _rollout_document(progress.rollout),
        "suspensions": [
            {"reason": each.reason, "until": _time(each.until), "by": each.by, "in_manifest": each.in_manifest}
            for each in progress.suspensions
        ],
        "held_devices": [
            {"device": each.device_id, "why": each.why, "until": _time(each.until)} for each in progress.held
        ],
    }


def _rollout(page: Page, fleet: str, rollout: RolloutStatus, now: Instant) -> list[str]:
    age = duration_in_words(now - rollout.began_at)
    sentence = (
        f"rollout {rollout.id} towards {intent_in_words(rollout.intent)}: {_STATE_WORDS[rollout.state]}, "
        f"{counted(rollout.devices, 'device')}, began {age} ago"
    )
    lines = page.wrapped(sentence, indent=2, hanging=2)
    if rollout.state in (RolloutState.COMPLETE, RolloutState.SUPERSEDED):
        return lines  # its waves are history
    for number, wave in enumerate(rollout.waves, start=1):
        whole = len(rollout.waves) + len(rollout.to_come)
        lines += page.wrapped(f"wave {wave.name} ({number} of {whole}): {_wave(wave, now)}", indent=4, hanging=2)
        lines += _health(page, wave)
    if rollout.to_come:
        lines += page.wrapped(f"to come: {', '.join(f'wave {name}' for name in rollout.to_come)}", indent=4, hanging=2)
    if rollout.awaits_approval:
        lines += _inked(page, f"awaiting the approval of wave {rollout.awaits_approval}")
        command = f"reconciler approve {rollout.plan_id} --fleet {fleet} --wave {rollout.awaits_approval}"
        lines += page.wrapped(f"next: {command}", indent=4, hanging=2)
    return lines


def _health(page: Page, wave: WaveStatus) -> list[str]:
    words = [f"{counted(wave.unwell, 'device')} unwell"] if wave.unwell else []
    if wave.in_doubt:
        first, why = min(wave.in_doubt.items())
        whose = first if len(wave.in_doubt) == 1 else f"{first} and {len(wave.in_doubt) - 1:,} more"
        words.append(f"the health of {whose} is unknown ({why})")
    return [page.ink(line, Style.WAITING) for line in page.wrapped("; ".join(words), indent=6, hanging=2) if words]


def _wave(wave: WaveStatus, now: Instant) -> str:
    match wave.state:
        case WaveState.COMPLETE:
            state = "complete"
        case WaveState.SOAKING if wave.soaks_until is not None and wave.soaks_until > now:
            left = duration_in_words(wave.soaks_until - now)
            state = f"soaks until {time_in_words(wave.soaks_until)}, {left} from now"
        case WaveState.SOAKING:
            state = "has soaked; the next pass judges it"
        case _:
            state = f"started {duration_in_words(now - wave.started_at)} ago"
    if wave.standings is None:
        return f"{counted(wave.devices, 'device')}, {state}"
    standings = [
        f"{wave.standings[each]:,} {word}" for each, word in STANDING_WORDS.items() if wave.standings.get(each)
    ]
    return f"{counted(wave.devices, 'device')}, {state}" + (f": {', '.join(standings)}" if standings else "")


def _held(page: Page, fleet: str, held: tuple[HeldDevice, ...], now: Instant) -> list[str]:
    if not held:
        return []
    lines = _inked(page, f"{counted(len(held), 'device')} held")
    for each in held[:_HELD_SHOWN]:
        left = "until a person comes"
        if each.until is not None:
            left = f"until {time_in_words(each.until)}, {duration_in_words(each.until - now)} from now"
        lines += page.wrapped(f"{each.device_id} {left}: {each.why}", indent=4, hanging=2)
    if len(held) > _HELD_SHOWN:
        lines.append(f"    and {len(held) - _HELD_SHOWN:,} more")
    which = held[0].device_id if len(held) == 1 else f"--fleet {fleet} --all"
    return lines + page.wrapped(f"next: to try at once: reconciler retry {which}", indent=4, hanging=2)


def _inked(page: Page, sentence: str) -> list[str]:
    return [page.ink(line, Style.WAITING) for line in page.wrapped(sentence, indent=2, hanging=2)]


def _rollout_document(rollout: RolloutStatus) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "intent": rollout.intent,
        "state": rollout.state.value,
        "began_at": iso_from_instant(rollout.began_at),
        "devices": rollout.devices,
        "waves": [
            {
                "name": wave.name,
                "state": wave.state.value,
                "devices": wave.devices,
                "started_at": iso_from_instant(wave.started_at),
                "soaks_until": _time(wave.soaks_until),
                "standings": None
                if wave.standings is None
                else {each.value: wave.standings.get(each, 0) for each in STANDING_WORDS},
                "unwell": wave.unwell,
                "in_doubt": None
                if wave.in_doubt is None
                else [{"device": device_id, "why": why} for device_id, why in sorted(wave.in_doubt.items())],
            }
            for wave in rollout.waves
        ],
        "to_come": list(rollout.to_come),
        "awaits_approval": rollout.awaits_approval,
    }


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else iso_from_instant(instant)
