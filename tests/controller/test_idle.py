"""A fleet that is as desired and that nobody touches: passes over it write nothing, and ask next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from reconciler.controller.cycle import reconcile_pass
from reconciler.controller.run import Run
from reconciler.emulator.device import Device
from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.inventory import Inventory
from reconciler.inventory.watching import WatchingInventory
from reconciler.journal.journal import Journal
from reconciler.model.allowance import REQUESTS
from tests.counted_journal import CountedJournal
from tests.simulation.stage import manifests_for, world_text
from tests.simulation.virtual import Play, VirtualCloud, fleets_from

DEVICES = """
  - {count: 450, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 2, groups: [all]}
  - {count: 20, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 2, groups: [all], online: 0}
  - {count: 30, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 2, groups: [all],
     online: {everySeconds: 900, forSeconds: 60}}
"""
PAGES = 5
PASS_SECONDS = 60.0
INTERVAL_SECONDS = 600.0


@dataclass
class Idle:
    """A run over a fleet that is as desired, behind the passes that find that out."""

    play: Play
    run: Run
    journal: CountedJournal

    @property
    def devices(self) -> list[Device]:
        return list(self.play.virtual.cloud.state.devices.values())

    def passes(self, count: int) -> int:
        """So many passes, a minute apart; how many requests left."""
        before = len(self.play.virtual.cloud.requests)
        for _ in range(count):
            for scope in self.play.scopes:
                reconcile_pass(self.run, scope)
            self.play.virtual.sleep(PASS_SECONDS)
        return len(self.play.virtual.cloud.requests) - before


def idle(folder: Path, sight: Callable[[VirtualCloud], Callable[[Inventory], Inventory]]) -> Idle:
    virtual, journal = VirtualCloud(world_text(DEVICES)), CountedJournal()
    fleets = fleets_from(folder, manifests_for(("cold-chain",)))
    play = Play(virtual=virtual, fleets=fleets, journal=cast(Journal, journal), sight=sight(virtual))
    _, agreement = play.agree()
    play.carry_out(agreement)
    assert play.run is not None
    found = Idle(play, play.run, journal)
    # Until a list has shown what our own release did to every device.
    found.passes(round(INTERVAL_SECONDS / PASS_SECONDS) + 2)
    journal.written.clear()
    return found


def watching(virtual: VirtualCloud) -> Callable[[Inventory], Inventory]:
    def eyes(listing: Inventory) -> Inventory:
        assert isinstance(listing, CloudInventory)
        assert listing._hearing is not None
        return WatchingInventory(
            listing,
            listing._hearing,
            interval_seconds=INTERVAL_SECONDS,
            requests_per_second=REQUESTS.per_second,
            monotonic=virtual.monotonic,
        )

    return eyes


def listing(virtual: VirtualCloud) -> Callable[[Inventory], Inventory]:
    return lambda eyes: eyes


@pytest.mark.parametrize("sight", [watching, listing])
def test_passes_over_a_fleet_that_is_as_desired_write_nothing(
    tmp_path: Path, sight: Callable[[VirtualCloud], Callable[[Inventory], Inventory]]
) -> None:
    """Thirty devices wake up and fall asleep all the time: that is no news to the journal."""
    on = idle(tmp_path, sight)
    on.passes(60)
    assert on.journal.written == {}
    (plan,) = on.run.plans.values()
    assert plan.summary.current == len(on.devices)


def test_passes_ask_for_what_was_told_of_and_for_everything_at_the_interval(tmp_path: Path) -> None:
    on = idle(tmp_path, watching)
    told = 30 * 2 * (INTERVAL_SECONDS / 900)
    in_an_interval = on.passes(round(INTERVAL_SECONDS / PASS_SECONDS))
    list_and_holdings = PAGES + 1
    assert list_and_holdings <= in_an_interval <= list_and_holdings * 2 + told
    every_pass_a_list = INTERVAL_SECONDS / PASS_SECONDS * list_and_holdings
    assert in_an_interval < every_pass_a_list


def test_a_lock_that_somebody_sets_is_written_down_once(tmp_path: Path) -> None:
    """The counting counts: a change in the console that no event tells of is found by the next list."""
    on = idle(tmp_path, watching)
    on.devices[0].locked = 1
    on.passes(round(INTERVAL_SECONDS / PASS_SECONDS) + 2)
    assert on.journal.written["keep_look"] == 1
    on.journal.written.clear()
    on.passes(15)
    assert on.journal.written == {}
