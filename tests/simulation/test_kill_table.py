"""A client is killed around every transition that there is: before it is durable, right after, and when more followed.

The cases are made from the code's own tables: the moves of an attempt (on a device, on a product) and the kinds of
entries of a rollout. A transition that no scene here brings about, or that has no scene, fails. Whatever happens, the
next clients end as if nothing had been, and every law holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent, SendOutcome
from reconciler.journal.control_record import ControlRecord
from reconciler.journal.journal import Journal
from reconciler.model.attempt import MOVES, Attempt, AttemptState, FailureClass
from reconciler.model.fleet import Share, Wave
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.rollout_entry import RolloutEntry
from tests.simulation.broken_twins import small
from tests.simulation.laws import broken
from tests.simulation.playing import Dies, Performance
from tests.simulation.trace import READS, WRITES
from tests.simulation.worlds import Deed, FaultSpec, Happening, World

PACKAGE = Path(__file__).parents[2] / "reconciler"


class When(StrEnum):
    """Around a write of the journal."""

    BEFORE = "before it is durable"
    BETWEEN = "durable, and nothing follows"
    AFTER = "something followed"


@dataclass(frozen=True, slots=True)
class Move:
    """One transition: of an attempt on a device or a product, or an entry."""

    of: str
    before: AttemptState | None = None
    to: AttemptState | None = None

    def __str__(self) -> str:
        return f"{self.of} {self.before}-{self.to}" if self.to else self.of


def moves_of(name: str) -> Iterator[Move]:
    yield Move(name, None, AttemptState.INTENDED)
    yield from (Move(name, before, to) for before, following in MOVES.items() for to in sorted(following))


def entry_kinds() -> tuple[type, ...]:
    """Every kind, the groups in the union taken apart."""
    return tuple(dict.fromkeys(get_args(RolloutEntry)))


def every_transition() -> list[Move]:
    of_entries = [Move(kind.__name__) for kind in entry_kinds()]
    return [*moves_of("Attempt"), *moves_of("ProductAttempt"), *of_entries]


class FirstSend(StrEnum):
    """What becomes of the first thing that is sent."""

    ARRIVES = "arrives"
    ANSWER_LOST = "the answer is lost"
    REQUEST_LOST = "the request is lost, and nobody can know"
    NOT_SENT = "it certainly did not leave"
    NO_EFFECT = "it is accepted and has no effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A world in which a transition comes about. `earlier`: a transition at which a client has to die first."""

    world: World
    first: FirstSend = FirstSend.ARRIVES
    earlier: Move | None = None


@dataclass
class Unlucky:
    """Hands whose first send goes wrong; they pass on everything else."""

    hands: Any
    first: list[FirstSend]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hands, name)

    def send(self, *what: Any) -> SendOutcome:
        first = self.first.pop() if self.first else FirstSend.ARRIVES
        if first in (FirstSend.ARRIVES, FirstSend.ANSWER_LOST):
            outcome: SendOutcome = self.hands.send(*what)
            return outcome if first is FirstSend.ARRIVES else MayHaveArrived(detail=first)
        match first:
            case FirstSend.REQUEST_LOST:
                return MayHaveArrived(detail=first)
            case FirstSend.NOT_SENT:
                return NotSent(failure=FailureClass.TRANSPORT, detail=first)
            case _:
                return Accepted(detail=first)


def struck_by(fault: str, *, count: int, **more: Any) -> World:
    """The small fleet, with a fault that strikes so often."""
    return small(faults=(FaultSpec(fault=fault, rate=1.0, count=count, begin=0.0, end=8000.0),), **more)


def happening(deed: Deed, at: float) -> Happening:
    return Happening(at=at, deed=deed, fleet="a", device=1, seconds=600.0)


def with_deed(deed: Deed) -> Scene:
    return Scene(world=small(happenings=(happening(deed, DEED_AT),)))


INTENDED, SENT, UNKNOWN = AttemptState.INTENDED, AttemptState.SENT, AttemptState.UNKNOWN
VERIFIED, FAILED, WITHDRAWN = AttemptState.VERIFIED, AttemptState.FAILED, AttemptState.WITHDRAWN
DEED_AT = 30.0
ONE_FAILURE = replace(small().fleets[0].rollout, failures_max=Share(1))
WITH_CANARY = replace(
    small().fleets[0].rollout,
    waves=(Wave(name="canary", size=Share(1), soak_seconds=300.0),),
    offline_deadline_seconds=300.0,
)
SOAKS_LONG = replace(WITH_CANARY, waves=(Wave(name="canary", size=Share(1), soak_seconds=3600.0),))
THERE = small(device_os="6.3.4", application=2)
"""Every device is there already: a release is all that is left to do."""
WAVES = Scene(world=small(rollout=WITH_CANARY))

BY_NAME = replace(WITH_CANARY.waves[0], devices=frozenset({"e00fce680000000000000003"}))
AWAY = replace(
    small(rollout=replace(WITH_CANARY, waves=(BY_NAME,))),
    devices=tuple(replace(each, online=each.number != 3) for each in small().devices),
)
"""The only device of the canary wave is away for good."""

ATTEMPTS: dict[tuple[AttemptState | None, AttemptState], FirstSend] = {
    (None, INTENDED): FirstSend.ARRIVES,
    (INTENDED, SENT): FirstSend.ARRIVES,
    (INTENDED, UNKNOWN): FirstSend.ANSWER_LOST,
    (INTENDED, FAILED): FirstSend.NOT_SENT,
    (SENT, UNKNOWN): FirstSend.ARRIVES,
    (SENT, VERIFIED): FirstSend.ARRIVES,
    (SENT, FAILED): FirstSend.NO_EFFECT,
    (UNKNOWN, VERIFIED): FirstSend.ANSWER_LOST,
    (UNKNOWN, FAILED): FirstSend.REQUEST_LOST,
}
"""What brings a move about; whoever is found sent became unknown by a death."""


def scenes_of_attempts(name: str, world: World) -> dict[Move, Scene]:
    return {
        Move(name, before, to): Scene(
            world=world,
            first=first,
            earlier=Move(name, INTENDED, SENT) if (before, to) == (SENT, UNKNOWN) else None,
        )
        for (before, to), first in ATTEMPTS.items()
    }


SCENES: dict[Move, Scene] = {
    **scenes_of_attempts("Attempt", small()),
    **scenes_of_attempts("ProductAttempt", THERE),
    Move("RolloutBegan"): WAVES,
    Move("WaveStarted"): WAVES,
    Move("WaveGrew"): Scene(world=AWAY),
    Move("WaveSoaking"): WAVES,
    Move("WaveCompleted"): WAVES,
    Move("RolloutCompleted"): WAVES,
    Move("RolloutSuperseded"): with_deed(Deed.NEW_APPLICATION),
    Move("Halted"): Scene(world=struck_by("flash-fails", count=9, rollout=ONE_FAILURE)),
    Move("Resumed"): Scene(world=small(happenings=(happening(Deed.HALT, 20.0), happening(Deed.RESUME, DEED_AT)))),
    Move("DeviceUnwell"): Scene(world=struck_by("crash-loop", count=1, rollout=SOAKS_LONG)),
    Move("Suspended"): with_deed(Deed.SUSPEND),
    Move("Retried"): with_deed(Deed.RETRY),
    Move("Approved"): with_deed(Deed.APPROVE),
}

UNSEEN: dict[Move, str] = {
    Move("Attempt", INTENDED, WITHDRAWN): ".withdrawn(",
    Move("ProductAttempt", INTENDED, WITHDRAWN): ".withdrawn(",
}
"""Transitions that nothing brings about here, by the words that would: found in the code, they need a scene."""


@dataclass
class Death:
    """One client dies once, around a transition; before it another one at the scene's earlier transition."""

    move: Move
    when: When
    earlier: Move | None
    states: dict[str, AttemptState] = field(default_factory=dict)
    met: bool = False
    done: bool = False
    points_left: int = 0

    def dies(self, _run: int) -> Dies:
        return self._at

    def _at(self, point: str, given: tuple[Any, ...]) -> bool:
        if self.done:
            return False
        if self.points_left:
            self.points_left -= 1
            self.done = not self.points_left
            return self.done
        time, _, method = point.partition(" ")
        found = self._transitions(method, given)
        if time == "after":
            self._remember(given)
        if self.earlier is not None:
            if time == "after" and self.earlier in found:
                self.earlier = None
                return True
            return False
        if self.move not in found:
            return False
        self.met = True
        if time == "before":
            self.done = self.when is When.BEFORE
            return self.done
        if self.when is When.AFTER:
            self.points_left = 2
            return False
        self.done = True
        return True

    def _transitions(self, method: str, given: tuple[Any, ...]) -> list[Move]:
        match method:
            case "begin" | "record" | "begin_product" | "record_product":
                attempt: Attempt | ProductAttempt = given[0]
                before = self.states.get(attempt.id)
                return [Move(type(attempt).__name__, None if attempt.state is INTENDED else before, attempt.state)]
            case "note":
                return [Move(type(entry).__name__) for entry in given[0]]
            case "halt":
                return [Move("Halted")]
            case "lift":
                return [Move("Resumed")]
            case _:
                return []

    def _remember(self, given: tuple[Any, ...]) -> None:
        if given and isinstance(given[0], Attempt | ProductAttempt):
            self.states[given[0].id] = given[0].state


def cases() -> list[Move]:
    return [move for move in every_transition() if move not in UNSEEN]


def test_every_transition_has_a_scene_or_says_what_would_bring_it_about() -> None:
    assert {*SCENES, *UNSEEN} == set(every_transition())
    assert not SCENES.keys() & UNSEEN.keys()


@pytest.mark.parametrize("words", sorted({words for words in UNSEEN.values() if words}))
def test_what_is_said_to_come_about_nowhere_comes_about_nowhere(words: str) -> None:
    sources = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if "model" not in path.parts)
    assert not any(words in source for source in sources)


def test_every_method_of_the_journal_is_a_write_or_a_read() -> None:
    every = {**vars(ControlRecord), **vars(Journal)}
    methods = {name for name, value in every.items() if callable(value) and not name.startswith("_")}
    assert methods == WRITES | READS
    assert not WRITES & READS


@cache
def undisturbed(world: World) -> Mapping[str, tuple[object, ...]]:
    return Performance(world).play().end_state


@pytest.mark.timeout(600)
@pytest.mark.parametrize("when", list(When), ids=lambda when: when.name.lower())
@pytest.mark.parametrize("move", cases(), ids=str)
def test_killed_around_a_transition_it_ends_as_if_nothing_had_been(move: Move, when: When) -> None:
    scene = SCENES[move]
    death = Death(move=move, when=when, earlier=scene.earlier)
    first = [scene.first]
    performance = Performance(
        scene.world,
        dies=death.dies,
        hands=lambda hands: Unlucky(hands, first) if move.of == "Attempt" else hands,
        product_hands=lambda hands: Unlucky(hands, first) if move.of == "ProductAttempt" else hands,
    )
    performance.outside.when_writing(death.dies(-1))
    trace = performance.play()

    assert death.met, "the scene does not bring it about"
    assert death.done
    assert trace.crashes == (2 if scene.earlier else 1)
    assert broken(trace) == {}
    assert trace.end_state == undisturbed(scene.world)
