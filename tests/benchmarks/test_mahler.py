"""The contest with another planner asks what it says and believes nothing; nothing here is about time or needs npm."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from reconciler.model.error import BugError
from reconciler.planning.route import Found
from tests.benchmarks.mahler.__main__ import CIRCLE, domain_of, pair_of, proof_table, table
from tests.benchmarks.mahler.contest import contest, our_answers, proof_of_no_route
from tests.benchmarks.mahler.domain import Domain, named_steps
from tests.benchmarks.mahler.peer import STYLES, Answer

DOMAIN = domain_of("photon")
PAIRS = (pair_of(DOMAIN, "0.6.3", "3.3.1"), pair_of(DOMAIN, "1.0.1", "1.4.4"))


def ticking() -> Callable[[], float]:
    return map(float, itertools.count()).__next__


class Standin:
    """A planner that answers as told: our own steps, after some change."""

    def __init__(self, domain: Domain, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
        self._domain = domain
        self._change = change
        self.documents: list[dict[str, Any]] = []

    def define(self, domain: dict[str, Any]) -> None:
        self.documents.append(domain)

    def answers(self, style: str, questions: Sequence[dict[str, Any]], *, limit_seconds: float) -> list[Answer]:
        by_question = [(self._domain.question(pair), pair) for pair in PAIRS]
        answers = []
        for question in questions:
            pair = next((pair for known, pair in by_question if known == question), None)
            found = our_answers(self._domain, [pair], keep=False, clock=ticking())[0].found if pair else None
            steps = self._change(named_steps(found.steps)) if isinstance(found, Found) else []
            answers.append(Answer(found=bool(steps), out_of_time=False, seconds=2.0, steps=steps, tried=len(steps)))
        return answers


def unchanged(steps: list[list[str]]) -> list[list[str]]:
    return steps


def test_equal_routes_are_counted_as_equal() -> None:
    result = contest(DOMAIN, PAIRS, Standin(DOMAIN, unchanged), rounds=2, limit_seconds=1.0, clock=ticking())
    figures = result.styles["methods"]
    assert (figures.routes, figures.longer, figures.bigger, figures.missed) == (2, 0, 0, 0)
    assert figures.flashes == figures.flashes_of_ours > 0
    assert figures.rates == [0.5, 0.5]
    assert result.kept_rates == [1.0, 1.0]
    assert result.ratio(result.kept_rates, "methods") == 2.0
    assert {line.count("|") for line in table([result])} == {13}


def test_a_longer_legal_route_is_counted_as_longer() -> None:
    pair = pair_of(DOMAIN, "1.0.1", "1.4.4")
    through = pair_of(DOMAIN, "1.0.1", "1.2.1"), pair_of(DOMAIN, "1.2.1", "1.4.4")
    steps = [our_answers(DOMAIN, [leg], keep=False, clock=ticking())[0].found for leg in through]
    detour = [step for found in steps if isinstance(found, Found) for step in named_steps(found.steps)]
    peer = Standin(DOMAIN, lambda _: detour)
    result = contest(DOMAIN, [pair], peer, rounds=1, limit_seconds=1.0, clock=ticking())
    assert result.styles["tuned"].longer == 1
    assert result.styles["tuned"].flashes == len(detour)


def test_a_route_that_a_device_would_not_take_is_found_out() -> None:
    peer = Standin(DOMAIN, lambda steps: steps[1:])
    with pytest.raises(BugError):
        contest(DOMAIN, PAIRS, peer, rounds=1, limit_seconds=1.0, clock=ticking())


def test_a_planner_that_finds_nothing_has_missed_the_route() -> None:
    result = contest(DOMAIN, PAIRS, Standin(DOMAIN, lambda _: []), rounds=1, limit_seconds=1.0, clock=ticking())
    assert {style: figures.missed for style, figures in result.styles.items()} == dict.fromkeys(STYLES, 2)


def test_every_pair_of_the_circle_has_no_route() -> None:
    name, pairs = CIRCLE
    domain = domain_of(name)
    peer = Standin(domain, unchanged)
    proofs = [
        proof_of_no_route(domain, pair_of(domain, *pair), peer, limit_seconds=1.0, clock=ticking()) for pair in pairs
    ]
    assert all("ncp_firmware" in proof.because for proof in proofs)
    assert {line.count("|") for line in proof_table(proofs, limit=1.0)[:-2]} == {2 + len(STYLES) + 1}


def test_the_domain_holds_the_stations_and_every_module_that_may_be_sent() -> None:
    document = domain_of("electron").document()
    assert len(document["stations"]) == 4
    newest = document["releases"][-1]
    assert {module["slot"] for module in newest["modules"]} == {*document["systemParts"], "bootloader-0"}
    assert document["releases"] == sorted(document["releases"], key=lambda release: int(release["number"]))


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    assert DOMAIN.sample(20, seed=3) == DOMAIN.sample(20, seed=3) != DOMAIN.sample(20, seed=4)
