"""The table of laws is whole, and every law bites: something of ours is broken on purpose, and the law notices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.fleet import RolloutPolicy
from tests.simulation.broken_controllers import OF_CONTROLLERS, OTHERWISE_FOR_CONTROLLERS
from tests.simulation.broken_twins import ALL, TWINS, Twin, small
from tests.simulation.laws import LAWS, broken
from tests.simulation.playing import Performance
from tests.simulation.trace import Trace

OF_THE_REFERENCES = {f"S{number}" for number in range(1, 21)} | {f"P{number}" for number in range(1, 10)}
CONTROLLERS_LAWS = {f"C{number}" for number in range(1, 5)}
JUDGED = sorted((law for law in LAWS if not LAWS[law].elsewhere), key=lambda law: (law[0], int(law[1:])))
EVERY_TWIN = {**TWINS, **OF_CONTROLLERS}
REFEREE = Path(__file__).parents[2] / "docs" / "referee.md"


def test_every_law_of_the_references_is_in_the_table() -> None:
    assert set(LAWS) == OF_THE_REFERENCES | CONTROLLERS_LAWS


def test_every_law_is_checked_somewhere_or_says_why_not() -> None:
    for law in LAWS.values():
        checked = law.referee or law.trace is not None or law.jumps
        assert checked != bool(law.elsewhere), law


def test_what_is_said_to_be_the_referees_is_the_referees() -> None:
    judged = set(re.findall(r"^\| (S\d+) \|", REFEREE.read_text(encoding="utf-8"), re.MULTILINE))
    assert {law.id for law in LAWS.values() if law.referee} <= judged


def test_every_law_that_is_checked_has_a_broken_twin() -> None:
    assert sorted(EVERY_TWIN) == sorted(JUDGED)


def played(law: str, patch: pytest.MonkeyPatch, *, is_broken: bool, twins: Mapping[str, Twin] = EVERY_TWIN) -> Trace:
    twin = twins[law]
    performance = twin.performance(twin.world)
    twin.house(performance, patch)
    if is_broken:
        twin.breaks(performance, patch)
    trace = performance.play()
    if law == "P6":
        trace.twin = Performance(twin.world.without_deaths()).play()
    return trace


@pytest.mark.timeout(900)
@pytest.mark.parametrize("law", JUDGED)
def test_a_law_holds_in_its_world_and_is_broken_when_we_are(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        assert broken(played(law, patch, is_broken=False)) == {}
    with monkeypatch.context() as patch:
        assert law in broken(played(law, patch, is_broken=True))


@pytest.mark.parametrize("law", OTHERWISE_FOR_CONTROLLERS)
def test_a_law_that_asks_something_else_of_controllers_bites_there_too(
    law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        assert broken(played(law, patch, is_broken=False, twins=OTHERWISE_FOR_CONTROLLERS)) == {}
    with monkeypatch.context() as patch:
        assert law in broken(played(law, patch, is_broken=True, twins=OTHERWISE_FOR_CONTROLLERS))


def test_what_a_fleet_allows_in_a_minute_bites_too() -> None:
    world = small(rollout=RolloutPolicy(concurrent_max=ALL, failures_max=ALL, sends_per_minute=1))

    assert broken(Performance(world).play()) == {}
    generous = Performance(world)
    generous.manifests = lambda fleet: replace(fleet, rollout=replace(fleet.rollout, sends_per_minute=None))
    assert "S16" in broken(generous.play())


def test_what_a_fleet_allows_in_a_day_bites_too() -> None:
    # Two devices a day, and there are three.
    world = small(desired=None, bytes_per_day_max=1_500_000)

    assert broken(Performance(world).play()) == {}
    generous = Performance(world)
    generous.manifests = lambda fleet: replace(fleet, bytes_per_day_max=None)
    assert "S16" in broken(generous.play())
