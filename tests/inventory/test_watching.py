"""Eyes that look at what may have changed: what they show was so when they say it was, and it costs few requests."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.inventory.hearing import Hearing
from reconciler.inventory.watching import TRIED_AGAIN_SECONDS, UNDER_WAY_SECONDS, WatchingInventory
from reconciler.model.device import DeviceId, HeldApplication, Observation, ObservedDevice, Product
from reconciler.model.error import WireError
from reconciler.model.instant import Instant
from reconciler.model.version import ApplicationVersion
from reconciler.particle.error import GarbledError, NoAnswerError
from reconciler.particle.stream import CloudEvent
from tests.fleet_samples import COLD_CHAIN, NOW, device, device_id

PAGE = 10
INTERVAL = 600.0


@dataclass
class World:
    """Devices by number with the application that they run, and every request that was made for them."""

    running: dict[int, int]
    now: float = NOW
    requests: list[str] = field(default_factory=list)
    trouble: Callable[[str], WireError | None] = lambda asked: None
    held: int = 1
    complete: bool = True
    page_size: int | None = PAGE

    @property
    def requests_a_look(self) -> int:
        return max(1, -(-len(self.running) // PAGE))

    def observe(self) -> Observation:
        self._asked("list", self.requests_a_look)
        devices = tuple(map(self._record, sorted(self.running)))
        products, _ = self._products()
        return Observation(
            observed_at=self._date, source="cloud", devices=devices, products=products, complete=self.complete
        )

    def observe_page(self, number: int) -> Observation:
        self._asked(f"page {number}")
        on_page = sorted(self.running)[(number - 1) * PAGE : number * PAGE]
        return Observation(observed_at=self._date, source="cloud", devices=tuple(map(self._record, on_page)))

    def observe_device(self, asked: DeviceId) -> ObservedDevice | None:
        self._asked(asked)
        number = int(asked[8:], 16)
        return self._record(number) if number in self.running else None

    def observe_products(self) -> tuple[tuple[Product, ...], tuple[str, ...]]:
        self._asked("product")
        return self._products()

    def _products(self) -> tuple[tuple[Product, ...], tuple[str, ...]]:
        return (replace(COLD_CHAIN, holds=(HeldApplication(version=ApplicationVersion(self.held)),)),), ()

    @property
    def _date(self) -> Instant:
        """As HTTP dates answers: in whole seconds."""
        return Instant(math.floor(self.now))

    def _record(self, number: int) -> ObservedDevice:
        return device(number, application=self.running[number], observed_at=self._date)

    def _asked(self, what: str, requests: int = 1) -> None:
        self.requests += [what] * requests
        trouble = self.trouble(what)
        if trouble is not None:
            raise trouble


@dataclass
class Stage:
    """A world, a stream of events from it, and eyes on it."""

    world: World
    per_second: float = 1_000.0

    def __post_init__(self) -> None:
        self.hearing = Hearing(clock=lambda: Instant(self.world.now))
        self.eyes = WatchingInventory(
            self.world,
            self.hearing,
            interval_seconds=INTERVAL,
            requests_per_second=self.per_second,
            monotonic=lambda: self.world.now,
        )

    def wait(self, seconds: float) -> None:
        self.world.now += seconds

    def tell(self, *numbers: int, words: str = "online") -> None:
        for number in numbers:
            self.hearing.hear(
                CloudEvent(
                    name="spark/status", data=words, device_id=device_id(number), published_at=Instant(self.world.now)
                )
            )

    def look(self) -> Observation:
        """Look, with only the requests of this look left in the world's list."""
        self.world.requests.clear()
        return self.eyes.observe()


def stage(devices: int = 50, *, per_second: float = 1_000.0) -> Stage:
    """Eyes that have looked at everything once, a minute ago."""
    begun = Stage(World(dict.fromkeys(range(1, devices + 1), 1)), per_second)
    begun.look()
    begun.wait(60)
    return begun


def test_a_look_without_news_asks_nothing_and_says_what_time_it_is() -> None:
    on = stage()
    before = on.look()
    on.wait(60.7)
    after = on.look()
    assert on.world.requests == []
    assert after.devices is before.devices
    assert (after.observed_at, after.listed_at) == (NOW + 120, NOW)
    assert {each.observed_at for each in after.devices} == {NOW}
    assert not after.is_whole


def test_whoever_was_told_of_is_looked_at_alone() -> None:
    on = stage()
    on.world.running[7] = 2
    on.tell(7)
    seen = on.look().by_id[device_id(7)]
    assert on.world.requests == [device_id(7)]
    assert (seen.application, seen.observed_at) == (2, NOW + 60)
    on.wait(60)
    on.look()
    assert on.world.requests == []


def test_several_on_one_page_cost_one_request() -> None:
    on = stage()
    on.world.running |= {12: 2, 15: 2, 17: 2}
    on.tell(12, 15, 17, 33)
    seen = on.look().by_id
    assert sorted(on.world.requests) == sorted([device_id(33), "page 2"])
    assert [seen[device_id(number)].application for number in (12, 15, 17, 18)] == [2, 2, 2, 1]
    assert seen[device_id(18)].observed_at == NOW + 60


def test_whoever_is_not_on_its_page_any_more_is_looked_at_alone_the_next_time() -> None:
    """Two that left in front of it have moved it to the page before."""
    on = stage()
    del on.world.running[1], on.world.running[2]
    on.world.running[11] = 2
    on.tell(11, 15)
    on.look()
    assert on.world.requests == ["page 2"]
    on.wait(5)
    assert on.look().by_id[device_id(11)].application == 2
    assert on.world.requests == [device_id(11)]


def test_news_of_every_page_are_a_list() -> None:
    on = stage()
    on.tell(*range(1, 51, 10))
    assert on.look().is_whole


@pytest.mark.parametrize("reason", ["interval", "gap", "asked"])
def test_everything_is_looked_at(reason: str) -> None:
    on = stage()
    on.world.running[51] = 1
    del on.world.running[3]
    if reason == "interval":
        on.wait(INTERVAL - 60)
    elif reason == "gap":
        on.hearing.miss()
    else:
        on.hearing.ask_for_all()
    seen = on.look()
    assert seen.is_whole
    assert [each.id for each in seen.devices] == [device_id(number) for number in sorted(on.world.running)]
    on.wait(5)
    assert not on.look().is_whole


def test_a_stream_that_keeps_breaking_off_does_not_eat_the_budget() -> None:
    on = stage(per_second=1.0)
    lists = 0
    for _ in range(30):
        on.hearing.miss()
        lists += on.look().is_whole
        on.wait(10)
    # 5 requests a list, a quarter of one request a second.
    assert 5 <= lists <= 300 / 20 + 1


def test_a_list_with_holes_is_soon_read_again() -> None:
    on = Stage(World({1: 1}, complete=False))
    assert not on.look().complete
    on.wait(5)
    on.world.complete = True
    assert on.look().complete


def test_a_device_with_a_step_under_way_is_looked_at_though_nothing_is_heard() -> None:
    on = stage()
    on.hearing.listen_for([device_id(4)])
    on.look()
    assert on.world.requests == [device_id(4)]
    on.wait(UNDER_WAY_SECONDS - 5)
    on.look()
    assert on.world.requests == []
    on.wait(10)
    on.look()
    assert on.world.requests == [device_id(4)]


def test_a_device_whose_health_is_watched_is_looked_at_less_often() -> None:
    on = stage()
    on.hearing.signs.watch([device_id(4)])
    on.look()
    assert on.world.requests == []
    on.wait(70)
    on.look()
    assert on.world.requests == [device_id(4)]


def test_looks_keep_within_their_share_and_everybody_has_a_turn() -> None:
    on = stage(5_000, per_second=0.1)
    numbers = range(1, 5_000, 20)
    on.tell(*numbers)
    on.hearing.listen_for([device_id(4_981)])
    first = on.look()
    assert on.world.requests[0] == device_id(4_981)
    assert len(on.world.requests) == 10
    told = [first.by_id[device_id(number)].observed_at for number in numbers]
    assert told.count(Instant(NOW + 60)) == 10
    on.wait(200)
    on.look()
    assert len(on.world.requests) == 2


def test_whoever_is_gone_is_gone_and_a_stranger_who_is_told_of_joins() -> None:
    on = stage()
    del on.world.running[5]
    on.world.running[99] = 1
    on.tell(5, 99)
    ids = [each.id for each in on.look().devices]
    assert device_id(5) not in ids
    assert ids[-1] == device_id(99)
    assert ids == sorted(ids)


def test_what_a_last_look_before_a_send_showed_is_remembered() -> None:
    on = stage()
    on.world.running[5] = 2
    on.eyes.observe_device(device_id(5))
    seen = on.look().by_id[device_id(5)]
    assert on.world.requests == []
    assert (seen.application, seen.observed_at) == (2, NOW + 60)


def test_an_older_record_never_takes_the_place_of_a_newer_one() -> None:
    on = stage()
    on.tell(12, 15)
    on.world.running[12] = 2
    on.look()
    on.world.now -= 30
    on.world.running[12] = 1
    on.eyes.observe_device(device_id(12))
    assert on.eyes.observe().by_id[device_id(12)].application == 2


def test_what_the_product_holds_is_as_old_as_it_says() -> None:
    on = stage()
    on.world.held = 2
    seen = on.look()
    assert (seen.products[0].holds or ())[0].version == 1
    assert seen.products_at == NOW
    on.hearing.awaits_product = True
    seen = on.look()
    assert on.world.requests == ["product"]
    assert (seen.products[0].holds or ())[0].version == 2
    assert seen.products_at == NOW + 60


def test_a_cloud_that_is_away_is_an_error_and_nothing_is_forgotten() -> None:
    on = stage()
    on.world.running[7] = 2
    on.tell(7)
    on.world.trouble = lambda asked: NoAnswerError("no answer")
    with pytest.raises(NoAnswerError):
        on.look()
    on.world.trouble = lambda asked: None
    on.wait(TRIED_AGAIN_SECONDS)
    assert on.look().by_id[device_id(7)].application == 2


def test_a_list_that_fails_is_read_the_next_time() -> None:
    on = stage()
    on.hearing.ask_for_all()
    on.world.trouble = lambda asked: NoAnswerError("no answer")
    with pytest.raises(NoAnswerError):
        on.look()
    on.world.trouble = lambda asked: None
    assert on.look().is_whole


@pytest.mark.parametrize("trouble", [NoAnswerError("no answer"), GarbledError("no device")])
def test_one_device_that_cannot_be_looked_at_does_not_hide_the_others(trouble: WireError) -> None:
    on = stage()
    on.world.trouble = lambda asked: trouble if asked == device_id(7) else None
    on.world.running[23] = 2
    on.tell(7, 23)
    assert on.look().by_id[device_id(23)].application == 2
    on.wait(5)
    assert on.look().by_id[device_id(7)].observed_at == NOW


happenings = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(1, 30)),
        st.tuples(st.just("change unheard"), st.integers(1, 30)),
        st.tuples(st.just("join or leave"), st.integers(25, 40)),
        st.tuples(st.just("send to"), st.integers(1, 30)),
        st.tuples(st.just("gap"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 400)),
        st.tuples(st.just("look"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(happenings, st.floats(0.01, 50.0))
def test_every_record_is_what_was_so_when_it_was_seen(happenings: list[tuple[str, int]], per_second: float) -> None:
    """Whatever happens and is heard or not; and no list is older than the interval."""
    history = History(Stage(World(dict.fromkeys(range(1, 31), 1)), per_second))
    history.look()
    for what, number in happenings:
        history.note()
        history.happen(what, number)
        history.note()
    history.on.hearing.ask_for_all()
    seen = history.on.look()
    assert {int(each.id[8:], 16): each.application for each in seen.devices} == history.on.world.running


class History:
    """What was true of every device in every second, and looks that are held against it."""

    def __init__(self, on: Stage) -> None:
        self.on = on
        self.true_at: dict[tuple[int, int], set[int]] = {}
        self.latest = Instant(0.0)
        self.note()

    def note(self) -> None:
        for number, application in self.on.world.running.items():
            self.true_at.setdefault((number, math.floor(self.on.world.now)), set()).add(application)

    def happen(self, what: str, number: int) -> None:
        on, running = self.on, self.on.world.running
        match what:
            case "wait":
                on.wait(number + 0.25)
            case "gap":
                on.hearing.miss()
            case "send to":
                on.hearing.listen_also_for(device_id(number))
            case "look":
                self.look()
            case "join or leave":
                if running.pop(number, None) is None:
                    running[number] = 1
            case _ if number in running:
                running[number] += 1
                if what == "change":
                    on.tell(number)

    def look(self) -> None:
        seen = self.on.look()
        assert seen.observed_at >= self.latest
        self.latest = seen.observed_at
        assert self.on.world.now - (seen.listed_at or seen.observed_at) < INTERVAL + 1
        assert list(seen.by_id) == sorted(seen.by_id) == [each.id for each in seen.devices]
        for each in seen.devices:
            assert each.application in self.true_at[int(each.id[8:], 16), math.floor(each.observed_at)]
