"""The parts of a running operator, made from its settings, begun in their order and ended in the other one."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from reconciler.cli.catalog_file import read_catalog
from reconciler.cli.controller_parts import PASSES_AT_ONCE, launch, report
from reconciler.cli.word import wall_clock
from reconciler.controller.intent import Intents
from reconciler.controller.means import Means
from reconciler.firmware.catalog import Catalog
from reconciler.inventory.checks import OutsideChecks
from reconciler.journal.journal import Journal
from reconciler.journal.location import PostgresPlace, journal_place
from reconciler.journal.lock import sole_run
from reconciler.journal.opening import open_journal
from reconciler.journal.sql import SqlJournal
from reconciler.kube.access import Access, access_of
from reconciler.kube.api import KubeApi
from reconciler.kube.attendant import Attendant
from reconciler.kube.desk import OperatorDesk
from reconciler.kube.notices import Notices
from reconciler.kube.parts import Parts
from reconciler.kube.source import ClusterSource
from reconciler.kube.store import Store
from reconciler.kube.tenants import Tenants, nothing_yet, trouble_of
from reconciler.kube.watching import Watching
from reconciler.kube.words import Words
from reconciler.kube.writer import StatusWriter
from reconciler.model.error import JournalError, OperatorError
from reconciler.model.event import Event
from reconciler.particle.session import checked_api_url
from reconciler.particle.token import TokenSource, without_tokens
from reconciler.serving.application import application
from reconciler.serving.server import Server
from reconciler.settings.reading import JOURNAL_NAME
from reconciler.settings.settings import ControllerSettings, KubernetesSettings
from reconciler.telemetry.channels import open_channels
from reconciler.telemetry.levels import Level
from reconciler.telemetry.logs import Log
from reconciler.telemetry.matters import is_refusal_open, open_matters
from reconciler.telemetry.metrics import Metrics
from reconciler.telemetry.notifications import Telling
from reconciler.wiring import SENDS_AT_ONCE, CloudConnection, CloudSettings

if TYPE_CHECKING:
    from reconciler.cli.operator_lead import Leading
    from reconciler.cli.worker_parts import WorkerParts

TURN_SECONDS: Final = 1.0


class OperatorParts:
    """A context manager: its end ends everything that it began, whatever has gone wrong by then."""

    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._leads: Callable[[], bool] = _always

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Keep the fleets as the resources say, until it should stop."""
        while not should_stop():
            try:
                self._attendant.turn()
            except JournalError as error:
                if self._desk.journal_trouble is None:
                    self._log.say(Level.ERROR, f"the journal cannot be used: {error.message} ({error.code})")
                self._desk.journal_trouble = error
            else:
                self._desk.journal_trouble = None
            time.sleep(TURN_SECONDS)

    def _build(self, stack: ExitStack) -> None:
        settings = self._settings
        kubernetes = settings.kubernetes
        if kubernetes is None:
            message = "an operator needs a cluster, and the settings have no kubernetes"
            raise OperatorError("PFR6906", message, next_step="give kubernetes: {}, or run `reconciler controller`")
        catalog_path = None if settings.catalog is None else Path(settings.catalog)
        catalog = read_catalog(catalog_path)
        also_known = frozenset(each.version.text for each in catalog.all_releases) if catalog_path else frozenset[str]()
        journal = stack.enter_context(open_journal(journal_place(settings.journal or JOURNAL_NAME)))
        self._shared: WorkerParts | None = None
        if isinstance(journal.path, Path):
            stack.enter_context(sole_run(journal.path, now=wall_clock()))
        else:
            # Loads what an extra brings along.
            from reconciler.cli.worker_parts import WorkerParts

            self._shared = WorkerParts(settings, journal.path, stack, report=report)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        access = access_of(None if kubernetes.kubeconfig is None else Path(kubernetes.kubeconfig), folder)
        api = KubeApi(access)
        stack.callback(api.close)
        store = Store(time.monotonic, on_change=self._changed)
        tenants = self._tenants(stack, kubernetes, store, api, journal, catalog, also_known)
        words, writer = Words(journal, catalog, wall_clock), StatusWriter(api, time.monotonic)
        notices = Notices(api, wall_clock)
        self._attendant = Attendant(
            store=store,
            tenants=tenants,
            journal=journal,
            words=words,
            writer=writer,
            notices=notices,
            parts=Parts(store, words, writer, notices, wall_clock, also_known),
            clock=wall_clock,
            monotonic=time.monotonic,
            turned_at=time.monotonic(),
            leads=self._leads_now,
        )
        self._desk = OperatorDesk(self._attendant, journal, catalog, holder=tenants.holder)
        self._let_know(stack, journal)
        if self._shared is not None:
            stack.enter_context(self._shared.engine)
        stack.callback(tenants.end)
        self._watch(stack, kubernetes, store, api, access)

    def _tenants(
        self,
        stack: ExitStack,
        kubernetes: KubernetesSettings,
        store: Store,
        api: KubeApi,
        journal: Journal,
        catalog: Catalog,
        also_known: frozenset[str],
    ) -> Tenants:
        settings, shared = self._settings, self._shared
        senders = stack.enter_context(ThreadPoolExecutor(SENDS_AT_ONCE, thread_name_prefix="send"))
        workers = stack.enter_context(ThreadPoolExecutor(PASSES_AT_ONCE + 2, thread_name_prefix="pass"))
        source = partial(
            ClusterSource, store=store, journal=journal, clock=wall_clock, also_known=also_known, is_shared=bool(shared)
        )

        def means(of: Intents, connection: CloudConnection, tell: Callable[[Event], None], namespace: str) -> Means:
            return Means(
                journal=journal,
                catalog=catalog,
                intents=of,
                connection=connection,
                settings=settings,
                launch=partial(launch, workers),
                pool=senders,
                clock=wall_clock,
                monotonic=time.monotonic,
                dice=random.Random(),  # noqa: S311  # spreads times, guards no secret
                new_id=lambda: uuid.uuid4().hex,
                tell=tell,
                ask=OutsideChecks(allow_commands=settings.allow_commands).ask,
                report=report,
                troubled_before=_troubled_before(journal, namespace),
                elsewhere=partial(tenants.elsewhere, namespace),
                runner=None if shared is None else shared.runner(of),
                shows_all=shared is not None,
            )

        tenants = Tenants(
            store=store,
            api=api,
            means=means,
            connect=self._connect,
            intents=partial(self._intents, journal, also_known),
            source=lambda namespace: source(namespace, number_of=tenants.number_of),
            hear=self._hear,
            secret=kubernetes.token_secret,
            key=kubernetes.token_key,
            monotonic=time.monotonic,
            holder=f"operator, process {os.getpid()}",
            list_now=self._list_now,
        )
        return tenants

    def _intents(
        self, journal: Journal, also_known: frozenset[str], of: ClusterSource, tell: Callable[[Event], None]
    ) -> Intents:
        return Intents(
            of,
            journal,
            guards=self._settings.guards,
            clock=wall_clock,
            tell=tell,
            also_known=also_known,
            guards_losses=False,
            refused_before=is_refusal_open(journal, of.namespace),
        )

    def _connect(self, token: TokenSource, on_news: Callable[[str | None], None]) -> CloudConnection:
        particle = self._settings.particle
        settings = CloudSettings(
            api_url=checked_api_url(particle.api_url),
            token=token,
            firmware_cache=None if particle.firmware_cache is None else Path(particle.firmware_cache),
            list_seconds=self._settings.interval_seconds,
            shared=None if self._shared is None else self._shared.requests,
        )
        return CloudConnection(settings, nothing_yet(), on_news=on_news)

    def _leads_now(self) -> bool:
        return self._leads()

    def _list_now(self) -> None:
        self._watching.list_now()

    def _changed(self, namespace: str) -> None:
        self._attendant.changed(namespace)

    def _hear(self, namespace: str, event: Event) -> None:
        self._attendant.hear(namespace, event)
        self._desk.hear(event)

    def _let_know(self, stack: ExitStack, journal: SqlJournal) -> None:
        """The log first and the server last: whoever asks finds all of it, and what ends it is still logged."""
        settings, desk = self._settings, self._desk
        self._log = Log(sys.stderr, form=settings.log.format, level=settings.log.level, redact=without_tokens)
        stack.callback(self._log.hear_libraries())
        metrics = Metrics(desk.figures)
        for ear in (self._log.tell, metrics.tell):
            desk.subscribe(ear)
        telling = partial(self._telling, journal, metrics)
        if isinstance(journal.path, Path):
            stack.enter_context(telling())
        else:
            self._leads = stack.enter_context(self._leading(journal.path, telling))
        answers = application(desk, settings.serving, metrics=metrics.registry)
        server = stack.enter_context(Server(answers, settings.serving))
        self._log.say(Level.INFO, f"serving {server.url}")

    @contextmanager
    def _telling(self, journal: SqlJournal, metrics: Metrics) -> Iterator[None]:
        with Telling(journal, open_channels(self._settings.channels), report=metrics.delivered) as telling:
            unsubscribe = self._desk.subscribe(telling.tell)
            try:
                yield
            finally:
                unsubscribe()

    def _leading(self, place: PostgresPlace, telling: Callable[[], AbstractContextManager[None]]) -> Leading:
        from reconciler.cli.operator_lead import Leading
        from reconciler.journal.postgres_lock import Lead

        words, lost = f"lead of process {os.getpid()}", self._settings.workers.lost_seconds
        lead = Lead(place, words=words, lost_seconds=lost)
        return Leading(lead, telling=telling, is_fit=lambda: self._desk.trouble is None)

    def _watch(
        self, stack: ExitStack, kubernetes: KubernetesSettings, store: Store, api: KubeApi, access: Access
    ) -> None:
        def trouble(error: OperatorError | None) -> None:
            if error is not None and self._desk.trouble is None:
                self._log.say(Level.WARNING, f"resources cannot be listed: {error.message} ({error.code})")
            self._desk.trouble = error

        def say(words: str) -> None:
            self._log.say(Level.WARNING, words)

        self._watching = watching = Watching(store, api, access, kubernetes.watch_namespaces, trouble=trouble, say=say)
        watching.start()
        stack.callback(watching.stop)


def _always() -> bool:
    """Nobody else is there."""
    return True


def _troubled_before(journal: Journal, namespace: str) -> frozenset[str]:
    """What people believe to be in trouble in a namespace, as its loop calls it."""
    ending = trouble_of(namespace, "")
    return frozenset(what.removesuffix(ending) for what in open_matters(journal) if what.endswith(ending))
