"""Worlds drawn from seeds, played with everything that goes wrong in them, and every law checked on every trace.

`RECONCILER_SEEDS=17` plays one world, `RECONCILER_SEEDS=1-20000` as many as anybody has time for. A failure names its
seed, the law, and the smallest world that still breaks it.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulation.drawing import drawn
from tests.simulation.laws import broken
from tests.simulation.laws_of_progress import may_have_twin
from tests.simulation.playing import play
from tests.simulation.shrinking import breaks, in_words, shrunk, size
from tests.simulation.tally import Tally
from tests.simulation.trace import Trace
from tests.simulation.worlds import World

SEEDS = "1-250"
SEEDS_A_CHUNK = 10
TWIN_EVERY = 4
"""Of the worlds in which clients die, and that nobody disturbs, so many are played without deaths as well."""


def seeds() -> range:
    first, _, last = os.environ.get("RECONCILER_SEEDS", SEEDS).partition("-")
    return range(int(first), int(last or first) + 1)


def chunks() -> list[range]:
    every = seeds()
    return [every[begin : begin + SEEDS_A_CHUNK] for begin in range(0, len(every), SEEDS_A_CHUNK)]


def traced(world: World, folder: Path | None) -> Trace:
    """A play, with its twin where both have to end alike."""
    trace = play(world, folder)
    if world.seed % TWIN_EVERY == 0 and may_have_twin(world):
        trace.twin = play(world.without_deaths(), folder)
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
@pytest.mark.parametrize("chunk", chunks(), ids=lambda chunk: f"{chunk.start}-{chunk.stop - 1}")
def test_every_law_holds_in_every_world(
    tmp_path: Path, chunk: range, record_property: Callable[[str, object], None]
) -> None:
    tally = Tally()
    for seed in chunk:
        world = drawn(seed)
        trace = traced(world, tmp_path)
        tally.count(trace)
        found = broken(trace)
        if found:
            pytest.fail(explained(world, found, tmp_path), pytrace=False)
    record_property(Tally.NAME, tally.document())


def explained(world: World, found: dict[str, list[str]], folder: Path) -> str:
    """What was broken, how to see it again, and in how small a world it happens."""
    law = next(iter(found))
    small = shrunk(world, breaks(law, folder))
    lines = [f"seed {world.seed} breaks {', '.join(found)}"]
    lines += [f"  {law}: {words}" for law, every in found.items() for words in every[:3]]
    lines += [
        f"again: RECONCILER_SEEDS={world.seed} .venv/bin/pytest tests/simulation/test_seeds.py",
        f"the smallest world that was found to break {law}, {size(small)} things instead of {size(world)}:",
        in_words(small),
    ]
    return "\n".join(lines)
