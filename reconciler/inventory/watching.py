"""Eyes that look at everything at an interval, and in between at what may have changed.

The rules:
- Looked at in between are devices of which the event stream told something, devices with a step under way, and
  devices whose health is watched; each alone, or by the page of the list that it is on where that costs fewer requests.
  Together they may take a share of the request budget. Who has no turn keeps its record, and has one at a later look.
- Every record keeps the time of the look that showed it. An older one never takes the place of a newer one.
- The next look is at everything when the stream had a gap (what was missed is not repeated), when the last list had
  holes, and when somebody asked for it. But lists take their share of the budget too: so long they are apart.
- Who appears or disappears is noticed by the list at the latest. What the product holds is looked at with the list, and
  at every look while something is under way on the product.
- Where nothing is asked, the time of a look is the date of the last answer and the whole seconds since: never later
  than the date of the answer that the cloud would have given.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from reconciler.inventory.hearing import Hearing
from reconciler.inventory.inventory import Inventory
from reconciler.model.device import DeviceId, Observation, ObservedDevice, Product
from reconciler.model.error import WireError
from reconciler.model.instant import NEVER, Instant
from reconciler.particle.error import GarbledError, OversizedError, RateLimitedError, RefusedError, UnauthorisedError

SHARE: Final = 0.1
"""Of all requests, for looks between two lists."""

LIST_SHARE: Final = 0.25
"""Of all requests, for lists that gaps in the stream ask for: 100,000 devices every 200 seconds at most."""

UNDER_WAY_SECONDS: Final = 30.0
"""So old may the record of a device get that has a step under way and of which nothing is heard."""

WATCHED_SECONDS: Final = 120.0
"""So old may the record of a device get whose health is watched."""

UNANSWERED_MAX: Final = 3
"""Looks in a row without an answer: then it is the cloud that cannot be seen, and not a device."""

TRIED_AGAIN_SECONDS: Final = 60.0
"""How long a device is left alone that could not be looked at: one must not keep all others from being seen."""


class Eyes(Inventory, Protocol):
    """What these eyes look through: a list in pages, in the order of the devices' ids."""

    @property
    def page_size(self) -> int | None:
        """Devices on a page; None: there is one page, with all of them."""

    @property
    def requests_a_look(self) -> int:
        """How many requests the last look at all devices took."""

    def observe_page(self, number: int) -> Observation:
        """The devices on one page, counted from 1. Raises WireError."""

    def observe_products(self) -> tuple[tuple[Product, ...], tuple[str, ...]]:
        """The products as they are now, and what could not be read. Raises WireError."""


@dataclass(slots=True)
class _Bucket:
    """Requests that may leave, filled as time goes by."""

    per_second: float
    most: float
    filled_at: float
    content: float = field(init=False)

    def __post_init__(self) -> None:
        self.content = self.most

    def fill(self, now: float) -> int:
        """How many may leave now."""
        self.content = min(self.most, self.content + (now - self.filled_at) * self.per_second)
        self.filled_at = now
        return int(self.content)


class WatchingInventory:
    """An `Inventory` around one product's eyes. `hearing` has to be given what the product's stream says.

    `interval_seconds` lies between two lists, `requests_per_second` is the whole budget, `monotonic` a clock in seconds
    that nobody sets. `observe_device` may be called on any thread; what it shows is remembered.
    """

    def __init__(
        self,
        eyes: Eyes,
        hearing: Hearing,
        *,
        interval_seconds: float,
        requests_per_second: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._eyes = eyes
        self._hearing = hearing
        self._interval_seconds = interval_seconds
        self._requests_per_second = requests_per_second
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._devices: dict[DeviceId, ObservedDevice] = {}
        self._ids: list[DeviceId] = []
        self._shown: tuple[ObservedDevice, ...] | None = None
        self._index: dict[DeviceId, ObservedDevice] = {}
        self._listed: Observation | None = None
        self._products_at: Instant | None = None
        self._began, self._ordinal = -math.inf, 0
        self._told: dict[DeviceId, None] = {}
        self._tried: dict[DeviceId, float] = {}
        self._alone: set[DeviceId] = set()
        self._dated: tuple[Instant, float] = (NEVER, 0.0)
        self._latest = NEVER
        self._requests_a_look = 1
        per_second = requests_per_second * SHARE
        self._bucket = _Bucket(per_second, max(10.0, per_second * interval_seconds / 2), monotonic())
        hearing.follow()

    @property
    def requests_a_look(self) -> int:
        """How many requests the last look took; it need not have been at everything."""
        return self._requests_a_look

    def observe(self) -> Observation:
        """All devices, each as it was seen last. Raises WireError when nothing of what was asked for can be seen."""
        if self._is_list_due():
            return self._list()
        began_at = self._now()
        self._told |= dict.fromkeys(self._hearing.take_told())
        alone, pages = self._worth_looking_at(self._bucket.fill(self._monotonic()))
        if len(alone) + len(pages) >= self._pages:
            self._bucket.content -= self._pages
            return self._list()
        self._requests_a_look = max(1, len(alone) + len(pages))
        findings = [*self._look_at(alone), *self._look_at_pages(pages)]
        if self._hearing.awaits_product and self._listed is not None:
            products, problems = self._eyes.observe_products()
            self._listed, self._products_at = replace(self._listed, products=products), began_at
            findings += problems
        return self._shown_at(began_at, findings)

    def observe_device(self, device_id: DeviceId) -> ObservedDevice | None:
        """One device as it is now. Raises WireError."""
        device = self._eyes.observe_device(device_id)
        if device is None:
            self._forget(device_id)
        else:
            self._keep(device)
            self._date(device.observed_at)
        return device

    def _is_list_due(self) -> bool:
        asked = self._hearing.take_all_asked()
        if asked or self._listed is None:
            return True
        since = self._monotonic() - self._began
        if since >= self._interval_seconds:
            return True
        is_doubtful = not self._listed.complete or self._hearing.first_gap_since(self._ordinal) is not None
        return is_doubtful and since >= self._eyes.requests_a_look / self._requests_per_second / LIST_SHARE

    def _list(self) -> Observation:
        """Look at everything. What was told before it began, it shows."""
        began, ordinal = self._monotonic(), self._hearing.ordinal
        told = {**self._told, **dict.fromkeys(self._hearing.take_told())}
        try:
            seen = self._eyes.observe()
        except BaseException:
            self._told = told
            self._hearing.ask_for_all()
            raise
        self._began, self._ordinal, self._requests_a_look = began, ordinal, self._eyes.requests_a_look
        self._told, self._tried, self._alone = {}, {}, set()
        with self._lock:
            known = self._devices
            self._devices = {device.id: _newer(known.get(device.id), device) for device in seen.devices}
            self._ids, self._shown = list(self._devices), None
        self._listed, self._products_at = replace(seen, devices=(), index=None), None
        self._date(seen.observed_at)
        self._latest = max(self._latest, seen.observed_at)
        return replace(seen, devices=self._all(), index=self._index, observed_at=self._latest)

    @property
    def _pages(self) -> int:
        size = self._eyes.page_size
        return 1 if size is None else max(1, -(-len(self._ids) // size))

    def _wishes(self) -> Iterator[DeviceId]:
        """Whom to look at, the most urgent first."""
        now, awaited, tried_before = self._now(), self._hearing.awaited, self._monotonic() - TRIED_AGAIN_SECONDS
        left_alone = {device_id for device_id, at in self._tried.items() if at > tried_before}
        told = [device_id for device_id in self._told if device_id not in left_alone]
        yield from (device_id for device_id in told if device_id in awaited)
        yield from (device_id for device_id in told if device_id not in awaited)
        yield from self._older_than(now - UNDER_WAY_SECONDS, awaited - left_alone)
        yield from self._older_than(now - WATCHED_SECONDS, self._hearing.signs.watched - awaited - left_alone)

    def _older_than(self, instant: float, device_ids: Iterable[DeviceId]) -> Iterator[DeviceId]:
        """The oldest records first. Of who was not there at the last look only the list, or the stream, tells again."""
        records = [self._devices[device_id] for device_id in device_ids if device_id in self._devices]
        old = sorted((device.observed_at, device.id) for device in records if device.observed_at <= instant)
        return (device_id for _, device_id in old if device_id not in self._told)

    def _worth_looking_at(self, room: int) -> tuple[list[DeviceId], dict[int, list[DeviceId]]]:
        """Who has a turn, alone and by pages, in so many requests."""
        alone: list[DeviceId] = []
        by_page: dict[int, list[DeviceId]] = {}
        for device_id in self._wishes():
            page = self._page_of(device_id)
            if page is not None and page in by_page:
                by_page[page].append(device_id)
            elif len(alone) + len(by_page) >= room:
                break
            elif page is None:
                alone.append(device_id)
            else:
                by_page[page] = [device_id]
        alone += [members[0] for members in by_page.values() if len(members) == 1]
        return alone, {page: members for page, members in by_page.items() if len(members) > 1}

    def _page_of(self, device_id: DeviceId) -> int | None:
        """Where the list should have the device; None: it is to be looked at alone."""
        size = self._eyes.page_size
        if size is None or device_id in self._alone or device_id not in self._devices:
            return None
        return bisect_left(self._ids, device_id) // size + 1

    def _look_at(self, device_ids: Sequence[DeviceId]) -> list[str]:
        """Each of them alone; what could not be seen. Raises WireError when it is the cloud that cannot be seen."""
        findings: list[str] = []
        unanswered = answered = 0
        for device_id in device_ids:
            self._bucket.content -= 1
            try:
                self.observe_device(device_id)
            except (UnauthorisedError, RateLimitedError):
                raise
            except (RefusedError, GarbledError, OversizedError) as error:
                findings.append(f"device {device_id} cannot be looked at: {error.message}")
                self._tried[device_id] = self._monotonic()
            except WireError:
                unanswered += 1
                self._tried[device_id] = self._monotonic()
                if unanswered == UNANSWERED_MAX or (not answered and device_id == device_ids[-1]):
                    raise
                continue
            answered, unanswered = answered + 1, 0
            self._told.pop(device_id, None)
            self._alone.discard(device_id)
        return findings

    def _look_at_pages(self, pages: dict[int, list[DeviceId]]) -> list[str]:
        """Pages of the list. Who is not on its page any more is looked at alone the next time."""
        findings: list[str] = []
        for number, members in pages.items():
            self._bucket.content -= 1
            page = self._eyes.observe_page(number)
            for device in page.devices:
                self._keep(device)
            self._date(page.observed_at)
            findings += page.findings
            on_page = {device.id for device in page.devices}
            for device_id in members:
                if device_id in on_page:
                    self._told.pop(device_id, None)
                else:
                    self._alone.add(device_id)
        return findings

    def _keep(self, device: ObservedDevice) -> None:
        with self._lock:
            known = self._devices.get(device.id)
            if known is None:
                insort(self._ids, device.id)
            self._devices[device.id] = _newer(known, device)
            self._shown = None

    def _forget(self, device_id: DeviceId) -> None:
        with self._lock:
            if self._devices.pop(device_id, None) is not None:
                del self._ids[bisect_left(self._ids, device_id)]
                self._shown = None

    def _all(self) -> tuple[ObservedDevice, ...]:
        """The same tuple as before when nobody was looked at."""
        with self._lock:
            if self._shown is None:
                self._shown = tuple(map(self._devices.__getitem__, self._ids))
                self._index = dict(zip(self._ids, self._shown, strict=True))
            return self._shown

    def _shown_at(self, began_at: Instant, findings: Sequence[str]) -> Observation:
        """What is known, as of the beginning of a look: whoever was looked at in it was so later."""
        assert self._listed is not None
        self._latest = max(self._latest, began_at)
        return replace(
            self._listed,
            observed_at=self._latest,
            devices=self._all(),
            index=self._index,
            findings=(*self._listed.findings, *findings),
            listed_at=self._listed.observed_at,
            products_at=self._products_at or self._listed.observed_at,
        )

    def _date(self, dated: Instant) -> None:
        with self._lock:
            self._dated = dated, self._monotonic()

    def _now(self) -> Instant:
        """By the cloud's clock, whose answers are dated in whole seconds: never ahead of the next answer's date."""
        dated, at = self._dated
        return Instant(dated + math.floor(max(0.0, self._monotonic() - at)))


def _newer(known: ObservedDevice | None, device: ObservedDevice) -> ObservedDevice:
    return device if known is None or device.observed_at >= known.observed_at else known
