"""A runner of passes by Procrastinate. See `controller.runner.Runner` for the promise, and the room for the rules."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.tasks import Task
from psycopg_pool import PoolTimeout

from reconciler.controller.runner import Ended, Product, Queue, Work
from reconciler.controller.schedule import Schedule
from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres import ENGINE_LOCK
from reconciler.journal.postgres_lock import SharedRun
from reconciler.journal.postgres_turns import Due, PostgresTurns, Turn
from reconciler.journal.run_under_way import RunUnderWayError
from reconciler.model.error import JournalError

TICK_SECONDS: Final = 1.0
"""Between two looks at what is due."""

DECLINED_SECONDS: Final = 1.0
"""A product that cannot be looked at by one worker may be by another, or a little later."""

TASK: Final = "reconciler.pass"
_QUEUE: Final = "passes"
_TRIES: Final = 10
_HEARTBEATS: Final = 4
"""A worker counts as dead when so many of its heartbeats were missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """`holder` names this worker among all. `lost_seconds`: who is silent for so long is dead to the others.

    `passes_at_once` of this worker; `grace_seconds` from the end's wish to the end.
    """

    place: PostgresPlace
    holder: str
    passes_at_once: int
    lost_seconds: float
    grace_seconds: float


class Engine:
    """Passes for any number of loops of this process, each with its own products and `EngineRunner`. A context manager.

    Its thread serves while the context lasts. `report` gets what went wrong that nobody foresaw.
    """

    def __init__(
        self, settings: EngineSettings, schedule: Schedule, *, report: Callable[[BaseException], None]
    ) -> None:
        """Raises JournalError when the server cannot be reached, or an `apply` is at work on the journal."""
        self._settings = settings
        self._schedule = schedule
        self._report = report
        self._runners: tuple[EngineRunner, ...] = ()
        self._last: dict[str, EngineRunner] = {}
        self._woken: dict[Product, bool] = {}
        self._held: frozenset[str] = frozenset()
        self._waiting: Sequence[Due] = ()
        self._looked_at = -math.inf
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._stop: Callable[[], None] = lambda: None
        self._own_queue = f"{_QUEUE}@{settings.holder}"
        self._pool = ThreadPoolExecutor(settings.passes_at_once, thread_name_prefix="pass")
        self._turns = PostgresTurns(settings.place, holder=settings.holder)
        self._run_lock = SharedRun(settings.place, words=settings.holder)
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)

    def runner(self, work: Work, *, is_latest: Callable[[], bool]) -> EngineRunner:
        """One for a loop. `is_latest`: whether what is desired there is what was taken last, so that it may work."""
        made = EngineRunner(self, work, is_latest)
        with self._lock:
            self._runners = (*self._runners, made)
        return made

    def forget(self, runner: EngineRunner) -> None:
        """Its loop ends: others may have its products."""
        with self._lock:
            self._runners = tuple(each for each in self._runners if each is not runner)

    def wake(self, product: Product, *, by_word: bool = False) -> None:
        """See `Runner.wake`: it is told to the others within a second."""
        with self._lock:
            self._woken[product] = by_word or self._woken.get(product, False)

    def holds(self, product: Product) -> bool:
        """See `Runner.holds`."""
        return _key(product) in self._held

    def queue(self) -> Queue:
        """See `Runner.queue`."""
        silent = time.monotonic() - self._looked_at
        if not self._run_lock.is_held or silent > self._settings.lost_seconds:
            return Queue(ok=False, message="this process takes no part: the database cannot be reached, or is held")
        waited = max((due.waited for due in self._waiting), default=0.0)
        message = (
            f"{len(self._held)} products are this process's; {len(self._waiting)} wait, the longest {waited:.0f} s"
        )
        return Queue(ok=True, message=message)

    def __enter__(self) -> Self:
        self._run_lock.hold()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._stop()
        self._thread.join(self._settings.grace_seconds + 5.0)
        with contextlib.suppress(JournalError):
            self._turns.leave()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._turns.close()
        self._run_lock.close()

    # Its own thread

    def _live(self) -> None:
        """Serve; and where the server was away, or the engine fell, serve again."""
        while not self._stopping.is_set():
            try:
                asyncio.run(self._serve())
            except RunUnderWayError as error:
                self._report(error)
            except (JournalError, ConnectorException, psycopg.Error, PoolTimeout):
                pass  # the loop itself says that the journal cannot be reached
            except Exception as error:  # noqa: BLE001  # a mistake of ours must not end the engine
                self._report(error)
            self._stopping.wait(TICK_SECONDS)

    async def _serve(self) -> None:
        settings, stop = self._settings, asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = lambda: _tell(loop, stop)
        loop.set_exception_handler(_leave_to_rescue)
        heartbeat = settings.lost_seconds / _HEARTBEATS
        connector = PsycopgConnector(conninfo=settings.place.url, min_size=1, max_size=6, timeout=heartbeat)
        app = App(connector=connector)
        task = app.task(name=TASK)(self._job)
        await loop.run_in_executor(None, make_tables, settings.place)
        async with app.open_async():
            worker = app.run_worker_async(
                queues=[_QUEUE, self._own_queue],
                concurrency=settings.passes_at_once,
                fetch_job_polling_interval=TICK_SECONDS,
                shutdown_graceful_timeout=settings.grace_seconds,
                delete_jobs="always",
                install_signal_handlers=False,
                update_heartbeat_interval=heartbeat,
                stalled_worker_timeout=settings.lost_seconds,
            )
            parts = [asyncio.create_task(worker), asyncio.create_task(self._tick(app, task))]
            await asyncio.wait([*parts, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
            failed = [part for part in parts if part.done() and not part.cancelled() and part.exception()]
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            for part in failed:
                part.result()

    async def _job(self, product: str) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, self._pass, product)

    async def _tick(self, app: App, task: Task[Any, Any, Any]) -> None:
        """Every second: tell what was heard, defer what is due, and free what dead workers had."""
        loop = asyncio.get_running_loop()
        while True:
            for due in await loop.run_in_executor(None, self._look):
                await self._defer(app, task, due)
            await self._rescue(app)
            await asyncio.sleep(TICK_SECONDS)

    def _look(self) -> list[Due]:
        self._run_lock.hold()
        with self._lock:
            woken, self._woken = self._woken, {}
        try:
            for product, by_word in woken.items():
                self._turns.wake(_key(product), by_word=by_word)
        except JournalError:
            with self._lock:
                for product, by_word in woken.items():
                    self._woken[product] = by_word or self._woken.get(product, False)
            raise
        held, wanted = self._turns.held(), {_key(product) for each in self._runners for product in each.products}
        for product in held - wanted:
            self._turns.decline(product, seconds=0.0)
        self._held = held & wanted
        self._waiting = self._turns.due(wanted)
        self._looked_at = time.monotonic()
        return [*self._waiting]

    async def _defer(self, app: App, task: Task[Any, Any, Any], due: Due) -> None:
        """Into the queue of its holder, which remembers it; into everybody's when that one leaves it lying."""
        lock = f"product {due.product}"
        is_everybodys = due.holder is None or due.waited > self._settings.lost_seconds
        queue = _QUEUE if is_everybodys else f"{_QUEUE}@{due.holder}"
        try:
            await task.configure(lock=lock, queueing_lock=lock, queue=queue).defer_async(product=due.product)
        except AlreadyEnqueued:
            if is_everybodys:
                await self._take_from_holders(app, lock)

    async def _take_from_holders(self, app: App, lock: str) -> None:
        """What waits in the queue of one worker, which may be dead: the next look finds it due still, for everybody."""
        for job in await app.job_manager.list_jobs_async(status="todo", lock=lock):
            if job.id is not None and job.queue != _QUEUE:
                await app.job_manager.cancel_job_by_id_async(job.id, delete_job=True)

    async def _rescue(self, app: App) -> None:
        """What a dead worker was doing is due for everybody.

        First that is said, then its job is ended: whoever dies in between has left a job for the next to find. Of turns
        that are read before their jobs are found stalled none is of somebody who has overtaken.
        """
        if not await self._stalled(app):
            return
        loop = asyncio.get_running_loop()
        numbers = await loop.run_in_executor(None, self._turns.numbers)
        for job in await self._stalled(app):
            product = str(job.task_kwargs["product"])
            release = partial(self._turns.release, product, number=numbers.get(product, 0))
            await loop.run_in_executor(None, release)
            with contextlib.suppress(ConnectorException):  # somebody else has, or the worker woke up and did
                await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)

    async def _stalled(self, app: App) -> list[Job]:
        lost = self._settings.lost_seconds
        return [*await app.job_manager.get_stalled_jobs(task_name=TASK, seconds_since_heartbeat=lost)]

    # The threads of passes

    def _pass(self, key: str) -> None:
        """One job: a pass, if a loop of this process may have it now."""
        product = key or None
        with contextlib.suppress(JournalError):  # it stays due, and is deferred again
            runner = self._admitted(product)
            if runner is None:
                self._turns.decline(key, seconds=DECLINED_SECONDS)
                return
            turn = None
            try:
                turn = self._turns.begin(key)
            finally:
                if turn is None:
                    runner.work.dismiss(product)
            if turn is not None:
                goes_on = turn.goes_on and self._last.get(key) is runner
                self._last[key] = runner
                self._settle(turn, runner.work.run(product, goes_on=goes_on))

    def _admitted(self, product: Product) -> EngineRunner | None:
        """Who has the pass of a product. Where a product passes from one loop to another, whoever has it by now."""
        if self._stopping.is_set() or not self._run_lock.is_held:
            return None
        fits = (each for each in self._runners if product in each.products and each.is_latest())
        return next((each for each in fits if each.work.admit(product)), None)

    def _settle(self, turn: Turn, ended: Ended) -> None:
        """Say when the next pass is due. A server that is away for long finds it out by itself: see `LOST_SECONDS`."""
        wait = max(ended.silence_seconds, self._schedule.back_off(turn.failures))
        for _ in range(_TRIES):
            try:
                if ended.pause is None:
                    self._turns.fail(turn, wait=wait)
                else:
                    self._turns.end(turn, at_least=ended.pause.at_least, at_most=ended.pause.at_most)
            except JournalError:
                self._stopping.wait(TICK_SECONDS)
            else:
                return


class EngineRunner:
    """The `Runner` of one loop. All of them share the engine's thread, lock and queue."""

    shares = True

    def __init__(self, engine: Engine, work: Work, is_latest: Callable[[], bool]) -> None:
        self.work = work
        self.is_latest = is_latest
        self.products: frozenset[Product] = frozenset()
        self._engine = engine

    def follow(self, products: Collection[Product]) -> None:
        """See `Runner.follow`."""
        self.products = frozenset(products)
        for product in products:
            self.wake(product, by_word=True)

    def forget(self, product: Product) -> None:
        """See `Runner.forget`."""
        self.products -= {product}

    def wake(self, product: Product, *, by_word: bool = False) -> None:
        """See `Runner.wake`."""
        self._engine.wake(product, by_word=by_word)

    def begin_due(self) -> None:
        """Done by the engine's thread."""

    def next_due(self) -> float:
        """Never: see `begin_due`."""
        return math.inf

    def holds(self, product: Product) -> bool:
        """See `Runner.holds`."""
        return product in self.products and self._engine.holds(product)

    def queue(self) -> Queue:
        """See `Runner.queue`."""
        return self._engine.queue()

    def end(self) -> None:
        """See `Runner.end`."""
        self._engine.forget(self)


def make_tables(place: PostgresPlace) -> None:
    """Make Procrastinate's tables in the database of a journal, unless they are there. Raises psycopg.Error."""
    with psycopg.connect(place.url) as connection:
        connection.execute(b"SELECT pg_advisory_xact_lock(%d)" % ENGINE_LOCK)
        found = connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()
        if found is None or found[0] is None:
            connection.execute(App(connector=PsycopgConnector()).schema_manager.get_schema().encode())


def _leave_to_rescue(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A job that could not be finished: somebody has done it in the place of a worker that slept, or will."""
    if not isinstance(context.get("exception"), ConnectorException):
        loop.default_exception_handler(context)


def _key(product: Product) -> str:
    """A product in the tables."""
    return product or ""


def _tell(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # it has ended
        loop.call_soon_threadsafe(stop.set)
