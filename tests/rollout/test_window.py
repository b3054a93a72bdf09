from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from reconciler.model.fleet import AllowWindow, DenyWindow
from reconciler.model.instant import Instant
from reconciler.rollout.window import is_open

ALL_DAYS = (0, 1, 2, 3, 4, 5, 6)
SATURDAY, SUNDAY = 5, 6
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, *, fold: int = 0) -> Instant:
    """A local time in Berlin; `fold` 1: the second of two."""
    return Instant(datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp())


def utc(text: str) -> Instant:
    return Instant(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def daily(
    start: str, hours: float, *, days: tuple[int, ...] = ALL_DAYS, zone: str = "Europe/Berlin"
) -> tuple[AllowWindow]:
    hour, minute = map(int, start.split(":"))
    return (AllowWindow(days=days, start_minute=hour * 60 + minute, duration_seconds=hours * 3600, time_zone=zone),)


def opened(window: tuple[AllowWindow, ...], *moments: Instant) -> list[bool]:
    return [is_open(window, (), moment) for moment in moments]


def test_without_an_allow_everything_is_allowed() -> None:
    assert is_open((), (), at("2026-11-22T09:00"))


def test_an_opening_includes_its_start_and_excludes_its_end() -> None:
    moments = [at(f"2026-11-22T{time}") for time in ("01:59:59", "02:00", "04:59:59", "05:00")]
    assert opened(daily("02:00", 3), *moments) == [False, True, True, False]


def test_only_the_named_days_open() -> None:
    saturday, sunday = at("2026-11-21T03:00"), at("2026-11-22T03:00")
    assert opened(daily("02:00", 3, days=(SATURDAY,)), saturday, sunday) == [True, False]


def test_the_day_is_the_local_one() -> None:
    # In Auckland it is already Sunday when it is Saturday in UTC.
    window = daily("02:00", 3, days=(SUNDAY,), zone="Pacific/Auckland")
    assert opened(window, utc("2026-11-21T13:30"), utc("2026-11-22T13:30")) == [True, False]


def test_an_opening_that_crosses_midnight_belongs_to_the_day_of_its_start() -> None:
    window = daily("22:00", 4, days=(SATURDAY,))
    moments = [at(text) for text in ("2026-11-21T23:00", "2026-11-22T01:59", "2026-11-22T02:00", "2026-11-22T23:00")]
    assert opened(window, *moments) == [True, True, False, False]


def test_an_opening_may_last_for_days() -> None:
    window = daily("22:00", 50, days=(SATURDAY,))
    moments = [at(text) for text in ("2026-11-21T21:00", "2026-11-22T22:00", "2026-11-23T23:00", "2026-11-24T00:30")]
    assert opened(window, *moments) == [False, True, True, False]


def test_the_night_in_which_an_hour_is_missing_moves_the_end_and_not_the_length() -> None:
    # 29 March 2026: 02:00 becomes 03:00 in Berlin.
    window = daily("01:00", 3)
    moments = [at(text) for text in ("2026-03-29T00:59", "2026-03-29T01:00", "2026-03-29T04:59", "2026-03-29T05:00")]
    assert opened(window, *moments) == [False, True, True, False]


def test_the_night_in_which_an_hour_comes_twice_moves_the_end_and_not_the_length() -> None:
    # 25 October 2026: 03:00 becomes 02:00 in Berlin.
    window = daily("01:00", 3)
    moments = [at("2026-10-25T01:00"), at("2026-10-25T02:59", fold=1), at("2026-10-25T03:00")]
    assert opened(window, *moments) == [True, True, False]


def test_a_start_that_comes_twice_is_the_first_of_the_two() -> None:
    window = daily("02:30", 0.5)
    moments = [at("2026-10-25T02:30"), at("2026-10-25T02:30", fold=1)]
    assert opened(window, *moments) == [True, False]


@pytest.mark.parametrize(("start", "opens"), [("02:00", "03:00"), ("02:30", "03:30")])
def test_a_start_that_the_clock_skips_is_as_much_later_as_the_clock_is_moved(start: str, opens: str) -> None:
    first = at(f"2026-03-29T{opens}")
    assert opened(daily(start, 1), Instant(first - 1), first, Instant(first + 3599), Instant(first + 3600)) == [
        False,
        True,
        True,
        False,
    ]


def test_the_29th_of_february_is_a_day_like_others() -> None:
    window = daily("23:00", 2, days=(1,))  # it is a Tuesday in 2028
    assert opened(window, at("2028-02-29T23:30"), at("2028-03-01T00:30"), at("2028-03-01T23:30")) == [True, True, False]


def test_one_of_several_allows_is_enough() -> None:
    both = (*daily("02:00", 1), *daily("04:00", 1))
    assert opened(both, *(at(f"2026-11-22T0{hour}:30") for hour in (2, 3, 4))) == [True, False, True]


def test_a_deny_wins_over_every_allow_from_its_start_to_before_its_end() -> None:
    deny = (DenyWindow(from_instant=utc("2026-12-20T00:00"), until_instant=utc("2027-01-03T00:00"), reason="peak"),)
    moments = ["2026-12-19T23:59:59", "2026-12-20T00:00", "2027-01-02T23:59:59", "2027-01-03T00:00"]
    for allow in ((), daily("00:00", 24, zone="UTC")):
        assert [is_open(allow, deny, utc(moment)) for moment in moments] == [True, False, False, True]
