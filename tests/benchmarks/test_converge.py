from __future__ import annotations

import pytest

from tests.benchmarks.converge import HEADS, START, converge, row, table


@pytest.mark.parametrize("product", START)
def test_a_small_fleet_takes_no_more_than_it_needs_and_never_less_than_it_must(product: str) -> None:
    one = converge(product, 3)
    assert one.seconds >= one.transfers_bound > 0
    assert one.bytes_received == one.bytes_needed > 0
    assert one.requests >= one.steps
    assert len(row(one)) == len(HEADS)
    assert len(table(HEADS, [row(one)])) == 3
