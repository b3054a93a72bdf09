"""Laws of the request budget: never more than allowed in any window, and never anything during a silence."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.allowance import Allowance
from reconciler.particle.budget import WRITES_IN_A_ROW_MAX, Asking, RequestBudget, WaitingLine

WINDOW = 300.0


@dataclass
class Play:
    """One budget on a clock that moves by sleeping, and when what left it."""

    allowance: Allowance
    now: float = 1_000_000.0
    left: list[float] = field(default_factory=list)
    silences: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = RequestBudget(clock=lambda: self.now, sleep=self.sleep, requests=self.allowance)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def take(self, *, write: bool, product: str) -> None:
        assert self.budget.take(write=write, product=product) == 0.0
        self.left.append(self.now)

    def open(self) -> None:
        while (pause := self.budget.take_opening()) > 0:
            self.now += pause
        self.left.append(self.now)

    def be_silent(self, seconds: float) -> None:
        self.silences.append((self.now, self.now + seconds))
        self.budget.be_silent(seconds)


@st.composite
def allowances(draw: st.DrawFn) -> Allowance:
    requests = draw(st.integers(2, 40))
    return Allowance(requests=requests, window_seconds=WINDOW, at_once=draw(st.integers(1, requests - 1)))


HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.booleans(), st.sampled_from(["", "a", "b"])),
        st.tuples(st.just("open")),
        st.tuples(st.just("pass"), st.floats(0, 700)),
        st.tuples(st.just("silence"), st.floats(0, 400)),
    ),
    max_size=120,
)


def played(allowance: Allowance, happenings: list[tuple[object, ...]]) -> Play:
    play = Play(allowance)
    for happening in happenings:
        match happening:
            case ("take", bool(write), str(product)):
                play.take(write=write, product=product)
            case ("open",):
                play.open()
            case ("pass", float(seconds)):
                play.now += seconds
            case ("silence", float(seconds)):
                play.be_silent(seconds)
    return play


@given(allowances(), HAPPENINGS)
def test_in_no_window_leave_more_than_the_allowance(allowance: Allowance, happenings: list[tuple[object, ...]]) -> None:
    left = played(allowance, happenings).left
    for place, at in enumerate(left):
        assert bisect_right(left, at + WINDOW) - place <= allowance.requests


@given(allowances(), HAPPENINGS)
def test_nothing_leaves_during_a_silence(allowance: Allowance, happenings: list[tuple[object, ...]]) -> None:
    play = played(allowance, happenings)
    assert [(at, silence) for at in play.left for silence in play.silences if silence[0] < at < silence[1]] == []


@given(allowances(), st.floats(0, 400))
def test_after_a_silence_requests_come_one_by_one(allowance: Allowance, seconds: float) -> None:
    play = Play(allowance)
    play.be_silent(seconds)
    for _ in range(5):
        play.take(write=False, product="")
    apart = [later - earlier for earlier, later in zip(play.left, play.left[1:], strict=False)]
    shortest_pause = 0.001
    assert all(gap >= 1 / allowance.per_second - 2 * shortest_pause for gap in apart)


@given(allowances(), st.integers(1, 200))
def test_so_many_requests_take_as_long_as_the_allowance_says(allowance: Allowance, requests: int) -> None:
    play = Play(allowance)
    for _ in range(requests):
        play.take(write=False, product="")
    assert abs(play.left[-1] - 1_000_000.0 - allowance.seconds_at_least(requests)) < 0.01 * requests


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "c"])), max_size=60))
def test_everybody_is_served_and_no_read_waits_for_more_than_its_share(asking: list[tuple[bool, str]]) -> None:
    line = WaitingLine()
    line.asking = [Asking(write=write, product=product) for write, product in asking]
    numbers = {id(each): number for number, each in enumerate(line.asking)}
    order = []
    while line.asking:
        served = line.next()
        line.serve(served)
        order.append(numbers[id(served)])
    assert sorted(order) == list(range(len(asking)))
    products = len({product for _, product in asking})
    for place, number in enumerate(order):
        write, product = asking[number]
        if not write:
            ahead = sum(not w and p == product for w, p in asking[:number])
            assert place <= (ahead + 1) * products * (WRITES_IN_A_ROW_MAX + 1)
