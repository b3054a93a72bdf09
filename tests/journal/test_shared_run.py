"""Any number of workers on a journal, or one `apply`: never both."""

from __future__ import annotations

import pytest

from reconciler.journal.location import PostgresPlace
from reconciler.journal.lock import freed_by_force, holder_of, sole_run
from reconciler.journal.postgres_lock import Lead, SharedRun, one_that_tells
from reconciler.journal.run_under_way import RunUnderWayError
from reconciler.model.error import JournalError
from tests.fleet_samples import NOW


@pytest.fixture
def place(postgres_journal: str) -> PostgresPlace:
    return PostgresPlace(postgres_journal)


def test_workers_share_and_an_apply_has_to_wait_for_the_last_of_them(place: PostgresPlace) -> None:
    one, other = SharedRun(place, words="worker one"), SharedRun(place, words="worker two")
    one.hold()
    other.hold()
    one.close()
    with pytest.raises(RunUnderWayError, match="worker two"), sole_run(place, now=NOW):
        pass
    other.close()
    assert holder_of(place) is None
    with sole_run(place, now=NOW), pytest.raises(RunUnderWayError, match="process"):
        one.hold()
    assert not one.is_held
    one.close()


def test_a_worker_whose_connection_was_ended_knows_it_and_takes_the_lock_again(place: PostgresPlace) -> None:
    worker = SharedRun(place, words="worker")
    worker.hold()
    assert freed_by_force(place)
    with pytest.raises(JournalError, match=r"PFR5024|PFR5004"):
        worker.hold()
    assert not worker.is_held
    worker.hold()
    assert worker.is_held
    worker.close()


def test_of_several_controllers_one_tells_people(place: PostgresPlace) -> None:
    with one_that_tells(place) as first, one_that_tells(place) as second:
        assert (first, second) == (True, False)
    with one_that_tells(place) as third:
        assert third


def test_who_leads_and_falls_silent_is_relieved_and_knows_it(place: PostgresPlace) -> None:
    first, patient, next_one = (
        Lead(place, words=words, lost_seconds=seconds)
        for words, seconds in (("first", 3600.0), ("patient", 3600.0), ("next", 0.0))
    )
    assert first.hold()
    assert not patient.hold()
    assert first.hold()
    assert any(next_one.hold() for _ in range(1000))
    with pytest.raises(JournalError, match=r"PFR5024|PFR5004"):
        first.hold()
    assert not first.is_held
    assert not patient.hold()
    assert next_one.hold()
    next_one.let_go()
    assert any(first.hold() for _ in range(1000))
    for each in (first, patient, next_one):
        each.close()
