"""What a controller has besides when its journal is in PostgreSQL, where others may work beside it."""

from __future__ import annotations

import os
import random
import socket
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

from reconciler.controller.intent import Intents
from reconciler.controller.runner import Runner, Work
from reconciler.controller.schedule import Schedule
from reconciler.engine.runner import Engine, EngineSettings
from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres_allowance import PostgresAllowance
from reconciler.model.allowance import REQUESTS
from reconciler.settings.settings import ControllerSettings

_HOST_CHARACTERS: Final = 20
"""A name on the server has at most 63."""


class WorkerParts:
    """The request budget that all share, and the engine, which begins when all else is there."""

    def __init__(
        self,
        settings: ControllerSettings,
        place: PostgresPlace,
        stack: ExitStack,
        *,
        report: Callable[[BaseException], None],
    ) -> None:
        """Raises JournalError. What it opens ends with `stack`."""
        workers, host = settings.workers, socket.gethostname()[:_HOST_CHARACTERS]
        self.requests = PostgresAllowance(place, f"{settings.particle.api_url} {workers.address}", REQUESTS)
        stack.callback(self.requests.close)
        self.engine = Engine(
            EngineSettings(
                place=place,
                holder=f"process {os.getpid()} on {host} {uuid.uuid4().hex[:8]}",
                passes_at_once=workers.passes_at_once,
                lost_seconds=workers.lost_seconds,
                grace_seconds=settings.grace_seconds,
            ),
            Schedule(random.Random()),  # noqa: S311  # spreads times, guards no secret
            report=report,
        )

    def runner(self, intents: Intents) -> Callable[[Work], Runner]:
        """What makes the runner of a loop's passes."""
        return partial(self.engine.runner, is_latest=intents.is_latest)
