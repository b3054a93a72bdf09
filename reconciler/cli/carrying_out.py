"""Carry an agreement out: one run over one cloud, with a display, until there is nothing more to come back for."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType

from reconciler.cli.progress import Display
from reconciler.controller.agreement import Agreement
from reconciler.controller.apply import Rest, run_to_rest
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.run import Run, Tools
from reconciler.firmware.catalog import Catalog
from reconciler.inventory.checks import OutsideChecks
from reconciler.journal.journal import Journal
from reconciler.wiring import SENDS_AT_ONCE, CloudConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`poll_seconds` between two looks, None: as they cost; `until_done` False: start what may start now, and leave.

    `allow_commands`: programs that manifests name as health checks may run here.
    """

    poll_seconds: float | None = None
    until_done: bool = True
    allow_commands: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A run that has ended, why, and whether a person interrupted it."""

    run: Run
    rest: Rest
    interrupted: bool


def carry_out(
    cloud: CloudConnection, catalog: Catalog, journal: Journal, agreement: Agreement, display: Display, pace: Pace
) -> Carried:
    """Run to the end, or to Ctrl-C or SIGTERM: then what is being sent is finished and written down, no more.

    Raises JournalError when an intent cannot be written down.
    """
    with ThreadPoolExecutor(SENDS_AT_ONCE, thread_name_prefix="send") as pool, display:
        tools = Tools(
            journal=journal,
            catalog=catalog,
            agreement=agreement,
            new_id=lambda: uuid.uuid4().hex,
            tell=display.tell,
            pool=pool,
            ask=OutsideChecks(allow_commands=pace.allow_commands).ask,
        )
        run = Run(tools=tools, knowledge=Knowledge(journal))
        rest = Rest()
        try:
            with terminated_like_interrupted():
                run_to_rest(
                    run,
                    cloud.scopes,
                    rest,
                    pause=partial(cloud.pause, poll_seconds=pace.poll_seconds),
                    once=not pace.until_done,
                )
        except KeyboardInterrupt:
            run.stopping = True
            pool.shutdown(wait=True, cancel_futures=True)
            return Carried(run=run, rest=rest, interrupted=True)
        return Carried(run=run, rest=rest, interrupted=False)


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM means the same as Ctrl-C: leave everything resumable. Only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
