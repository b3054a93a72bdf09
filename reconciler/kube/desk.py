"""The desk of an operator: what may be seen of all of its tenants, and said to them. See `controller/desk.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler import __version__
from reconciler.controller.approvals import KeptPlans
from reconciler.controller.daemon import QUEUE, STUCK_SECONDS, Daemon
from reconciler.controller.desk import Check
from reconciler.controller.shown_plan import shown_plan, shown_plan_text
from reconciler.controller.status import Memory, budget_status
from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.kube.attendant import Attendant
from reconciler.kube.plan_of_all import plan_of_all
from reconciler.kube.tenants import trouble_of
from reconciler.kube.watching import STALE_SECONDS
from reconciler.model.error import JournalError, OperatorError
from reconciler.model.event import Event
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.model.revision import Revision
from reconciler.render.status import RunStatus, Status, TokenState, TokenStatus
from reconciler.render.status_json import status_document
from reconciler.telemetry.figures import Figures

_ONLY_NOW: Final = "PFR6957"
_NAMED_MAX: Final = 5
_OF_ALL: Final = frozenset({"loop", QUEUE})
"""Checks that tenants have together."""


class OperatorDesk:
    """See the module. `trouble` is why resources could not be listed the last time; None: they were.

    `journal_trouble`: why the last turn could not use the journal; None: it could.
    """

    def __init__(self, attendant: Attendant, journal: Journal, catalog: Catalog, *, holder: str) -> None:
        self._attendant = attendant
        self._journal = journal
        self._catalog = catalog
        self._holder = holder
        self._ears: dict[int, Callable[[Event], None]] = {}
        self._lock = threading.Lock()
        self.trouble: OperatorError | None = None
        self.journal_trouble: JournalError | None = None

    def hear(self, event: Event) -> None:
        """Everything that happens is told here, and from here to everybody who listens."""
        with self._lock:
            ears = [*self._ears.values()]
        for ear in ears:
            ear(event)

    @property
    def journal(self) -> Journal:
        """See `Desk.journal`."""
        return self._journal

    @property
    def catalog(self) -> Catalog:
        """See `Desk.catalog`."""
        return self._catalog

    def now(self) -> Instant:
        """See `Desk.now`."""
        return max([self._attendant.clock(), *(daemon.now() for _, daemon in self._daemons())])

    def alive(self) -> bool:
        """See `Desk.alive`."""
        turns = self._attendant.monotonic() - self._attendant.turned_at < STUCK_SECONDS
        return turns and all(daemon.alive() for _, daemon in self._daemons())

    def checks(self) -> Sequence[Check]:
        """See `Desk.checks`. A tenant that has no token is not ready; the others and the operator are."""
        age = self._attendant.store.oldest_list_seconds()
        is_fresh = age is not None and age < STALE_SECONDS
        message = "never listed" if age is None else f"listed {age:.0f} s ago"
        if self.trouble is not None:
            message = f"{message}; {self.trouble.message} ({self.trouble.code})"
        checks = [Check(name="resources", ok=is_fresh, message=message)]
        failed = self._attendant.writer.trouble
        well = "statuses are written" if failed is None else f"{failed.message} ({failed.code})"
        checks.append(Check(name="statuses", ok=failed is None, message=well))
        checks.append(Check(name="loop", ok=self.alive(), message="it turns" if self.alive() else "it is stuck"))
        broken = self.journal_trouble
        well = "it can be used" if broken is None else f"{broken.message} ({broken.code})"
        checks.append(Check(name="journal", ok=broken is None, message=well))
        checks.append(self._token_check())
        of_tenants = {namespace: daemon.checks() for namespace, daemon in self._daemons()}
        checks += [each for found in [*of_tenants.values()][:1] for each in found if each.name == QUEUE]
        for namespace, found in of_tenants.items():
            checks += [replace(each, name=f"{namespace}/{each.name}") for each in found if each.name not in _OF_ALL]
        return checks

    def _token_check(self) -> Check:
        """A token that the cloud refuses is a matter of its tenant's check of the cloud."""
        lacking, there = sorted(self._attendant.tenants.lacking), self._daemons()
        message = "no Secret lacks" if not lacking else f"no token in {', '.join(lacking[:_NAMED_MAX])}"
        return Check(name="token", ok=bool(there) or not lacking, message=message)

    def revision(self) -> Revision | None:
        """The revision of the only tenant; of several there is no single one."""
        daemons = self._daemons()
        return daemons[0][1].revision() if len(daemons) == 1 else None

    def status(self) -> Mapping[str, Any]:
        """See `Desk.status`."""
        return status_document(self._standing(), tool_version=__version__)

    def figures(self) -> Figures:
        """What metrics show now."""
        figures = [(namespace, daemon.figures()) for namespace, daemon in self._daemons()]
        found = [each for _, each in figures]
        requests: dict[tuple[str, str], int] = {}
        for key, count in (pair for each in found for pair in each.requests.items()):
            requests[key] = requests.get(key, 0) + count
        return Figures(
            at=self.now(),
            fleets=tuple(fleet for each in found for fleet in each.fleets),
            checks={check.name: check.ok for check in self.checks()},
            troubles=frozenset(trouble_of(name, trouble) for name, each in figures for trouble in each.troubles),
            intent_at=max((each.intent_at for each in found if each.intent_at is not None), default=None),
            seen_at=min((each.seen_at for each in found if each.seen_at is not None), default=None),
            requests=requests,
        )

    def plan(self, fleet: str | None = None) -> Mapping[str, Any] | None:
        """See `Desk.plan`; of no fleet by name: those of all tenants as one."""
        return shown_plan(self._planned(fleet), fleet)

    def plan_text(self, fleet: str | None = None) -> str | None:
        """See `plan`."""
        return shown_plan_text(self._planned(fleet), fleet)

    def plan_at(self, reference: str) -> Mapping[str, Any] | None:
        """Raises OperatorError PFR6957: a cluster has only what is there now."""
        message = f"a cluster has no revision {reference!r}, only what is there now"
        raise OperatorError(_ONLY_NOW, message, next_step="plan other manifests with `reconciler plan`")

    def fetch_now(self) -> None:
        """See `Desk.fetch_now`."""
        for _, daemon in self._daemons():
            daemon.fetch_now()

    def reconcile_now(self, fleet: str | None = None) -> None:
        """See `Desk.reconcile_now`."""
        for _, daemon in self._daemons():
            daemon.reconcile_now(fleet)

    def subscribe(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        """See `Desk.subscribe`."""
        with self._lock:
            self._ears[id(tell)] = tell

        def end() -> None:
            with self._lock:
                self._ears.pop(id(tell), None)

        return end

    def _daemons(self) -> list[tuple[str, Daemon]]:
        return [(name, tenant.daemon) for name, tenant in sorted(self._attendant.tenants.all().items())]

    def _planned(self, fleet: str | None) -> Plan | None:
        """The plan of a fleet's tenant, or of all of them."""
        namespace = None if fleet is None else fleet.partition("/")[0]
        return plan_of_all({name: daemon.planned() for name, daemon in self._daemons() if namespace in (None, name)})

    def _standing(self) -> Status:
        found = [(namespace, daemon.standing()) for namespace, daemon in self._daemons()]
        memory, now = Memory(self._journal, KeptPlans(self._journal, self._catalog)), self.now()
        seen = [each.observed_at for _, each in found]
        blind = [f"{namespace}: {each.blind_because}" for namespace, each in found if each.blind_because]
        refused = next((each.token for _, each in found if each.token.state is TokenState.REFUSED), None)
        is_known = bool(found) and all(each.token.state is TokenState.VALID for _, each in found)
        return Status(
            at=now,
            observed_at=min((at for at in seen if at is not None), default=None) if None not in seen else None,
            complete=bool(found) and all(each.complete for _, each in found),
            blind_because="; ".join(blind) if found else "no namespace has fleets and a token",
            fleets=tuple(
                fleet for namespace, each in found for fleet in each.fleets if fleet.name.startswith(f"{namespace}/")
            ),
            run=RunStatus(journal_found=True, under_way=self._holder, last=memory.last_run()),
            budget=budget_status(
                memory, requests=sum(each.budget.requests_of_this_command for _, each in found), now=now
            ),
            token=refused or TokenStatus(state=TokenState.VALID if is_known else TokenState.UNKNOWN),
        )
