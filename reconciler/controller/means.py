"""What a controller that runs for long works with, and the names of what may be in trouble there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor as Pool
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from reconciler.controller.intent import Intents
from reconciler.controller.run import Scope
from reconciler.controller.runner import Runner, Work
from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.model.error import JournalError, OperatorError
from reconciler.model.event import Event
from reconciler.model.fleet import FleetSet
from reconciler.model.health import CheckAnswer, CheckQuestion, HealthCheck
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.settings.settings import ControllerSettings
from reconciler.sources import ManifestSet

SOURCE: Final = "source"
JOURNAL: Final = "journal"
CLOUD: Final = "cloud"
CREDENTIAL: Final = "token file"

_PROOF: Final = "controller/written-at"

UNFORESEEN: Final = "PFR9003"
"""The code of a mistake of ours."""

ENDLESS: Final = "PFR6907"
"""The code of work that began long ago and has not ended."""

LONG_SECONDS: Final = 3600.0
"""Work that takes longer is told of. Everything in it has a time limit of its own: what takes so long is stuck, or does
not belong into one pass."""


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
    `poll_seconds` lie between two looks while something is under way of which nothing is heard; None: see `pace.py`.
    `troubled_before` is what people believe to be in trouble since an earlier process. `elsewhere` names the fleets
    that other loops of this process have in hand, on the same journal. `runner` makes what begins passes; None: this
    process alone does. `shows_all`: products that others have are looked at, too, to be shown. `token_trouble` is why
    the file of the access token cannot be used just now; None: it can, or there is none.
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
    poll_seconds: float | None = None
    troubled_before: Collection[str] = ()
    elsewhere: Callable[[], Collection[str]] = tuple
    runner: Callable[[Work], Runner] | None = None
    shows_all: bool = False
    token_trouble: Callable[[], OperatorError | None] = lambda: None

    def can_write(self) -> bool:
        """Whether the journal can be written: many things can still be read of it when its disk is full."""
        try:
            self.prove_writing()
        except JournalError:
            return False
        return True

    def prove_writing(self) -> None:
        """Write something without a meaning. Raises JournalError."""
        self.journal.set_bookmark(_PROOF, iso_from_instant(self.clock()))
