"""From settings to live objects: the only file that knows every room."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from reconciler.controller.pace import pause_after
from reconciler.controller.run import Scope
from reconciler.execution.binaries import ApplicationKey, CloudBinaries
from reconciler.execution.cloud import CloudExecutor
from reconciler.execution.product import CloudProductHands
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.merge import merged
from reconciler.inventory.vitals import CloudVitals
from reconciler.inventory.watching import WatchingInventory
from reconciler.journal.journal import Journal
from reconciler.model.allowance import REQUESTS, Allowance
from reconciler.model.device import Observation
from reconciler.model.fleet import ApplicationBinary, DesiredApplication, FleetSet
from reconciler.model.instant import Instant
from reconciler.particle.api import ParticleApi
from reconciler.particle.budget import Bucket
from reconciler.particle.connect import connect_api, connect_stream
from reconciler.particle.error import RefusedError
from reconciler.particle.http import WirePatience
from reconciler.particle.stream import EVENT_PREFIX, CloudEvent, EventStream
from reconciler.particle.token import TokenSource
from reconciler.sources import ManifestSet

SENDS_AT_ONCE: Final = 16
"""Threads that send. The wire's own budget keeps the rate; more threads only hide the cloud's latency."""

_STREAM_WAIT_SECONDS: Final = 10.0
_APPLICATION_BYTES_MAX: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """Where the cloud is and how to reach it.

    `firmware_cache` is a folder that keeps what is downloaded, or None. `patience` is the wire's, None: the usual one.
    `requests` is how many may leave; `shared` a bucket in its place from which others take, too. `list_seconds`: all
    devices are looked at so seldom, and in between those of which something was heard; None: every look is at all.
    """

    api_url: str
    token: TokenSource
    firmware_cache: Path | None = None
    patience: WirePatience | None = None
    requests: Allowance = REQUESTS
    shared: Bucket | None = None
    list_seconds: float | None = None


class CloudConnection:
    """One cloud, with eyes and hands for every product that the manifests name. A context manager.

    Where manifests name products by number and by slug the cloud is asked at once which is which, so that no product is
    two: that may raise WireError. Without `manifests` it can only observe: applications are read from their folder when
    one is sent.


    `on_news` is called, on any thread, when another look at a product may settle something.
    """

    def __init__(
        self,
        settings: CloudSettings,
        fleets: FleetSet,
        manifests: ManifestSet | None = None,
        *,
        on_news: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._on_news = on_news
        self._ears: dict[str | None, _Ears] = {}
        self._news = threading.Event()
        self.scopes: Sequence[Scope] = ()
        self.api = connect_api(
            settings.api_url,
            settings.token,
            patience=settings.patience,
            requests=settings.requests,
            shared=settings.shared,
        )
        if settings.list_seconds is not None:
            self.api.wire.counted.by_device = False
        try:
            self.follow(fleets, manifests)
        except BaseException:
            self.api.wire.close()
            raise

    def follow(self, fleets: FleetSet, manifests: ManifestSet | None = None) -> Sequence[Scope]:
        """From now on these fleets are meant: a scope for each of their products. What was heard stays remembered.

        Raises WireError when the cloud cannot say which products are meant; then the fleets before are still meant.
        """
        self.scopes = [self._scope(words, fleets, manifests) for words in _products(self.api, fleets)]
        for product in self._ears.keys() - {scope.product for scope in self.scopes}:
            self._ears.pop(product).close()
        return self.scopes

    def listen(self) -> None:
        """Open the event streams of every product, and wait a little for them: what nobody hears is lost."""
        opened = [stream for scope in self.scopes for stream in self._listen_to(scope)]
        deadline = time.monotonic() + _STREAM_WAIT_SECONDS
        for stream in opened:
            stream.wait_connected(max(0.0, deadline - time.monotonic()))

    def _listen_to(self, scope: Scope) -> Iterator[EventStream]:
        """Open the streams that are not open yet, and close those that nobody wants any more."""
        ears, signs = self._ears[scope.product], scope.hearing.signs
        for prefix in ears.streams.keys() - {EVENT_PREFIX, *signs.streams}:
            ears.streams.pop(prefix).stop()
        if EVENT_PREFIX not in ears.streams:
            yield self._open(scope, EVENT_PREFIX, ears.hearing.hear, ears.hearing.miss)
        for prefix in signs.streams:
            if prefix not in ears.streams:
                yield self._open(scope, prefix, signs.hear, partial(signs.miss, prefix))

    def _open(
        self, scope: Scope, prefix: str, on_event: Callable[[CloudEvent], object], on_gap: Callable[[], None]
    ) -> EventStream:
        stream = connect_stream(
            self._settings.api_url,
            self._settings.token,
            scope.product,
            prefix=prefix,
            on_event=on_event,
            budget=self.api.wire.budget,
            on_gap=on_gap,
        )
        scope.hearing.signs.attach(prefix, lambda: stream.connected)
        stream.start()
        self._ears[scope.product].streams[prefix] = stream
        return stream

    def recall(self, journal: Journal) -> None:
        """Remember what devices said of their modules in earlier runs."""
        for report in journal.reports().values():
            for scope in self.scopes:
                scope.hearing.keep_report(report)

    def observe(self) -> Observation:
        """All devices of all products that the manifests name. Raises WireError."""
        return merged([scope.inventory.observe() for scope in self.scopes], now=_wall_clock())

    def pause(self, silence_seconds: float, *, poll_seconds: float | None) -> None:
        """Wait until another look is worth its requests: for news of the steps under way, or for its time."""
        looks = sum(scope.requests_a_look() for scope in self.scopes)
        rate = self._settings.requests.per_second
        pause = pause_after(looks, rate, poll_seconds=poll_seconds, silence=silence_seconds)
        time.sleep(pause.at_least)
        self._news.wait(pause.at_most - pause.at_least)
        # What is heard from here on is of after the next look, or seen by it.
        self._news.clear()

    def close(self) -> None:
        """End the event streams and all connections."""
        for ears in self._ears.values():
            ears.close()
        self.api.wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _scope(self, words: Sequence[str | None], fleets: FleetSet, manifests: ManifestSet | None) -> Scope:
        product = words[0]
        of_product = replace(fleets, fleets=tuple(fleet for fleet in fleets.fleets if fleet.product in words))
        policies = [fleet.rollout.health for fleet in of_product.fleets]
        if product not in self._ears:
            self._ears[product] = _Ears(Hearing(clock=_wall_clock, on_news=partial(self._heard, product)))
        hearing = self._ears[product].hearing
        hearing.signs.expect(
            events=(event.name for policy in policies for event in policy.events),
            paths=(bound.path for policy in policies for bound in policy.vitals),
        )
        applications = _Applications(of_product, partial(self._application, manifests))
        eyes = CloudInventory(
            self.api,
            product=product,
            hearing=hearing,
            clock=_wall_clock,
            contents_of={version for (_, version, _), binary in applications.named() if not _is_the_clouds(binary)},
        )
        binaries = CloudBinaries(
            self.api,
            applications=applications,
            cache=self._settings.firmware_cache,
        )
        inventory = self._watching(eyes, hearing)
        executor = CloudExecutor(self.api, product=product, binaries=binaries)
        return Scope(
            product=product,
            fleets=of_product,
            ask_vitals=CloudVitals(self.api, product=product, signs=hearing.signs).ask,
            inventory=inventory,
            requests_a_look=lambda: inventory.requests_a_look,
            hearing=hearing,
            executor=executor,
            fetch=executor.fetch,
            answered_at=lambda: self.api.wire.answered_at,
            product_hands=None if product is None else CloudProductHands(self.api, product=product, binaries=binaries),
        )

    def _watching(self, eyes: CloudInventory, hearing: Hearing) -> CloudInventory | WatchingInventory:
        if self._settings.list_seconds is None:
            return eyes
        return WatchingInventory(
            eyes,
            hearing,
            interval_seconds=self._settings.list_seconds,
            requests_per_second=self._settings.requests.per_second,
            monotonic=time.monotonic,
        )

    def _heard(self, product: str | None) -> None:
        self._news.set()
        self._on_news(product)

    def _application(self, manifests: ManifestSet | None, binary: ApplicationBinary) -> bytes | None:
        """The bytes of an application that the manifests name; None when the product in the cloud holds them."""
        if binary.file is not None and manifests is not None:
            return manifests.binary(binary.file)
        if binary.url is not None:
            return self.api.wire.read_bytes(binary.url, bytes_max=_APPLICATION_BYTES_MAX, authorised=False)
        return None


@dataclass(slots=True)
class _Ears:
    """What was heard of one product, and the streams that it is heard from, by how the names of their events begin."""

    hearing: Hearing
    streams: dict[str, EventStream] = field(default_factory=dict)

    def close(self) -> None:
        """Nobody listens any more."""
        for stream in self.streams.values():
            stream.stop()


class _Applications(Mapping[ApplicationKey, bytes]):
    """The applications of some fleets and of all pins, each read when it is asked for."""

    def __init__(self, fleets: FleetSet, read: Callable[[ApplicationBinary], bytes | None]) -> None:
        self._read = read
        self._binaries = {
            (binary.platform, application.version, binary.content_sha256): binary
            for application in _desired_applications(fleets)
            for binary in application.binaries
        }

    def named(self) -> Iterable[tuple[ApplicationKey, ApplicationBinary]]:
        """What the manifests name, without reading it."""
        return self._binaries.items()

    def __getitem__(self, key: ApplicationKey) -> bytes:
        content = self._read(self._binaries[key])
        if content is None:
            raise KeyError(key)
        return content

    def __iter__(self) -> Iterator[ApplicationKey]:
        return iter(self._binaries)

    def __len__(self) -> int:
        return len(self._binaries)


def _desired_applications(fleets: FleetSet) -> Iterator[DesiredApplication]:
    """Of a fleet and a pin that desire the same version the fleet's comes last, and counts."""
    pins = (override.pin for override in fleets.overrides if override.pin is not None)
    for desired in (*pins, *(fleet.desired for fleet in fleets.fleets)):
        if desired.application is not None:
            yield desired.application


def _is_the_clouds(binary: ApplicationBinary) -> bool:
    """Whether the manifests leave the bytes to what the product holds."""
    return binary.file is None and binary.url is None


def _products(api: ParticleApi, fleets: FleetSet) -> list[list[str | None]]:
    """The words that manifests use for each product, its number before its slug; None: no product."""
    named = sorted({fleet.product for fleet in fleets.fleets}, key=lambda word: word or "")
    has_numbers = any(word is not None and word.isdecimal() for word in named)
    found: dict[str | int | None, list[str | None]] = {}
    for word in named:
        if word is None:
            key: str | int | None = None
        elif word.isdecimal():
            key = int(word)
        else:
            key = _number_of(api, word) if has_numbers else word
        found.setdefault(key, []).append(word)
    return list(found.values())


def _number_of(api: ParticleApi, slug: str) -> int | str:
    try:
        record = api.product(slug)
    except RefusedError:
        # A token may list the devices of a product and not see the product.
        record = None
    return slug if record is None else record.id


def _wall_clock() -> Instant:
    return Instant(time.time())
