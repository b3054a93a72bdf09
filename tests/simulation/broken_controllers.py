"""For every law of controllers something of ours, deliberately broken, as in `broken_twins.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, cast

import pytest

from reconciler.controller import sizes
from reconciler.controller.intent import Intents
from reconciler.controller.run import Run
from reconciler.execution.executor import SendOutcome
from reconciler.model.device import ObservedDevice
from reconciler.model.error import OperatorError
from reconciler.model.fleet import FleetSet
from reconciler.model.plan import Plan
from reconciler.model.step import Step
from tests.simulation.broken_twins import HOUR, TWINS, Twin, small
from tests.simulation.crooked import Crooked
from tests.simulation.longplay import LongPlay
from tests.simulation.playing import Performance
from tests.simulation.worlds import Deed, Happening


class _Trusting:
    """A source that says of everything that it follows."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def follows(self, *_: object) -> bool:
        return True


def _trusting(performance: Performance, _: pytest.MonkeyPatch) -> None:
    cast(LongPlay, performance).watching = _Trusting  # type: ignore[assignment]  # by its names


class _Forgetful:
    """A journal that keeps no intents."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def keep_intent(self, *_: object, **__: object) -> None:
        """Nothing."""


def _forgetful(performance: Performance, _: pytest.MonkeyPatch) -> None:
    performance.kept = _Forgetful  # type: ignore[assignment]  # by its names


def _dawdling(performance: Performance, _: pytest.MonkeyPatch) -> None:
    def send(executor: Any, device: ObservedDevice, step: Step) -> SendOutcome:
        performance.theatre.sleep(300.0)
        outcome: SendOutcome = executor.send(device, step)
        return outcome

    performance.hands = lambda executor: Crooked(executor, send)


def _desires_nothing_without_a_source(_: Performance, patch: pytest.MonkeyPatch) -> None:
    def look(intents: Intents) -> bool:
        try:
            return real(intents)
        except OperatorError:
            assert intents.intent is not None
            intents.intent = replace(intents.intent, fleets=FleetSet(fleets=()))
            return True

    real = Intents.look
    patch.setattr(Intents, "look", look)


def _remembers_sizes_again_and_again(_: Performance, patch: pytest.MonkeyPatch) -> None:
    real = sizes._remember
    patch.setattr(sizes, "_remember", lambda *given, **_: real(*given, unless=(None, None)))


def _tells_another_plan(_: Performance, patch: pytest.MonkeyPatch) -> None:
    def agree_to(run: Run, plan: Plan) -> None:
        real(run, plan)
        run.plan = replace(plan, fleets=tuple(replace(fleet, routes=()) for fleet in plan.fleets))

    real = Run.agree_to
    patch.setattr(Run, "agree_to", agree_to)


def _happening(deed: Deed, at: float, seconds: float = 0.0) -> Happening:
    return Happening(at=at, deed=deed, fleet="a", seconds=seconds)


OF_CONTROLLERS: Final[Mapping[str, Twin]] = MappingProxyType(
    {
        "S17": Twin(
            world=small(happenings=(_happening(Deed.FORCED_PUSH, 600.0),)), breaks=_trusting, performance=LongPlay
        ),
        "C1": Twin(world=small(), breaks=_forgetful, performance=LongPlay),
        "C2": Twin(world=small(happenings=(_happening(Deed.HALT, 100.0),)), breaks=_dawdling, performance=LongPlay),
        "C3": Twin(
            world=small(happenings=(_happening(Deed.SOURCE_DOWN, 600.0, HOUR),)),
            breaks=_desires_nothing_without_a_source,
            performance=LongPlay,
        ),
        "C4": Twin(world=small(), breaks=_remembers_sizes_again_and_again, performance=LongPlay),
    }
)

OTHERWISE_FOR_CONTROLLERS: Final[Mapping[str, Twin]] = MappingProxyType(
    {
        "S20": Twin(world=small(), breaks=_tells_another_plan, performance=LongPlay),
        "P7": replace(TWINS["P7"], performance=LongPlay),
    }
)
"""Laws that ask something else of a controller than of a run."""
