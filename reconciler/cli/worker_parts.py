"""What a controller has besides when its journal is in PostgreSQL, where others may work beside it."""

from __future__ import annotations

import os
import random
import socket
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from reconciler.controller.intent import Intents
from reconciler.controller.runner import Runner, Work
from reconciler.controller.schedule import Schedule
from reconciler.engine.runner import EngineRunner, EngineSettings
from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres_allowance import PostgresAllowance
from reconciler.model.allowance import REQUESTS
from reconciler.settings.settings import ControllerSettings

_HOST_CHARACTERS: Final = 20
"""A name on the server has at most 63."""


class WorkerParts:
    """The request budget that all share, and the runner, which is `begun` when all else is there."""

    def __init__(self, settings: ControllerSettings, place: PostgresPlace, stack: ExitStack) -> None:
        """Raises JournalError. What it opens ends with `stack`."""
        self._settings = settings
        self._place = place
        self.begun: EngineRunner
        name = f"{settings.particle.api_url} {settings.workers.address}"
        self.requests = PostgresAllowance(place, name, REQUESTS)
        stack.callback(self.requests.close)

    def runner(self, intents: Intents, *, report: Callable[[BaseException], None]) -> Callable[[Work], Runner]:
        """What makes the runner of some passes."""
        workers = self._settings.workers
        host = socket.gethostname()[:_HOST_CHARACTERS]
        self.begun = EngineRunner(
            EngineSettings(
                place=self._place,
                holder=f"process {os.getpid()} on {host} {uuid.uuid4().hex[:8]}",
                passes_at_once=workers.passes_at_once,
                lost_seconds=workers.lost_seconds,
                grace_seconds=self._settings.grace_seconds,
            ),
            Schedule(random.Random()),  # noqa: S311  # spreads times, guards no secret
            is_latest=intents.is_latest,
            report=report,
        )
        return self.begun.on
