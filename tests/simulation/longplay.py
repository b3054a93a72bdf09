"""A world is played by controllers that run for long: processes one after another, a source in memory, one journal.

What goes wrong is what goes wrong in any play; besides, the source is away, its history is rewritten, its manifests are
broken or gone. When all is well again one controller runs until there is nothing more to do, and a person helps it.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random

from reconciler.controller.words.asking import ACCEPT, RECONCILE
from reconciler.inventory.inventory import Inventory
from reconciler.journal.journal import KeptPlan
from reconciler.manifests import ManifestErrors, Problem, ProblemCode
from reconciler.model.device import ModuleReport, Observation
from reconciler.model.event import Event, PlanMade
from reconciler.model.fleet import Fleet, FleetSet, Place
from reconciler.settings.settings import ControllerSettings, GitSettings, GuardSettings
from reconciler.sources import ManifestSet
from reconciler.sources.source import Source
from tests.simulation.openings import next_opening
from tests.simulation.outside import BY_A_PERSON
from tests.simulation.playing import Performance, at
from tests.simulation.theatre import KilledError
from tests.simulation.trace import Desired, Looked, Rested, RunEnded, SourceIs, Trace, WatchedEyes
from tests.simulation.virtual_controller import PretendSource, VirtualController, Worn
from tests.simulation.worlds import DAY, HOUR, Deed, Happening, World

PAUSES = (5.0, 60.0, 600.0, HOUR)
"""How long nobody runs between two processes."""

QUIET_SECONDS = 2 * HOUR
"""After so long without a write nothing more comes by itself, unless a window opens or a wave has soaked."""

QUIET_ROUNDS_MAX = 14
"""How often a person comes by when all is well again. A fleet has arrived by then, or it never does."""

GIT_SECONDS, IDLE_SECONDS = 300.0, 900.0
"""Between two looks at the source, and at products where nothing is to come: more seldom than usual, to play more."""

QUIET_IDLE_SECONDS = 3600.0
"""The same when all is well again, and no device sleeps that has to be met while it is awake."""

UNCHANGED_SECONDS = 3 * HOUR
"""How long a controller is watched that has nothing to do."""

BROKEN = Problem(place=Place("drawn.yaml", 1, 1), code=ProblemCode.SYNTAX, message="somebody's editor crashed")


class _NoShelf:
    def content(self, path: str, *, bytes_max: int) -> bytes | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnManifests(ManifestSet):
    """Manifests that need not be read: the fleets that they ask for are values already."""

    fleets: tuple[Fleet, ...]

    def compile(self, **_: object) -> FleetSet:
        """See `ManifestSet.compile`."""
        if self.problems:
            raise ManifestErrors(self.problems)
        digest = sha256(repr(self.fleets).encode()).hexdigest()
        return FleetSet(fleets=self.fleets, digest=f"sha256:{digest}")


def drawn_manifests(fleets: tuple[Fleet, ...], *problems: Problem) -> DrawnManifests:
    """The manifests of a commit. Their text is what makes the commit's id."""
    texts = {"drawn.yaml": f"{fleets} {problems}"}
    return DrawnManifests(texts=texts, paths=tuple(texts), problems=problems, shelf=_NoShelf(), fleets=fleets)


@dataclass
class LongPlay(Performance):
    """See the module. `source` is what is pushed to, and `watching` how controllers watch it."""

    source: PretendSource = field(init=False)
    watching: Callable[[PretendSource], Source] = lambda source: source

    def __post_init__(self) -> None:
        super().__post_init__()
        self.source = PretendSource(clock=lambda: self.theatre.now)
        self.trace.source = self.source
        # Each process dies in its turn, so that every death that was drawn is died.
        self.crashes = dict(enumerate(self.world.crashes))
        self._last_write_at = self.theatre.now
        self._words = count(1)
        self._rounds = iter(range(QUIET_ROUNDS_MAX))
        self._is_over_at_last = False
        self.push()

    def push(self, *, forced: bool = False) -> None:
        """A commit with what the fleets should be now."""
        fleets = tuple(map(self.manifests, self.outside.fleets()))
        self.source.commit(drawn_manifests(fleets), forced=forced)

    def on_git(self) -> None:
        """A change is a push. See `Performance.on_git`."""
        self.push()

    def on_source(self, happening: Happening) -> None:
        """What happens to the source, or is said about it."""
        match happening.deed:
            case Deed.SOURCE_DOWN:
                self._source_is(reachable=False)
                self.theatre.at(self.theatre.now + happening.seconds, partial(self._source_is, reachable=True))
            case Deed.FORCED_PUSH:
                self.push(forced=True)
            case Deed.BROKEN:
                self.source.commit(drawn_manifests(self.outside.fleets(), BROKEN))
            case Deed.EMPTIED:
                self.source.commit(drawn_manifests(()))
            case Deed.ACCEPT:
                self.accept()
            case _:
                self.outside.journal.set_bookmark(f"{RECONCILE}{happening.fleet}", f"word {next(self._words)}")

    def accept(self) -> None:
        """A person wants just what is pushed now."""
        commit = self.source.head.removeprefix("sha1:")
        word = {"commit": commit[:12], "by": BY_A_PERSON, "at": self.theatre.clock()}
        self.outside.journal.set_bookmark(f"{ACCEPT}{self.source.name}", json.dumps(word))

    def plan_for(self, fleet: str, *, anew: bool) -> KeptPlan | None:
        """What the controller offers. See `Performance.plan_for`."""
        offered = self.store.bookmark(f"offer/{fleet}")
        return None if offered is None else self.store.plan(offered)

    def heard(self) -> Iterator[ModuleReport]:
        """What controllers have heard by now; they write it down with their next look. See `Performance.heard`."""
        for controller in self.clients.values():
            yield from controller.connection.module_reports()

    def run_once(self, *, stop_at: float) -> None:
        """One process, until it dies or its time is over; when all is well again, until everything is done."""
        theatre, actor, number = self.theatre, self.theatre.acting, next(self._runs)
        self.trace.runs += 1
        crash = self.crashes.get(number)
        actor.begins(number, at(crash) if crash is not None else self.dies(number) if self.dies is not None else None)
        controller, how = None, "stopped"
        try:
            controller = self._controller(actor.name)
            self.clients[actor.name] = controller
            if self.trace.settled_at:
                self._see_to(controller)
            else:
                controller.run_for(stop_at - theatre.now)
                controller.loop.stop()
        except KilledError:
            how = "killed"
            self.trace.crashes += 1
        finally:
            self.clients.pop(actor.name, None)
            if controller is not None:
                controller.leave()
        self.note(RunEnded(how))
        actor.begins(-1, None)

    def _operate(self, end: float, dice: Random) -> None:
        """One process after another, while things go wrong: some are ended, as for an update."""
        theatre = self.theatre
        while theatre.now < end and not self.trace.bugs:
            self.run_once(stop_at=min(end, theatre.now + dice.choice((HOUR, 6 * HOUR, DAY, 7 * DAY))))
            theatre.sleep(min(dice.choice(PAUSES), max(1.0, end - theatre.now)))

    def _recover(self) -> None:
        """Everything is well again: a controller runs, and a person looks in, until there is nothing more to do."""
        self.outside.calm_down()
        self._source_is(reachable=True)
        self.push()
        self.trace.settled_at = self.theatre.now
        self.trace.settled_ordinal = self.theatre.cloud._next_ordinal()
        try:
            while not self._is_over_at_last:
                self.run_once(stop_at=float("inf"))
            plans = self.trace.last_plan.fleets if self.trace.last_plan is not None else ()
            in_vain = {device for plan in plans if self.outside.needs_a_person(plan.fleet) for device in plan.devices}
            self.trace.left_behind = {each: why for each, why in self.trace.left_behind.items() if each not in in_vain}
        except Exception:  # noqa: BLE001  # whatever it is, the trace tells of it
            self.trace.bugs.append(traceback.format_exc())

    def _see_to(self, controller: VirtualController) -> None:
        """A person looks in again and again."""
        for number in self._rounds:
            if controller.intents.refusal is not None:
                self.accept()
            self.outside.resume_all()
            self._until_quiet(controller, number)
            if self._is_over():
                break
        self._is_over_at_last = True
        plans = self.trace.last_plan.fleets if self.trace.last_plan is not None else ()
        self.trace.current = frozenset(device_id for plan in plans for device_id in plan.current)
        self.trace.last_run_ordinal = self.theatre.cloud._next_ordinal()
        controller.run_for(UNCHANGED_SECONDS)
        self.trace.last_run_ended = self.theatre.cloud._next_ordinal()
        self._is_over()

    def _until_quiet(self, controller: VirtualController, number: int) -> None:
        theatre, fleets = self.theatre, self.outside.fleets()
        began = theatre.now
        windows = [fleet.windows_allow for fleet in fleets if fleet.windows_allow]
        opens = next_opening(windows[number % len(windows)], began) if windows else began
        soaks = [wave.soak_seconds for fleet in fleets for wave in fleet.rollout.waves]
        quiet = QUIET_SECONDS + max(soaks, default=0.0)
        controller.run_for(
            max(2 * DAY, 2 * quiet), until=lambda: theatre.now - max(opens, began, self._last_write_at) >= quiet
        )

    def _controller(self, name: str) -> VirtualController:
        world = self.world
        is_quiet = bool(self.trace.settled_at) and not any(spec.sleep for spec in world.devices)
        settings = ControllerSettings(
            git=GitSettings(url="pretend", interval_seconds=GIT_SECONDS),
            interval_seconds=QUIET_IDLE_SECONDS if is_quiet else IDLE_SECONDS,
            guards=GuardSettings(devices_min=5),
        )
        return VirtualController(
            self.theatre,
            self.watching(self.source),
            self.kept(self.watched(None, self.theatre.acting.reach)),
            settings,
            seed=world.seed,
            ids=self._ids,
            poll_seconds=self._poll_seconds(),
            worn=Worn(
                sight=self._sight,
                hands=self.hands,
                product_hands=self.product_hands,
                follows=lambda fleets: self.note(Desired(fleets)),
                tell=self._told,
            ),
        )

    def _sight(self, product: str | None, eyes: Inventory) -> Inventory:
        def looked(observation: Observation) -> None:
            self.note(Looked(product, observation))

        return WatchedEyes(self.sight(eyes), looked, self.shown)

    def _told(self, event: Event) -> None:
        if isinstance(event, PlanMade):
            self.note(Rested(tuple(event.plan.fleets)))

    def _wrote(self, run: int | None, method: str, given: tuple[object, ...]) -> None:
        super()._wrote(run, method, given)
        if run is None:
            self._last_write_at = self.theatre.now

    def _source_is(self, *, reachable: bool) -> None:
        self.source.down = not reachable
        self.note(SourceIs(reachable), run=-1)


def play_long(world: World, folder: Path | None = None) -> Trace:
    """What comes of a world when controllers run in it."""
    return LongPlay(world, folder).play()
