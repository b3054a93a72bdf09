"""A controller in trouble, in virtual time: what is told of it, once, and when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.controller.daemon import Daemon
from reconciler.controller.runner import InProcess
from reconciler.journal.memory import MemoryJournal
from reconciler.model.error import JournalError, OperatorError
from reconciler.model.event import Recovered, Troubled
from tests.simulation.test_controller import HOUR, WORLD, fleet, releases
from tests.simulation.virtual import VirtualCloud
from tests.simulation.virtual_controller import PretendSource, VirtualController

WRITES = ("begin", "record", "note", "keep", "set_", "release", "take", "halt", "lift")


class FullDisk:
    """A journal that can be read; while `full` nothing can be written to it."""

    def __init__(self) -> None:
        self._journal = MemoryJournal()
        self.full = False

    def __getattr__(self, name: str) -> Any:
        if self.full and name.startswith(WRITES):
            raise JournalError("PFR5004", "the journal cannot be written: no space left on device")
        return getattr(self._journal, name)


@pytest.fixture
def virtual() -> VirtualCloud:
    return VirtualCloud(WORLD)


@pytest.fixture
def source(virtual: VirtualCloud) -> PretendSource:
    return PretendSource(clock=virtual.clock)


def test_trouble_with_a_product_that_is_not_meant_any_more_is_over(
    virtual: VirtualCloud, source: PretendSource
) -> None:
    controller = VirtualController(virtual, source, MemoryJournal())
    elsewhere = fleet("us")["us.yaml"].replace("product: cold-chain", "product: nowhere")
    source.push({**fleet(), "us.yaml": elsewhere})
    controller.run_for(HOUR)
    assert set(controller.loop.troubles()) == {"product nowhere"}
    source.push({**fleet(), **fleet("us")})
    controller.run_for(3 * HOUR)
    assert controller.loop.troubles() == {}
    assert [event.what for event in controller.told(Recovered)] == ["product nowhere"]
    assert releases(virtual) == ["3.0.0"]


def test_a_pass_that_does_not_end_is_told_once_and_its_end_too(virtual: VirtualCloud, source: PretendSource) -> None:
    controller = VirtualController(virtual, source, MemoryJournal())
    source.push({**fleet(), **fleet("us", more="  rollout: {maxConcurrent: 1}\n")})
    controller.run_for(300.0)
    passes, stuck = controller.loop.passes, list[Callable[[], None]]()
    monotonic = passes.means.monotonic
    passes.runner = InProcess(passes, passes.schedule, launch=stuck.append, monotonic=monotonic)
    controller.run_for(3 * HOUR)
    assert [(event.what, event.code) for event in controller.told(Troubled)] == [("product cold-chain", "PFR6907")]
    assert len(stuck) == 1
    passes.runner = InProcess(passes, passes.schedule, launch=lambda work: work(), monotonic=monotonic)
    stuck[0]()
    controller.run_for(5 * HOUR)
    assert [event.what for event in controller.told(Recovered)] == ["product cold-chain"]
    assert releases(virtual) == ["3.0.0"]


def test_a_token_file_that_cannot_be_used_is_told_once_and_stops_nothing(
    virtual: VirtualCloud, source: PretendSource
) -> None:
    controller = VirtualController(virtual, source, MemoryJournal())
    desk = Daemon(controller.loop.means, traffic=controller.connection.api.wire.totals, holder="a test")
    controller.token_trouble = OperatorError("PFR3012", "the token file x cannot be read: permission denied")
    source.push({**fleet(), **fleet("us")})
    desk.loop.turn()
    (told,) = [check for check in desk.checks() if check.name == "token"]
    assert (told.ok, told.message.endswith("the last token that could be read goes on (PFR3012)")) == (True, True)
    controller.run_for(3 * HOUR)
    assert [(event.what, event.code) for event in controller.told(Troubled)][-1] == ("token file", "PFR3012")
    assert releases(virtual) == ["3.0.0"]
    controller.token_trouble = None
    controller.run_for(60.0)
    assert [event.what for event in controller.told(Recovered)] == ["token file"]


def test_a_token_that_the_cloud_refuses_is_what_the_desk_says(virtual: VirtualCloud, source: PretendSource) -> None:
    controller = VirtualController(virtual, source, MemoryJournal())
    desk = Daemon(controller.loop.means, traffic=controller.connection.api.wire.totals, holder="a test")
    assert {check.name: check.ok for check in desk.checks()}["token"]
    desk.loop.troubles.began("product cold-chain", "PFR3002", "the cloud refuses the token")
    failed = {check.name for check in desk.checks() if not check.ok}
    assert {"token", "cloud"} <= failed


def test_a_full_disk_is_told_once_and_its_end_once(virtual: VirtualCloud, source: PretendSource) -> None:
    journal = FullDisk()
    controller = VirtualController(virtual, source, journal)  # type: ignore[arg-type]  # all of a journal, by its name
    source.push(fleet(more="  rollout: {maxConcurrent: 1}\n"))
    controller.run_for(300.0)
    journal.full = True
    controller.run_for(2 * HOUR)
    assert set(controller.loop.troubles()) == {"journal"}
    assert Counter(event.what for event in controller.told(Troubled)) == {"journal": 1}
    assert controller.told(Recovered) == []
    journal.full = False
    controller.run_for(5 * HOUR)
    assert [event.what for event in controller.told(Recovered)] == ["journal"]
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    assert virtual.cloud.violations() == ()
