from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from reconciler.model.fleet import AllowWindow, DenyDays, DenyWindow
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.rollout.window import HORIZON_DAYS, IsOpen, NeverOpens, OpensAt, WindowVerdict, window_verdict

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


def is_open(allow: tuple[AllowWindow, ...], deny: tuple[DenyWindow | DenyDays, ...], now: Instant) -> bool:
    return isinstance(window_verdict(allow, deny, None, now=now), IsOpen)


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


def test_the_verdict_says_until_when_it_is_open_and_when_it_opens_next() -> None:
    window = daily("02:00", 3)
    assert window_verdict(window, (), None, now=at("2026-11-22T03:00")) == IsOpen(until=at("2026-11-22T05:00"))
    assert window_verdict(window, (), None, now=at("2026-11-22T05:00")) == OpensAt(
        at=at("2026-11-23T02:00"), ending=False
    )


def test_what_has_no_end_in_sight_is_open_without_one() -> None:
    both = (*daily("05:00", 13, zone="UTC"), *daily("17:30", 12, zone="UTC"))
    for allow in ((), daily("00:00", 24, zone="UTC"), both):
        assert window_verdict(allow, (), None, now=at("2026-11-22T09:00")) == IsOpen(until=None)


def test_24_hours_of_every_day_leave_out_the_hour_that_comes_twice() -> None:
    # 25 October 2026 has 25 hours in Berlin, and an opening its length.
    found = window_verdict(daily("00:00", 24), (), None, now=at("2026-10-24T12:00"))
    assert found == IsOpen(until=at("2026-10-25T23:00"))


def test_openings_that_touch_or_overlap_are_one() -> None:
    window = (*daily("02:00", 1), *daily("03:00", 1), *daily("03:30", 2), *daily("06:00", 1))
    assert window_verdict(window, (), None, now=at("2026-11-22T02:15")) == IsOpen(until=at("2026-11-22T05:30"))


def test_a_freeze_inside_an_opening_parts_it() -> None:
    freeze = DenyWindow(from_instant=at("2026-11-22T03:00"), until_instant=at("2026-11-22T04:00"), reason="stocktaking")
    found = [
        window_verdict(daily("02:00", 3), (freeze,), None, now=at(f"2026-11-22T{time}"))
        for time in ("02:30", "03:30", "04:00")
    ]
    assert found == [
        IsOpen(until=at("2026-11-22T03:00")),
        OpensAt(at=at("2026-11-22T04:00"), ending=False),
        IsOpen(until=at("2026-11-22T05:00")),
    ]


def left(minutes: float, time: str) -> WindowVerdict:
    window = (*daily("02:00", 1), *daily("12:00", 2))
    return window_verdict(window, (), None, now=at(f"2026-11-22T{time}"), needed_seconds=minutes * 60)


def test_what_does_not_fit_into_the_rest_of_an_opening_waits_for_one_that_is_long_enough() -> None:
    assert left(30, "02:30") == IsOpen(until=at("2026-11-22T03:00"))
    assert left(31, "02:30") == OpensAt(at=at("2026-11-22T12:00"), ending=True)
    assert left(90, "14:00") == OpensAt(at=at("2026-11-23T12:00"), ending=False)


def test_what_fits_into_no_opening_never_starts() -> None:
    assert left(121, "12:30") == NeverOpens(ending=True)
    assert left(121, "15:00") == NeverOpens(ending=False)


def test_an_opening_behind_a_freeze_of_a_year_is_found_and_one_beyond_the_horizon_is_not() -> None:
    now = at("2026-11-22T09:00")
    for days, opens in ((365, True), (HORIZON_DAYS + 1, False)):
        freeze = DenyWindow(from_instant=now, until_instant=Instant(now + days * 86_400), reason="no")
        assert isinstance(window_verdict(daily("02:00", 3), (freeze,), None, now=now), OpensAt) is opens


OWN = AllowWindow(days=ALL_DAYS, start_minute=120, duration_seconds=10_800, time_zone=None)


def test_a_window_by_the_devices_own_zone_opens_in_each_zone_at_its_own_time() -> None:
    now = at("2026-11-22T02:30")  # 01:30 in Lisbon, 19:30 in Chicago
    opens = {
        zone: window_verdict((OWN,), (), zone, now=now)
        for zone in ("Europe/Berlin", "Europe/Lisbon", "America/Chicago")
    }
    assert opens == {
        "Europe/Berlin": IsOpen(until=at("2026-11-22T05:00")),
        "Europe/Lisbon": OpensAt(at=utc("2026-11-22T02:00"), ending=False),
        "America/Chicago": OpensAt(at=utc("2026-11-22T08:00"), ending=False),
    }


def test_a_device_whose_zone_is_not_known_never_starts_by_its_own_time() -> None:
    assert window_verdict((OWN,), (), None, now=at("2026-11-22T02:30")) == NeverOpens(ending=False)
    assert window_verdict((OWN, *daily("02:00", 3)), (), None, now=at("2026-11-22T02:30")) == IsOpen(
        until=at("2026-11-22T05:00")
    )


def test_a_freeze_by_days_begins_and_ends_with_the_day_in_each_zone() -> None:
    days = (DenyDays(from_day=date(2026, 12, 20), until_day=date(2027, 1, 3), reason="peak"),)
    spans = {}
    for zone in ("Pacific/Kiritimati", "UTC", "America/New_York", None):
        before = window_verdict((), days, zone, now=utc("2026-12-01T00:00"))
        within = window_verdict((), days, zone, now=utc("2026-12-27T00:00"))
        assert isinstance(before, IsOpen)
        assert isinstance(within, OpensAt)
        assert before.until is not None
        spans[zone] = iso_from_instant(before.until), iso_from_instant(within.at)
    assert spans == {
        "Pacific/Kiritimati": ("2026-12-19T10:00:00Z", "2027-01-02T10:00:00Z"),
        "UTC": ("2026-12-20T00:00:00Z", "2027-01-03T00:00:00Z"),
        "America/New_York": ("2026-12-20T05:00:00Z", "2027-01-03T05:00:00Z"),
        None: ("2026-12-19T10:00:00Z", "2027-01-03T12:00:00Z"),  # as long as it is one of the days somewhere
    }


def test_a_day_begins_when_the_clock_is_moved_where_midnight_is_skipped() -> None:
    # In Beirut 00:00 becomes 01:00 on 29 March 2026.
    days = (DenyDays(from_day=date(2026, 3, 29), until_day=date(2026, 3, 30), reason="no"),)
    assert window_verdict((), days, "Asia/Beirut", now=utc("2026-03-28T12:00")) == IsOpen(until=utc("2026-03-28T22:00"))
    assert window_verdict((), days, "Asia/Beirut", now=utc("2026-03-29T12:00")) == OpensAt(
        at=utc("2026-03-29T21:00"), ending=False
    )


def test_a_day_that_a_zone_skipped_has_no_opening() -> None:
    # In Apia 30 December 2011, a Friday, was left out: after Thursday came Saturday.
    fridays = daily("02:00", 3, days=(4,), zone="Pacific/Apia")
    found = window_verdict(fridays, (), None, now=utc("2011-12-28T00:00"))
    assert found == OpensAt(at=utc("2012-01-05T12:00"), ending=False)


def test_the_half_hour_of_lord_howe_is_moved_by_half_an_hour() -> None:
    # 02:00 becomes 02:30 on 4 October 2026: 15:30 in UTC.
    window = daily("02:15", 1, zone="Australia/Lord_Howe")
    assert window_verdict(window, (), None, now=utc("2026-10-03T12:00")) == OpensAt(
        at=utc("2026-10-03T15:45"), ending=False
    )
