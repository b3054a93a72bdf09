"""The life of a rollout is folded from what happened, and no life can be told that was not lived."""

from __future__ import annotations

from functools import reduce

import pytest

from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import DeviceId, DeviceMode
from reconciler.model.error import BugError
from reconciler.model.instant import Instant
from reconciler.model.rollout import FleetStory, RolloutState, WaveState, story_of
from reconciler.model.rollout_entry import (
    DeviceUnwell,
    Halted,
    Resumed,
    Retried,
    RolloutBegan,
    RolloutCompleted,
    RolloutEntry,
    RolloutSuperseded,
    Suspended,
    WaveCompleted,
    WaveGrew,
    WaveSoaking,
    WaveStarted,
)
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion

ONE, TWO, THREE = (DeviceId(f"e00fce68000000000000000{number}") for number in (1, 2, 3))


def began(at: float = 10, intent: str = "6.3.4 required -") -> RolloutBegan:
    return RolloutBegan(fleet="eu", at=Instant(at), rollout_id=f"eu-{at:g}", intent=intent, plan_id="p", devices=3)


def started(wave: str, *members: DeviceId, at: float = 11) -> WaveStarted:
    of_wave = frozenset(members) or None
    return WaveStarted(fleet="eu", at=Instant(at), wave=wave, devices=len(members) or 2, members=of_wave)


def soaking(wave: str, at: float = 20) -> WaveSoaking:
    return WaveSoaking(fleet="eu", at=Instant(at), wave=wave)


def completed(wave: str, at: float = 30) -> WaveCompleted:
    return WaveCompleted(fleet="eu", at=Instant(at), wave=wave, verified=1, failed=0, not_reached=0)


def halted(at: float = 40) -> Halted:
    return Halted(fleet="eu", at=Instant(at), reason="2 devices failed")


def resumed(at: float = 50) -> Resumed:
    return Resumed(fleet="eu", at=Instant(at), by="ada")


def tried(device_id: DeviceId, *, at: float, number: int | None = None) -> Attempt:
    """An attempt that nothing is known of but when it began."""
    lock = LockApplication(application=ApplicationVersion(2), size=None, boots_into=DeviceMode.NORMAL)
    return Attempt(
        id=f"attempt-{number}",
        device_id=device_id,
        fleet="eu",
        plan_id="p",
        step=lock,
        state=AttemptState.INTENDED,
        intended_at=Instant(at),
        handshake_before=None,
        number=number,
    )


def story(*entries: RolloutEntry) -> FleetStory:
    return story_of("eu", entries)


def test_a_rollout_goes_wave_by_wave_to_its_end() -> None:
    done = story(
        began(),
        started("canary", ONE),
        soaking("canary"),
        completed("canary"),
        started("rest", at=31),
        completed("rest", at=60),
        RolloutCompleted(fleet="eu", at=Instant(60)),
    ).rollout
    assert done is not None
    assert done.state is RolloutState.COMPLETE
    assert [(wave.name, wave.state, wave.started_at, wave.soaking_since, wave.ended_at) for wave in done.waves] == [
        ("canary", WaveState.COMPLETE, 11, 20, 30),
        ("rest", WaveState.COMPLETE, 31, None, 60),
    ]


def test_the_last_wave_has_every_device_that_no_other_has() -> None:
    rollout = story(began(), started("canary", ONE), completed("canary"), started("rest", at=31)).rollout
    assert rollout is not None
    places = [rollout.wave_of(device) for device in (ONE, TWO)]
    assert [place.name for place in places if place is not None] == ["canary", "rest"]


def test_a_device_of_a_wave_that_is_still_to_come_is_in_no_started_one() -> None:
    rollout = story(began(), started("canary", ONE)).rollout
    assert rollout is not None
    assert rollout.wave_of(TWO) is None


def test_a_wave_that_grows_keeps_what_it_had_and_the_whole_of_its_limits() -> None:
    grown = WaveGrew(fleet="eu", at=Instant(15), wave="canary", members=frozenset({TWO}))
    rollout = story(began(), started("canary", ONE), grown).rollout
    assert rollout is not None
    assert rollout.waves[0].members == {ONE, TWO}
    assert rollout.waves[0].devices == 1


def test_a_halt_stays_for_its_first_reason_and_a_resumed_rollout_counts_failures_anew() -> None:
    after = story(began(), started("all"), halted(40), Halted(fleet="eu", at=Instant(41), reason="again"))
    assert after.halted == halted(40)
    assert after.rollout is not None
    assert after.rollout.state is RolloutState.HALTED
    lifted = after.after(resumed(50))
    assert lifted.rollout is not None
    assert (lifted.rollout.state, lifted.halted, lifted.counting.at) == (RolloutState.ROLLING, None, 50)


def test_a_rollout_that_was_complete_is_complete_again_after_a_halt() -> None:
    ended = (began(), started("all"), completed("all"), RolloutCompleted(fleet="eu", at=Instant(31)))
    after = story(*ended, halted(), resumed()).rollout
    assert after is not None
    assert after.state is RolloutState.COMPLETE


def test_a_halt_before_any_rollout_holds_the_fleet() -> None:
    assert story(halted()).halted == halted()
    assert story(halted(), resumed()).halted is None


def test_another_intent_begins_another_rollout_with_nothing_to_its_name() -> None:
    unwell = DeviceUnwell(fleet="eu", at=Instant(20), device_id=ONE, check="reset_loop", why="watchdog")
    over = RolloutSuperseded(fleet="eu", at=Instant(70), intent="6.4.0 required -")
    after = story(began(), started("all"), unwell, over, began(80, "6.4.0 required -"))
    assert after.rollout is not None
    assert (after.rollout.id, after.unwell, after.began.at) == ("eu-80", {}, 80)


def test_who_is_retried_starts_with_a_clean_slate() -> None:
    unwell = DeviceUnwell(fleet="eu", at=Instant(20), device_id=ONE, check="reset_loop", why="watchdog")
    after = story(began(), started("all"), unwell, Retried(fleet="eu", at=Instant(25), device_id=ONE, by="ada"))
    assert after.unwell == {}
    told = [after.uses_up_tries(tried(device, at=at)) for device in (ONE, TWO) for at in (20, 25)]
    assert told == [False, True, True, True]


def test_what_was_under_way_at_a_persons_word_and_fails_later_counts() -> None:
    words = (
        Resumed(fleet="eu", at=Instant(50), latest_attempt=2, under_way=frozenset({"attempt-2"})),
        Retried(fleet="eu", at=Instant(50), device_id=ONE, latest_attempt=2, under_way=frozenset({"attempt-2"})),
    )
    for word in words:
        after = story(began(), halted(), word)
        counts = [after.counts(tried(ONE, at=20, number=number)) for number in (1, 2, 3)]
        assert counts == [False, True, True], word


def test_what_a_person_was_told_of_as_overdue_is_settled_when_they_resume() -> None:
    told = Halted(fleet="eu", at=Instant(40), reason="1 failed", overdue=frozenset({"attempt-2"}))
    again = Halted(fleet="eu", at=Instant(60), reason="1 failed", overdue=frozenset({"attempt-3"}))
    under_way = frozenset({"attempt-2", "attempt-3"})
    resumed_with_both = Resumed(fleet="eu", at=Instant(50), latest_attempt=3, under_way=under_way)
    after = story(began(), told, resumed_with_both)
    assert [after.counts(tried(ONE, at=20, number=number)) for number in (2, 3)] == [False, True]
    after = story(began(), told, resumed_with_both, again, resumed_with_both)
    assert [after.counts(tried(ONE, at=20, number=number)) for number in (2, 3)] == [False, False]


def test_what_is_of_a_rollout_does_not_hang_on_a_clock_that_jumped_when_it_began() -> None:
    ahead = RolloutBegan(
        fleet="eu", at=Instant(9000), rollout_id="eu-1", intent="-", plan_id="p", devices=3, latest_attempt=7
    )
    after = story(ahead)
    assert [after.counts(tried(ONE, at=20, number=number)) for number in (7, 8)] == [False, True]


@pytest.mark.parametrize(
    "lived",
    [
        (started("canary", ONE),),
        (began(), began(20)),
        (began(), soaking("canary")),
        (began(), started("canary", ONE), started("rest")),
        (began(), started("canary", ONE), completed("canary"), started("canary", TWO)),
        (began(), started("all"), completed("all"), started("more", at=40)),
        (began(), started("canary", ONE), completed("canary"), soaking("canary")),
        (began(), started("canary", ONE), completed("canary"), completed("canary")),
        (began(), halted(), started("canary", ONE)),
        (began(), started("all"), halted(), completed("all")),
        (began(), started("all"), completed("all"), halted(), RolloutCompleted(fleet="eu", at=Instant(41))),
        (began(), started("all"), WaveGrew(fleet="eu", at=Instant(15), wave="all", members=frozenset({TWO}))),
        (began(), RolloutCompleted(fleet="eu", at=Instant(9)), RolloutCompleted(fleet="eu", at=Instant(9))),
        (began(), RolloutSuperseded(fleet="eu", at=Instant(9), intent="x"), started("all")),
    ],
    ids=lambda lived: "-".join(type(entry).__name__ for entry in lived),
)
def test_a_life_that_cannot_be_is_not_told(lived: tuple[RolloutEntry, ...]) -> None:
    with pytest.raises(BugError, match="PFR9004"):
        reduce(FleetStory.after, lived, FleetStory(fleet="eu"))


def test_what_cannot_follow_in_a_journal_changes_nothing_and_what_comes_after_is_told() -> None:
    told = story(
        began(), halted(), started("canary", ONE), completed("canary"), resumed(), started("first", TWO, at=60)
    )
    assert told.halted is None
    assert told.rollout is not None
    assert [wave.name for wave in told.rollout.waves] == ["first"]


def suspended(until: float | None) -> Suspended:
    end = None if until is None else Instant(until)
    return Suspended(fleet="eu", at=Instant(10), reason="modem firmware", until=end, by="ada")


def test_a_suspension_ends_at_its_time_by_itself() -> None:
    held = story(suspended(100))
    assert held.is_suspended(Instant(99))
    assert not held.is_suspended(Instant(100))


def test_a_suspension_without_an_end_lasts_until_a_person_resumes() -> None:
    assert story(suspended(None)).is_suspended(Instant(1e12))
    assert not story(suspended(None), resumed()).is_suspended(Instant(51))
    assert not story().is_suspended(Instant(51))


def test_of_two_suspensions_the_later_one_counts() -> None:
    assert not story(suspended(None), suspended(100)).is_suspended(Instant(100))
