"""A whole controller in virtual time: a source in memory, the loop, passes, client and pretend cloud, in one thread."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha1
from itertools import count
from typing import Any

from reconciler.controller.intent import Intents
from reconciler.controller.loop import Loop
from reconciler.controller.means import Means
from reconciler.controller.run import Scope, ask_nobody
from reconciler.execution.binaries import CloudBinaries
from reconciler.execution.cloud import CloudExecutor
from reconciler.execution.executor import Executor
from reconciler.execution.product import CloudProductHands, ProductHands
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.inventory import Inventory
from reconciler.inventory.vitals import CloudVitals
from reconciler.inventory.watching import WatchingInventory
from reconciler.journal.journal import Journal
from reconciler.model.allowance import REQUESTS
from reconciler.model.device import ModuleReport
from reconciler.model.error import OperatorError
from reconciler.model.event import Event
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import Instant
from reconciler.model.revision import Revision
from reconciler.particle.api import ParticleApi
from reconciler.particle.listing import PageReader
from reconciler.settings.settings import ControllerSettings, GitSettings
from reconciler.sources import ManifestSet
from reconciler.sources.manifest_set import Gathering
from reconciler.sources.source import Source
from tests.simulation.virtual import OneAtATime, VirtualCloud

UNREACHABLE = "PFR6511"


@dataclass(frozen=True)
class _Commit:
    commit: str
    manifests: ManifestSet
    parent: str | None
    at: Instant


@dataclass
class PretendSource:
    """A source whose commits are dictionaries of files, by path, or manifests. `down`: nobody can reach it."""

    clock: Callable[[], Instant]
    name: str = "pretend"
    down: bool = False
    signer: str | None = None
    fetched: int = 0
    _commits: list[_Commit] = field(default_factory=list)
    _proposed: list[_Commit] = field(default_factory=list)

    def push(self, files: dict[str, str], *, forced: bool = False) -> str:
        """A commit that follows from the last one; `forced`: from none."""
        gathering = Gathering()
        for path, text in files.items():
            gathering.add(path, text.encode())
        return self.commit(gathering.finished(_NoShelf()), forced=forced)

    def commit(self, manifests: ManifestSet, *, forced: bool = False) -> str:
        """As `push`, with manifests as they are read."""
        parent = None if forced or not self._commits else self._commits[-1].commit
        commit = sha1(f"{len(self._commits)} {manifests.texts}".encode()).hexdigest()  # an id
        self._commits.append(_Commit(f"sha1:{commit}", manifests, parent, self.clock()))
        return commit

    def rewind(self) -> None:
        """The branch is back at the commit before the last one."""
        self._commits.pop()

    def look(self) -> Revision:
        """See `Source.look`."""
        self.fetched += 1
        if self.down or not self._commits:
            raise OperatorError(UNREACHABLE, "the repository cannot be reached")
        last = self._commits[-1]
        return Revision(source=self.name, name="main", commit=last.commit, committed_at=last.at, signer=self.signer)

    @property
    def head(self) -> str:
        """The commit that is there now."""
        return self._commits[-1].commit

    @property
    def _all(self) -> list[_Commit]:
        return [*self._commits, *self._proposed]

    def at(self, reference: str) -> Revision:
        """See `Source.at`: a commit by the beginning of its id."""
        found = next(each for each in self._all if each.commit.removeprefix("sha1:").startswith(reference))
        return Revision(source=self.name, name=reference, commit=found.commit, committed_at=found.at)

    def propose(self, files: dict[str, str]) -> str:
        """A commit of another branch, on top of the last one of this."""
        commit = self.push(files)
        self._proposed.append(self._commits.pop())
        return commit

    def manifests(self, revision: Revision) -> ManifestSet:
        """See `Source.manifests`."""
        return next(each.manifests for each in self._all if each.commit == revision.commit)

    def follows(self, revision: Revision, earlier: str) -> bool:
        """See `Source.follows`."""
        parents = {each.commit: each.parent for each in self._commits}
        at: str | None = revision.commit
        while at is not None and at != earlier:
            at = parents.get(at)
        return at == earlier


class _NoShelf:
    def content(self, path: str, *, bytes_max: int) -> bytes | None:
        return None


def _nothing() -> None:
    """Nobody listens, so there is nothing to close."""


@dataclass(frozen=True, kw_only=True)
class Worn:
    """What a test puts over a controller's eyes and hands; `follows` hears what it desires, `tell` what it says."""

    sight: Callable[[str | None, Inventory], Inventory] = lambda _, eyes: eyes
    hands: Callable[[Executor], Executor] = lambda executor: executor
    product_hands: Callable[[ProductHands], ProductHands] = lambda hands: hands
    follows: Callable[[FleetSet], None] = lambda _: None
    tell: Callable[[Event], None] = lambda _: None


class VirtualConnection:
    """The cloud for whatever fleets are desired; what was heard of a product stays remembered."""

    def __init__(
        self,
        virtual: VirtualCloud,
        on_news: Callable[[str | None], None],
        *,
        worn: Worn,
        list_seconds: float,
        seed: int = 7,
    ) -> None:
        self.virtual = virtual
        self.api: ParticleApi = virtual.api(seed=seed)
        self.api.wire.counted.by_device = False
        # Pages one after another: one history a seed.
        self.api.pages_through = lambda read: PageReader(read, page_size=self.api.page_size)  # type: ignore[method-assign]  # of this object alone
        self._on_news = on_news
        self._worn = worn
        self._list_seconds = list_seconds
        self._is_deaf = False
        self._ears: dict[str | None, tuple[Hearing, Callable[[], None]]] = {}

    def follow(self, fleets: FleetSet, manifests: ManifestSet | None) -> Sequence[Scope]:
        """See `Connection.follow`."""
        self._worn.follows(fleets)
        products = sorted({fleet.product for fleet in fleets.fleets}, key=str)
        for product in self._ears.keys() - set(products):
            self._ears.pop(product)[1]()
        return [self._scope(product, fleets) for product in products]

    def listen(self) -> None:
        """They listen from the beginning."""

    def recall(self, journal: Journal) -> None:
        """See `Connection.recall`."""
        for report in journal.reports().values():
            for hearing, _ in self._ears.values():
                hearing.keep_report(report)

    def module_reports(self) -> Iterator[ModuleReport]:
        """What devices have told of their modules."""
        for hearing, _ in self._ears.values():
            yield from hearing.module_reports()

    def leave(self) -> None:
        """The process is gone: nobody listens any more."""
        for _, close in self._ears.values():
            close()
        self._ears.clear()

    def break_streams(self) -> None:
        """Nobody listens any more."""
        self._is_deaf = True
        for product, (hearing, close) in [*self._ears.items()]:
            close()
            hearing.miss()
            self._ears[product] = hearing, _nothing

    def mend_streams(self) -> None:
        """Somebody listens again."""
        self._is_deaf = False
        for product, (hearing, close) in [*self._ears.items()]:
            close()
            self._ears[product] = hearing, self.virtual.listen(product, hearing)
            hearing.miss()

    def _scope(self, product: str | None, fleets: FleetSet) -> Scope:
        of_product = replace(fleets, fleets=tuple(fleet for fleet in fleets.fleets if fleet.product == product))
        if product not in self._ears:
            hearing = Hearing(clock=self.virtual.clock, on_news=lambda: self._on_news(product))
            self._ears[product] = hearing, _nothing if self._is_deaf else self.virtual.listen(product, hearing)
        hearing = self._ears[product][0]
        eyes = CloudInventory(self.api, product=product, hearing=hearing, clock=self.virtual.clock)
        binaries = CloudBinaries(self.api)
        executor = CloudExecutor(self.api, product=product, binaries=binaries)
        hands = None if product is None else CloudProductHands(self.api, product=product, binaries=binaries)
        inventory = WatchingInventory(
            eyes,
            hearing,
            interval_seconds=self._list_seconds,
            requests_per_second=REQUESTS.per_second,
            monotonic=self.virtual.monotonic,
        )
        return Scope(
            product=product,
            fleets=of_product,
            inventory=self._worn.sight(product, inventory),
            hearing=hearing,
            executor=self._worn.hands(executor),
            fetch=executor.fetch,
            answered_at=lambda: self.api.wire.answered_at,
            requests_a_look=lambda: inventory.requests_a_look,
            ask_vitals=CloudVitals(self.api, product=product, signs=hearing.signs).ask,
            product_hands=None if hands is None else self._worn.product_hands(hands),
        )


@dataclass
class VirtualController:
    """One process of a controller. `run_for` lets time pass; `leave` is its end, whatever it was doing."""

    virtual: VirtualCloud
    source: Source
    journal: Journal
    settings: ControllerSettings = field(default_factory=lambda: ControllerSettings(git=GitSettings(url="pretend")))
    seed: int = 7
    worn: Worn = field(default_factory=Worn)
    ids: Iterator[int] | None = None
    poll_seconds: float | None = None
    token_trouble: OperatorError | None = None
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = VirtualConnection(
            self.virtual, self._news, worn=self.worn, list_seconds=self.settings.interval_seconds, seed=self.seed
        )
        ids = self.ids or count(len(self.journal.attempts()) + 1)
        self.intents = intents = Intents(
            self.source, self.journal, guards=self.settings.guards, clock=self.virtual.clock, tell=self._tell
        )
        self.loop = Loop(
            Means(
                journal=self.journal,
                catalog=self.virtual.catalog,
                intents=intents,
                connection=self.connection,
                settings=self.settings,
                launch=lambda work: work(),
                pool=OneAtATime(),
                clock=self.virtual.clock,
                monotonic=self.virtual.monotonic,
                dice=random.Random(self.seed),
                new_id=lambda: f"attempt-{next(ids)}",
                tell=self._tell,
                ask=ask_nobody,
                report=self._fail,
                poll_seconds=self.poll_seconds,
                token_trouble=lambda: self.token_trouble,
            )
        )
        self.mistakes: list[BaseException] = []
        self.loop.begin()

    def run_for(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> None:
        """Let so much time pass, or less."""
        end = self.virtual.now + seconds
        while self.virtual.now < end and not until():
            self.loop.turn()
            if self.mistakes:
                raise self.mistakes[0]
            wait = min(self._next_turn(), end) - self.virtual.now
            if wait > 0:
                self.virtual.sleep(wait)

    def _next_turn(self) -> float:
        """Turns in which nobody can have said anything, and in which nothing is due, are left out."""
        quiet = self.virtual.now + self.virtual.whole_seconds_of_quiet()
        return max(self.loop.next_turn(), min(quiet, self.loop.next_due()))

    def told(self, kind: type[Any]) -> list[Any]:
        """The events of one kind, in their order."""
        return [event for event in self.events if isinstance(event, kind)]

    def leave(self) -> None:
        """The process is gone."""
        self.connection.leave()

    def break_streams(self) -> None:
        """See `VirtualConnection`."""
        self.connection.break_streams()

    def mend_streams(self) -> None:
        """See `VirtualConnection`."""
        self.connection.mend_streams()

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        self.worn.tell(event)

    def _news(self, product: str | None) -> None:
        self.loop.passes.runner.wake(product)

    def _fail(self, error: BaseException) -> None:
        self.mistakes.append(error)
