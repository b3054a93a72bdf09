import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant


def test_the_epoch_is_zero() -> None:
    assert instant_from_iso("1970-01-01T00:00:00Z") == 0
    assert iso_from_instant(Instant(0)) == "1970-01-01T00:00:00Z"


def test_a_time_without_an_offset_is_utc() -> None:
    assert instant_from_iso("2026-11-22T09:00:00") == instant_from_iso("2026-11-22T09:00:00Z")


def test_an_offset_counts() -> None:
    assert instant_from_iso("2026-11-22T10:00:00+01:00") == instant_from_iso("2026-11-22T09:00:00Z")


def test_a_date_alone_is_its_midnight() -> None:
    assert instant_from_iso("2026-12-20") == instant_from_iso("2026-12-20T00:00:00Z")


def test_the_cloud_writes_milliseconds_and_they_are_read() -> None:
    assert instant_from_iso("2026-11-22T09:00:00.250Z") - instant_from_iso("2026-11-22T09:00:00Z") == 0.25


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-22T25:00:00Z", "1.5"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        instant_from_iso(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1795338000.0, "2026-11-22T09:00:00Z"),
        (1795338000.25, "2026-11-22T09:00:00.250Z"),
        (1795338000.9996, "2026-11-22T09:00:01Z"),
        (1795338000.0004, "2026-11-22T09:00:00Z"),
    ],
)
def test_milliseconds_are_written_only_where_there_are_any(seconds: float, text: str) -> None:
    assert iso_from_instant(Instant(seconds)) == text


@given(st.integers(0, 4_000_000_000_000).map(lambda milliseconds: Instant(milliseconds / 1000)))
def test_what_is_written_is_read_back_to_the_millisecond(instant: Instant) -> None:
    assert abs(instant_from_iso(iso_from_instant(instant)) - instant) < 0.0006


@given(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000))
def test_written_times_sort_as_the_times_do(earlier: int, later: int) -> None:
    assert (iso_from_instant(Instant(earlier)) < iso_from_instant(Instant(later))) is (earlier < later)
