"""`python -m tests.tidy.lives`: write `docs/lives.md`, the state machines drawn from what the code does.

An attempt, a rollout and a wave are drawn by trying: every method and every entry on every state, and an arrow for each
that is not refused. So a drawing shows what the code allows, and a test holds the tables of moves against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from reconciler.model.attempt import OPEN_STATES, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceId
from reconciler.model.device_life import DEVICE_MOVES, DeviceState
from reconciler.model.error import BugError
from reconciler.model.instant import Instant
from reconciler.model.rollout import FleetStory, RolloutState, WaveState, story_of
from reconciler.model.rollout_entry import (
    Halted,
    Resumed,
    RolloutBegan,
    RolloutCompleted,
    RolloutEntry,
    RolloutSuperseded,
    WaveCompleted,
    WaveGrew,
    WaveSoaking,
    WaveStarted,
)
from tests.fleet_samples import attempt

PAGE = Path(__file__).parents[2] / "docs" / "lives.md"
Arrow = tuple[str, str, str]
"""From, to, and by what."""
_StateOf = Callable[[FleetStory], str]

_AT = Instant(1.0)
_MEMBERS = frozenset({DeviceId("e00fce680000000000000001")})
_OTHERS = frozenset({DeviceId("e00fce680000000000000002")})
_BEGAN = RolloutBegan(fleet="eu", at=_AT, rollout_id="eu-1", intent="-", plan_id="p", devices=1)
_STARTED = WaveStarted(fleet="eu", at=_AT, wave="canary", devices=1, members=_MEMBERS)
_SOAKING = WaveSoaking(fleet="eu", at=_AT, wave="canary")
_WAVE_OVER = WaveCompleted(fleet="eu", at=_AT, wave="canary", verified=1, failed=0, not_reached=0)
_OVER = RolloutCompleted(fleet="eu", at=_AT)
_HALTED = Halted(fleet="eu", at=_AT, reason="a test")
_RESUMED = Resumed(fleet="eu", at=_AT)
_SUPERSEDED = RolloutSuperseded(fleet="eu", at=_AT, intent="other")
_GREW = WaveGrew(fleet="eu", at=_AT, wave="canary", members=_OTHERS)


def attempt_arrows() -> list[Arrow]:
    """Every method of an attempt on every state of it."""
    found = []
    for state in AttemptState:
        lived = replace(attempt(), state=state)
        for name, move in (
            ("sent", lambda each: each.sent(_AT)),
            ("lost_sight", lambda each: each.lost_sight("")),
            ("verified", lambda each: each.verified(Evidence.EFFECT, _AT)),
            ("failed", lambda each: each.failed(FailureClass.INSTALL, "", _AT)),
            ("withdrawn", lambda each: each.withdrawn("", _AT)),
        ):
            try:
                found.append((str(state), str(move(lived).state), name))
            except BugError:
                continue
    return found


def rollout_arrows() -> list[Arrow]:
    """Every entry that moves a rollout on every life that ends in each of its states."""
    lives = [
        [_BEGAN],
        [_BEGAN, _HALTED],
        [_BEGAN, _STARTED, _WAVE_OVER, _OVER],
        [_BEGAN, _STARTED, _WAVE_OVER, _OVER, _HALTED],
        [_BEGAN, _SUPERSEDED],
    ]
    return _arrows(lives, (_HALTED, _RESUMED, _OVER, _SUPERSEDED), _rollout_state)


def wave_arrows() -> list[Arrow]:
    """Every entry that moves a wave on every life that ends in each of its states."""
    lives = [[_BEGAN], [_BEGAN, _STARTED], [_BEGAN, _STARTED, _SOAKING], [_BEGAN, _STARTED, _WAVE_OVER]]
    return _arrows(lives, (_STARTED, _GREW, _SOAKING, _WAVE_OVER), _wave_state)


def device_arrows() -> list[Arrow]:
    """The table of a device's moves: no state of it is stored, so there is nothing to try."""
    return [(str(before), str(after), why) for before, moves in DEVICE_MOVES.items() for after, why in moves.items()]


def _arrows(
    lives: Iterable[Sequence[RolloutEntry]], entries: Iterable[RolloutEntry], state_of: _StateOf
) -> list[Arrow]:
    tried = list(entries)
    return list(dict.fromkeys(arrow for life in lives for arrow in _tried(story_of("eu", life), tried, state_of)))


def _tried(story: FleetStory, entries: Iterable[RolloutEntry], state_of: _StateOf) -> Iterator[Arrow]:
    for entry in entries:
        try:
            after = story.after(entry)
        except BugError:
            continue
        if after != story and (state_of(after) != state_of(story) or isinstance(entry, WaveGrew)):
            yield state_of(story), state_of(after), type(entry).__name__


def _rollout_state(story: FleetStory) -> str:
    assert story.rollout is not None
    return str(story.rollout.state)


def _wave_state(story: FleetStory) -> str:
    assert story.rollout is not None
    return str(story.rollout.waves[0].state if story.rollout.waves else WaveState.PENDING)


def diagram(arrows: Sequence[Arrow], first: StrEnum, last: Iterable[StrEnum]) -> str:
    """The arrows as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    together: dict[tuple[str, str], list[str]] = {}
    for before, after, what in arrows:
        together.setdefault((before, after), []).append(what)
    lines += [f"    {before} --> {after}: {', '.join(what)}" for (before, after), what in together.items()]
    return "\n".join([*lines, *(f"    {state} --> [*]" for state in last), "```"])


def page() -> str:
    """The whole of `docs/lives.md`."""
    ended = [state for state in AttemptState if state not in OPEN_STATES]
    parts = [
        "# Lives",
        "Drawn from the code by `python -m tests.tidy.lives`; a test fails when this page and the code differ.",
        "## An attempt",
        "One try at one step on one device (`reconciler/model/attempt.py`). The arrows are its methods.",
        f"An attempt is open while it is {', '.join(sorted(OPEN_STATES))}; a device has one open attempt at most.",
        diagram(attempt_arrows(), AttemptState.INTENDED, ended),
        "## A device in a rollout",
        "Where it stands from one pass to the next (`reconciler/model/device_life.py`).",
        "Nothing of it is stored: every pass derives it from what it saw.",
        "No device is found moving that was seen as desired, or out of sight, a pass before.",
        diagram(device_arrows(), DeviceState.READY, [DeviceState.DONE]),
        "## A rollout",
        "One fleet on its way to one intent (`reconciler/model/rollout.py`). The arrows are entries of the journal.",
        "A resumed rollout goes back to where it was.",
        diagram(rollout_arrows(), RolloutState.ROLLING, [RolloutState.COMPLETE, RolloutState.SUPERSEDED]),
        "## A wave",
        "Devices of a rollout that start together (`reconciler/model/rollout.py`).",
        diagram(wave_arrows(), WaveState.PENDING, [WaveState.COMPLETE]),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
