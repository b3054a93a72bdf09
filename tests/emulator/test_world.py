from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.world import WorldError, load_world
from reconciler.model.module import ModuleFunction, ModuleSlot

CONTRACT_EXAMPLE = """
tokens: [{name: operator, token: "1111111111111111111111111111111111111111"}]
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu, us, lab],
     firmware: [{version: 12, deviceOS: "1.5.2"}, {version: 44, deviceOS: "6.3.4", file: logger-44.bin}], default: 12}
devices:
  - {count: 900, product: cold-chain, platform: boron, deviceOS: "1.5.2", application: 12, groups: [eu], online: 0.95}
  - {id: e00fce680000000000000001, name: eu-1, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: 12,
     modules: {bootloader/0: 1005}}
faults: [{fault: flash-fails, rate: 0.02}, {fault: lost-answer, rate: 0.01}]
rateLimit: {requests: 10000, seconds: 300}
"""


def test_the_example_of_the_contract_is_a_world() -> None:
    world = load_world(CONTRACT_EXAMPLE)
    assert [line.count for line in world.devices] == [900, 1]
    assert world.devices[1].modules == {ModuleSlot(ModuleFunction.BOOTLOADER, 0): 1005}
    assert world.products[0].firmware[1].file == "logger-44.bin"
    assert [order.rate for order in world.faults] == [0.02, 0.01]
    assert world.rate_limit is not None
    assert world.rate_limit.requests == 10000


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("devices: [", "PFR6201", "not YAML"),
        ("devices: {}", "PFR6202", "devices"),
        (
            "devices: [{platform: boron, deviceOS: 1.5}]",
            "PFR6202",
            "devices[0].deviceOS: 1.5 must be text: put it in quotes",
        ),
        ('devices: [{platform: boron, deviceOS: "1.5.2", colour: red}]', "PFR6202", "'colour' was unexpected"),
        ('devices: [{platform: boron, deviceOS: "1.5.2", online: 2}]', "PFR6202", "devices[0].online"),
        ('devices: [{platform: borron, deviceOS: "1.5.2"}]', "PFR6203", "no platform is called borron"),
        ('devices: [{platform: boron, deviceOS: "1.5.9"}]', "PFR6203", "no Device OS 1.5.9 is known for boron"),
        ('devices: [{platform: boron, deviceOS: "1.5.2", product: x}]', "PFR6203", "no product is called x"),
        (
            'devices: [{platform: boron, deviceOS: "1.5.2", modules: {system_part/2: 1}}]',
            "PFR6203",
            "no module system_part/2",
        ),
        ('devices: [{platform: boron, deviceOS: "1.5.2", locked: 1}]', "PFR6203", "for devices of a product"),
        ('devices: [{platform: boron, deviceOS: "1.5.2", count: 2, name: a}]', "PFR6203", "for one device"),
        ("devices: []\nfaults: [{fault: gremlins}]", "PFR6203", "no fault is called gremlins"),
        ("devices: []\nstart: soon", "PFR6203", "no date and time"),
        (
            "products: [{id: 200, slug: a, platform: boron, default: 3}]\ndevices: []",
            "PFR6203",
            "released version 3 is not among its firmware",
        ),
        (
            (
                "products: [{id: 200, slug: a, platform: boron}]\n"
                'devices: [{product: a, platform: argon, deviceOS: "1.5.2"}]'
            ),
            "PFR6203",
            "product a is for boron, not argon",
        ),
    ],
)
def test_a_world_that_cannot_be_says_why_and_where(text: str, code: str, words: str) -> None:
    with pytest.raises(WorldError) as caught:
        load_world(text)
    assert caught.value.code == code
    assert words in caught.value.message
    assert caught.value.next_step


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(WorldError) as caught:
        load_world('devices: [{platform: zebra, deviceOS: "1.5.2"}, {platform: boron, deviceOS: "9.9.9"}]')
    assert "devices[0]" in caught.value.message
    assert "devices[1]" in caught.value.message


def test_names_are_counted_on_over_all_lines_with_one_pattern() -> None:
    line = '{count: 2, names: "p-{n}", platform: boron, deviceOS: "1.5.2"}'
    world = load_world(f"devices: [{line}, {line}]")
    assert [line.names for line in world.devices] == [("p-1", "p-2"), ("p-3", "p-4")]


def test_one_seed_gives_one_world(make_bench: Callable[..., Any]) -> None:
    text = 'devices: [{count: 50, platform: boron, deviceOS: "1.5.2", online: 0.5}]'

    def beginning(seed: int) -> list[tuple[str, bool]]:
        return [(d.id, d.online) for d in make_bench(text, seed=seed).cloud.state.devices.values()]

    assert beginning(1) == beginning(1)
    assert beginning(1) != beginning(2)
    assert all(device_id.startswith("e00fce68") and len(device_id) == 24 for device_id, _ in beginning(1))
    assert 10 < sum(online for _, online in beginning(1)) < 40


def test_a_device_that_never_reported_shows_only_what_the_cloud_knows_itself(make_bench: Callable[..., Any]) -> None:
    bench = make_bench('devices: [{platform: boron, deviceOS: "1.5.2", reported: false}]')
    (record,) = bench.get("/v1/devices")
    assert set(record) == {"id", "product_id", "platform_id", "online", "connected", "cellular"}


def test_modules_that_differ_are_the_truth(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(
        'devices: [{platform: boron, deviceOS: "2.0.1", modules: {bootloader/0: 502, radio_stack/0: 0}}]'
    )
    (device,) = bench.cloud.state.devices.values()
    assert bench.version(device.id, "bootloader/0") == 502
    assert bench.version(device.id, "radio_stack/0") == 0
    assert device.mode == "safe_mode"
