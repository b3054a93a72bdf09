"""Laws of windows, against a reading that looks at the clock minute by minute and does no arithmetic on local times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.fleet import AllowWindow, DenyDays, DenyWindow
from reconciler.model.instant import Instant
from reconciler.rollout.window import IsOpen, NeverOpens, OpensAt, window_verdict

MINUTE = 60
DAY = 24 * 60
DAYS = 14
"""So long before and after a change of the clock it is read: openings last 7 days, and come every week."""

MOMENTS = (
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("Pacific/Apia", "2011-12-30T10:00"),
    ("Asia/Beirut", "2026-03-28T22:00"),
    ("America/Havana", "2026-11-01T05:00"),
    ("Africa/Casablanca", "2026-02-15T02:00"),
    ("Asia/Kathmandu", "2028-02-29T00:00"),
    ("UTC", "2026-12-31T23:00"),
)
"""Zones at moments when their clock changes, skips a day, or a leap day or a year begins or ends (UTC)."""


@dataclass(frozen=True)
class Clock:
    """What the wall clock of a zone shows in every minute of a span, and when each time is shown first."""

    began: int
    shown: Sequence[datetime]
    first: Mapping[datetime, int]
    days: frozenset[date]
    jumps: Sequence[tuple[int, datetime, datetime]]

    @staticmethod
    @cache
    def of(zone: str, began: int) -> Clock:
        there = ZoneInfo(zone)
        moments = (datetime.fromtimestamp((began + n) * MINUTE, tz=UTC) for n in range(2 * DAYS * DAY))
        shown = [moment.astimezone(there).replace(tzinfo=None) for moment in moments]
        first: dict[datetime, int] = {}
        for number, each in enumerate(shown):
            first.setdefault(each, began + number)
        jumps = [
            (number, before, after)
            for number, (before, after) in enumerate(pairwise(shown))
            if after - before > timedelta(minutes=1)
        ]
        return Clock(began, shown, first, frozenset(each.date() for each in shown), jumps)

    def start_of(self, wanted: datetime) -> int | None:
        """The minute in which an opening begins that should begin at a local time; None: it is beyond the span."""
        if wanted in self.first:
            return self.first[wanted]
        for number, before, after in self.jumps:
            if before < wanted < after:  # the clock skipped it
                moved = after - before - timedelta(minutes=1)
                return self.first.get(wanted + moved, self.began + number + 1)
        return None


def minutes_open(
    allow: Sequence[AllowWindow], deny: Sequence[DenyWindow | DenyDays], own: str, began: int
) -> bytearray:
    """Whether each minute of the span is open (1) or not (0), read off the clocks."""
    minutes = 2 * DAYS * DAY
    is_open = bytearray(bytes([not allow]) * minutes)
    for window in allow:
        clock = Clock.of(window.time_zone or own, began)
        for day in clock.days:
            if day.weekday() not in window.days:
                continue
            start = clock.start_of(datetime.combine(day, time()) + timedelta(minutes=window.start_minute))
            if start is not None:
                first = max(0, start - began)
                last = min(minutes, start - began + int(window.duration_seconds) // MINUTE)
                is_open[first:last] = b"\1" * max(0, last - first)
    for freeze in deny:
        if isinstance(freeze, DenyWindow):
            first, last = (int(end) // MINUTE - began for end in (freeze.from_instant, freeze.until_instant))
            is_open[max(0, first) : max(0, last)] = bytes(max(0, min(minutes, last) - max(0, first)))
        else:
            for number, shown in enumerate(Clock.of(own, began).shown):
                if freeze.from_day <= shown.date() < freeze.until_day:
                    is_open[number] = 0
    return is_open


@dataclass(frozen=True)
class World:
    """Windows, the device's zone, a change of its clock, a moment near it, and how long something takes (minutes)."""

    allow: tuple[AllowWindow, ...]
    deny: tuple[DenyWindow | DenyDays, ...]
    zone: str
    change: int
    now: int
    needed: int


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Windows around a change of the clock."""
    zone, text = draw(st.sampled_from(MOMENTS))
    change = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // MINUTE
    now = change + draw(st.integers(-2 * DAY, 2 * DAY))
    near = st.integers(-3 * DAY, 3 * DAY)
    allows = st.builds(
        AllowWindow,
        days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
        start_minute=st.one_of(st.integers(0, 23 * 60 + 59), st.sampled_from([0, 60, 90, 120, 135, 150, 180])),
        duration_seconds=st.one_of(st.integers(1, 300), st.integers(1, 7 * DAY)).map(lambda n: float(n * MINUTE)),
        time_zone=st.sampled_from([None, zone, "UTC"]),
    )
    spans = st.tuples(near, st.integers(1, 2 * DAY)).map(
        lambda span: DenyWindow(
            from_instant=Instant((change + span[0]) * MINUTE),
            until_instant=Instant((change + sum(span)) * MINUTE),
            reason="no",
        )
    )
    today = datetime.fromtimestamp(change * MINUTE, tz=UTC).date()
    of_days = st.tuples(st.integers(-3, 3), st.integers(1, 3)).map(
        lambda days: DenyDays(
            from_day=today + timedelta(days=days[0]), until_day=today + timedelta(days=sum(days)), reason="no"
        )
    )
    allow = draw(st.lists(allows, max_size=3))
    deny = draw(st.lists(st.one_of(spans, of_days), max_size=2))
    return World(tuple(allow), tuple(deny), zone, change, now, draw(st.integers(0, 300)))


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_the_verdict_is_what_the_clock_says_minute_by_minute(world: World) -> None:
    allow, deny = world.allow, world.deny
    seen = minutes_open(allow, deny, world.zone, world.change - DAYS * DAY)
    is_open = seen[world.now - (world.change - DAYS * DAY) :]
    fitting = [run for run in _runs(is_open) if run[1] - run[0] >= world.needed]
    cut_off = [run for run in _runs(is_open) if run[1] == len(is_open)]  # it goes on, nobody knows for how long
    found = window_verdict(
        allow,
        deny,
        world.zone,
        now=Instant(world.now * MINUTE),
        needed_seconds=float(world.needed * MINUTE),
    )
    match found:
        case IsOpen():
            starts, ends = 0.0, float("inf") if found.until is None else found.until / MINUTE - world.now
        case OpensAt():
            starts, ends = found.at / MINUTE - world.now, 0.0
        case NeverOpens():
            starts, ends = float("inf"), 0.0
    if not isinstance(found, IsOpen):
        assert found.ending == bool(is_open[0])
    if not fitting:
        assert starts >= (cut_off[0][0] if cut_off else len(is_open))
        return
    assert starts == fitting[0][0]
    if isinstance(found, IsOpen):
        assert ends >= fitting[0][1] if fitting[0] in cut_off else ends == fitting[0][1]


def _runs(is_open: bytearray) -> list[tuple[int, int]]:
    """The spans of minutes that are open, from the first to before the second."""
    runs = []
    begins = is_open.find(1)
    while begins >= 0:
        ends = is_open.find(0, begins)
        runs.append((begins, len(is_open) if ends < 0 else ends))
        begins = is_open.find(1, runs[-1][1])
    return runs
