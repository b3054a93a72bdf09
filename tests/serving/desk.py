"""A desk as a controller would have it, on a journal in memory, and a real server over it on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import requests
from prometheus_client import CollectorRegistry, Counter

from reconciler.controller.desk import Check
from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import known_catalog
from reconciler.journal.journal import Journal
from reconciler.journal.memory import MemoryJournal
from reconciler.model.error import ManifestError, OperatorError
from reconciler.model.event import Event, Troubled
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.model.revision import Revision, TakenIntent
from reconciler.render.plan_json import plan_document
from reconciler.render.plan_text import plan_text
from reconciler.render.status_json import status_document
from reconciler.serving.application import application
from reconciler.serving.connection import LimitedConnection
from reconciler.serving.server import Server
from reconciler.settings.settings import GitSettings, Role, ServingSettings, TokenSettings, WebhookKind, WebhookSettings
from tests.fleet_samples import NOW, attempt, device_id
from tests.render.sample_plan import PLAN
from tests.render.sample_status import WORST

SOURCE = "https://git.example/fleets#main"
REVISION = Revision(source=SOURCE, name="main", commit="sha1:" + "3f9c1e0b2a" * 4, committed_at=Instant(NOW - 60))
FLEET = "cold-chain-eu"
GIT = GitSettings(url="https://git.example/fleets", reference_name="main")
SECRETS = {kind: f"the-secret-of-{kind.value}-hooks" for kind in WebhookKind}
TOKENS = {role: f"the-token-of-who-may-{role.value}" for role in Role}
SEEN = Counter("particle_things_seen", "What was seen.", registry=(METRICS := CollectorRegistry()))


def a_journal() -> MemoryJournal:
    """One that knows a fleet, and a device in it that is under way."""
    journal = MemoryJournal()
    journal.keep_intent(TakenIntent(revision=REVISION, digest="sha256:1", fleets=(FLEET, "workshop"), at=NOW))
    journal.begin(attempt(id="a1", device_id=device_id(1), fleet=FLEET, intended_at=Instant(NOW - 60)))
    return journal


@dataclass
class FakeDesk:
    """What a desk promises; tests set what it answers, and see what it was told."""

    journal: Journal = field(default_factory=a_journal)
    catalog: Catalog = field(default_factory=known_catalog)
    planned: Plan | None = field(
        default_factory=lambda: replace(PLAN, source=replace(PLAN.source, catalog_digest=known_catalog().digest))
    )
    time: Instant = NOW
    is_alive: bool = True
    source_is_well: bool = True
    fetches: int = 0
    listeners: list[Callable[[Event], None]] = field(default_factory=list)

    def now(self) -> Instant:
        return self.time

    def alive(self) -> bool:
        return self.is_alive

    def checks(self) -> Sequence[Check]:
        return [
            Check(name="journal", ok=True, message="it can be written"),
            Check(name="source", ok=self.source_is_well, message="main@sha1:3f9c1e0b2a", since=NOW),
        ]

    def revision(self) -> Revision | None:
        return REVISION

    def status(self) -> Mapping[str, Any]:
        return status_document(WORST, tool_version="0.1.0")

    def _plan(self, fleet: str | None) -> Plan | None:
        if self.planned is None or fleet is None:
            return self.planned
        fleets = tuple(each for each in self.planned.fleets if each.fleet.name == fleet)
        return replace(self.planned, fleets=fleets) if fleets else None

    def plan(self, fleet: str | None = None) -> Mapping[str, Any] | None:
        found = self._plan(fleet)
        return None if found is None else plan_document(found, tool_version="0.1.0")

    def plan_at(self, reference: str) -> Mapping[str, Any] | None:
        if reference == "broken":
            raise ManifestError("PFR1000", "the manifests have 1 problem")
        if reference != "next":
            raise OperatorError("PFR6507", f"there is no {reference}")
        return self.plan()

    def plan_text(self, fleet: str | None = None) -> str | None:
        found = self._plan(fleet)
        return None if found is None else plan_text(found, plan_id="plan-1")

    def fetch_now(self) -> None:
        self.fetches += 1

    def reconcile_now(self, fleet: str | None = None) -> None:
        raise AssertionError("HTTP says it to the journal, as everybody does")

    def subscribe(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        self.listeners.append(tell)
        return lambda: self.listeners.remove(tell)

    def happens(self, what: str = "the source") -> None:
        for tell in [*self.listeners]:
            tell(Troubled(at=NOW, what=what, code="PFR6501", message="it cannot be reached"))


def settings_in(folder: Path, **changed: Any) -> ServingSettings:
    """A token of every role, and a webhook of every kind, from files in a folder; any free port."""
    for role, token in TOKENS.items():
        (folder / f"{role.value}.token").write_text(f"{token}\n", encoding="utf-8")
    for kind, secret in SECRETS.items():
        (folder / f"{kind.value}.secret").write_text(secret, encoding="utf-8")
    tokens = tuple(
        TokenSettings(name=f"ada-{role.value}", role=role, token_file=str(folder / f"{role.value}.token"))
        for role in Role
    )
    webhooks = tuple(
        WebhookSettings(kind=kind, secret_file=str(folder / f"{kind.value}.secret")) for kind in WebhookKind
    )
    return replace(ServingSettings(port=0, tokens=tokens, webhooks=webhooks), **changed)


@dataclass
class Client:
    """Asks a server, with the token of a role or with none."""

    server: Server
    desk: FakeDesk
    session: requests.Session

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.server.url.partition("://")[2].rpartition(":")
        return host, int(port)

    def ask(self, method: str, path: str, role: Role | None = Role.OPERATE, **more: Any) -> requests.Response:
        headers = {**({} if role is None else {"Authorization": f"Bearer {TOKENS[role]}"}), **more.pop("headers", {})}
        return self.session.request(method, self.server.url + path, headers=headers, timeout=20, **more)

    def get(self, path: str, role: Role | None = Role.OPERATE, **more: Any) -> requests.Response:
        return self.ask("GET", path, role, **more)

    def say(self, word: str, body: Any, role: Role | None = Role.OPERATE, **more: Any) -> requests.Response:
        return self.ask("POST", f"/v1/words/{word}", role, json=body, **more)


@contextlib.contextmanager
def serving(
    settings: ServingSettings,
    desk: FakeDesk | None = None,
    *,
    connection: type[LimitedConnection] = LimitedConnection,
    grace_seconds: float = 5.0,
    **more: Any,
) -> Iterator[Client]:
    """A server that serves, and a client for it."""
    desk = FakeDesk() if desk is None else desk
    made = application(desk, settings, metrics=METRICS, followed=GIT, **more)
    with (
        Server(made, settings, grace_seconds=grace_seconds, connection=connection) as server,
        requests.Session() as session,
    ):
        session.trust_env = False
        yield Client(server=server, desk=desk, session=session)
