"""A person's words reach a run that is going on, within one pass, in virtual time and through the real commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.execution.executor import SendOutcome
from reconciler.journal.journal import Permit
from reconciler.journal.memory import MemoryJournal
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import RolloutPolicy, Share
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Halted, Retried, RolloutEntry, Suspended, WaveStarted
from reconciler.model.step import Step
from tests.controller.pretend_world import World, carried_out, is_at, obeys, world_of
from tests.fleet_samples import NOW, device, fleet

ONE_BY_ONE = fleet(rollout=RolloutPolicy(concurrent_max=Share(1)))
DEVICES = tuple(device(number, device_os="6.2.0") for number in (1, 2, 3))


def after_the_first_step(say: Callable[[], Any]) -> Callable[[World, ObservedDevice, Step], SendOutcome]:
    """Devices obey; while the first step is sent, a person says something."""

    def behaviour(world: World, to: ObservedDevice, step: Step) -> SendOutcome:
        if len(world.sent) == 1:
            say()
        return obeys(world, to, step)

    return behaviour


def arrived(world: World) -> int:
    return sum(is_at(each, "6.3.4") for each in world.devices.values())


def test_halt_is_heard_by_a_run_on_the_same_journal_in_its_next_pass(tmp_path: Path) -> None:
    place = tmp_path / "journal.sqlite"

    def say() -> None:
        said = CliRunner().invoke(cli, ["halt", "eu", "--journal", str(place), "--reason", "smoke", "--by", "ada"])
        assert said.exit_code == 0, said.output

    with SqliteJournal(place) as journal:
        world = world_of(*DEVICES, behaviour=after_the_first_step(say))
        world.journal = journal  # type: ignore[assignment]  # the world needs no more than the promise of a journal
        carried_out(world, ONE_BY_ONE)
        assert len(world.sent) == 1
        assert arrived(world) == 1
        assert CliRunner().invoke(cli, ["resume", "eu", "--journal", str(place)]).exit_code == 0
        carried_out(world, ONE_BY_ONE)
        assert arrived(world) == 3


def test_a_suspension_holds_a_run_that_is_going_on_and_ends_by_itself() -> None:
    world = world_of(*DEVICES)
    until = Instant(world.now + 7200)

    def say() -> None:
        world.journal.note([Suspended(fleet="eu", at=world.now, reason="storm", until=until, by="ada")])

    world.behaviour = after_the_first_step(say)
    carried_out(world, ONE_BY_ONE)
    assert len(world.sent) == 1
    world.skip(7200)
    carried_out(world, ONE_BY_ONE)
    assert arrived(world) == 3


class OvertakenJournal(MemoryJournal):
    """A person's word is written down in the very moment before the run notes its first wave."""

    def __init__(self, word: RolloutEntry) -> None:
        super().__init__()
        self.word: RolloutEntry | None = word

    def note(self, entries: Sequence[RolloutEntry], *, permit: Permit | None = None, after: int | None = None) -> None:
        word = self.word
        if word is not None and any(isinstance(entry, WaveStarted) for entry in entries):
            self.word = None
            super().note([word])
        super().note(entries, permit=permit, after=after)


def test_a_halt_between_two_looks_at_the_journal_holds_and_the_journal_can_still_be_read() -> None:
    journal = OvertakenJournal(Halted(fleet="eu", at=NOW, reason="smoke", by="ada"))
    world = world_of(*DEVICES, journal=journal)
    carried_out(world, ONE_BY_ONE)
    assert journal.word is None
    assert world.sent == []
    assert [noted.entry for noted in journal.entries() if isinstance(noted.entry, WaveStarted)] == []
    journal.lift("eu", world.now, by="ada")
    carried_out(world, ONE_BY_ONE)
    assert arrived(world) == 3


def test_a_word_that_holds_nobody_costs_a_run_one_pass_and_no_more() -> None:
    journal = OvertakenJournal(Retried(fleet="eu", at=NOW, device_id=DEVICES[0].id, by="ada"))
    world = world_of(*DEVICES, journal=journal)
    carried_out(world, ONE_BY_ONE)
    assert journal.word is None
    assert arrived(world) == 3
