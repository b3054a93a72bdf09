"""The parts of a running controller, made from its settings, begun in their order and ended in the other one."""

from __future__ import annotations

import os
import random
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from reconciler.cli.catalog_file import read_catalog
from reconciler.cli.options import cloud_access
from reconciler.cli.word import wall_clock
from reconciler.controller.daemon import Daemon
from reconciler.controller.intent import Intents
from reconciler.controller.means import Means
from reconciler.inventory.checks import OutsideChecks
from reconciler.journal.location import JournalPlace, journal_place
from reconciler.journal.lock import sole_run
from reconciler.journal.opening import open_journal
from reconciler.journal.sql import SqlJournal
from reconciler.model.error import OperatorError
from reconciler.model.event import Event
from reconciler.model.fleet import FleetSet
from reconciler.particle.budget import Bucket
from reconciler.particle.token import without_tokens
from reconciler.particle.token_file import TokenFile
from reconciler.serving.application import application
from reconciler.serving.server import Server
from reconciler.settings.reading import JOURNAL_NAME
from reconciler.settings.settings import ControllerSettings
from reconciler.sources.git_source import GitSource
from reconciler.telemetry.channels import open_channels
from reconciler.telemetry.levels import Level
from reconciler.telemetry.logs import Log
from reconciler.telemetry.matters import is_refusal_open, open_matters
from reconciler.telemetry.metrics import Metrics
from reconciler.telemetry.notifications import Telling
from reconciler.wiring import SENDS_AT_ONCE, CloudConnection, CloudSettings

PASSES_AT_ONCE: Final = 8
"""Products whose passes may run at the same time, the source beside them. The wire's budget keeps the rate."""


class Parts:
    """A context manager: its end ends everything that it began, whatever has gone wrong by then.

    With a journal in a file this process is the only one at work; with one in PostgreSQL there may be others. One that
    only works `is_worker`: it neither serves nor tells people.
    """

    def __init__(self, settings: ControllerSettings, *, is_worker: bool = False) -> None:
        self._settings = settings
        self._is_worker = is_worker
        self._stack = ExitStack()
        self._is_made = False

    def made(self) -> Self:
        """Make them now, before they are entered. Raises ReconcilerError; then nothing is left of them."""
        with ExitStack() as stack:
            self._build(stack)
            self._stack, self._is_made = stack.pop_all(), True
        return self

    def __enter__(self) -> Self:
        return self if self._is_made else self.made()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Keep the fleets as the manifests say, until it should stop. False: something has not ended by then."""
        return self._daemon.run(should_stop)

    def _build(self, stack: ExitStack) -> None:
        settings = self._settings
        catalog_path = None if settings.catalog is None else Path(settings.catalog)
        catalog = read_catalog(catalog_path)
        also_known = frozenset(each.version.text for each in catalog.all_releases) if catalog_path else frozenset[str]()
        if settings.git is None:
            message = "a controller follows a repository, and the settings have no git"
            raise OperatorError("PFR6906", message, next_step="give git.url, or run `reconciler operator` in a cluster")
        journal = stack.enter_context(open_journal(journal_place(settings.journal or JOURNAL_NAME)))
        shared = None
        if isinstance(journal.path, Path):
            stack.enter_context(sole_run(journal.path, now=wall_clock()))
        else:
            # Loads what an extra brings along.
            from reconciler.cli.worker_parts import WorkerParts

            shared = WorkerParts(settings, journal.path, stack, report=report)
        senders = stack.enter_context(ThreadPoolExecutor(SENDS_AT_ONCE, thread_name_prefix="send"))
        workers = stack.enter_context(ThreadPoolExecutor(PASSES_AT_ONCE + 2, thread_name_prefix="pass"))
        connection = stack.enter_context(self._connection(None if shared is None else shared.requests))
        intents = Intents(
            GitSource(settings.git, Path(settings.git.mirror)),
            journal,
            guards=settings.guards,
            clock=wall_clock,
            tell=self._tell,
            also_known=also_known,
            refused_before=is_refusal_open(journal),
        )
        means = Means(
            journal=journal,
            catalog=catalog,
            intents=intents,
            connection=connection,
            settings=settings,
            launch=lambda work: launch(workers, work),
            pool=senders,
            clock=wall_clock,
            monotonic=time.monotonic,
            dice=random.Random(),  # noqa: S311  # spreads times, guards no secret
            new_id=lambda: uuid.uuid4().hex,
            tell=self._tell,
            ask=OutsideChecks(allow_commands=settings.allow_commands).ask,
            report=report,
            troubled_before=open_matters(journal),
            runner=None if shared is None else shared.runner(intents),
            shows_all=shared is not None and not self._is_worker,
            token_trouble=self._token_trouble,
        )
        self._daemon = Daemon(
            means,
            traffic=connection.api.wire.totals,
            holder=f"controller, process {os.getpid()}",
        )
        self._let_know(stack, journal)
        if shared is not None:
            stack.enter_context(shared.engine)

    def _let_know(self, stack: ExitStack, journal: SqlJournal) -> None:
        """The log first and the server last: whoever asks finds all of it, and what ends it is still logged."""
        settings, daemon = self._settings, self._daemon
        log = Log(sys.stderr, form=settings.log.format, level=settings.log.level, redact=without_tokens)
        stack.callback(log.hear_libraries())
        if self._is_worker:
            daemon.subscribe(log.tell)
            return
        metrics = Metrics(daemon.figures)
        ears = [log.tell, metrics.tell]
        if _tells(journal.path, stack):
            channels = open_channels(settings.channels)
            ears.append(stack.enter_context(Telling(journal, channels, report=metrics.delivered)).tell)
        else:
            log.say(Level.INFO, "another controller of this journal tells people, and this one does not")
        for ear in ears:
            daemon.subscribe(ear)
        answers = application(daemon, settings.serving, metrics=metrics.registry, followed=settings.git)
        server = stack.enter_context(Server(answers, settings.serving))
        log.say(Level.INFO, f"serving {server.url}")

    def _connection(self, shared: Bucket | None) -> CloudConnection:
        particle = self._settings.particle
        token_file = None if particle.token_file is None else Path(particle.token_file)
        access = cloud_access(particle.api_url, token_file)
        self._token = access.token
        cache = None if particle.firmware_cache is None else Path(particle.firmware_cache)
        settings = CloudSettings(
            api_url=access.api_url,
            token=access.token,
            firmware_cache=cache,
            list_seconds=self._settings.interval_seconds,
            shared=shared,
        )
        return CloudConnection(settings, FleetSet(fleets=()), on_news=self._news)

    def _token_trouble(self) -> OperatorError | None:
        return self._token.trouble if isinstance(self._token, TokenFile) else None

    def _news(self, product: str | None) -> None:
        self._daemon.news(product)

    def _tell(self, event: Event) -> None:
        self._daemon.hear(event)


def _tells(place: JournalPlace, stack: ExitStack) -> bool:
    """Whether this process is the one that tells people."""
    if isinstance(place, Path):
        return True
    from reconciler.journal.postgres_lock import one_that_tells

    return stack.enter_context(one_that_tells(place))


def launch(workers: ThreadPoolExecutor, work: Callable[[], None]) -> None:
    """Have work done elsewhere."""
    workers.submit(work)


def report(error: BaseException) -> None:
    """What nobody foresaw, whole, without secrets: the loop goes on, and somebody has to know."""
    text = "".join(traceback.format_exception(error))
    sys.stderr.write(without_tokens(text))
