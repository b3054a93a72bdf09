"""Whoever dies at whatever moment: no bad news is lost, and what was crossed out is not repeated."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reconciler.journal.memory import MemoryJournal
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.error import JournalError
from reconciler.model.event import IntentTaken
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Resumed
from reconciler.telemetry.channel import DeliveryError
from reconciler.telemetry.news import News
from reconciler.telemetry.notifications import Telling
from reconciler.telemetry.pace import Pace
from tests.telemetry.world_of_news import (
    Clock,
    Killed,
    Remembering,
    an_intent,
    halted,
    recovered,
    refused,
    set_aside,
    settings,
    telling,
    troubled,
    until_quiet,
)


def test_a_restart_in_the_middle_of_trouble_tells_it_neither_twice_nor_not_at_all(tmp_path: Path) -> None:
    clock, channel = Clock(), Remembering()
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        told = telling(journal, (settings(), channel), clock=clock)
        told.tell(troubled())
        journal.note([halted()])
        until_quiet(told, clock)
    for at in (2, 3):
        with SqliteJournal(tmp_path / "journal.sqlite") as journal:
            told = telling(journal, (settings(), channel), clock=clock)
            told.tell(troubled(at=at))  # the new process finds the source as it was
            until_quiet(told, clock)
    assert sorted(channel.reasons) == ["RolloutHalted", "Troubled"]
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        told = telling(journal, (settings(), channel), clock=clock)
        told.tell(recovered())
        until_quiet(told, clock)
    assert channel.reasons[2:] == ["Recovered"]


def test_what_was_found_and_not_delivered_is_delivered_by_the_next_process() -> None:
    journal, clock, channel = MemoryJournal(), Clock(), Remembering(down=DeliveryError("no"))
    told = telling(journal, (settings(), channel), clock=clock)
    told.tell(refused())
    journal.note([halted(), halted("us")])
    until_quiet(told, clock)
    channel.down = None
    until_quiet(telling(journal, (settings(), channel), clock=clock), clock)
    assert sorted(channel.reasons) == ["IntentRefused", "RolloutHalted", "RolloutHalted"]


def test_who_dies_between_a_delivery_and_its_record_repeats_that_one_with_the_same_id() -> None:
    journal, clock, channel = MemoryJournal(), Clock(), Remembering()

    def die() -> None:
        channel.after = lambda: None
        raise Killed

    told = telling(journal, (settings(), channel), clock=clock)
    journal.note([halted(), halted("us")])
    channel.after = die
    with pytest.raises(Killed):
        until_quiet(told, clock)
    until_quiet(telling(journal, (settings(), channel), clock=clock), clock)
    assert [each.fleet for each in channel.taken] == ["eu", "eu", "us"]
    assert channel.taken[0] == channel.taken[1]
    assert channel.taken[0].id != channel.taken[2].id


def test_a_commit_that_was_taken_while_the_process_died_is_not_refused_for_ever() -> None:
    journal, clock, channel = MemoryJournal(), Clock(), Remembering()
    told = telling(journal, (settings(only_bad=True), channel), clock=clock)
    told.tell(refused())
    until_quiet(told, clock)
    journal.keep_intent(an_intent())  # and the event that says so is never heard
    until_quiet(telling(journal, (settings(only_bad=True), channel), clock=clock), clock)
    assert channel.reasons == ["IntentRefused", "Recovered"]


def test_people_are_not_told_again_and_again_where_the_journal_cannot_be_written() -> None:
    class FullJournal(MemoryJournal):
        full = False

        def set_bookmarks(self, values: object) -> None:
            if self.full:
                raise JournalError("PFR5004", "the disk is full")
            super().set_bookmarks(values)  # type: ignore[arg-type]  # passed on

    journal, clock, channel = FullJournal(), Clock(), Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    journal.note([halted(), halted("us")])

    def fill() -> None:
        journal.full = True

    channel.after = fill
    for _ in range(30):
        clock.at += 20
        try:
            told.turn()
        except JournalError:
            continue
    journal.full, channel.after = False, lambda: None
    until_quiet(told, clock)
    assert [each.fleet for each in channel.taken] == ["eu", "us"]


class DyingJournal(MemoryJournal):
    """Dies before or after the nth write of a bookmark."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left: int | None = None
        self.dies_after = False

    def set_bookmarks(self, values: object) -> None:
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left < 0 and not self.dies_after:
                raise Killed
        super().set_bookmarks(values)  # type: ignore[arg-type]  # passed on
        if self.writes_left is not None and self.writes_left < 0:
            raise Killed


words = st.sampled_from(
    ["halt eu", "halt us", "resume eu", "trouble", "recover", "refuse", "take", "aside d1", "aside d2"]
)
lives = st.lists(
    st.tuples(
        st.lists(words, max_size=4),
        st.none() | st.integers(0, 5),  # how many writes the process lives
        st.booleans(),  # and whether the last one still counts
        st.sampled_from(["up", "down", "dies before", "dies after"]),
        st.floats(0, 120),
    ),
    min_size=1,
    max_size=6,
)


EACH_ALONE = Pace(burst_max=1000, unhurried_rest=20.0, retry_max=30.0)


class Lives:
    """Processes one after the other on one journal. Each tells anew what it finds still wrong, as the loop does."""

    def __init__(self, *, only_bad: bool) -> None:
        self.journal, self.clock, self.channel = DyingJournal(), Clock(), Remembering()
        self.settings = settings(only_bad=only_bad)
        self.wrong: dict[str, float] = {}
        self.ever_halted: Counter[str] = Counter()
        self.begin()

    def begin(self) -> Telling:
        told = telling(self.journal, (self.settings, self.channel), clock=self.clock, pace=EACH_ALONE)
        for word, since in self.wrong.items():
            self.happens(told, word, since)
        return told

    def live(self, happened: list[str], writes: int | None, dies_after: bool, state: str, seconds: float) -> None:
        self.channel.down = DeliveryError("down") if state == "down" else None
        self.channel.before = self.die if state == "dies before" else lambda: None
        self.channel.after = self.die if state == "dies after" else lambda: None
        self.journal.writes_left, self.journal.dies_after = writes, dies_after
        with suppress(Killed):
            told = self.begin()
            for word in happened:
                self.clock.at += 1
                self.happens(told, word, self.clock.at)
            until_quiet(told, self.clock, seconds)

    def die(self) -> None:
        raise Killed

    def happens(self, told: Telling, word: str, at: float) -> None:
        match word.split():
            case ["halt", fleet]:
                self.journal.note([halted(fleet, at=at)])
                self.ever_halted[fleet] += 1
            case ["resume", fleet]:
                self.journal.note([Resumed(fleet=fleet, at=Instant(at))])
            case ["trouble"]:
                self.wrong.setdefault(word, at)
                told.tell(troubled(at=at))
            case ["recover"]:
                self.wrong.pop("trouble", None)
                told.tell(recovered(at=at))
            case ["refuse"]:
                self.wrong.setdefault(word, at)
                told.tell(refused(at=at))
            case ["take"]:
                self.wrong.pop("refuse", None)
                self.journal.keep_intent(an_intent(at=at))
                told.tell(IntentTaken(at=Instant(at), intent=an_intent(at=at)))
            case ["aside", device]:
                self.wrong.setdefault(word, at)
                told.tell(set_aside(device, at=at))

    def heard(self, reason: str) -> list[News]:
        """What came, told by its ids: what came twice is one."""
        return [each for each in {each.id: each for each in self.channel.taken}.values() if each.reason == reason]


@given(lives=lives, only_bad=st.booleans())
@hypothesis_settings(max_examples=80, deadline=None)
def test_no_bad_news_is_lost_whatever_the_order_of_crashes(
    lives: list[tuple[list[str], int | None, bool, str, float]], only_bad: bool
) -> None:
    world = Lives(only_bad=only_bad)
    for life in lives:
        world.live(*life)
    world.live([], None, False, "up", 300)
    assert Counter(each.fleet for each in world.heard("RolloutHalted")) == world.ever_halted
    assert bool(world.heard("Troubled")) >= ("trouble" in world.wrong)
    assert bool(world.heard("IntentRefused")) >= ("refuse" in world.wrong)
    asides = " ".join(each.message for each in world.heard("DevicesSetAside"))
    assert all(word.split()[1] in asides for word in world.wrong if word.startswith("aside"))
    before = len(world.channel.taken)
    world.live([], None, False, "up", 300)
    assert len(world.channel.taken) == before, "a restart repeats nothing"
