"""The world of the demonstration is what its manifests and its story count on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.device import Device
from reconciler.emulator.world import World, demo_world
from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode


@pytest.fixture(scope="module")
def world() -> World:
    return demo_world()


@pytest.fixture
def devices(demo_bench: Callable[[], Any]) -> list[Device]:
    return list(demo_bench().cloud.state.devices.values())


def test_it_has_300_devices_of_at_least_eight_platforms(devices: list[Device]) -> None:
    assert len(devices) == 300
    assert len({device.platform.name for device in devices}) >= 8


def test_its_products_are_those_of_the_manifests(world: World) -> None:
    assert {(p.slug, p.platform.name, p.groups) for p in world.products} == {
        ("cold-chain", "boron", ("eu", "us")),
        ("home-hub", "photon", ("home",)),
        ("legacy-meters", "electron", ("field",)),
        ("workshop", "argon", ("shop",)),
        ("asset-trackers", "tracker", ("trucks",)),
        ("door-sensors", "p2", ("doors",)),
        ("gateway", "b5som", ("sites",)),
        ("pumps", "bsom", ("pumps",)),
        ("muon-lab", "msom", ("lab",)),
        ("relay", "esomx", ("relay",)),
    }


def test_every_name_is_there_once_and_the_manifests_find_theirs(devices: list[Device]) -> None:
    names = [device.name for device in devices]
    assert len(set(names)) == 300
    assert {"relay-1", "relay-2", "pumps-1"} <= set(names)


def test_every_release_in_it_is_published_for_its_platform(world: World) -> None:
    catalog = known_catalog()
    for line in (*world.devices, *((p, f) for p in world.products for f in p.firmware)):
        platform, version = (
            (line[0].platform, line[1].device_os) if isinstance(line, tuple) else (line.platform, line.device_os)
        )
        release = catalog.release(platform, version)
        assert release is not None
        assert release.published, (platform.name, version.text)


def test_some_are_offline_some_in_safe_mode_some_special(devices: list[Device]) -> None:
    assert sum(not device.online for device in devices) == 15
    assert sum(device.mode is DeviceMode.SAFE_MODE for device in devices) == 8
    assert sum(device.development for device in devices) == 1
    assert sum(not device.updates_enabled for device in devices) == 1
    assert sum(device.locked_by_person for device in devices) == 1
    assert sum(device.product_id is None for device in devices) == 6


def test_no_application_was_released_so_nothing_moves_by_itself_but_what_the_healer_heals(
    demo_bench: Callable[[], Any],
) -> None:
    bench = demo_bench()
    bench.advance(8 * 86_400)
    moved = {device.name for device in bench.cloud.state.devices.values() if device.transfers}
    assert moved == {
        "cold-chain-eu-48",
        "cold-chain-eu-49",
        "cold-chain-us-30",
        "home-hub-38",
        "home-hub-39",
        "home-hub-40",
    }
    still = {d.name for d in bench.cloud.state.devices.values() if d.mode is DeviceMode.SAFE_MODE}
    assert still == {"cold-chain-eu-50", "workshop-26"}
