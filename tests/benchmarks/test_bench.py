from __future__ import annotations

import pytest

from tests.benchmarks.bench import ROUTES, one, row


@pytest.mark.parametrize("route", ROUTES[:2], ids="-".join)
def test_a_device_takes_about_as_long_as_it_must(route: tuple[str, str, str]) -> None:
    measured = one(*route)
    assert measured.needed > 0
    assert measured.seconds > 0
    assert row(measured).count("|") == 8


def test_nobody_is_measured_who_did_not_arrive() -> None:
    with pytest.raises(AssertionError):
        one("boron", "6.3.4", "2.0.1")
