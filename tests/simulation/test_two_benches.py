"""Two benches on one journal in PostgreSQL: a device that is carried from one to the other is finished there."""

from __future__ import annotations

import pytest

from reconciler.controller.seat import Seat, SeatState
from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres import PostgresJournal
from reconciler.model.attempt import AttemptState
from tests.bench.emulated import EmulatedBus
from tests.simulation.test_bench import on


@pytest.mark.parametrize("moment", [100, 400, 1200])
def test_a_device_that_is_carried_to_another_bench_in_the_middle_of_a_step_is_finished_there(
    postgres_journal: str, moment: int
) -> None:
    """The first bench hears of it last: when it wants to write down how its step ended, that is known already."""
    transfers = 0
    there: list[Seat] = []

    def carry() -> None:
        nonlocal transfers
        transfers += 1
        if transfers == moment:
            first.bench.unplug(device, first.clock.now())
            second.clock.sleep(first.clock.now() - second.clock.now() + 1)
            second.bench.plug(device, (4,), second.clock.now())
            second.clock.sleep(5)
            there.append(other.serve(device))

    first, second = EmulatedBus(on_transfer=carry), EmulatedBus()
    device = first.plug(1, "boron", "2.0.1", product=(12345, 12))
    place = PostgresPlace(postgres_journal)
    with PostgresJournal(place) as journal, PostgresJournal(place) as other_journal:
        here, other = on(first, "boron", "6.3.4"), on(second, "boron", "6.3.4")
        here.journal, other.journal, other.name = journal, other_journal, "other"
        seat = here.serve(device)
        assert [each.state for each in there] == [SeatState.DONE]
        assert (seat.state, seat.code) == (SeatState.ASIDE, "PFR5003")
        assert not journal.open_attempts()
        states = [attempt.state for attempt in journal.attempts()]
        assert states.count(AttemptState.FAILED) <= 1
        assert set(states) <= {AttemptState.VERIFIED, AttemptState.FAILED}
    assert second.violations(1) == ()
