"""Worlds drawn from seeds, played with everything that goes wrong in them, and every law checked on every trace.

Each is played by operators who run `apply` or by controllers that run for long. Most of those in every test run are
of few devices, so that there are many. `RECONCILER_SEEDS=17` plays one seed by each player, `RECONCILER_SEEDS=1-20000`
as many as anybody has time for. A failure names its seed, the law, and the smallest world that still breaks it.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.simulation.drawing import drawn, drawn_few, drawn_few_with_source, drawn_with_source
from tests.simulation.laws import broken
from tests.simulation.laws_of_progress import may_have_twin
from tests.simulation.longplay import play_long
from tests.simulation.playing import play
from tests.simulation.shrinking import breaks, in_words, shrunk, size
from tests.simulation.tally import Tally
from tests.simulation.trace import Trace
from tests.simulation.worlds import World

SEEDS_A_CHUNK = 10
TWIN_EVERY = 4
"""Of the worlds in which clients die, and that nobody disturbs, so many are played without deaths as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """Who plays worlds: how they are drawn, how played, and which seeds in every test run."""

    name: str
    draws: Callable[[int], World]
    plays: Callable[[World, Path | None], Trace]
    seeds: str


PLAYERS = (
    Player(name="apply", draws=drawn, plays=play, seeds="1-200"),
    Player(name="controller", draws=drawn_with_source, plays=play_long, seeds="1-40"),
    Player(name="few-by-hand", draws=drawn_few, plays=play, seeds="1-640"),
    Player(name="few-by-loop", draws=drawn_few_with_source, plays=play_long, seeds="1-120"),
)


def seeds(player: Player) -> range:
    first, _, last = os.environ.get("RECONCILER_SEEDS", player.seeds).partition("-")
    return range(int(first), int(last or first) + 1)


def chunks() -> list[tuple[Player, range]]:
    every = [(player, seeds(player)) for player in PLAYERS]
    return [
        (player, its[begin : begin + SEEDS_A_CHUNK])
        for player, its in every
        for begin in range(0, len(its), SEEDS_A_CHUNK)
    ]


def traced(player: Player, world: World, folder: Path | None) -> Trace:
    """A play, with its twin where both have to end alike."""
    trace = player.plays(world, folder)
    if world.seed % TWIN_EVERY == 0 and may_have_twin(world):
        trace.twin = player.plays(world.without_deaths(), folder)
    return trace


@pytest.fixture(autouse=True)
def seldom_collected() -> Iterator[None]:
    """A play makes very many small values and few circles of them."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    yield
    gc.set_threshold(*usual)
    gc.unfreeze()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("player", "chunk"), chunks(), ids=lambda each: each.name if isinstance(each, Player) else f"{each[0]}-{each[-1]}"
)
def test_every_law_holds_in_every_world(
    tmp_path: Path, player: Player, chunk: range, record_property: Callable[[str, object], None]
) -> None:
    tally = Tally()
    for seed in chunk:
        world = player.draws(seed)
        trace = traced(player, world, tmp_path)
        tally.count(trace)
        found = broken(trace)
        if found:
            pytest.fail(explained(player, world, found, tmp_path), pytrace=False)
    record_property(Tally.NAME, tally.document())


def explained(player: Player, world: World, found: dict[str, list[str]], folder: Path) -> str:
    """What was broken, how to see it again, and in how small a world it happens."""
    law = next(iter(found))
    small = shrunk(world, breaks(law, folder, player.plays))
    lines = [f"seed {world.seed}, played by {player.name}, breaks {', '.join(found)}"]
    lines += [f"  {law}: {words}" for law, every in found.items() for words in every[:3]]
    lines += [
        f"again: RECONCILER_SEEDS={world.seed} .venv/bin/pytest tests/simulation/test_seeds.py -k {player.name}",
        f"the smallest world that was found to break {law}, {size(small)} things instead of {size(world)}:",
        in_words(small),
    ]
    return "\n".join(lines)
