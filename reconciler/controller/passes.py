"""The products of a controller, each with its run, and their passes: begun when they are due, on other threads perhaps.

A run remembers what matters to the next pass of its product; the journal has all that must not be lost. A product in
trouble waits longer every time, and the others go on.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import is_not

from reconciler.controller.agreement import Agreement, agreement_on
from reconciler.controller.approvals import KeptPlans
from reconciler.controller.cycle import reconcile_pass
from reconciler.controller.intent import Intent
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.means import CLOUD, CREDENTIAL, JOURNAL, SOURCE, UNFORESEEN, Means
from reconciler.controller.offers import Offers
from reconciler.controller.pace import Pause, pause_after
from reconciler.controller.run import Run, Scope, Tools
from reconciler.controller.runner import Ended, InProcess, Runner
from reconciler.controller.schedule import Schedule
from reconciler.controller.settle import NO_FLEET_SECONDS, disown_open_attempts
from reconciler.controller.troubles import Troubles, trouble_of
from reconciler.inventory.merge import merged
from reconciler.journal.permits import FencedError
from reconciler.model.allowance import REQUESTS
from reconciler.model.attempt import AttemptState
from reconciler.model.device import Observation
from reconciler.model.error import JournalError, ReconcilerError, WireError
from reconciler.model.event import PassEnded, PlanMade
from reconciler.model.fleet import FleetSet, Via
from reconciler.model.plan import Plan
from reconciler.particle.error import RateLimitedError
from reconciler.planning.planner import plan_fleets
from reconciler.rollout.verdict import Wait


@dataclass(slots=True)
class _Product:
    """One product: what is to be done there, and its run, which has `taken_over` for its fleets or has yet to.

    `forgotten`: somebody else has had it, and what its run remembers does not hold. `leaves`: no fleet is in it any
    more; it is looked at until the steps under way there have ended.
    """

    scope: Scope
    run: Run
    taken_over: bool = False
    forgotten: bool = False
    leaves: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """The plan of an intent on observations."""

    intent: Intent
    seen: tuple[Observation, ...]
    plan: Plan


_Shown = tuple[Run, Observation]
"""A run, and what it saw last."""


@dataclass(slots=True)
class Passes:
    """Any thread may ask; `follow` is called between `hold` and `release`. `runner` begins the passes."""

    means: Means
    troubles: Troubles
    schedule: Schedule = field(init=False)
    runner: Runner = field(init=False)
    intent: Intent | None = None
    _made: _Made | None = None
    stopping: bool = False
    _holding: bool = False
    _under_way: dict[str | None, float] = field(default_factory=dict)
    _products: dict[str | None, _Product] = field(default_factory=dict)
    _offers: Offers = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _planning: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        means = self.means
        self.schedule = Schedule(means.dice)
        if means.runner is None:
            self.runner = InProcess(self, self.schedule, launch=means.launch, monotonic=means.monotonic)
        else:
            self.runner = means.runner(self)
        self._offers = Offers(means.journal, KeptPlans(means.journal, means.catalog), means.tell)

    @property
    def runs(self) -> Collection[Run]:
        """The runs of all products."""
        return [product.run for product in [*self._products.values()]]

    @property
    def are_under_way(self) -> bool:
        """Whether any product has a pass here now."""
        with self._lock:
            return bool(self._under_way)

    def hold(self) -> bool:
        """Let no pass begin until `release`. Returns whether none is under way."""
        with self._lock:
            self._holding = True
            return not self._under_way

    def release(self) -> None:
        """Passes may begin again."""
        with self._lock:
            self._holding = False

    def at_work(self) -> Mapping[str, float]:
        """What has a pass now, as troubles name it, and since when."""
        with self._lock:
            return {trouble_of(product): since for product, since in self._under_way.items()}

    def plan(self) -> Plan | None:
        """What is planned on what was seen last, of all products together; None: not all have been seen yet.

        Who asks while it is made waits for that.
        """
        with self._planning:
            intent, shown = self.intent, self._shown()
            if intent is None or shown is None:
                return None
            seen = tuple(observation for _, observation in shown)
            made = self._made
            if made is None or made.intent is not intent or any(map(is_not, made.seen, seen)):
                plan = self._planned(intent.fleets, intent.taken.revision.text, shown)
                made = self._made = _Made(intent=intent, seen=seen, plan=plan)
            return made.plan

    def plan_for(self, fleets: FleetSet, revision: str) -> Plan | None:
        """What would be planned for these fleets on what was seen last; None: not all products have been seen yet.

        As the command `plan` would make it: with waves, and with its digest. Devices of other products are not seen.
        """
        shown = self._shown()
        return None if shown is None else self._planned(fleets, revision, shown)

    def _shown(self) -> Sequence[_Shown] | None:
        """The last observation of every product; None: one of them has not been seen yet."""
        products = [product for product in [*self._products.values()] if not product.leaves]
        found = [(each.run, picture.observation) for each in products for picture in [*each.run.pictures.values()]]
        is_whole = found and len(found) == len(products) and all(seen.source for _, seen in found)
        return found if is_whole else None

    def _planned(self, fleets: FleetSet, revision: str, shown: Sequence[_Shown]) -> Plan:
        now = self.means.clock()
        known = [run.knowledge.added_to_all(seen) for run, seen in shown]
        return plan_fleets(fleets, merged(known, now=now), self.means.catalog, now=now, revision=revision)

    def follow(self, intent: Intent, scopes: Sequence[Scope]) -> None:
        """From now on this is desired. Called between two passes: what is in flight is in the journal."""
        before, products, tools = self._products, dict[str | None, _Product](), self._tools(intent)
        for scope in scopes:
            known = before.get(scope.product)
            if known is not None and known.leaves:
                known = None  # it is heard by other ears now, which know nothing of what its run has sent
            run = Run(tools=tools, knowledge=Knowledge(self.means.journal)) if known is None else known.run
            run.tools, run.agreement, run.stopping = tools, tools.agreement, self.stopping
            products[scope.product] = _Product(
                scope=replace(scope, revision=intent.taken.revision.text),
                run=run,
                forgotten=known is not None and known.forgotten,
            )
        for name, known in before.items():
            if name not in products and known.taken_over and self._is_under_way(known):
                products[name] = self._leaving(known, tools)
        self._products, self.intent = products, intent
        self.runner.follow(products)
        self.troubles.end_all_but([SOURCE, JOURNAL, CLOUD, CREDENTIAL, *map(trouble_of, products)])

    def _is_under_way(self, product: _Product, *, since: float = 0.0) -> bool:
        """Whether an attempt of its fleets, or on the product itself, is open that began after `since`."""
        journal, fleets = self.means.journal, product.run.fences.keys()
        found = [one.began_at for one in journal.open_attempts() if one.step.via is Via.CLOUD and one.fleet in fleets]
        found += [one.began_at for one in journal.open_product_attempts() if one.product == product.scope.product]
        return any(began_at > since for began_at in found)

    def _leaving(self, product: _Product, tools: Tools) -> _Product:
        """A product in which nothing is begun any more. Its stream is closed, so what that would bring is missed."""
        scope, run = product.scope, product.run
        scope.hearing.miss()
        run.tools, run.agreement = tools, tools.agreement
        run.wind_up()
        nothing = replace(scope, fleets=replace(scope.fleets, fleets=()))
        return _Product(scope=nothing, run=run, taken_over=True, leaves=True)

    def _leave(self, product: _Product) -> None:
        """What was under way there has ended, or its time is over: then it stays open in the journal."""
        name = product.scope.product
        with self._lock:
            if self._products.get(name) is not product:
                return
            self._products = {other: each for other, each in self._products.items() if other != name}
        self.runner.forget(name)

    def stop(self) -> None:
        """Begin no step any more; what is being sent is finished and written down."""
        self.stopping = True
        self.runner.end()
        for run in self.runs:
            run.stopping = True

    def reconcile_now(self, fleet: str | None) -> None:
        """Look at the product of a fleet at once, or at all products."""
        for name, product in [*self._products.items()]:
            if fleet is None or any(each.name == fleet for each in product.scope.fleets.fleets):
                product.scope.hearing.ask_for_all()
                self.runner.wake(name, by_word=True)

    def is_ours(self, fleet: str) -> bool:
        """Whether the last pass of a fleet's product was here."""
        if not self.runner.shares:
            return True
        staying = [(name, product) for name, product in [*self._products.items()] if not product.leaves]
        return any(fleet in product.run.fences for name, product in staying if self.runner.holds(name))

    def look_on(self) -> None:
        """Look at what others have, so that a plan of all products can be made here, too. Raises WireError."""
        products = [*self._products.items()]
        strangers = [name for name, product in products if not product.leaves and not self.runner.holds(name)]
        knowledge = Knowledge(self.means.journal) if strangers else None
        for name in strangers:
            if knowledge is None or not self.admit(name):
                continue
            try:
                product = self._products[name]
                run = Run(tools=product.run.tools, knowledge=knowledge, stopping=self.stopping)
                run.picture_of(product.scope).show(product.scope.inventory.observe())
                product.run, product.taken_over, product.forgotten = run, False, True
            finally:
                self.dismiss(name)

    def has(self, fleet: str) -> bool:
        """Whether a fleet is one of a product that has passes, here or elsewhere."""
        return any(fleet in self.fleets_of(name) for name in [*self._products])

    def in_hand(self, *, but: _Product | None = None) -> frozenset[str]:
        """The fleets of the products here, and those that steps under way are of in products that leave."""
        products = [product for product in [*self._products.values()] if product is not but]
        leaving = (fleet for product in products if product.leaves for fleet in product.run.fences)
        return frozenset((*leaving, *(fleet.name for product in products for fleet in product.scope.fleets.fleets)))

    def fleets_of(self, product: str | None) -> tuple[str, ...]:
        """The names of the fleets of a product."""
        found = self._products.get(product)
        return () if found is None else tuple(fleet.name for fleet in found.scope.fleets.fleets)

    def _tools(self, intent: Intent) -> Tools:
        revision = intent.taken.revision
        name = f"{revision.name}@{revision.commit[:15]}"
        return Tools(
            journal=self.means.journal,
            catalog=self.means.catalog,
            agreement=Agreement(plan_id=name),
            new_id=self.means.new_id,
            tell=self.means.tell,
            pool=self.means.pool,
            ask=self.means.ask,
            agree=lambda plan: agreement_on(name, plan),
            guards=self.means.settings.guards,
        )

    def admit(self, product: str | None) -> bool:
        """See `Work.admit`: of one product there is one pass, and none while another intent takes its place."""
        with self._lock:
            busy = self._holding or self.stopping or product in self._under_way
            if busy or product not in self._products:
                return False
            self._under_way[product] = self.means.monotonic()
            return True

    def run(self, product: str | None, *, goes_on: bool) -> Ended:
        """See `Work.run`. Whatever goes wrong in a pass stays with its product."""
        try:
            return self._pass(product, self._products[product], goes_on=goes_on)
        finally:
            self.dismiss(product)

    def dismiss(self, product: str | None) -> None:
        """See `Work.dismiss`."""
        with self._lock:
            self._under_way.pop(product, None)

    def _pass(self, name: str | None, product: _Product, *, goes_on: bool) -> Ended:
        began, what, code = self.means.monotonic(), trouble_of(name), None
        before = product.run
        steps = before.moved_here[AttemptState.INTENDED]
        product.forgotten = product.forgotten or not goes_on
        try:
            ended = Ended(pause=self._passed(product))
        except ReconcilerError as error:
            code, ended = error.code, self._failed(what, error)
            product.taken_over = product.taken_over and not ended.fenced
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not end the loop
            code, ended = UNFORESEEN, Ended(pause=None)
            unforeseen(self.means, self.troubles, what, error)
        else:
            self.troubles.ended(what)
        run = product.run
        steps = steps if run is before else 0
        told = PassEnded(
            at=self.means.clock(),
            product=name,
            seconds=self.means.monotonic() - began,
            devices=0 if run.plan is None else run.plan.summary.devices,
            started_steps=run.moved_here[AttemptState.INTENDED] - steps,
            code=code,
        )
        self.means.tell(told)
        return ended

    def _passed(self, product: _Product) -> Pause:
        """One pass. Returns when the next one is worth it."""
        if product.forgotten:
            self._begin_anew(product)
        self._take_over(product)
        run = product.run
        try:
            is_to_come = reconcile_pass(run, product.scope)
        except WireError:
            if not product.leaves or self._is_under_way(product, since=self.means.clock() - NO_FLEET_SECONDS):
                raise
            is_to_come = False
        self._offer(product)
        if not is_to_come:
            run.try_again()
            if product.leaves:
                self._leave(product)
        pause = self._pause(product, is_to_come=is_to_come)
        if run.plan is not None:
            self.means.tell(PlanMade(at=run.latest, plan=run.plan))
        return pause

    def _failed(self, what: str, error: ReconcilerError) -> Ended:
        fenced = isinstance(error, FencedError)
        if not (fenced and self.runner.shares):
            is_journal = isinstance(error, JournalError) and not fenced and not self.means.can_write()
            self.troubles.began(JOURNAL if is_journal else what, error.code, error.message)
        silence = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
        return Ended(pause=None, silence_seconds=silence or 0.0, fenced=fenced)

    def _begin_anew(self, product: _Product) -> None:
        """Somebody else has had the product: nothing that was remembered of it holds. All devices are looked at."""
        before = product.run
        product.run = Run(tools=before.tools, knowledge=before.knowledge, stopping=self.stopping)
        if product.leaves:
            product.run.wind_up()
        product.taken_over = False
        self._take_over(product)
        # Only now: what the one before wrote until it lost the right to is to be known.
        product.run.knowledge = Knowledge(self.means.journal)
        product.scope.hearing.ask_for_all()
        product.forgotten = False

    def _take_over(self, product: _Product) -> None:
        """Take the right to write, once for a run and its fleets. Nobody knows what became of what was open before."""
        if product.taken_over:
            return
        product.run.take_over([product.scope])
        disown_open_attempts(product.run, but=self.in_hand(but=product) | frozenset(self.means.elsewhere()))
        product.taken_over = True

    def _offer(self, product: _Product) -> None:
        if self.intent is not None:
            self._offers.make(self._plan_of_all, self.intent.fleets, product.run, now=product.run.latest)

    def _plan_of_all(self) -> Plan | None:
        """As `plan`, with a look at what others have."""
        self.look_on()
        return self.plan()

    def _pause(self, product: _Product, *, is_to_come: bool) -> Pause:
        """Soon where something is under way; else after the interval, or when the first that waits may start."""
        requests = product.scope.requests_a_look()
        pause = pause_after(requests, REQUESTS.per_second, poll_seconds=self.means.poll_seconds, silence=0.0)
        if is_to_come:
            return pause
        now, interval = product.run.latest, self.schedule.jittered(self.means.settings.interval_seconds)
        verdicts = (verdict for of_fleet in product.run.verdicts.values() for verdict in of_fleet)
        times = [verdict.until - now for verdict in verdicts if isinstance(verdict, Wait) and verdict.until is not None]
        until = min((seconds for seconds in times if seconds > 0), default=interval)
        return Pause(at_least=pause.at_least, at_most=min(interval, max(until, pause.at_most)))


def unforeseen(means: Means, troubles: Troubles, what: str, error: BaseException) -> None:
    """A mistake of ours must not end the loop: it is trouble like any other, and reported with all that is known."""
    troubles.began(what, UNFORESEEN, f"{type(error).__name__}: {error}")
    means.report(error)
