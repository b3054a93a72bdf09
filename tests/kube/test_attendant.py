"""Of several operators one hears people's words, and only when it has heard at least what the one before had."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reconciler.cli.catalog_file import read_catalog
from reconciler.journal.memory import MemoryJournal
from reconciler.kube.attendant import Attendant
from reconciler.kube.notices import Notices
from reconciler.kube.parts import Parts
from reconciler.kube.resource import FLEET, PLURALS, Resource
from reconciler.kube.store import Store
from reconciler.kube.tenants import Tenants
from reconciler.kube.words import HALT, Words
from reconciler.kube.writer import StatusWriter
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from tests.kube.resource_samples import resource

HALTED = resource(version=2, annotations={HALT: "smoke"})
RESUMED = resource(version=3)


class Api:
    """There are no Secrets, and whatever is written is taken."""

    def secret(self, namespace: str, name: str) -> None:
        raise OperatorError("PFR6958", f"{namespace} has no Secret {name}", next_step="none")

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@dataclass
class Operator:
    """One of several on a journal, with a clock that rises with every turn."""

    journal: MemoryJournal
    leads: bool = False
    now: float = 0.0
    wishes: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        api: Any = Api()
        self.store = Store(lambda: self.now, lambda _: None)
        words = Words(self.journal, read_catalog(None), self.clock)
        unused: Any = None
        tenants = Tenants(
            store=self.store,
            api=api,
            means=unused,
            connect=unused,
            intents=unused,
            source=unused,
            hear=lambda *_: None,
            secret="token",
            key="token",
            monotonic=lambda: self.now,
            holder="operator",
            list_now=lambda: self.wishes.append(self.now),
        )
        writer, notices = StatusWriter(api, lambda: self.now), Notices(api, self.clock)
        self.attendant = Attendant(
            store=self.store,
            tenants=tenants,
            journal=self.journal,
            words=words,
            writer=writer,
            notices=notices,
            parts=Parts(self.store, words, writer, notices, self.clock),
            clock=self.clock,
            monotonic=lambda: self.now,
            leads=lambda: self.leads,
        )

    def clock(self) -> Instant:
        return Instant(1_000.0 + self.now)

    def listed(self, *fleets: Resource) -> None:
        for kind in PLURALS:
            self.store.listed(kind, fleets if kind == FLEET else (), version=max(each.version for each in fleets))

    def turn(self, *, leads: bool) -> None:
        self.now += 1.0
        self.leads = leads
        self.attendant.turn()

    def halts(self) -> list[str]:
        return [halt.reason for halt in self.journal.halts()]


def test_who_begins_to_lead_takes_back_no_halt_that_it_has_not_heard_of_yet() -> None:
    late = Operator(MemoryJournal())
    late.listed(resource(version=1))
    late.turn(leads=False)
    Words(late.journal, read_catalog(None), late.clock).hear_fleet(HALTED)
    late.turn(leads=True)
    late.turn(leads=True)
    assert (late.halts(), late.wishes) == (["smoke"], [2.0, 3.0])
    late.listed(RESUMED)
    late.turn(leads=True)
    assert late.halts() == []


def test_who_leads_again_hears_what_was_said_and_taken_back_meanwhile() -> None:
    first = Operator(MemoryJournal())
    first.listed(HALTED)
    first.turn(leads=True)
    assert first.halts() == ["smoke"]
    first.turn(leads=False)
    Words(first.journal, read_catalog(None), first.clock).hear_fleet(RESUMED)
    assert first.halts() == []
    first.turn(leads=True)
    first.now += 1.0
    first.listed(resource(version=4, annotations={HALT: "smoke"}))
    first.turn(leads=True)
    assert first.halts() == ["smoke"]
