"""The measurement of an operator measures what it says; nothing here is about time."""

from __future__ import annotations

from tests.benchmarks.cluster_operator import HEAD, measure, report


def test_an_operator_of_a_few_fleets_is_measured() -> None:
    row = measure(2, 2, 3, idle_seconds=2.0, changes=1)
    assert (row.fleets, row.devices, len(row.changes)) == (4, 12, 1)
    assert row.start_writes >= row.fleets, "each fleet has got its status"
    assert row.idle_writes == 0, "nothing has happened"
    assert 0 < row.megabytes <= row.megabytes_max
    assert {line.count("|") for line in (*HEAD, report(row))} == {13}
