"""What a play leaves behind for the laws to read: requests, devices' lives, the journal's writes, looks, and deeds.

All of it shares the emulator's running ordinal, so that "before" and "after" have one meaning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from reconciler.controller.agreement import Agreement
from reconciler.emulator.evidence import Violation
from reconciler.emulator.records import RequestKind, RequestRecord
from reconciler.journal.journal import Journal
from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId, Observation
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import NEVER, Instant
from reconciler.model.plan import FleetPlan, Plan
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.revision import Revision
from reconciler.model.rollout_entry import RolloutEntry
from tests.simulation.worlds import World

WRITES: Final = frozenset(
    {
        "begin",
        "record",
        "keep_report",
        "keep_plan",
        "note",
        "halt",
        "lift",
        "keep_look",
        "unlatch",
        "begin_product",
        "record_product",
        "keep_refusal",
        "forget_refusal",
        "take_epoch",
        "release",
        "compact",
        "keep_intent",
        "set_bookmark",
        "set_bookmarks",
    }
)
"""The methods of a journal that change it."""

READS: Final = frozenset(
    {
        "open_attempts",
        "attempts",
        "moves",
        "learnt",
        "locked",
        "reports",
        "plan",
        "entries",
        "fleets",
        "halts",
        "console_states",
        "console_changes",
        "latches",
        "open_product_attempts",
        "product_attempts",
        "refusals",
        "slots",
        "writes",
        "close",
        "bookmark",
        "bookmarks",
        "intents",
        "line",
        "last_number",
    }
)
"""The methods of a journal that do not."""

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class RunBegan:
    """A client starts with these manifests, and what was agreed to."""

    fleets: FleetSet
    plan: Plan
    agreement: Agreement
    passes_began_at: Instant


@dataclass(frozen=True, slots=True)
class Desired:
    """From now on a controller brings these fleets about."""

    fleets: FleetSet


@dataclass(frozen=True, slots=True)
class SourceIs:
    """From now on controllers can reach their source, or not."""

    reachable: bool


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A client is gone: `rest`, `killed`, `stopped`, or the error that ended it."""

    how: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A pass has looked at a product, and begins."""

    product: str | None
    observation: Observation


@dataclass(frozen=True, slots=True)
class Rested:
    """All products have had their pass, or one has; what was planned in it for its fleets."""

    plans: tuple[FleetPlan, ...]


@dataclass(frozen=True, slots=True)
class Wrote:
    """The journal has taken a write: the method and what it was given."""

    method: str
    given: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Did:
    """Something happened from outside."""

    words: str


What = (
    RunBegan | Desired | SourceIs | RunEnded | Looked | Rested | Wrote | Did | Attempt | ProductAttempt | RolloutEntry
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing, when (by the cloud's clock), and which client did it; -1: nobody of ours."""

    ordinal: int
    at: Instant
    run: int
    what: What


class Descends(Protocol):
    """What a source knows of its history."""

    def follows(self, revision: Revision, earlier: str) -> bool:
        """See `Source.follows`."""


@dataclass(kw_only=True)
class Trace:
    """All that a play left behind.

    - `last_run_ordinal`: when the last run began, and `current`: the devices that were as desired then. Of a
      controller: when it had nothing more to do, and until `last_run_ended` it was watched.
    - `source`: what controllers watched; None: clients were given their manifests.
    - `settled_at`: when faults and people had stopped. `days`: virtual days from the beginning to the end.
    - `plans_that_differ`: plans that came out otherwise when made again from the same things in another order.
    - `twin`: the play of the same world in which nobody dies.
    - `acts_at_the_console`: the ordinals of what people did there.
    - `left_behind`: devices that are not where they should be at the end, with why; `end_state`: what each device runs.
    """

    world: World
    entries: list[Entry] = field(default_factory=list)
    requests: Sequence[RequestRecord] = ()
    violations: Sequence[Violation] = ()
    acts_at_the_console: Sequence[int] = ()
    end_state: dict[str, tuple[object, ...]] = field(default_factory=dict)
    beyond_us: frozenset[str] = frozenset()
    left_behind: dict[str, str] = field(default_factory=dict)
    last_plan: Plan | None = None
    last_run_ordinal: int = 0
    last_run_ended: int = 0
    current: frozenset[str] = frozenset()
    settled_at: Instant = NEVER
    settled_ordinal: int = 0
    ended_at: Instant = NEVER
    faults_struck: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    runs: int = 0
    bugs: list[str] = field(default_factory=list)
    noted: int = 0
    journal: Journal
    attempts: tuple[Attempt, ...] = ()
    plans_that_differ: list[str] = field(default_factory=list)
    twin: Trace | None = None
    source: Descends | None = None

    def final_journal(self) -> None:
        """What the journal holds at the end, in the order in which it was begun."""
        self.attempts = tuple(reversed(self.journal.attempts()))

    def of(self, kind: type[Seen]) -> Iterator[tuple[Entry, Seen]]:
        """All entries of one kind."""
        for entry in self.entries:
            if isinstance(entry.what, kind):
                yield entry, entry.what

    def sends(self) -> Iterator[RequestRecord]:
        """All that our clients asked the cloud to do to devices."""
        for request in self.requests:
            is_effect = request.kind is RequestKind.FLASH or request.kind is RequestKind.LOCK
            if is_effect and request.token == "operator" and request.device is not None:
                yield request

    def effects(self) -> Iterator[RequestRecord]:
        """All that our clients asked the cloud to do, to devices and to products."""
        kinds = (RequestKind.FLASH, RequestKind.LOCK, RequestKind.RELEASE, RequestKind.UPLOAD)
        return (request for request in self.requests if request.kind in kinds and request.token == "operator")

    @property
    def device_days(self) -> float:
        return len(self.world.devices) * (self.ended_at - self.world.begins_at) / 86_400


class WatchedJournal:
    """A journal that tells of every write, before and after. It passes on everything else."""

    def __init__(
        self, journal: Journal, *, reach: Callable[[str, tuple[Any, ...]], None], wrote: Callable[..., None]
    ) -> None:
        self._journal = journal
        self._reach = reach
        self._wrote = wrote

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)
        if name not in WRITES:
            return method

        def write(*given: Any, **named: Any) -> Any:
            self._reach(f"before {name}", given)
            result = method(*given, **named)
            self._wrote(name, given)
            self._reach(f"after {name}", given)
            return result

        return write


class WatchedEyes:
    """Eyes that tell of every look at all devices."""

    def __init__(
        self, eyes: Any, looked: Callable[[Observation], None], shown: Callable[[Observation], Observation]
    ) -> None:
        self._eyes = eyes
        self._looked = looked
        self._shown = shown

    def observe(self) -> Observation:
        observation = self._shown(self._eyes.observe())
        self._looked(observation)
        return observation

    def observe_device(self, device_id: DeviceId) -> Any:
        return self._eyes.observe_device(device_id)
