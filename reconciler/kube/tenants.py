"""The tenants: one for each namespace that has fleets, with its own token, connection and loop, on one journal.

A tenant begins when its namespace was listed and its Secret has a token, and ends when the Secret is gone: taking the
token away takes the right away. While it lasts a replaced token is used from the next request on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

from reconciler.controller.daemon import Daemon
from reconciler.controller.intent import Intents
from reconciler.controller.means import Means
from reconciler.kube.api import ApiUnreachableError, KubeApi
from reconciler.kube.secret_token import SecretToken, token_in
from reconciler.kube.source import ClusterSource
from reconciler.kube.store import Store
from reconciler.model.error import OperatorError, ReconcilerError
from reconciler.model.event import Event, Recovered, Troubled
from reconciler.model.fleet import FleetSet
from reconciler.particle.error import RefusedError
from reconciler.particle.token import AccessToken, TokenSource
from reconciler.wiring import CloudConnection

SECRET_SECONDS: Final = 10.0
"""Between two reads of a Secret. Only `get` on this one Secret is needed for that: no list and no watch of all."""

_CODE_OF_SECRET: Final = "PFR6958"  # noqa: S105  # a code


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One namespace at work."""

    namespace: str
    source: ClusterSource
    intents: Intents
    connection: CloudConnection
    daemon: Daemon
    token: SecretToken
    stop: threading.Event
    thread: threading.Thread

    def names(self) -> tuple[str, ...]:
        """The fleets that it has in hand, as the journal calls them."""
        intent = self.intents.intent
        desired = () if intent is None else tuple(fleet.name for fleet in intent.fleets.fleets)
        return (*desired, *self.daemon.loop.passes.in_hand())


class Connect(Protocol):
    """Makes a connection to the cloud."""

    def __call__(self, token: TokenSource, on_news: Callable[[str | None], None]) -> CloudConnection:
        """With the token of a namespace; `on_news` hears which product has some."""


@dataclass(slots=True)
class Tenants:
    """All of them. `tend` is called again and again, by one thread; what is read may be read by any.

    `means` are those of every tenant but for intents, connection and `tell`. `hear` gets every event with its
    namespace. `list_now` has all resources listed. `lacking`: namespaces without a token, and why.
    """

    store: Store
    api: KubeApi
    means: Callable[[Intents, CloudConnection, Callable[[Event], None], str], Means]
    connect: Connect
    intents: Callable[[ClusterSource, Callable[[Event], None]], Intents]
    source: Callable[[str], ClusterSource]
    hear: Callable[[str, Event], None]
    secret: str
    key: str
    monotonic: Callable[[], float]
    holder: str
    list_now: Callable[[], None] = lambda: None
    lacking: dict[str, OperatorError] = field(default_factory=dict)
    _tenants: dict[str, Tenant] = field(default_factory=dict)
    _read_at: dict[str, float] = field(default_factory=dict)
    _numbers: dict[tuple[str, str], str] = field(default_factory=dict)

    def all(self) -> Mapping[str, Tenant]:
        """Those at work, by namespace."""
        return {**self._tenants}

    def tend(self) -> None:
        """Begin whom there is a token for, end whom there is none for any more, and bring new tokens."""
        for namespace in sorted({*self.store.namespaces(), *self._tenants}):
            if self.monotonic() >= self._read_at.get(namespace, 0.0) and self.store.is_complete(namespace):
                self._read_at[namespace] = self.monotonic() + SECRET_SECONDS
                self._look_after(namespace)
        self._end_waits()

    def _end_waits(self) -> None:
        """Who waits for a list looks as often as it may be there."""
        waiting = [tenant for tenant in self.all().values() if tenant.source.awaits_list]
        for tenant in waiting:
            tenant.daemon.fetch_now()
        if waiting:
            self.list_now()

    def changed(self, namespace: str) -> None:
        """A resource there has changed. All look: a product may have come free, or belong to somebody else now."""
        self._read_at.pop(namespace, None) if namespace not in self._tenants else None
        for tenant in self.all().values():
            tenant.daemon.fetch_now()

    def end(self) -> None:
        """End all: what is being sent is written down."""
        for tenant in self.all().values():
            tenant.stop.set()
            tenant.daemon.wake()
        for namespace in self.all():
            self._end(namespace)

    def elsewhere(self, namespace: str) -> frozenset[str]:
        """The fleets that other tenants have in hand."""
        others = [tenant for name, tenant in self.all().items() if name != namespace]
        return frozenset(name for tenant in others for name in tenant.names())

    def number_of(self, namespace: str, word: str) -> str:
        """The number of a product by what a fleet calls it; the word itself where the cloud cannot be asked."""
        tenant = self._tenants.get(namespace)
        if word.isdecimal() or tenant is None:
            return word
        if (namespace, word) not in self._numbers:
            try:
                record = tenant.connection.api.product(word)
                self._numbers[namespace, word] = word if record is None else str(record.id)
            except RefusedError:
                # A token may list the devices of a product and not see the product.
                self._numbers[namespace, word] = word
            except ReconcilerError:
                return word
        return self._numbers[namespace, word]

    def _look_after(self, namespace: str) -> None:
        tenant = self._tenants.get(namespace)
        try:
            token = self._token(namespace)
            if tenant is None:
                self._begin(namespace, token)
            else:
                tenant.token.replace(token)
        except ApiUnreachableError:
            # What was read last stands; the readiness says that the API server is away.
            return
        except OperatorError as error:
            self.lacking[namespace] = error
            if error.code == _CODE_OF_SECRET and tenant is not None:
                self._end(namespace)
            return
        self.lacking.pop(namespace, None)

    def _token(self, namespace: str) -> AccessToken:
        return token_in(self.api.secret(namespace, self.secret), self.secret, self.key)

    def _begin(self, namespace: str, token: AccessToken) -> None:
        secret = SecretToken(token, partial(self._token, namespace))
        tell = partial(self._tell, namespace)
        daemons: list[Daemon] = []
        with ExitStack() as stack:
            connection = self.connect(secret, lambda product: _news(daemons, product))
            stack.callback(connection.close)
            source = self.source(namespace)
            intents = self.intents(source, tell)
            means = self.means(intents, connection, tell, namespace)
            daemons.append(Daemon(means, traffic=connection.api.wire.totals, holder=self.holder))
            stack.pop_all()
        stop = threading.Event()
        thread = threading.Thread(target=_run, args=(daemons[0], intents, stop), name=f"tenant {namespace}")
        self._tenants[namespace] = Tenant(
            namespace=namespace,
            source=source,
            intents=intents,
            connection=connection,
            daemon=daemons[0],
            token=secret,
            stop=stop,
            thread=thread,
        )
        thread.start()

    def _end(self, namespace: str) -> None:
        tenant = self._tenants[namespace]
        tenant.stop.set()
        tenant.daemon.wake()
        tenant.thread.join()
        tenant.connection.close()
        del self._tenants[namespace]

    def _tell(self, namespace: str, event: Event) -> None:
        """What is in trouble has the namespace with it: people and the journal have one list of all troubles."""
        if isinstance(event, Troubled | Recovered):
            event = replace(event, what=trouble_of(namespace, event.what))
        tenant = self._tenants.get(namespace)
        if tenant is not None:
            tenant.daemon.hear(event)
        self.hear(namespace, event)


def trouble_of(namespace: str, what: str) -> str:
    """How the trouble of a tenant is called where those of all stand side by side."""
    return f"{what} of {namespace}"


def nothing_yet() -> FleetSet:
    """What a connection begins with."""
    return FleetSet(fleets=())


def _news(daemons: list[Daemon], product: str | None) -> None:
    for daemon in daemons:
        daemon.news(product)


def _run(daemon: Daemon, intents: Intents, stop: threading.Event) -> None:
    """What was deleted while nobody was here is nobody's before the first pass begins."""
    try:
        intents.recall()
        intents.look()
    except ReconcilerError:
        pass  # The loop looks again, and tells what is wrong.
    daemon.run(stop.is_set)
