"""The same questions to both planners, alternately, and what came of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reconciler.model.fleet import Completeness, Via
from reconciler.planning.route import Found, NoRoute, RouteSearch
from tests.benchmarks.mahler.domain import Domain, Pair, named_steps
from tests.benchmarks.mahler.peer import STYLES, Answer, Peer

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """Our answer to one pair."""

    found: Found | NoRoute
    seconds: float


@dataclass(slots=True, kw_only=True)
class Figures:
    """What one style of the other planner did with the pairs that have a route. Rates are routes per processor second.

    `longer` routes have more flashes than ours; `bigger` ones as many, and more bytes.
    """

    routes: int = 0
    out_of_time: int = 0
    missed: int = 0
    flashes: int = 0
    flashes_of_ours: int = 0
    longer: int = 0
    bigger: int = 0
    rates: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.rates)


@dataclass(slots=True, kw_only=True)
class Contest:
    """One platform. Our rates, once with what was worked out kept from pair to pair, once each pair anew."""

    platform: str
    pairs: int
    kept_rates: list[float]
    anew_rates: list[float]
    styles: dict[str, Figures]

    @property
    def kept_rate(self) -> float:
        return statistics.median(self.kept_rates)

    @property
    def anew_rate(self) -> float:
        return statistics.median(self.anew_rates)

    def ratio(self, rates: list[float], style: str) -> float:
        """How many times more routes a second: the median over the rounds, each round's own ratio."""
        return statistics.median(ours / theirs for ours, theirs in zip(rates, self.styles[style].rates, strict=True))


def contest(
    domain: Domain, pairs: Sequence[Pair], peer: Peer | None, *, rounds: int, limit_seconds: float, clock: Clock
) -> Contest:
    """Ask for the route of every pair: ours kept, ours anew, and each style, in every round; a first one warms up.

    A pair without a route does not belong here. Every answer is replayed by the device's rules.

    Raises:
        BugError: PFR9002 when one of the routes is not legal or does not arrive.
        AssertionError: when the other planner found a route with fewer flashes than ours, or ours found none.
    """
    result = Contest(
        platform=domain.platform.name,
        pairs=len(pairs),
        kept_rates=[],
        anew_rates=[],
        styles={style: Figures() for style in STYLES} if peer is not None else {},
    )
    questions = [domain.question(pair) for pair in pairs]
    if peer is not None:
        peer.define(domain.document())
    for number in range(rounds + 1):
        counted = number > 0
        kept = our_answers(domain, pairs, keep=True, clock=clock)
        anew = our_answers(domain, pairs, keep=False, clock=clock)
        if counted:
            result.kept_rates.append(len(pairs) / sum(answer.seconds for answer in kept))
            result.anew_rates.append(len(pairs) / sum(answer.seconds for answer in anew))
        for style, figures in result.styles.items():
            assert peer is not None
            answers = peer.answers(style, questions, limit_seconds=limit_seconds)
            if counted:
                figures.rates.append(sum(each.found for each in answers) / sum(each.seconds for each in answers))
            else:
                _compare(domain, pairs, kept, answers, figures)
    return result


def our_answers(domain: Domain, pairs: Sequence[Pair], *, keep: bool, clock: Clock) -> list[Ours]:
    """Our search for every pair; with `keep` one search object for all of them, as within one plan."""
    answers = []
    shared = RouteSearch(domain.platform, domain.catalog, Via.CLOUD)
    for pair in pairs:
        began = clock()
        search = shared if keep else RouteSearch(domain.platform, domain.catalog, Via.CLOUD)
        found = search.find(
            pair.situation, pair.goal.version, completeness=Completeness.REQUIRED, allow_prerelease=False
        )
        answers.append(Ours(found=found, seconds=clock() - began))
    return answers


def _compare(
    domain: Domain, pairs: Sequence[Pair], ours: Sequence[Ours], answers: Sequence[Answer], figures: Figures
) -> None:
    for pair, own, answer in zip(pairs, ours, answers, strict=True):
        name = f"{domain.platform} {pair.start.version} to {pair.goal.version}"
        assert isinstance(own.found, Found), f"{name}: {own.found}"
        assert own.found.safe_mode_boots == 0, f"{name}: the shared domain has normal boots only"
        own_bytes = domain.checked_bytes(pair, named_steps(own.found.steps))
        if not answer.found:
            figures.out_of_time += answer.out_of_time
            figures.missed += not answer.out_of_time
            continue
        their_bytes = domain.checked_bytes(pair, answer.steps)
        assert len(answer.steps) >= len(own.found.steps), f"{name}: {answer.steps} is shorter than {own.found.steps}"
        figures.routes += 1
        figures.flashes += len(answer.steps)
        figures.flashes_of_ours += len(own.found.steps)
        figures.longer += len(answer.steps) > len(own.found.steps)
        figures.bigger += len(answer.steps) == len(own.found.steps) and their_bytes > own_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How long it took to say that there is no route: ours, and each style's answer to the same pair."""

    start: str
    goal: str
    seconds: float
    because: str
    answers: dict[str, Answer]


def proof_of_no_route(domain: Domain, pair: Pair, peer: Peer | None, *, limit_seconds: float, clock: Clock) -> Proof:
    """Ask both for a route that does not exist. Raises AssertionError when either finds one."""
    own = our_answers(domain, [pair], keep=False, clock=clock)[0]
    assert isinstance(own.found, NoRoute), own.found
    answers = {}
    if peer is not None:
        peer.define(domain.document())
        for style in STYLES:
            answers[style] = peer.answers(style, [domain.question(pair)], limit_seconds=limit_seconds)[0]
            assert not answers[style].found, answers[style].steps
    return Proof(
        start=pair.start.version.text,
        goal=pair.goal.version.text,
        seconds=own.seconds,
        because=own.found.because,
        answers=answers,
    )
