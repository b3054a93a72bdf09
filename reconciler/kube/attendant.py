"""What stands between the tenants and the cluster: words in, statuses and events out. One thread, one turn a second.

A turn reads the store, never what a watch has just told: a change that was heard twice, late or in a wrong order comes
to the same.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.controller.means import CLOUD, JOURNAL, SOURCE
from reconciler.controller.troubles import Trouble
from reconciler.journal.journal import Journal
from reconciler.kube.notices import Notices
from reconciler.kube.parts import Parts
from reconciler.kube.resource import APPROVAL, FLEET, PLURALS, Resource
from reconciler.kube.situation import NEVER_JUDGED, FleetSituation, PlanInForce
from reconciler.kube.source import Judged
from reconciler.kube.status import status_of
from reconciler.kube.store import Store
from reconciler.kube.tenants import Tenant, Tenants
from reconciler.kube.words import Words, reconcile_token
from reconciler.kube.writer import StatusWriter
from reconciler.model.event import Event, PassEnded, RolloutMoved
from reconciler.model.instant import Instant
from reconciler.render.status import FleetStatus
from reconciler.telemetry.reports import news_of_entries

AGAIN_SECONDS: Final = 60.0
"""A status is made anew when something has happened, and so often all the same: soaking ends by time alone."""

SOON_SECONDS: Final = 3.0
"""Where much happens statuses are made no more often: that reads the journal, and one is written in ten seconds."""

_OFFER: Final = "offer/"
_NEWS_MAX: Final = 2_000


@dataclass(slots=True)
class _Asked:
    """A wish for a look: its token, and since when it is on its way."""

    token: str
    at: float


@dataclass(slots=True)
class Attendant:
    """`turn` is called again and again by one thread; `hear` and `changed` by any.

    `clock` is wall time, `monotonic` only ever rises. `leads`: whether this one, of several operators, hears people's
    words and speaks for fleets that nobody has in hand; for the others speaks whoever had their last pass. Who begins
    to lead may have heard less than the one before, and would take back a halt that it does not know of: it hears no
    words until everything has been listed once more.
    """

    store: Store
    tenants: Tenants
    journal: Journal
    words: Words
    writer: StatusWriter
    notices: Notices
    parts: Parts
    clock: Callable[[], Instant]
    monotonic: Callable[[], float]
    turned_at: float = 0.0
    leads: Callable[[], bool] = lambda: True
    _leads_now: bool = True
    _leads_since: float = -math.inf
    _news: deque[tuple[str, Event]] = field(default_factory=lambda: deque(maxlen=_NEWS_MAX))
    _dirty: set[str] = field(default_factory=set)
    _made_at: dict[str, float] = field(default_factory=dict)
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _handled: dict[str, str] = field(default_factory=dict)
    _judged: dict[str, Judged] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, namespace: str, event: Event) -> None:
        """Something has happened to a tenant. Never waits."""
        with self._lock:
            self._dirty.add(namespace)
            if isinstance(event, RolloutMoved | PassEnded):
                self._news.append((namespace, event))

    def changed(self, namespace: str) -> None:
        """A resource has changed."""
        with self._lock:
            self._dirty.add(namespace)
        self.tenants.changed(namespace)

    def turn(self) -> None:
        """Hear what people said, then say where everything stands. Raises JournalError."""
        lacked = self._lacking()
        self.tenants.tend()
        for namespace, _ in lacked ^ self._lacking():
            self._mark(namespace)
        hears = self._hears()
        there = [each for kind in PLURALS for each in self.store.resources(kind)]
        fleets = [each for each in there if each.kind == FLEET]
        for fleet in fleets:
            if hears and self.words.hear_fleet(fleet):
                self._mark(fleet.namespace)
            self._note_wish(fleet)
        for approval in (each for each in there if each.kind == APPROVAL and hears):
            if self.words.hear_approval(approval):
                self._mark(approval.namespace)
        if hears:
            self.parts.tell_misheard(there)
        self._pass_on_news({fleet.fleet: fleet for fleet in fleets})
        if self.store.oldest_list_seconds() is not None:
            self._forget_all_but(frozenset(each.uid for each in there))
        for namespace in self._due({each.namespace for each in there}):
            self._offer_statuses(namespace)
        self.writer.write_due()
        self.turned_at = self.monotonic()

    def _hears(self) -> bool:
        """Whether people's words are heard here, in this turn. What is remembered of them ends with the lead."""
        led, self._leads_now = self._leads_now, self.leads()
        if not self._leads_now:
            self.words.forget_all_but(())
            return False
        if not led:
            self._leads_since = self.store.now()
        age = self.store.oldest_list_seconds()
        is_listed = age is not None and self.store.now() - age > self._leads_since
        if not is_listed:
            self.tenants.list_now()
        return is_listed

    def _lacking(self) -> frozenset[tuple[str, str]]:
        """The namespaces without a token, and why."""
        return frozenset((name, error.message) for name, error in self.tenants.lacking.items())

    def _forget_all_but(self, uids: frozenset[str]) -> None:
        self.writer.forget_all_but(uids)
        for kept in (self._judged, self._handled, self._asked):
            for uid in kept.keys() - uids:
                del kept[uid]

    def _mark(self, namespace: str) -> None:
        with self._lock:
            self._dirty.add(namespace)

    def _due(self, namespaces: set[str]) -> list[str]:
        now = self.monotonic()
        with self._lock:
            age = {each: now - self._made_at.get(each, -AGAIN_SECONDS) for each in namespaces}
            self._dirty &= namespaces
            due = {each for each in namespaces if age[each] >= (SOON_SECONDS if each in self._dirty else AGAIN_SECONDS)}
            self._dirty -= due
        self._made_at |= dict.fromkeys(due, now)
        return sorted(due)

    def _note_wish(self, fleet: Resource) -> None:
        token, tenant = reconcile_token(fleet), self.tenants.all().get(fleet.namespace)
        if token and token == fleet.status.get("lastHandledReconcileAt"):
            self._handled[fleet.uid] = token
            self._asked.pop(fleet.uid, None)
        handled = self._handled.setdefault(fleet.uid, str(fleet.status.get("lastHandledReconcileAt") or ""))
        asked = self._asked.get(fleet.uid)
        if tenant is None or not token or token == handled or (asked is not None and asked.token == token):
            return
        self._asked[fleet.uid] = _Asked(token=token, at=self.clock())
        tenant.daemon.fetch_now()
        tenant.daemon.reconcile_now(fleet.fleet)

    def _pass_on_news(self, fleets: Mapping[str, Resource]) -> None:
        with self._lock:
            news = [*self._news]
            self._news.clear()
        for namespace, event in news:
            if isinstance(event, PassEnded):
                self._had_a_look(namespace, event, fleets)
            elif isinstance(event, RolloutMoved) and event.entry.fleet in fleets:
                for each in news_of_entries([event.entry]):
                    fleet = fleets[event.entry.fleet]
                    self.notices.notice(fleet, reason=each.reason, message=each.message, is_bad=each.is_bad)

    def _had_a_look(self, namespace: str, event: PassEnded, fleets: Mapping[str, Resource]) -> None:
        """Whoever asked for a look before this pass began has had it."""
        tenant = self.tenants.all().get(namespace)
        for name in () if tenant is None else tenant.daemon.loop.passes.fleets_of(event.product):
            fleet = fleets.get(name)
            asked = None if fleet is None else self._asked.get(fleet.uid)
            if fleet is not None and asked is not None and asked.at <= event.at - event.seconds:
                self._handled[fleet.uid] = asked.token
                del self._asked[fleet.uid]

    def _offer_statuses(self, namespace: str) -> None:
        tenant = self.tenants.all().get(namespace)
        standing: dict[str, FleetStatus] = {}
        if tenant is not None:
            standing = {each.name: each for each in tenant.daemon.standing().fleets}
        now = self.clock()
        for fleet in self.store.resources(FLEET, namespace):
            if not self._speaks_for(fleet, tenant):
                self.writer.forget(fleet.uid)
                continue
            situation = self._situation(fleet, tenant, standing.get(fleet.fleet))
            self.writer.offer(fleet, status_of(situation, self.writer.written(fleet), now))
        if not self._leads_now:
            self.parts.leave(namespace)
        elif tenant is not None:
            self.parts.offer(namespace, lambda part: (self._judged_of(part, tenant), tenant.intents.refusal))
        elif self.store.is_complete(namespace):
            self.parts.offer(namespace, None)

    def _speaks_for(self, fleet: Resource, tenant: Tenant | None) -> bool:
        """Whether its status is ours to write: we had its last pass, or nobody has one and we lead."""
        passes = None if tenant is None else tenant.daemon.loop.passes
        if passes is None or not passes.has(fleet.fleet):
            return self._leads_now
        return passes.is_ours(fleet.fleet)

    def _situation(self, fleet: Resource, tenant: Tenant | None, standing: FleetStatus | None) -> FleetSituation:
        if tenant is None:
            return self._without_tenant(fleet)
        intent, refusal = tenant.daemon.loop.passes.intent, tenant.intents.refusal
        judged = self._judged_of(fleet, tenant)
        if judged is not None and judged.refusal is not None:
            refusal = judged.refusal
            # It has a problem of its own, so what became of the others is not its concern.
        if refusal is not None and fleet.uid in self._asked:
            self._handled[fleet.uid] = self._asked.pop(fleet.uid).token
        return FleetSituation(
            generation=fleet.generation,
            judged=self._generation(fleet, judged),
            fleet=standing,
            plan=self._plan(fleet, standing),
            taken=None if intent is None else intent.taken,
            refusal=refusal,
            troubles=_troubles(tenant, fleet.fleet),
            reconcile_handled=self._handled.get(fleet.uid) or None,
            misheard=self.words.misheard.get(fleet.path),
        )

    def _without_tenant(self, fleet: Resource) -> FleetSituation:
        """There is no token, or it was not looked for yet."""
        lacking = self.tenants.lacking.get(fleet.namespace)
        if lacking is None:
            before = fleet.status.get("observedGeneration", NEVER_JUDGED)
            return FleetSituation(generation=fleet.generation, judged=int(before))
        trouble = Trouble(code=lacking.code, message=lacking.message, since=self.clock())
        return FleetSituation(
            generation=fleet.generation, judged=fleet.generation, troubles={f"namespace {fleet.namespace}": trouble}
        )

    def _judged_of(self, resource: Resource, tenant: Tenant) -> Judged | None:
        """What was found of the resource last, once it counts: what was taken must be what passes go by."""
        found, intent = tenant.source.judged.get(resource.path), tenant.daemon.loop.passes.intent
        looked, refusal = tenant.source.revision, tenant.intents.refusal
        if found is None or found.uid != resource.uid:
            return self._judged.get(resource.uid)
        is_in_force = intent is not None and looked is not None and intent.taken.revision.commit == looked.commit
        is_refused = refusal is not None and looked is not None and refusal.revision.commit == looked.commit
        if found.refusal is not None or is_in_force or is_refused:
            self._judged[resource.uid] = found
        return self._judged.get(resource.uid)

    def _generation(self, fleet: Resource, judged: Judged | None) -> int:
        if judged is not None:
            return judged.generation
        return int(fleet.status.get("observedGeneration", NEVER_JUDGED))

    def _plan(self, fleet: Resource, standing: FleetStatus | None) -> PlanInForce | None:
        rollout = None if standing is None else standing.progress.rollout
        names = (self.journal.bookmark(_OFFER + fleet.fleet), None if rollout is None else rollout.plan_id)
        for plan_id in filter(None, names):
            kept = self.journal.plan(plan_id)
            if kept is not None:
                return PlanInForce(id=kept.plan_id, digest=kept.digest)
        return None


def _troubles(tenant: Tenant, fleet: str) -> Mapping[str, Trouble]:
    """Those that concern the fleet: everybody's, and those of its product."""
    passes = tenant.daemon.loop.passes
    found: dict[str, Any] = {}
    for what, trouble in tenant.daemon.loop.troubles().items():
        product = None if what == "own devices" else what.removeprefix("product ")
        if what in (SOURCE, JOURNAL, CLOUD) or fleet in passes.fleets_of(product):
            found[what] = trouble
    return found
