"""Where one device is in its fleet's rollout, and why nothing starts on it now: as a value, and in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.model.attempt import Attempt
from reconciler.model.device_life import DeviceState
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.rollout import FleetStory, StartedWave
from reconciler.render.ink import Page, Style
from reconciler.render.rollout_status import STANDING_WORDS, HeldDevice
from reconciler.render.rollout_words import halted_by, until_when
from reconciler.render.step_words import duration_in_words, step_in_words, time_in_words
from reconciler.rollout.verdict import WINDOW_HOLDS, Start, Verdict, Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProgress:
    """One device in a rollout.

    - `story`: of its fleet. `wave`: the started wave that has it, None: none; `to_come`: the names of later waves.
    - `standing`: where it stands; None: it is not in the plan. `verdict`: of the gate, None where it has no route.
    - `failures`: its failed attempts of this rollout, the latest first. `held`: why it is left alone; None: it is not.
    """

    story: FleetStory
    to_come: tuple[str, ...]
    standing: DeviceState | None
    verdict: Verdict | None
    failures: Sequence[Attempt]
    held: HeldDevice | None
    wave: StartedWave | None = None


def device_progress_lines(page: Page, progress: DeviceProgress, now: Instant) -> list[str]:
    """Its wave, whether its next step may start, what failed on it, and the word that changes something."""
    lines = page.wrapped(_place(progress), hanging=2)
    verdict = progress.verdict
    if isinstance(verdict, Start):
        lines += [page.ink("Its next step may start in the next pass of `apply`.", Style.GOOD)]
    elif verdict is not None:
        sentence = f"Nothing starts on it now: {verdict.hold.value}{_until(verdict)}."
        lines += [page.ink(line, Style.WAITING) for line in page.wrapped(sentence, hanging=2)]
    lines += _words_of_people(page, progress.story, now)
    for attempt in progress.failures:
        lines += page.wrapped(_failure(attempt), indent=2, hanging=2)
    if progress.held is not None:
        held = progress.held
        until = "until a person comes" if held.until is None else f"until {time_in_words(held.until)}"
        lines += [page.ink(x, Style.BAD) for x in page.wrapped(f"Held {until}: {held.why}.", hanging=2)]
        lines += page.wrapped(f"next: to try at once: reconciler retry {held.device_id}", indent=2, hanging=2)
    return lines


def device_progress_document(progress: DeviceProgress) -> dict[str, Any]:
    """The same for machines (`rollout` in `schemas/explain.v1.schema.json`)."""
    rollout, verdict, held = progress.story.rollout, progress.verdict, progress.held
    hold = None if verdict is None or isinstance(verdict, Start) else verdict
    return {
        "id": None if rollout is None else rollout.id,
        "state": None if rollout is None else rollout.state.value,
        "wave": None if progress.wave is None else progress.wave.name,
        "standing": None if progress.standing is None else progress.standing.value,
        "may_start": isinstance(verdict, Start),
        "hold": None if hold is None else hold.hold.name.lower(),
        "hold_message": "" if hold is None else hold.hold.value,
        "hold_until": None if hold is None or hold.until is None else iso_from_instant(hold.until),
        "failures": [
            {
                "attempt": attempt.id,
                "step": step_in_words(attempt.step),
                "failure": attempt.failure or "",
                "detail": attempt.detail,
                "at": None if attempt.ended_at is None else iso_from_instant(attempt.ended_at),
                "must_act": "" if attempt.failure is None else CONSEQUENCES[attempt.failure].must_act.value,
            }
            for attempt in progress.failures
        ],
        "held": held is not None,
        "held_why": "" if held is None else held.why,
        "held_until": None if held is None or held.until is None else iso_from_instant(held.until),
    }


def _place(progress: DeviceProgress) -> str:
    rollout, wave = progress.story.rollout, progress.wave
    stands = "" if progress.standing is None else f"; it is {STANDING_WORDS[progress.standing]}"
    if rollout is None:
        return f"No rollout of its fleet has begun{stands}."
    head = f"Rollout {rollout.id} is {rollout.state}"
    if wave is not None:
        return f"{head}: the device is in wave {wave.name}, which is {wave.state}{stands}."
    to_come = ", ".join(progress.to_come) or "none"
    return f"{head}: no wave with the device has started, to come: {to_come}{stands}."


def _until(verdict: Wait) -> str:
    if verdict.hold in WINDOW_HOLDS:
        opening = "no opening that is known" if verdict.until is None else time_in_words(verdict.until)
        return f"; next opening: {opening}"
    return "" if verdict.until is None else f", until {time_in_words(verdict.until)} at least"


def _words_of_people(page: Page, story: FleetStory, now: Instant) -> list[str]:
    lines = []
    if story.halted is not None:
        halted = story.halted
        sentence = f"Its fleet was halted {halted_by(halted.by)} at {time_in_words(halted.at)}: {halted.reason}"
        lines += page.wrapped(sentence, indent=2, hanging=2)
        lines += page.wrapped(f"next: reconciler resume {story.fleet}", indent=4, hanging=2)
    if story.suspended is not None and story.is_suspended(now):
        suspended = story.suspended
        by = f" by {suspended.by}" if suspended.by else ""
        sentence = f"Its fleet is suspended{by} {until_when(suspended.until)}: {suspended.reason}"
        lines += page.wrapped(sentence, indent=2, hanging=2)
        lines += page.wrapped(f"next: reconciler resume {story.fleet}", indent=4, hanging=2)
    return lines


def _failure(attempt: Attempt) -> str:
    took = duration_in_words((attempt.ended_at or attempt.intended_at) - attempt.intended_at)
    detail = f": {attempt.detail}" if attempt.detail else ""
    must_act = "" if attempt.failure is None else f"; who must act: {CONSEQUENCES[attempt.failure].must_act.value}"
    when = time_in_words(attempt.intended_at)
    return f"{when} {step_in_words(attempt.step)} failed after {took} ({attempt.failure}){detail}{must_act}"
