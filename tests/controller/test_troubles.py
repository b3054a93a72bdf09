"""What is in trouble is told when it begins and when it ends, and not in between."""

from __future__ import annotations

from itertools import count

from reconciler.controller.troubles import Troubles
from reconciler.model.error import JournalError, OperatorError
from reconciler.model.event import Event, Recovered, Troubled
from reconciler.model.instant import Instant


def told_of(*codes: str | None) -> tuple[Troubles, list[Event]]:
    """What is told when the source fails with these codes one after the other; None: it goes well."""
    told: list[Event] = []
    times = count(1)
    troubles = Troubles(lambda: Instant(float(next(times))), told.append)
    for code in codes:
        with troubles.of("source"):
            if code is not None:
                raise OperatorError(code, f"it says {code}")
    return troubles, told


def test_trouble_is_told_once_and_keeps_since_when() -> None:
    troubles, told = told_of("PFR6511", "PFR6511", "PFR6511")
    assert [type(event) for event in told] == [Troubled]
    assert troubles()["source"].since == 1.0


def test_another_cause_is_news_and_so_is_the_end() -> None:
    troubles, told = told_of("PFR6511", "PFR6512", None, None)
    assert [(type(event), getattr(event, "code", "")) for event in told] == [
        (Troubled, "PFR6511"),
        (Troubled, "PFR6512"),
        (Recovered, ""),
    ]
    assert troubles() == {}


def test_what_people_believe_since_an_earlier_process_ends_once() -> None:
    told: list[Event] = []
    troubles = Troubles(lambda: Instant(1.0), told.append, ["source"])
    for _ in range(2):
        troubles.ended("source")
    assert [type(event) for event in told] == [Recovered]


def test_the_journals_trouble_is_the_journals_wherever_it_shows() -> None:
    troubles, _ = told_of()
    with troubles.of("source"):
        raise JournalError("PFR5010", "the disk is full")
    assert list(troubles()) == ["journal"]
