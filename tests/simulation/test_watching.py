"""The worlds of the seeds, played by clients whose eyes look at what may have changed: every law holds as before.

Pages are small here, so that these eyes have something to leave out.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.inventory import Inventory
from reconciler.inventory.watching import WatchingInventory
from reconciler.model.allowance import REQUESTS
from tests.simulation.drawing import drawn
from tests.simulation.laws import broken
from tests.simulation.playing import Performance
from tests.simulation.trace import Looked, Trace

SEEDS = "1-12"
INTERVAL_SECONDS = 600.0
DEVICES_A_PAGE = 3


def watched(seed: int, folder: Path) -> Trace:
    """A play of a seed's world."""
    performance = Performance(drawn(seed), folder)

    def watching(eyes: Inventory) -> Inventory:
        assert isinstance(eyes, CloudInventory)
        assert eyes._hearing is not None  # whoever listens, listens to the eyes' own stream
        return WatchingInventory(
            eyes,
            eyes._hearing,
            interval_seconds=INTERVAL_SECONDS,
            requests_per_second=REQUESTS.per_second,
            monotonic=performance.theatre.monotonic,
        )

    performance.sight = watching
    performance.theatre.page_size = DEVICES_A_PAGE
    return performance.play()


def seeds() -> range:
    first, _, last = os.environ.get("RECONCILER_WATCHING_SEEDS", SEEDS).partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.timeout(1200)
def test_every_law_holds_where_eyes_look_at_what_may_have_changed(tmp_path: Path) -> None:
    looks = [0, 0]
    for seed in seeds():
        trace = watched(seed, tmp_path)
        found = broken(trace)
        assert not found, f"seed {seed} breaks {found}"
        for entry in trace.entries:
            if isinstance(entry.what, Looked):
                looks[entry.what.observation.is_whole] += 1
    some, all_ = looks
    assert some > all_ / 2
