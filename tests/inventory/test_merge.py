from __future__ import annotations

from dataclasses import replace

from reconciler.inventory.merge import merged
from tests.fleet_samples import COLD_CHAIN, NOW, ONE, device, observation


def test_a_device_that_is_seen_in_two_products_is_a_finding() -> None:
    elsewhere = replace(device(1), product_id=COLD_CHAIN.id + 1)
    found = merged([observation(device(1)), observation(elsewhere)], now=NOW)
    assert found.devices == (elsewhere,)
    assert found.findings == (f"device {ONE} was seen in two products",)


def test_a_product_that_was_looked_at_twice_is_no_finding() -> None:
    found = merged([observation(device(1)), observation(device(1))], now=NOW)
    assert found.devices == (device(1),)
    assert found.findings == ()
