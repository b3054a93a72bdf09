"""A world is played: clients come and go over one virtual cloud and one journal until everything is over.

A client dies by an exception that nothing of ours catches; what it wrote stays, what it knew is gone. When what goes
wrong has ended, an operator comes back until there is nothing more to do.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any, cast

from reconciler.emulator.house_rules import HouseRules
from reconciler.inventory.inventory import Inventory
from reconciler.journal.journal import Journal, KeptPlan
from reconciler.journal.memory import MemoryJournal
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.device import ModuleReport, Observation
from reconciler.model.error import BugError, JournalError, ReconcilerError, WireError
from reconciler.model.fleet import Fleet, FleetSet
from reconciler.planning.answer import Answers
from tests.simulation.client import Client, StoppedError
from tests.simulation.openings import is_open, next_opening
from tests.simulation.outside import Outside, kept_form
from tests.simulation.theatre import Actor, KilledError, Theatre
from tests.simulation.trace import (
    Entry,
    Looked,
    RunBegan,
    RunEnded,
    Trace,
    WatchedEyes,
    WatchedJournal,
    What,
    Wrote,
)
from tests.simulation.virtual import synthetic_binaries
from tests.simulation.worlds import DAY, HOUR, Crash, Happening, World

Dies = Callable[[str, tuple[Any, ...]], bool]
Hands = Callable[[Any], Any]

PAUSES = (120.0, HOUR, 2 * HOUR, 6 * HOUR)
"""How long nobody runs anything between two runs."""

RUN_SECONDS_MAX = 30 * HOUR
"""After so long an operator looks what is going on, and begins another run."""

LISTENING_SECONDS = 1200.0
"""When all is well again somebody listens: a device in safe mode tells of itself at each session, for as long."""

QUIET_POLL_SECONDS, QUIET_PAUSE_SECONDS = 3600.0, 30.0
"""When all is well again whoever looks seldom sees the same: no sooner than after half a minute, whatever is heard."""

QUIET_RUNS_MAX, RUNS_MAX = 12, 24
INVISIBLE = frozenset({"events-dropped", "success-not-applied"})
"""Faults by which a module that the cloud does not show is held to be there and is not: one boot into safe mode."""


@dataclass
class Performance:
    """One play of one world. What a test replaces here it wants to see noticed:

    - `hands`, `product_hands`: executors. `dies`: by a client's number, when it dies.
    - `shown`: what eyes show. `sight`: eyes as a whole. `kept`: the journal as a client has it in hand.
    - `manifests`: what clients read from Git. `rules`: of the referee.

    `answers` may be shared with other plays. `listener` hears what devices tell of themselves when all is well again,
    while nobody runs anything.
    """

    world: World
    folder: Path | None = None
    hands: Hands = lambda executor: executor
    product_hands: Hands = lambda hands: hands
    dies: Callable[[int], Dies | None] | None = None
    shown: Callable[[Observation], Observation] = lambda observation: observation
    sight: Callable[[Inventory], Inventory] = lambda eyes: eyes
    kept: Callable[[Journal], Journal] = lambda journal: journal
    manifests: Callable[[Fleet], Fleet] = lambda fleet: fleet
    rules: Callable[[HouseRules], HouseRules] = lambda rules: rules
    clients: dict[str, Any] = field(default_factory=dict)
    listener: Client | None = None
    answers: Answers = field(default_factory=lambda: Answers(synthetic_binaries().catalog))

    def __post_init__(self) -> None:
        world = self.world
        self.theatre = Theatre(world)
        self.store = self._store()
        self.trace = Trace(world=world, journal=self.store)
        self.outside = Outside(self)
        self._runs, self._ids = count(), count(1)
        self.crashes = {crash.run: crash for crash in world.crashes}
        faults = {spec.fault for spec in world.faults}
        rules = HouseRules(
            # A fleet that asks for no application has nothing against a lock, and a lock nothing against Device OS.
            desired_applications=frozenset({1, 2, 3} if any(f.application is None for f in world.fleets) else {2, 3}),
            safe_mode_allowed=bool(faults & INVISIBLE),
            persons=frozenset({"person"}),
            # Each of several processes has the whole of the budget (`particle/budget.py`).
            requests_per_five_minutes=10_000 * world.clients,
            staleness_seconds=180.0,
        )
        self.theatre.cloud.rules = self.rules(rules)

    def play(self) -> Trace:
        """From the beginning to the end."""
        world, theatre = self.world, self.theatre
        end = world.begins_at + world.days * DAY
        self.outside.put_down(end)
        me = theatre.acting
        others = [
            theatre.joined_by(Actor(f"client {n}"), partial(self._guarded, end, random.Random(f"{world.seed} {n}")))
            for n in range(1, world.clients)
        ]
        self._guarded(end, random.Random(f"{world.seed} 0"))
        if others:
            theatre.leave()
            for thread in others:
                thread.join()
            theatre.takes_over(me)
        if not self.trace.bugs:
            self._recover()
        self._close()
        return self.trace

    def _guarded(self, end: float, dice: random.Random) -> None:
        try:
            self._operate(end, dice)
        except Exception:  # noqa: BLE001  # whatever it is, the trace tells of it
            self.trace.bugs.append(traceback.format_exc())

    def _operate(self, end: float, dice: random.Random) -> None:
        """An operator, while things go wrong."""
        theatre = self.theatre
        while theatre.now < end and self.trace.runs < RUNS_MAX and not self.trace.bugs:
            self.run_once(stop_at=end)
            pause = dice.choice(PAUSES)
            windows = [fleet.windows_allow for fleet in self.outside.fleets()]
            if not any(is_open(window, theatre.now) for window in windows):
                pause = max(pause, min(next_opening(window, theatre.now) for window in windows) - theatre.now)
            theatre.sleep(min(pause, max(1.0, end - theatre.now)))

    def run_once(self, *, stop_at: float) -> None:
        """One process from its beginning to its end, whatever that is."""
        theatre, actor, number = self.theatre, self.theatre.acting, next(self._runs)
        self.trace.runs += 1
        crash = self.crashes.get(number)
        dies = at(crash) if crash is not None else self.dies(number) if self.dies is not None else None
        actor.begins(number, dies)
        client = None
        try:
            client = self._client(actor, min(stop_at, theatre.now + RUN_SECONDS_MAX))
            self.clients[actor.name] = client
            began_at = theatre.now
            plan, agreement = client.agree()
            if client.differs:
                self.trace.plans_that_differ.append(f"run {number}")
            kept = kept_form(plan)
            agreement = type(agreement)(plan_id=kept.plan_id, steps=agreement.steps, actions=agreement.actions)
            client.journal.keep_plan(kept)
            self.note(RunBegan(client.fleets, plan, agreement, began_at))
            _, rest = client.carry_out(agreement)
            how = "rest" if not rest.left else f"left: {rest.left[0].error.code}"
        except KilledError:
            how = "killed"
            self.trace.crashes += 1
        except StoppedError:
            how = "stopped"
        except BugError:
            raise
        except JournalError as error:
            if self.world.clients == 1:
                raise
            how = error.code
        except ReconcilerError as error:
            how = error.code
        finally:
            self.clients.pop(actor.name, None)
            if client is not None:
                client.leave()
        self.note(RunEnded(how))
        actor.begins(-1, None)

    def on_git(self) -> None:
        """Something else is desired: whoever runs the old one stops, and the next run has the new one."""
        for client in self.clients.values():
            client.actor.is_stopping = True

    def on_source(self, happening: Happening) -> None:
        """Nobody watches a source here."""

    def plan_for(self, fleet: str, *, anew: bool) -> KeptPlan | None:
        """What a person is shown who wants to approve: the last plan, or one made `anew`; None: there is none."""
        if not anew:
            shown = [began.agreement.plan_id for _, began in self.trace.of(RunBegan)]
            return self.store.plan(shown[-1]) if shown else None
        return self.planned_now()

    def heard(self) -> Iterator[ModuleReport]:
        """What devices have told of their modules to somebody who goes on listening."""
        for scope in self.listener.scopes if self.listener is not None else ():
            yield from scope.hearing.module_reports()

    def planned_now(self) -> KeptPlan | None:
        """What a person is shown who asks for a plan now, in the journal; None: nobody could look."""
        client = self._client(self.theatre.acting, 0.0)
        try:
            kept = kept_form(client.agree()[0])
        except WireError:
            return None
        finally:
            client.leave()
        self.store.keep_plan(kept)
        return kept

    def note(self, what: What, *, run: int | None = None) -> None:
        """Something has happened now."""
        cloud, acting = self.theatre.cloud, self.theatre.acting
        entry = Entry(cloud._next_ordinal(), self.theatre.now, acting.run if run is None else run, what)
        self.trace.entries.append(entry)

    def watched(self, run: int | None, reach: Callable[[str, tuple[Any, ...]], None]) -> Journal:
        """The journal as somebody has it in hand."""
        return cast(Journal, WatchedJournal(self.store, reach=reach, wrote=partial(self._wrote, run)))

    def _client(self, actor: Actor, stop_at: float) -> Client:
        """A new process, which knows what devices have told of their modules by now."""
        for report in self.heard():
            self.store.keep_report(report)
        client = Client(
            virtual=self.theatre,
            theatre=self.theatre,
            actor=actor,
            stop_at=stop_at,
            fleets=FleetSet(fleets=tuple(map(self.manifests, self.outside.fleets())), digest="sha256:drawn"),
            journal=self.kept(self.watched(None, actor.reach)),
            poll_seconds=self._poll_seconds(),
            seed=self.world.seed,
            ids=self._ids,
            answers=self.answers,
            hands=self.hands,
            product_hands=self.product_hands,
            sight=self._eyes,
            plans_twice=self.trace.runs == 1,
            pause_seconds_min=QUIET_PAUSE_SECONDS if self.trace.settled_at else 0.0,
            tell_rested=self.note,
        )
        client.recall()
        return client

    def _poll_seconds(self) -> float:
        return max(QUIET_POLL_SECONDS, self.world.poll_seconds) if self.trace.settled_at else self.world.poll_seconds

    def _eyes(self, eyes: Inventory) -> Inventory:
        product = getattr(eyes, "_product", None)

        def looked(observation: Observation) -> None:
            self.note(Looked(product, observation))

        return WatchedEyes(self.sight(eyes), looked, self.shown)

    def _wrote(self, run: int | None, method: str, given: tuple[Any, ...]) -> None:
        self.note(Wrote(method, given), run=run)
        if method in {"note", "halt", "lift"}:
            for noted in self.store.entries(after=self.trace.noted):
                self.trace.noted = noted.number
                self.note(noted.entry, run=run)
        elif method in {"begin", "record", "begin_product", "record_product"}:
            self.note(given[0], run=run)

    def _store(self) -> Journal:
        if not self.world.on_disk:
            return MemoryJournal()
        assert self.folder is not None
        return SqliteJournal(self.folder / f"journal-{len(list(self.folder.glob('journal-*.sqlite')))}.sqlite")

    def _recover(self) -> None:
        """Everything is well again: an operator comes back until there is nothing more to do."""
        self.outside.calm_down()
        self.trace.settled_at = self.theatre.now
        self.trace.settled_ordinal = self.theatre.cloud._next_ordinal()
        self.listener = self._client(self.theatre.acting, 0.0)
        try:
            self.theatre.sleep(LISTENING_SECONDS)
            # A run to rest waits for nobody who sleeps, so it may serve a single one of them.
            sleepers = sum(spec.sleep is not None for spec in self.world.devices)
            for number in range(QUIET_RUNS_MAX + sleepers):
                self._until_something_can_be_done(number)
                self.outside.resume_all()
                self.run_once(stop_at=self.theatre.now + RUN_SECONDS_MAX)
                if self._is_over():
                    break
                self.theatre.sleep(DAY / 2)
            plans = self.trace.last_plan.fleets if self.trace.last_plan is not None else ()
            self.trace.current = frozenset(device_id for plan in plans for device_id in plan.current)
            self.trace.last_run_ordinal = self.theatre.cloud._next_ordinal()
            self.run_once(stop_at=float("inf"))
            self._is_over()
            in_vain = {device for plan in plans if self.outside.needs_a_person(plan.fleet) for device in plan.devices}
            self.trace.left_behind = {each: why for each, why in self.trace.left_behind.items() if each not in in_vain}
        except Exception:  # noqa: BLE001  # whatever it is, the trace tells of it
            self.trace.bugs.append(traceback.format_exc())

    def _until_something_can_be_done(self, number: int) -> None:
        """A daemon would wait for it: until somebody is awake who sleeps, or the next fleet's window opens in turn."""
        theatre = self.theatre
        windows = [fleet.windows_allow for fleet in self.outside.fleets() if fleet.windows_allow]
        waiting = {*self.trace.left_behind, *(attempt.device_id for attempt in self.store.open_attempts())}
        sleepers = [theatre.cloud.state.devices[id_] for id_ in sorted(waiting)]
        sleepers = [device for device in sleepers if device.sleep is not None and not device.gone]
        latest = theatre.now + DAY
        while sleepers and not any(device.online for device in sleepers) and theatre.now < latest:
            theatre.sleep(120.0)
        if windows and not sleepers:
            window, later = windows[number % len(windows)], theatre.now + HOUR
            # Whoever comes shortly before the end starts nothing, and would do so every day at the same time.
            is_late = is_open(window, theatre.now) and not is_open(window, later)
            theatre.sleep(next_opening(window, later if is_late else theatre.now) - theatre.now)

    def _is_over(self) -> bool:
        client = self._client(self.theatre.acting, 0.0)
        try:
            plan, _ = client.agree()
        except WireError:
            return False
        finally:
            client.leave()
        self.trace.last_plan = plan
        self.trace.left_behind = self.outside.left_behind(plan)
        devices = self.theatre.cloud.state.devices
        for attempt in self.store.open_attempts():
            if not devices[attempt.device_id].gone:
                self.trace.left_behind[attempt.device_id] = f"its attempt {attempt.id} is {attempt.state}"
        return not self.trace.left_behind

    def _close(self) -> None:
        trace, cloud = self.trace, self.theatre.cloud
        self.outside.count_strikes()
        trace.requests = cloud.requests
        trace.violations = cloud.violations()
        trace.acts_at_the_console = [act.ordinal for act in cloud.acts]
        trace.ended_at = self.theatre.now
        trace.end_state = {
            device.id: (sorted((str(slot), version) for slot, version in device.versions.items()), device.locked)
            for device in cloud.state.devices.values()
        }
        trace.beyond_us = frozenset(
            device.id for device in cloud.state.devices.values() if device.gone or device.crashing
        )
        trace.final_journal()


def at(crash: Crash) -> Dies:
    """Death at the nth point of any kind."""
    points = count(1)
    return lambda _point, _given: next(points) >= crash.nth


@cache
def known_answers() -> Answers:
    """What was found for a situation in one world is so in the next one: it hangs on the catalog alone."""
    return Answers(synthetic_binaries().catalog)


def play(world: World, folder: Path | None = None) -> Trace:
    """What comes of a world."""
    return Performance(world, folder, answers=known_answers()).play()
