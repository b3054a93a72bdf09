"""The ears of the operator: kopf's watches for changes as they happen, and lists of everything now and then.

kopf hears, and nothing else: handlers of `on.event` put what they hear into the store. They write nothing into
resources, and what goes wrong in one is made good by the next list. Reconnecting, 410 and 429 are kopf's.
The lists also say when everything of a kind is known for the first time, which no watch says.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import kopf

from reconciler.kube.access import Access
from reconciler.kube.api import KubeApi
from reconciler.kube.resource import API_VERSION, GROUP, PLURALS, VERSION, resource_of
from reconciler.kube.store import Store
from reconciler.model.error import OperatorError

LIST_SECONDS: Final = 60.0
"""Between two lists of everything: within so long a change is seen that no watch has told."""

RETRY_SECONDS: Final = 2.0
SERVER_SECONDS: Final = 600
CLIENT_SECONDS: Final = 660
STALE_SECONDS: Final = 5 * LIST_SECONDS
"""Resources that were not listed for so long are no ground to call anything ready."""

_SAID_MAX: Final = 200


class Watching:
    """Lists and watches from `start` to `stop`, on threads of its own. `namespaces` empty: everywhere."""

    def __init__(
        self,
        store: Store,
        api: KubeApi,
        access: Access,
        namespaces: Sequence[str] = (),
        *,
        list_seconds: float = LIST_SECONDS,
        trouble: Callable[[OperatorError | None], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`trouble` hears after every list why it failed, None: it did not. `say` tells people."""
        self._store = store
        self._api = api
        self._access = access
        self._namespaces = tuple(namespaces)
        self._list_seconds = list_seconds
        self._trouble = trouble
        self._say = say
        self._again = threading.Event()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._list_again_and_again, name="lists"),
            threading.Thread(target=self._watch_again_and_again, name="watches"),
        ]

    def start(self) -> None:
        """Begin; whoever needs to know when everything was listed asks the store."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop.set()
        self._again.set()
        for thread in self._threads:
            thread.join()

    def list_now(self) -> None:
        """List everything at once, on the thread that does so now and then."""
        self._again.set()

    def list_all(self) -> None:
        """List every kind once. Raises OperatorError."""
        for kind in PLURALS:
            for namespace in self._namespaces or (None,):
                since = self._store.now()
                found, version = self._api.listed(kind, namespace)
                self._store.listed(kind, found, version=version, namespace=namespace or "", since=since)

    def _list_again_and_again(self) -> None:
        while not self._stop.is_set():
            try:
                self.list_all()
            except OperatorError as error:
                self._trouble(error)
                wait = max(RETRY_SECONDS, getattr(error, "after_seconds", 0.0))
            else:
                self._trouble(None)
                wait = self._list_seconds
            self._again.wait(wait)
            self._again.clear()

    def _watch_again_and_again(self) -> None:
        """Begin the watches anew when kopf has ended, as it does where the API server is away when it begins."""
        while not self._stop.wait(0 if self._store.oldest_list_seconds() is not None else 0.1):
            if self._store.oldest_list_seconds() is None:
                continue
            try:
                asyncio.run(self._watch())
            except Exception as error:  # noqa: BLE001  # whatever ends it, it has to begin again
                self._say(f"the watches have ended, and begin again: {type(error).__name__}: {str(error)[:_SAID_MAX]}")
            self._again.set()
            self._stop.wait(RETRY_SECONDS)

    async def _watch(self) -> None:
        # It tells every try of every watch with its stack, and we say in a line what came of it.
        logging.getLogger("kopf").setLevel(logging.CRITICAL)
        await kopf.operator(
            registry=self._registry(),
            settings=_settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for kind, plural in PLURALS.items():
            kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)(self._hearer(kind))
        return registry

    def _hearer(self, kind: str) -> Callable[..., Any]:
        async def hear(*, type: str | None, body: Mapping[str, Any], **_: Any) -> None:  # noqa: A002  # kopf names it
            try:
                self._store.heard(resource_of(body, kind), deleted=type == "DELETED")
            except (KeyError, ValueError, TypeError) as error:
                self._say(f"a {kind} of {API_VERSION} cannot be read: {error!r}")

        return hear

    def _login(self, **_: Any) -> kopf.ConnectionInfo:
        access = self._access
        return kopf.ConnectionInfo(
            server=access.server,
            ca_path=None if access.authority is None else str(access.authority),
            token=access.bearer(),
            certificate_path=None if access.certificate is None else str(access.certificate),
            private_key_path=None if access.key is None else str(access.key),
        )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.server_timeout = SERVER_SECONDS
    settings.watching.client_timeout = CLIENT_SECONDS
    settings.networking.error_backoffs = (1, 1, 2, 3, 5)
    settings.queueing.worker_limit = 20
    settings.queueing.error_delays = (1, 2, 5)
    return settings
