"""Which devices there are, and of each product in the order of their ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.register import Order, Register


@pytest.fixture
def register(make_bench: Callable[..., Any]) -> Any:
    return make_bench("""
products: [{id: 200, slug: a, platform: boron, groups: [x]}, {id: 201, slug: b, platform: boron}]
devices:
  - {count: 6, product: a, platform: boron, deviceOS: "2.0.1"}
  - {count: 3, platform: boron, deviceOS: "2.0.1"}
""").cloud.state.devices


def ids(devices: Any) -> list[str]:
    return [device.id for device in devices]


def test_the_devices_of_a_product_are_in_the_order_of_their_ids(register: Register) -> None:
    assert ids(register.of(200)) == sorted(ids(register.of(200)))
    assert (len(register.of(200)), len(register.of(None)), len(register.of(999)), len(register)) == (6, 3, 0, 9)


def test_a_device_that_moves_is_in_one_place(register: Register) -> None:
    device = register.of(None)[1]
    device.product_id = 200
    register.touched(device)
    assert (len(register.of(200)), len(register.of(None))) == (7, 2)
    assert ids(register.of(200)) == sorted(ids(register.of(200)))
    assert (device.product_id, device in register.of(200)) == (200, True)


def test_a_choice_holds_until_somebody_says_that_something_changed(register: Register) -> None:
    chosen = register.of(200)[3]

    def view() -> list[str]:
        return ids(register.view(200, "in x", lambda device: "x" in device.groups))

    assert view() == []
    chosen.groups = ("x",)
    register.changed()
    assert view() == [chosen.id]
    chosen.product_id = 201
    register.touched(chosen)
    assert view() == []


def test_choices_of_different_products_and_keys_are_apart(register: Register) -> None:
    everybody = register.view(200, "all", lambda _: True)
    assert ids(everybody) == ids(register.of(200))
    assert list(register.view(201, "all", lambda _: True)) == []
    assert list(register.view(200, "none", lambda _: False)) == []


def test_an_order_follows_what_happens_to_the_devices(make_bench: Callable[..., Any]) -> None:
    bench = make_bench("""
products:
  - {id: 200, slug: a, platform: boron, firmware: [{version: 1, deviceOS: "1.5.2"}, {version: 2, deviceOS: "1.5.2"}]}
devices: [{count: 120, product: a, platform: boron, deviceOS: "2.0.1", application: 1}]
""")
    register = bench.cloud.state.devices
    begun = {order: ids(register.ordered(200, order)) for order in Order}
    for hours in (1, 1, 30, 1, 300, 1):
        some = register.of(200)[hours % 7]
        bench.lock(some.id, 3 - (some.reported_application or 1))
        bench.advance(hours * 3600)
        for order in Order:
            assert ids(register.ordered(200, order)) == ids(sorted(register.of(200), key=order.key))
    assert all(ids(register.ordered(200, order)) != begun[order] for order in Order)


def test_an_order_follows_who_comes_and_goes(register: Register) -> None:
    device = register.of(None)[0]
    for product_id in (200, None, 201):
        device.product_id = product_id
        register.touched(device)
        for home in (200, None, 201):
            assert (device in register.ordered(home, Order.LAST_CONNECTION)) is (home == product_id)
