"""Devices that sleep, and devices whose application decides about updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.world import WorldError, load_world

PRODUCT = 12345
SLEEPERS = """
products:
  - {{id: 12345, slug: cold-chain, platform: boron, groups: [eu],
     firmware: [{{version: 1, deviceOS: "1.5.2"}}, {{version: 2, deviceOS: "2.0.1"}}], default: 1}}
devices:
  - {{count: {count}, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: 1, groups: [eu],
     online: {{everySeconds: 3600, forSeconds: 600, {more}}}}}
"""


@pytest.fixture
def sleepers(make_bench: Callable[..., Any]) -> Callable[..., Any]:
    return lambda count=1, more="": make_bench(SLEEPERS.format(count=count, more=more))


def only(bench: Any) -> Any:
    (device,) = bench.cloud.state.devices.values()
    return device


def wait_until(bench: Any, online: bool, *, seconds_max: int = 4000) -> None:
    for _ in range(seconds_max // 10):
        if only(bench).online is online:
            return
        bench.advance(10)
    raise AssertionError(f"not online={online} within {seconds_max} s")


def release(bench: Any, version: int, *, intelligent: bool) -> None:
    body = {"version": version, "product_default": True, "intelligent": intelligent}
    only(bench).reported_application = version
    assert bench.call("PUT", f"/v1/products/{PRODUCT}/firmware/release", body).status == 200
    only(bench).reported_application = 1


def test_about_a_sixth_of_the_sleepers_is_awake_at_any_time(sleepers: Callable[..., Any]) -> None:
    bench = sleepers(600)
    for _ in range(6):
        awake = sum(device.online for device in bench.cloud.state.devices.values())
        assert 60 < awake < 140
        bench.advance(1800)


def test_every_sleeper_is_heard_of_within_every_hour(sleepers: Callable[..., Any]) -> None:
    bench = sleepers(50)
    bench.advance(3600)
    begin = bench.now
    bench.advance(4000)
    assert all(device.last_heard_at > begin for device in bench.cloud.state.devices.values())


def test_a_share_of_the_sleepers_never_wakes(sleepers: Callable[..., Any]) -> None:
    bench = sleepers(200, "share: 0.5")
    bench.advance(8000)
    heard = sum(bench.now - device.last_heard_at < 8000 for device in bench.cloud.state.devices.values())
    assert 70 < heard < 130


def test_a_sleeper_that_resumes_makes_no_handshake_and_takes_no_ordinary_release(sleepers: Callable[..., Any]) -> None:
    bench = sleepers()
    bench.advance(4000)
    device = only(bench)
    handshake = device.last_handshake_at
    release(bench, 2, intelligent=False)
    bench.advance(6 * 3600)
    assert (device.last_handshake_at, device.application_version) == (handshake, 1)
    bench.advance(8 * 86_400)
    assert device.application_version == 2, "a session ends, and then there is a handshake"


def test_an_intelligent_release_reaches_a_sleeper_when_it_wakes(sleepers: Callable[..., Any]) -> None:
    bench = sleepers()
    bench.advance(4000)
    wait_until(bench, False)
    release(bench, 2, intelligent=True)
    bench.advance(4200)
    assert only(bench).application_version == 2


def test_a_sleeper_that_wakes_with_a_handshake_takes_an_ordinary_release(sleepers: Callable[..., Any]) -> None:
    bench = sleepers(more="wakes: handshake")
    release(bench, 2, intelligent=False)
    bench.advance(4400)
    assert only(bench).application_version == 2


def test_a_sleeper_stays_awake_for_a_transfer(
    sleepers: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = sleepers()
    wait_until(bench, False)
    wait_until(bench, True)
    bench.advance(580)
    assert bench.flash(only(bench).id, module_binary("boron", "2.1.0", "system_part/1")).status == 200
    bench.advance(400)
    assert bench.version(only(bench).id, "system_part/1") == 2101


def test_a_sleeper_in_safe_mode_does_not_sleep(make_bench: Callable[..., Any]) -> None:
    bench = make_bench("""
devices: [{platform: boron, deviceOS: "2.0.1", modules: {bootloader/0: 502}, healer: false,
           online: {everySeconds: 3600, forSeconds: 600, wakes: handshake}}]
""")
    bench.advance(4000)
    for _ in range(20):
        assert only(bench).online
        bench.advance(300)


def test_a_device_that_is_switched_off_does_not_wake(sleepers: Callable[..., Any]) -> None:
    bench = sleepers()
    wait_until(bench, True)
    bench.cloud.state.life.set_online(only(bench), False, bench.now)
    bench.advance(86_400)
    assert not only(bench).online


@pytest.mark.parametrize(
    "online",
    ["{everySeconds: 3600}", "{forSeconds: 10}", "{wakes: resume}", "{everySeconds: 60, forSeconds: 60}", "{share: 2}"],
)
def test_a_sleep_that_makes_no_sense_is_refused(online: str) -> None:
    with pytest.raises(WorldError, match="devices"):
        load_world(f'devices: [{{platform: boron, deviceOS: "2.0.1", online: {online}}}]')


def test_a_share_alone_is_what_a_number_is(make_bench: Callable[..., Any]) -> None:
    def online(value: str) -> list[bool]:
        bench = make_bench(f'devices: [{{count: 50, platform: boron, deviceOS: "2.0.1", online: {value}}}]')
        return [device.online for device in bench.cloud.state.devices.values()]

    assert online("{share: 0.5}") == online("0.5")


# --- applications that decide about updates


BUSY = """
products: [{id: 12345, slug: a, platform: boron, firmware: [{version: 1, deviceOS: "1.5.2"},
            {version: 2, deviceOS: "2.0.1"}], default: 1}]
devices: [{product: a, platform: boron, deviceOS: "2.0.1", application: 1, updates_enabled: false}]
"""


def test_a_busy_device_takes_an_intelligent_release_when_it_allows_updates_again(
    make_bench: Callable[..., Any],
) -> None:
    bench = make_bench(BUSY)
    device = only(bench)
    release(bench, 2, intelligent=True)
    bench.advance(3600)
    assert device.application_version == 1
    bench.call("POST", "/_emulator/devices", {"id": device.id, "updates_enabled": True})
    bench.advance(120)
    assert device.application_version == 2


def test_a_busy_device_that_is_forced_takes_what_is_locked(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(BUSY)
    device = only(bench)
    bench.lock(device.id, 2)
    bench.advance(120)
    assert device.application_version == 1
    bench.call("PUT", bench.path(device.id), {"firmware_updates_forced": True})
    bench.lock(device.id, 2)
    bench.advance(120)
    assert device.application_version == 2


def test_a_busy_device_says_that_an_update_waits(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(BUSY)
    stream = bench.call("GET", f"/v1/products/{PRODUCT}/events/particle/device/updates")
    bench.lock(only(bench).id, 2)
    assert b"event: particle/device/updates/pending\n" in stream.listener.take()


def test_a_lower_release_goes_to_the_devices_like_a_higher_one(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(
        BUSY.replace("updates_enabled: false", "updates_enabled: true").replace("default: 1", "default: 2")
    )
    bench.advance(8 * 86_400)
    assert only(bench).application_version == 2
    body = {"version": 1, "product_default": True, "intelligent": True}
    only(bench).reported_application = 1
    bench.call("PUT", f"/v1/products/{PRODUCT}/firmware/release", body)
    only(bench).reported_application = 2
    bench.advance(8 * 86_400)
    assert only(bench).application_version == 1
    assert "S1" in bench.laws(), "it was a client that asked for it"


def test_a_protected_device_takes_over_the_cloud_what_any_other_takes(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench('devices: [{platform: boron, deviceOS: "6.2.0", protected: true}]')
    device = only(bench)
    assert bench.get("/_emulator/devices", id=device.id)[0]["protected"] is True
    bench.flash(device.id, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(300)
    assert bench.version(device.id, "bootloader/0") == 3200


def test_protection_came_with_a_release() -> None:
    with pytest.raises(WorldError, match=r"6\.1\.0"):
        load_world('devices: [{platform: boron, deviceOS: "6.0.0", protected: true}]')
