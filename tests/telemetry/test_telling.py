"""What people are told, and what not, in virtual time."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from reconciler.journal.journal import Journal, Looked
from reconciler.journal.memory import MemoryJournal
from reconciler.model.console import ChangeKind, ConsoleChange, Latch
from reconciler.model.device import DeviceId
from reconciler.model.error import JournalError
from reconciler.model.event import DeviceArrived, IntentTaken
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import (
    DeviceUnwell,
    Resumed,
    RolloutBegan,
    RolloutCompleted,
    WaveCompleted,
    WaveSoaking,
    WaveStarted,
)
from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry import reports
from reconciler.telemetry.channel import DeliveryError
from reconciler.telemetry.courier import Delivery
from reconciler.telemetry.matters import open_matters
from reconciler.telemetry.news import Severity
from reconciler.telemetry.pace import Pace
from tests.telemetry.world_of_news import (
    Clock,
    Remembering,
    RememberingForge,
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


@pytest.fixture
def journal() -> Journal:
    return MemoryJournal()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_rollout_is_told_turn_by_turn(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    began = RolloutBegan(fleet="eu", at=Instant(1), rollout_id="r1", intent="6.3.4 full -", plan_id="p", devices=5)
    started = WaveStarted(fleet="eu", at=Instant(2), wave="canary", devices=1, members=None)
    journal.note([began, started, WaveSoaking(fleet="eu", at=Instant(3), wave="canary")])
    until_quiet(told, clock)
    ended = WaveCompleted(fleet="eu", at=Instant(4), wave="canary", verified=1, failed=0, not_reached=0)
    journal.note([ended, RolloutCompleted(fleet="eu", at=Instant(5)), halted(at=6)])
    until_quiet(told, clock)
    assert channel.reasons == ["RolloutBegan", "WaveStarted", "WaveCompleted", "RolloutCompleted", "RolloutHalted"]
    assert [each.severity for each in channel.taken] == [Severity.INFO] * 4 + [Severity.ERROR]
    assert channel.taken[1].metadata == {"wave": "canary"}
    assert channel.taken[4].message == "eu: HALTED by itself: 3 of 3 failed"
    assert len({each.id for each in channel.taken}) == 5


def test_the_devices_of_a_wave_are_one_message(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    for number in range(40):
        told.tell(set_aside(f"d{number:02}", message="no answer" if number % 4 else "boot failed"))
        clock.at += 0.05
        told.turn()
    until_quiet(told, clock)
    (message,) = channel.taken
    assert message.message.startswith("eu: 40 devices are left alone\nno answer: d01, d02")
    assert "boot failed: d00" in message.message


def test_bad_news_of_devices_name_the_wave_that_is_under_way(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(only_bad=True), channel), clock=clock)
    began = RolloutBegan(fleet="eu", at=Instant(1), rollout_id="r1", intent="6.3.4 full -", plan_id="p", devices=5)
    journal.note([began, WaveStarted(fleet="eu", at=Instant(2), wave="canary", devices=1, members=None)])
    told.tell(set_aside("d1"))
    until_quiet(told, clock)
    assert channel.taken[0].metadata == {"rollout": "r1", "wave": "canary", "devices": "1"}


def test_devices_that_fail_one_by_one_for_an_hour_are_a_few_messages_and_all_are_told(
    journal: Journal, clock: Clock
) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    for number in range(120):
        told.tell(set_aside(f"d{number:03}"))
        until_quiet(told, clock, 30)
    until_quiet(told, clock)
    assert 5 <= len(channel.taken) <= 14
    assert sum(int(each.metadata["devices"]) for each in channel.taken) == 120


def test_a_halt_does_not_wait_for_the_devices(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    told.tell(set_aside("d1"))
    until_quiet(told, clock, 10)
    told.tell(set_aside("d2"))
    until_quiet(told, clock, 10)
    assert channel.reasons == ["DevicesSetAside"]
    journal.note([halted()])
    until_quiet(told, clock, 30)
    assert channel.reasons == ["DevicesSetAside", "RolloutHalted", "DevicesSetAside"]


def test_trouble_is_told_once_and_its_end_once(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    for event in (troubled(), troubled(at=2), troubled(at=3)):
        told.tell(event)
        until_quiet(told, clock)
    assert open_matters(journal) == {"the source"}
    for event in (recovered(at=4), recovered(at=5), recovered("the journal")):
        told.tell(event)
        until_quiet(told, clock)
    assert channel.reasons == ["Troubled", "Recovered"]
    assert open_matters(journal) == frozenset()
    assert journal.bookmarks("telling/matter/") == {}


def test_trouble_that_comes_and_goes_all_day_is_a_few_messages(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    for minute in range(240):
        told.tell(troubled(at=2.0 * minute) if minute % 2 == 0 else recovered(at=2.0 * minute))
        until_quiet(told, clock, 60)
    assert 2 <= len(channel.taken) < 100
    until_quiet(told, clock)
    assert channel.reasons[-1] == "Recovered"
    assert channel.reasons[::2] == ["Troubled"] * (len(channel.taken) // 2)


def test_trouble_of_another_kind_is_told_and_its_end_once(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(only_bad=True), channel), clock=clock)
    for event in (troubled(), troubled(code="PFR6503"), recovered()):
        told.tell(event)
        until_quiet(told, clock)
    assert channel.reasons == ["Troubled", "Troubled", "Recovered"]
    assert '"known": []' in (journal.bookmark("telling/channel/ops") or "")


def test_trouble_that_was_over_before_anybody_could_be_told_is_told_with_its_end(
    journal: Journal, clock: Clock
) -> None:
    channel = Remembering(down=DeliveryError("no"))
    told = telling(journal, (settings(only_bad=True), channel), clock=clock)
    told.tell(troubled())
    until_quiet(told, clock, 2)
    told.tell(recovered())
    until_quiet(told, clock)
    channel.down = None
    until_quiet(told, clock, 2_000)
    (message,) = channel.taken
    assert message.is_bad
    assert "the source is in trouble" in message.message
    assert "It is over since" in message.message


def test_a_commit_that_is_refused_again_and_again_is_told_once(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    for event in (refused(), refused(at=6), refused(code="PFR1002", at=7)):
        told.tell(event)
        until_quiet(told, clock)
    assert channel.reasons == ["IntentRefused", "IntentRefused"]
    assert "Next: mend it" in channel.taken[0].message
    journal.keep_intent(an_intent())
    told.tell(IntentTaken(at=Instant(10), intent=an_intent()))
    until_quiet(told, clock)
    assert channel.reasons[2:] == ["IntentTaken", "Recovered"]
    assert channel.taken[2].metadata["revision"].startswith("main@sha1:1f1f")


def test_who_wants_bad_news_alone_hears_the_end_of_them_and_no_other_good_news(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(only_bad=True), channel), clock=clock)
    journal.note([Resumed(fleet="us", at=Instant(1)), RolloutCompleted(fleet="us", at=Instant(2))])
    journal.keep_intent(an_intent())
    told.tell(recovered())
    until_quiet(told, clock)
    assert channel.reasons == []
    journal.note([halted("eu"), halted("us")])
    until_quiet(told, clock)
    journal.note([Resumed(fleet="eu", at=Instant(3)), Resumed(fleet="lab", at=Instant(3))])
    until_quiet(told, clock)
    assert [(each.reason, each.fleet) for each in channel.taken] == [
        ("RolloutHalted", "eu"),
        ("RolloutHalted", "us"),
        ("RolloutResumed", "eu"),
    ]


def test_a_channel_of_some_fleets_hears_of_these_and_of_the_controller(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(fleets=["us"]), channel), clock=clock)
    journal.note([halted("eu"), halted("us")])
    told.tell(set_aside("d1", "eu"))
    told.tell(troubled())
    until_quiet(told, clock)
    assert [(each.reason, each.fleet) for each in channel.taken] == [("RolloutHalted", "us"), ("Troubled", None)]


def test_what_others_change_and_devices_that_are_unwell_or_held_are_told_by_fleet(
    journal: Journal, clock: Clock
) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    changes = [
        ConsoleChange(
            device_id=DeviceId(f"d{number}"),
            fleet="eu",
            intent="i",
            kind=ChangeKind.LOCK,
            before="44",
            after="43",
            not_before=Instant(1),
            seen_at=Instant(2),
            concerns_git=number < 3,
        )
        for number in range(5)
    ]
    latch = Latch(device_id=DeviceId("d1"), fleet="eu", intent="i", why="three rounds", at=Instant(3))
    journal.keep_look(Looked(changes=changes, latches=[latch]))
    unwell = [
        DeviceUnwell(fleet="eu", at=Instant(3), device_id=DeviceId(f"d{number}"), check="vitals", why="restarts")
        for number in range(2)
    ]
    journal.note(unwell)
    until_quiet(told, clock)
    assert [each.message for each in channel.taken] == [
        "eu: 2 devices are unwell\nvitals: restarts: d0, d1",
        "eu: 3 devices are changed by somebody else\nlock 44 -> 43: d0, d1, d2",
        "eu: 1 device is held until a person comes\nthree rounds: d1",
    ]


def test_a_device_that_is_tried_again_and_left_alone_again_is_told_again(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    told.tell(set_aside("d1"))
    told.tell(set_aside("d1"))
    until_quiet(told, clock)
    told.tell(DeviceArrived(at=Instant(3), fleet="eu", device_id=DeviceId("d1")))
    told.tell(set_aside("d1"))
    until_quiet(told, clock)
    assert channel.reasons == ["DevicesSetAside", "DevicesSetAside"]


def test_what_happened_before_a_channel_was_there_is_not_told(journal: Journal, clock: Clock) -> None:
    journal.note([halted()])
    journal.keep_intent(an_intent())
    channel = Remembering()
    until_quiet(telling(journal, (settings(), channel), clock=clock), clock)
    assert channel.taken == []


def test_a_burst_is_a_few_messages_in_which_no_bad_news_is_cut(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    fleets = [f"fleet-{number:03}" for number in range(300)]
    journal.note([halted(fleet, reason="w" * 400) for fleet in fleets[:150]])
    journal.note([RolloutCompleted(fleet=fleet, at=Instant(2)) for fleet in fleets[150:]])
    until_quiet(told, clock)
    bad = "\n".join(each.message for each in channel.taken if each.is_bad)
    assert all(f"{fleet}: HALTED" in bad for fleet in fleets[:150])
    assert len(channel.taken) < 60
    assert sum(not each.is_bad for each in channel.taken) == 1
    assert max(len(each.message) for each in channel.taken) <= 2500


def test_a_channel_that_is_down_is_tried_less_and_less_often_and_loses_nothing(journal: Journal, clock: Clock) -> None:
    tries: list[float] = []
    channel = Remembering(down=DeliveryError("no connection"), before=lambda: tries.append(clock.at))
    told_of: list[Delivery] = []
    told = telling(journal, (settings(), channel), clock=clock, report=told_of.append)
    journal.note([halted()])
    until_quiet(told, clock, 7200)
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses[0] < 10
    assert 800 < pauses[-1] < 1000
    assert told_of[0] == Delivery(channel="ops", ok=False, why="no connection", left=1)
    channel.down = None
    until_quiet(told, clock, 1000)
    assert channel.reasons == ["RolloutHalted"]
    assert told_of[-1].ok


def test_who_asks_for_more_time_gets_it(journal: Journal, clock: Clock) -> None:
    tries: list[float] = []
    channel = Remembering(down=DeliveryError("429", retry_after_seconds=120), before=lambda: tries.append(clock.at))
    told = telling(journal, (settings(), channel), clock=clock)
    journal.note([halted()])
    until_quiet(told, clock, 130)
    assert len(tries) == 2
    assert tries[1] - tries[0] >= 120


def test_a_channel_that_fails_in_a_way_that_nobody_foresaw_does_not_stop_the_others(
    journal: Journal, clock: Clock
) -> None:
    wrong, right = Remembering(down=ZeroDivisionError("https://secret.example")), Remembering()
    told_of: list[Delivery] = []
    told = telling(journal, (settings("wrong"), wrong), (settings("right"), right), clock=clock, report=told_of.append)
    journal.note([halted()])
    until_quiet(told, clock)
    assert right.reasons == ["RolloutHalted"]
    assert {each.why for each in told_of if not each.ok} == {"unforeseen: ZeroDivisionError"}


def test_words_of_strangers_are_made_harmless_and_short(journal: Journal, clock: Clock) -> None:
    channel = Remembering()
    told = telling(journal, (settings(), channel), clock=clock, pace=Pace())
    journal.note([halted(reason="\x1b[31m\0 \u202e" + "x" * 9000)])
    told.tell(set_aside("d1", message="\x07" * 900))
    until_quiet(told, clock)
    assert len(channel.taken) == 2
    for each in channel.taken:
        assert len(each.message) <= 2500
        assert all(character.isprintable() or character == "\n" for character in each.message)


def test_without_channels_nothing_is_kept(journal: Journal, clock: Clock) -> None:
    told = telling(journal, clock=clock)
    told.tell(troubled())
    told.turn()
    assert journal.bookmarks("") == {}


def test_a_quiet_day_writes_nothing(journal: Journal, clock: Clock) -> None:
    told = telling(journal, (settings(), Remembering()), clock=clock)
    before = journal.bookmarks("")
    told.tell(recovered())
    told.tell(DeviceArrived(at=Instant(3), fleet="eu", device_id=DeviceId("d1")))
    until_quiet(told, clock, 86_400)
    assert journal.bookmarks("") == before


def test_a_channel_that_is_not_asked_for_any_more_leaves_nothing(journal: Journal, clock: Clock) -> None:
    telling(journal, (settings("old"), Remembering()), clock=clock)
    telling(journal, (settings("new"), Remembering()), clock=clock)
    assert list(journal.bookmarks("telling/")) == ["telling/channel/new"]


@pytest.mark.parametrize("name", ["telling/channel/ops", "telling/matter/trouble/x", "telling/status/ops"])
def test_a_bookmark_that_was_altered_is_an_error_with_a_code(journal: Journal, clock: Clock, name: str) -> None:
    telling(journal, (settings(), Remembering()), clock=clock)
    journal.set_bookmark(name, "{}")
    forge = ChannelSettings(name="ops", kind=ChannelKind.GITHUB)
    asked = forge if "status" in name else settings()
    channel = RememberingForge() if "status" in name else Remembering()
    journal.set_bookmark(name, "[1, 2]")
    with pytest.raises(JournalError, match="PFR5011"):
        telling(journal, (asked, channel), clock=clock)


def test_the_page_has_every_reason() -> None:
    room = Path(reports.__file__).parent
    code = "".join((room / name).read_text(encoding="utf-8") for name in ("reports.py", "matters.py"))
    reasons = set(re.findall(r'"((?:[A-Z][a-z]+){2,}|Troubled|Recovered)"', code))
    page = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
    assert "RolloutHalted" in reasons
    assert reasons == set(re.findall(r"`((?:[A-Z][a-z]+)+)`", page.partition("## Channels")[0]))
