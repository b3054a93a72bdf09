"""The request budget, with many threads, on a clock that only the test moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from reconciler.model.allowance import REQUESTS, STREAM_OPENINGS, Allowance
from reconciler.particle.budget import WRITES_IN_A_ROW_MAX, RequestBudget

WAIT = 20.0
ONE_A_SECOND = Allowance(requests=301, window_seconds=300, at_once=1)


class SteppedClock:
    """Time that stands still until the test moves it; who sleeps is woken when its time has come."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.changed = threading.Condition()
        self.wakings: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self.changed:
            until = self.now + seconds
            self.wakings.append(until)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.now >= until, WAIT)
            self.wakings.remove(until)

    def advance(self, seconds: float) -> None:
        with self.changed:
            self.now += seconds
            self.changed.notify_all()


class Queue:
    """Threads that ask a budget for a slot, in a known order, and the order in which they got one."""

    def __init__(self, allowance: Allowance = ONE_A_SECOND) -> None:
        self.clock = SteppedClock()
        self.budget = RequestBudget(clock=self.clock, sleep=self.clock.sleep, requests=allowance)
        self.served: list[str] = []
        self.refused: dict[str, float] = {}
        self.done = threading.Condition()
        self.threads: list[threading.Thread] = []

    def asks(self, name: str, *, product: str = "", write: bool = False, patience: float = float("inf")) -> None:
        """Let one more thread ask, and come back when it waits."""
        waiting = self.budget.asking

        def ask() -> None:
            silence = self.budget.take(product=product, write=write, silence_seconds_max=patience)
            with self.done:
                if silence:
                    self.refused[name] = silence
                else:
                    self.served.append(name)
                self.done.notify_all()

        thread = threading.Thread(target=ask, daemon=True)
        self.threads.append(thread)
        thread.start()
        _until(lambda: self.budget.asking == waiting + 1 or not thread.is_alive())

    def advance(self, seconds: float, *, served: int) -> None:
        """Let time pass, and wait until so many more have been served."""
        wanted = len(self.served) + served
        _until(lambda: not self.budget.asking or bool(self.clock.wakings))
        self.clock.advance(seconds)
        with self.done:
            assert self.done.wait_for(lambda: len(self.served) >= wanted, WAIT), self.served

    def serve_all(self) -> list[str]:
        """Let a second pass for each that waits, and say in which order they were served."""
        before = len(self.served)
        while self.budget.asking:
            self.advance(1.0, served=1)
        for thread in self.threads:
            thread.join(WAIT)
        return self.served[before:]


def _until(condition: Callable[[], bool]) -> None:
    """Let other threads run until something is so; they need no clock for it."""
    yielding = threading.Event()
    for _ in range(200_000):
        if condition():
            return
        yielding.wait(0.0001)
    pytest.fail("the threads did not come so far")


@pytest.fixture
def queue() -> Iterator[Queue]:
    queue = Queue()
    queue.budget.take()  # what may leave at once has left
    yield queue
    assert queue.budget.asking == 0


def test_a_write_is_served_before_reads_that_waited_longer(queue: Queue) -> None:
    for name in ("read 1", "read 2"):
        queue.asks(name)
    queue.asks("write", write=True)
    assert queue.serve_all() == ["write", "read 1", "read 2"]


def test_a_read_that_waits_is_overtaken_by_a_bounded_number_of_writes(queue: Queue) -> None:
    queue.asks("read")
    for number in range(WRITES_IN_A_ROW_MAX + 3):
        queue.asks(f"write {number}", write=True)
    assert queue.serve_all().index("read") == WRITES_IN_A_ROW_MAX


def test_a_products_long_list_does_not_hold_up_another_product(queue: Queue) -> None:
    for number in range(6):
        queue.asks(f"huge {number}", product="huge")
    queue.asks("small 0", product="small")
    queue.asks("small 1", product="small")
    assert queue.serve_all() == ["huge 0", "small 0", "huge 1", "small 1", "huge 2", "huge 3", "huge 4", "huge 5"]


def test_within_a_product_first_come_is_first_served(queue: Queue) -> None:
    names = [f"write {number}" for number in range(5)]
    for name in names:
        queue.asks(name, product="one", write=True)
    assert queue.serve_all() == names


def test_a_write_that_comes_while_a_read_sleeps_towards_its_slot_gets_that_slot(queue: Queue) -> None:
    queue.asks("read")
    queue.advance(0.5, served=0)
    queue.asks("write", write=True)
    queue.advance(0.5, served=1)
    assert queue.served == ["write"]
    assert queue.serve_all() == ["read"]


def test_during_a_silence_nothing_leaves_on_any_thread_and_then_one_after_the_other_writes_first() -> None:
    queue = Queue(REQUESTS)
    queue.budget.be_silent(10)
    for number in range(6):
        queue.asks(f"read {number}")
    queue.asks("write", write=True)
    queue.advance(9.99, served=0)
    assert queue.served == []
    queue.advance(0.01, served=1)
    assert queue.served == ["write"], "and not all of them together, though 2,000 could have left at once"
    assert queue.serve_all() == [f"read {number}" for number in range(6)]


def test_a_silence_that_is_asked_for_while_threads_wait_reaches_all_of_them(queue: Queue) -> None:
    queue.asks("first")
    queue.asks("second")
    queue.budget.be_silent(30)
    queue.advance(29, served=0)
    assert queue.served == []
    queue.advance(1, served=1)
    assert queue.serve_all() == ["second"]


def test_who_does_not_want_to_wait_so_long_is_told_how_long_the_silence_lasts(queue: Queue) -> None:
    queue.budget.be_silent(30)
    assert queue.budget.take(silence_seconds_max=29) == 30
    queue.asks("patient", patience=30)
    queue.advance(20, served=0)
    queue.budget.be_silent(15)
    queue.advance(10, served=0)
    _until(lambda: bool(queue.refused))
    assert queue.refused == {"patient": 5}


def test_a_shorter_silence_does_not_end_a_longer_one() -> None:
    budget = RequestBudget(clock=lambda: 1000.0, sleep=lambda _: None)
    budget.be_silent(30)
    budget.be_silent(5)
    assert budget.take(silence_seconds_max=0) == 30


def test_a_waiting_thread_that_is_interrupted_leaves_the_queue() -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    budget = RequestBudget(clock=lambda: 1000.0, sleep=interrupt, requests=ONE_A_SECOND)
    budget.take()
    with pytest.raises(KeyboardInterrupt):
        budget.take()
    assert budget.asking == 0


def test_streams_of_many_products_share_the_limit_of_openings() -> None:
    clock = SteppedClock()
    budget = RequestBudget(clock=clock, sleep=clock.sleep)
    opened = [budget.take_opening() for _ in range(150)].count(0.0)
    assert opened == STREAM_OPENINGS.at_once
    for _ in range(3000):
        clock.advance(0.1)
        opened += budget.take_opening() == 0.0
    assert opened == STREAM_OPENINGS.requests


def test_a_stream_that_is_turned_away_stops_no_requests_and_a_request_stops_the_streams_too() -> None:
    clock = SteppedClock()
    budget = RequestBudget(clock=clock, sleep=clock.sleep)
    budget.open_none(60)
    assert budget.take_opening() == 60
    assert budget.take(silence_seconds_max=0) == 0
    budget.be_silent(90)
    assert budget.take_opening() == 90


def test_openings_count_as_requests() -> None:
    clock = SteppedClock()
    budget = RequestBudget(clock=clock, sleep=clock.sleep, requests=ONE_A_SECOND)
    assert budget.take_opening() == 0
    assert budget.take_opening() == 1


@pytest.mark.parametrize(("requests", "seconds"), [(0, 0), (2_000, 0), (2_001, 1 / 20), (2_400, 20), (8_000, 300)])
def test_how_long_requests_need_at_least(requests: int, seconds: float) -> None:
    assert REQUESTS.seconds_at_least(requests) == pytest.approx(seconds)


@pytest.mark.parametrize(("requests", "at_once"), [(1, 1), (10, 0), (0, 0), (5, 6)])
def test_an_allowance_that_lets_nothing_go_is_refused(requests: int, at_once: int) -> None:
    with pytest.raises(ValueError, match="lets nothing leave"):
        Allowance(requests=requests, window_seconds=300, at_once=at_once)
