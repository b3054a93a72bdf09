"""One process of ours in a play: the client of production, which tells what it does and ends when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.controller.agreement import Agreement, agreement_on
from reconciler.controller.knowledge import Knowledge
from reconciler.inventory.merge import merged
from reconciler.model.plan import Plan
from reconciler.particle.listing import PageReader
from reconciler.planning.planner import plan_fleets
from reconciler.render.plan_json import plan_document, plan_json
from tests.simulation.theatre import Actor, Theatre
from tests.simulation.trace import Rested
from tests.simulation.virtual import Play


class StoppedError(BaseException):
    """An operator has ended the process, as with Ctrl-C between two passes."""


@dataclass(kw_only=True)
class Client(Play):
    """One process of ours. It tells what it does, and ends when it is told to."""

    actor: Actor
    theatre: Theatre
    stop_at: float
    tell_rested: Callable[[Rested], None]
    plans_twice: bool = False
    pause_seconds_min: float = 0.0
    differs: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        # Pages one after another: one history a seed.
        self.api.pages_through = lambda read: PageReader(read, page_size=self.api.page_size)  # type: ignore[method-assign]  # of this object alone

    def recall(self) -> None:
        """Remember what devices said of their modules in earlier runs, as a process does at its beginning."""
        for report in self.journal.reports().values():
            for scope in self.scopes:
                scope.hearing.keep_report(report)

    def agree(self) -> tuple[Plan, Agreement]:
        """What would be done now, and the same worked out again from everything in another order."""
        observation = merged([scope.inventory.observe() for scope in self.scopes], now=self.virtual.clock())
        known = Knowledge(self.journal).added_to_all(observation)
        catalog, now = self.virtual.catalog, self.virtual.clock()
        plan = plan_fleets(self.fleets, known, catalog, now=now, answers=self.answers)
        if self.plans_twice:
            other_way = replace(known, devices=tuple(reversed(known.devices)))
            fleets = replace(self.fleets, fleets=tuple(reversed(self.fleets.fleets)))
            again = plan_fleets(fleets, other_way, catalog, now=now)
            one, other = (plan_json(plan_document(each, tool_version="0.0.0")) for each in (plan, again))
            self.differs = one != other
        return plan, agreement_on("plan-virtual", plan)

    def break_streams(self) -> None:
        """Nobody listens any more."""
        for _, hearing, close in self.streams:
            close()
            hearing.miss()
        self.streams = [(product, hearing, lambda: None) for product, hearing, _ in self.streams]

    def mend_streams(self) -> None:
        """Somebody listens again."""
        self.streams = [(each, hearing, self.virtual.listen(each, hearing)) for each, hearing, _ in self.streams]
        for _, hearing, _ in self.streams:
            hearing.miss()

    def _pause(self, silence_seconds: float) -> None:
        assert self.run is not None
        self.tell_rested(Rested(tuple(self.run.plans.values())))
        if self.actor.is_stopping or self.virtual.now >= self.stop_at:
            raise StoppedError
        super()._pause(max(silence_seconds, self.pause_seconds_min))
