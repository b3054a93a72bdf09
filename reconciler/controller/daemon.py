"""A controller that runs for long, on real clocks and threads; and what may be seen of it and said to it meanwhile.

It ends when it is asked to: nothing new begins, what is being sent is written down, and whatever has not ended by then
is in the journal for the next process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler import __version__
from reconciler.controller.approvals import KeptPlans
from reconciler.controller.desk import Check
from reconciler.controller.glance import Glance
from reconciler.controller.loop import Loop
from reconciler.controller.means import CLOUD, CREDENTIAL, JOURNAL, SOURCE, Means
from reconciler.controller.shown_plan import shown_plan, shown_plan_text
from reconciler.controller.status import Memory, budget_status, fleet_statuses
from reconciler.controller.troubles import Trouble
from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.model.event import Event, IntentTaken, RolloutMoved
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.plan import Plan
from reconciler.model.revision import Revision
from reconciler.model.summary import Summary
from reconciler.particle.traffic import Traffic
from reconciler.planning.change import compare
from reconciler.render.plan_json import plan_document
from reconciler.render.status import FleetStatus, RunStatus, Status, TokenState, TokenStatus
from reconciler.render.status_json import status_document
from reconciler.telemetry.figures import Figures, FleetFigures

STUCK_SECONDS: Final = 60.0
"""A loop that has not turned for so long is stuck: a turn waits for nothing but the journal."""

QUEUE: Final = "queue"
"""The check of what several processes share."""

_REST_POLL_SECONDS: Final = 0.1
_ANY_STATUS: Final = "any"
_UNAUTHORISED: Final = "PFR3002"
_NOT_THE_CLOUD: Final = frozenset({SOURCE, JOURNAL, CREDENTIAL})
_NEVER_SEEN: Final = "nothing was ever taken from it"


class Daemon:
    """The loop on a thread of its own, and the desk in front of it (`desk.py`).

    `traffic` counts the requests that left; `holder` says in words who runs here.
    """

    def __init__(self, means: Means, *, traffic: Callable[[], Traffic], holder: str) -> None:
        self._means = means
        self._traffic = traffic
        self._holder = holder
        self._loop = Loop(replace(means, launch=self._launch))
        self._woken = threading.Event()
        self._ears: dict[int, Callable[[Event], None]] = {}
        self._lock = threading.Lock()
        self._kept_plans = KeptPlans(means.journal, means.catalog)
        self._glance = Glance(self.standing, means.monotonic)

    # The loop

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Turn until `should_stop`; then wait, for the grace period at most, until what was begun is written down.

        False: something of it has still not ended.
        """
        loop = self._loop
        loop.begin()
        while not should_stop():
            loop.turn()
            self._woken.wait(max(0.0, loop.next_turn() - self._means.monotonic()))
            self._woken.clear()
        loop.stop()
        ends_at = self._means.monotonic() + self._means.settings.grace_seconds
        while not loop.is_at_rest() and self._means.monotonic() < ends_at:
            self._woken.wait(_REST_POLL_SECONDS)
            self._woken.clear()
        return loop.is_at_rest()

    def hear(self, event: Event) -> None:
        """Everything that happens is told here, and from here to everybody who listens."""
        if isinstance(event, RolloutMoved | IntentTaken):
            self._glance.is_over()
        with self._lock:
            ears = [*self._ears.values()]
        for ear in ears:
            ear(event)

    def wake(self) -> None:
        """Turn at once, or stop at once."""
        self._woken.set()

    def news(self, product: str | None) -> None:
        """Another look at a product may settle something."""
        self._loop.passes.runner.wake(product)
        self._woken.set()

    def _launch(self, work: Callable[[], None]) -> None:
        """What ends may be what the next turn waits for: a new commit, the last pass before it."""

        def work_and_wake() -> None:
            try:
                work()
            finally:
                self._woken.set()

        self._means.launch(work_and_wake)

    # The desk

    @property
    def journal(self) -> Journal:
        """See `Desk.journal`."""
        return self._means.journal

    @property
    def catalog(self) -> Catalog:
        """See `Desk.catalog`."""
        return self._means.catalog

    def now(self) -> Instant:
        """See `Desk.now`."""
        latest = max((run.latest for run in self._loop.passes.runs), default=self._means.clock())
        return max(latest, self._means.clock())

    def alive(self) -> bool:
        """See `Desk.alive`."""
        return self._means.monotonic() - self._loop.turned_at < STUCK_SECONDS

    def checks(self) -> Sequence[Check]:
        """See `Desk.checks`."""
        troubles = self._loop.troubles()
        products = {what: trouble for what, trouble in troubles.items() if what not in _NOT_THE_CLOUD}
        seen_at = self._means.intents.seen_at
        seen = _NEVER_SEEN if seen_at is None else f"looked at {iso_from_instant(seen_at)}"
        refusal = self._means.intents.refusal
        if refusal is not None:
            seen = f"{refusal.revision.text} is not taken: {refusal.message} ({refusal.code})"
        checks = [Check(name="loop", ok=self.alive(), message="it turns" if self.alive() else "it is stuck")]
        for name, well in ((SOURCE, seen), (JOURNAL, "it can be written")):
            trouble = troubles.get(name)
            if trouble is None:
                checks.append(Check(name=name, ok=True, message=well))
            else:
                message = f"{trouble.message} ({trouble.code})"
                checks.append(Check(name=name, ok=False, message=message, since=trouble.since))
        queue = self._loop.passes.runner.queue()
        if queue is not None:
            checks.append(Check(name=QUEUE, ok=queue.ok, message=queue.message))
        worst = next(iter(products.items()), None)
        message = "all products can be seen" if worst is None else f"{worst[0]}: {worst[1].message} ({worst[1].code})"
        since = None if worst is None else worst[1].since
        checks.append(Check(name=CLOUD, ok=worst is None, message=message, since=since))
        checks.append(self._token_check(troubles))
        is_there = self._loop.passes.intent is not None
        checks.append(Check(name="intent", ok=is_there, message="there is one" if is_there else _NEVER_SEEN))
        return checks

    def revision(self) -> Revision | None:
        """See `Desk.revision`."""
        intent = self._loop.passes.intent
        return None if intent is None else intent.taken.revision

    def status(self) -> Mapping[str, Any]:
        """See `Desk.status`."""
        return status_document(self._glance(), tool_version=__version__)

    def figures(self) -> Figures:
        """What metrics show now."""
        status, intent, traffic = self._glance(), self._loop.passes.intent, self._traffic()
        revision = "" if intent is None else intent.taken.revision.text
        checks = {check.name: check.ok for check in self.checks()}
        return Figures(
            at=status.at,
            fleets=tuple(_figures_of(fleet, revision, status.observed_at) for fleet in status.fleets),
            checks=checks,
            troubles=frozenset(self._loop.troubles()),
            intent_at=None if intent is None else intent.taken.at,
            seen_at=self._means.intents.seen_at,
            requests={
                ("read", _ANY_STATUS): traffic.requests - traffic.writes,
                ("write", _ANY_STATUS): traffic.writes,
            },
        )

    @property
    def loop(self) -> Loop:
        """The loop itself, to be looked at."""
        return self._loop

    def standing(self) -> Status:
        """Where everything stands, as a value."""
        plan, intent, now = self._loop.passes.plan(), self._loop.passes.intent, self.now()
        memory = Memory(self._means.journal, self._kept_plans)
        fleets = None if intent is None else intent.fleets
        health = {fleet: found for run in self._loop.passes.runs for fleet, found in [*run.health.items()]}
        return Status(
            at=now,
            observed_at=None if plan is None else plan.source.observed_at,
            complete=plan is not None and plan.complete,
            blind_because="" if plan is not None else self._blind_because(),
            fleets=fleet_statuses(fleets, plan, memory, now=now, health=health),
            run=RunStatus(journal_found=True, under_way=self._holder, last=memory.last_run()),
            budget=budget_status(memory, requests=self._traffic().requests, now=now),
            token=self._token(),
        )

    def planned(self) -> Plan | None:
        """What is planned on what was seen last; None: not everything has been seen yet."""
        return self._loop.passes.plan()

    def plan(self, fleet: str | None = None) -> Mapping[str, Any] | None:
        """See `Desk.plan`."""
        return shown_plan(self.planned(), fleet)

    def plan_text(self, fleet: str | None = None) -> str | None:
        """See `Desk.plan_text`."""
        return shown_plan_text(self.planned(), fleet)

    def plan_at(self, reference: str) -> Mapping[str, Any] | None:
        """See `Desk.plan_at`."""
        revision, fleets = self._means.intents.preview(reference)
        now, intent = self._loop.passes.plan(), self._loop.passes.intent
        plan = self._loop.passes.plan_for(fleets, revision.text)
        if plan is None or now is None or intent is None:
            return None
        taken = intent.taken.revision
        change = compare(now, plan, revision=taken.name, commit=taken.commit, missing=())
        return plan_document(plan, tool_version=__version__, change=change)

    def fetch_now(self) -> None:
        """See `Desk.fetch_now`."""
        self._loop.fetch_now()
        self._woken.set()

    def reconcile_now(self, fleet: str | None = None) -> None:
        """See `Desk.reconcile_now`."""
        self._loop.passes.reconcile_now(fleet)
        self._woken.set()

    def subscribe(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        """See `Desk.subscribe`."""
        with self._lock:
            self._ears[id(tell)] = tell

        def end() -> None:
            with self._lock:
                self._ears.pop(id(tell), None)

        return end

    def _blind_because(self) -> str:
        intent = self._loop.passes.intent
        if intent is None:
            return "nothing is desired yet: no revision was taken"
        if not intent.fleets.fleets:
            return "the manifests have no fleet"
        troubles = self._loop.troubles()
        worst = next((trouble for what, trouble in troubles.items() if what not in _NOT_THE_CLOUD), None)
        return "not every product has had a pass yet" if worst is None else f"{worst.message} ({worst.code})"

    def _token_check(self, troubles: Mapping[str, Trouble]) -> Check:
        """A file that cannot be used is said, and fails nothing: the last token that could be read goes on."""
        refused = next((trouble for trouble in troubles.values() if trouble.code == _UNAUTHORISED), None)
        if refused is not None:
            message = f"{refused.message} ({refused.code})"
            return Check(name="token", ok=False, message=message, since=refused.since)
        unusable = troubles.get(CREDENTIAL)
        if unusable is not None:
            message = f"{unusable.message} ({unusable.code})"
            return Check(name="token", ok=True, message=message, since=unusable.since)
        return Check(name="token", ok=True, message="the cloud has not refused it")

    def _token(self) -> TokenStatus:
        troubles = self._loop.troubles()
        check = self._token_check(troubles)
        if not check.ok:
            return TokenStatus(state=TokenState.REFUSED, detail=check.message)
        detail = check.message if CREDENTIAL in troubles else ""
        if self._loop.passes.plan() is None:
            return TokenStatus(state=TokenState.UNKNOWN, detail=detail or "the cloud was not asked yet")
        return TokenStatus(state=TokenState.VALID, detail=detail)


def _figures_of(fleet: FleetStatus, revision: str, observed_at: Instant | None) -> FleetFigures:
    rollout, plan = fleet.progress.rollout, fleet.plan
    summary = Summary() if plan is None else plan.summary
    progress = None
    if rollout is not None and plan is not None and summary.devices:
        progress = summary.current / summary.devices
    return FleetFigures(
        name=fleet.name,
        product=None if plan is None else plan.fleet.product,
        revision=revision,
        summary=summary,
        halted=fleet.halted is not None,
        suspended=bool(fleet.progress.suspensions),
        progress=progress,
        waves={} if rollout is None else {wave.name: wave.state.value for wave in rollout.waves},
        planned_at=observed_at,
    )
