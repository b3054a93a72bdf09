"""What a controller that runs for long works with, and the names of what may be in trouble there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor as Pool
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from reconciler.controller.intent import Intents
from reconciler.controller.run import Scope
from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.model.event import Event
from reconciler.model.fleet import FleetSet
from reconciler.model.health import CheckAnswer, CheckQuestion, HealthCheck
from reconciler.model.instant import Instant
from reconciler.settings.settings import ControllerSettings
from reconciler.sources import ManifestSet

SOURCE: Final = "source"
JOURNAL: Final = "journal"
CLOUD: Final = "cloud"

UNFORESEEN: Final = "PFR9003"
"""The code of a mistake of ours."""


class Connection(Protocol):
    """The cloud, for the fleets that are desired."""

    def follow(self, fleets: FleetSet, manifests: ManifestSet | None) -> Sequence[Scope]:
        """A scope for each product of these fleets. Raises WireError; then it is as before."""

    def listen(self) -> None:
        """Open the event streams of all products."""

    def recall(self, journal: Journal) -> None:
        """Remember what devices said of their modules in earlier runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a loop works with. `launch` does work elsewhere or at once, and need not wait for it; it gets no errors.

    `clock` is wall time, `monotonic` seconds that only rise, `dice` spread times. `tell` hears every event, on any
    thread, and must not block. `pool` sends. `report` gets what went wrong that nobody foresaw.
    `troubled_before` is what people believe to be in trouble since an earlier process. `elsewhere` names the fleets
    that other loops of this process have in hand, on the same journal.
    """

    journal: Journal
    catalog: Catalog
    intents: Intents
    connection: Connection
    settings: ControllerSettings
    launch: Callable[[Callable[[], None]], None]
    pool: Pool
    clock: Callable[[], Instant]
    monotonic: Callable[[], float]
    dice: Random
    new_id: Callable[[], str]
    tell: Callable[[Event], None]
    ask: Callable[[HealthCheck, CheckQuestion], CheckAnswer]
    report: Callable[[BaseException], None]
    troubled_before: Collection[str] = ()
    elsewhere: Callable[[], Collection[str]] = tuple
