"""What happens to devices over time: transfers, restarts, sessions, deliveries, the healer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from reconciler.emulator.events import Scope

ONE = "e00fce680000000000000001"
PRODUCT = 12345


def events_of(listener: Any) -> list[tuple[str, str]]:
    """What a listener has been handed: names and data."""
    found = []
    for block in listener.take().decode().split("\n\n"):
        if block:
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))["data"].strip()))
    return found


def test_a_module_arrives_after_a_while_and_a_restart(bench: Any, module_binary: Callable[..., bytes]) -> None:
    listener = bench.cloud.state.hub.listen(Scope(product_id=PRODUCT))
    handshake = bench.look(ONE)["last_handshake_at"]
    assert bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0")).status == 200
    assert bench.version(ONE, "bootloader/0") == 1005
    bench.advance(15)
    assert bench.version(ONE, "bootloader/0") == 3200
    assert bench.look(ONE)["online"] is False
    bench.advance(60)
    assert bench.look(ONE)["online"] is True
    assert bench.look(ONE)["last_handshake_at"] > handshake
    assert events_of(listener)[:5] == [
        ("spark/flash/status", "started"),
        ("spark/flash/status", "success"),
        ("spark/status", "offline"),
        ("spark/status", "online"),
        ("spark/device/last_reset", "update"),
    ]


def test_the_version_that_the_api_shows_changes_with_the_handshake(
    bench: Any, module_binary: Callable[..., bytes]
) -> None:
    bench.flash(ONE, module_binary("boron", "2.1.0", "system_part/1"))
    while bench.version(ONE, "system_part/1") == 2011:
        bench.advance(1)
    assert bench.look(ONE)["system_firmware_version"] == "2.0.1"
    bench.advance(60)
    assert bench.look(ONE)["system_firmware_version"] == "2.1.0"


def test_only_one_transfer_at_a_time(bench: Any, module_binary: Callable[..., bytes]) -> None:
    binary = module_binary("boron", "6.3.4", "bootloader/0")
    assert bench.flash(ONE, binary).status == 200
    assert bench.flash(ONE, binary).status == 409
    bench.advance(100)
    assert bench.device(ONE).transfers == 1


def test_a_later_generation_reconnects_after_a_refused_module_and_does_not_restart(
    bench: Any, module_binary: Callable[..., bytes]
) -> None:
    listener = bench.cloud.state.hub.listen(Scope(product_id=PRODUCT, prefix="spark/"))
    bench.flash(ONE, module_binary("boron", "6.3.4", "system_part/1"))
    bench.advance(300)
    assert events_of(listener)[:4] == [
        ("spark/flash/status", "started"),
        ("spark/flash/status", "failed"),
        ("spark/status", "offline"),
        ("spark/status", "online"),
    ]
    assert bench.device(ONE).restarts == 0
    assert bench.version(ONE, "system_part/1") == 2011


def test_the_second_generation_resets_after_a_refused_module(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench('devices: [{platform: photon, deviceOS: "0.6.3"}]')
    (device,) = bench.cloud.state.devices.values()
    bench.flash(device.id, module_binary("photon", "2.3.1", "system_part/1"))
    bench.advance(120)
    assert device.restarts == 1
    assert device.online


def test_an_offline_device_takes_nothing(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.cloud.state.life.set_online(bench.device(ONE), False, bench.now)
    answer = bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    assert answer.status == 404
    assert json.loads(answer.body)["error"] == "device not currently connected"


def test_a_lock_with_flash_is_delivered_at_once(bench: Any) -> None:
    assert bench.lock(ONE, 2).status == 200
    assert bench.device(ONE).transfer is not None
    bench.advance(120)
    assert bench.look(ONE)["firmware_version"] == 2
    assert bench.look(ONE)["desired_firmware_version"] == 2


def test_a_lock_without_flash_waits_for_the_next_session(bench: Any) -> None:
    bench.lock(ONE, 2, flash=False)
    bench.advance(3600)
    assert bench.look(ONE)["firmware_version"] == 1
    bench.advance(8 * 86_400)
    assert bench.look(ONE)["firmware_version"] == 2


def test_a_lock_on_an_offline_device_is_delivered_when_it_returns(bench: Any) -> None:
    device = bench.device(ONE)
    bench.cloud.state.life.set_online(device, False, bench.now)
    assert bench.lock(ONE, 2).status == 200
    bench.advance(3600)
    assert device.application_version == 1
    bench.cloud.state.life.set_online(device, True, bench.now)
    bench.advance(120)
    assert device.application_version == 2


def test_a_lock_delivers_an_older_version_too(bench: Any) -> None:
    bench.lock(ONE, 2)
    bench.advance(120)
    bench.lock(ONE, 1)
    bench.advance(120)
    assert bench.look(ONE)["firmware_version"] == 1


def test_a_released_version_comes_back_over_a_flashed_one(bench: Any, application_binary: Callable[..., bytes]) -> None:
    bench.call("PUT", f"/v1/products/{PRODUCT}/firmware/release", {"version": 1, "product_default": True})
    bench.flash(ONE, application_binary("boron", "2.0.1", (PRODUCT, 9)))
    bench.advance(240)
    ran = [entry.application_after for entry in bench.device(ONE).history if entry.moment == "installed"]
    assert ran == [9, 1]
    assert bench.look(ONE)["firmware_version"] == 1


def test_a_development_device_keeps_what_it_was_flashed_with(
    bench: Any, application_binary: Callable[..., bytes]
) -> None:
    bench.call("PUT", f"/v1/products/{PRODUCT}/firmware/release", {"version": 1, "product_default": True})
    bench.call("PUT", bench.path(ONE), {"development": True})
    bench.flash(ONE, application_binary("boron", "2.0.1", (PRODUCT, 9)))
    bench.advance(10 * 86_400)
    assert bench.look(ONE)["firmware_version"] == 9


def test_a_lock_beats_a_group_and_a_group_beats_the_default(bench: Any) -> None:
    device, product = bench.device(ONE), bench.cloud.state.products[PRODUCT]
    release = f"/v1/products/{PRODUCT}/firmware/release"
    bench.call("PUT", release, {"version": 1, "product_default": True})
    assert product.intention(device).version == 1
    bench.lock(ONE, 2)
    bench.advance(120)
    assert bench.call("PUT", release, {"version": 2, "groups": ["eu"]}).status == 200
    bench.lock(ONE, None)
    assert product.intention(device).version == 2
    bench.lock(ONE, 3, flash=False)
    assert product.intention(device).version == 3


def test_of_two_groups_the_higher_release_wins(make_bench: Callable[..., Any]) -> None:
    bench = make_bench("""
products: [{id: 200, slug: a, platform: boron, groups: [x, y], releases: {x: 2, y: 1}, default: 1,
            firmware: [{version: 1, deviceOS: "1.5.2"}, {version: 2, deviceOS: "1.5.2"}]}]
devices: [{product: a, platform: boron, deviceOS: "2.0.1", application: 1, groups: [y, x]}]
""")
    (device,) = bench.cloud.state.devices
    assert bench.look(device)["targeted_firmware_release_version"] == 2
    bench.advance(8 * 86_400)
    assert bench.look(device)["firmware_version"] == 2


def test_disabled_updates_refuse_everything_until_the_cloud_forces_them(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench('devices: [{platform: boron, deviceOS: "2.0.1", updates_enabled: false}]')
    (device,) = bench.cloud.state.devices.values()
    binary = module_binary("boron", "6.3.4", "bootloader/0")
    assert bench.flash(device.id, binary).status == 400
    assert device.transfers == 0
    bench.call("PUT", bench.path(device.id), {"firmware_updates_forced": True})
    assert bench.flash(device.id, binary).status == 200


def test_an_application_that_needs_more_boots_into_safe_mode_and_the_healer_brings_what_it_needs(bench: Any) -> None:
    listener = bench.cloud.state.hub.listen(Scope(product_id=PRODUCT, prefix="spark/status/safe-mode"))
    bench.lock(ONE, 3)
    bench.advance(60)
    record = bench.look(ONE)
    assert (record["status"], record["firmware_version"]) == ("safe_mode", 1)
    bench.advance(1200)
    record = bench.look(ONE)
    assert (record["status"], record["firmware_version"], record["system_firmware_version"]) == ("normal", 3, "6.3.4")
    # One session in safe mode for the bootloader, one for the system part, and no more.
    assert len(events_of(listener)) == 2
    # The lowest bootloader that the system part takes, not the newest.
    assert bench.version(ONE, "bootloader/0") == 3100


def test_the_describe_names_modules_dependencies_and_what_is_unmet(bench: Any) -> None:
    listener = bench.cloud.state.hub.listen(Scope(product_id=PRODUCT, prefix="spark/status/safe-mode"))
    bench.lock(ONE, 3)
    bench.advance(60)
    ((_, text),) = events_of(listener)
    describe = json.loads(text)
    assert describe["p"] == 13
    system = next(module for module in describe["m"] if module["f"] == "s")
    assert (system["l"], system["n"], system["v"], system["vc"], system["vv"]) == ("m", "1", 2011, 30, 30)
    assert {"f": "b", "n": "0", "v": 1005} in system["d"]
    user = next(module for module in describe["m"] if module["f"] == "u")
    assert (user["vc"], user["vv"]) == (30, 26)
    assert user["d"] == [{"f": "s", "n": "1", "v": 6305}]
    assert len(user["u"]) == 64


def test_a_device_in_safe_mode_speaks_up_every_ten_minutes(make_bench: Callable[..., Any]) -> None:
    bench = make_bench('devices: [{platform: boron, deviceOS: "2.0.1", modules: {bootloader/0: 502}, healer: false}]')
    listener = bench.cloud.state.hub.listen(Scope(product_id=None, prefix="spark/status/safe-mode"))
    bench.advance(3600)
    assert 5 <= len(events_of(listener)) <= 7
    (device,) = bench.cloud.state.devices.values()
    assert device.transfers == 0


def test_the_healer_goes_through_the_release_that_breaks_the_photons_circle(make_bench: Callable[..., Any]) -> None:
    bench = make_bench("""
products: [{id: 200, slug: hub, platform: photon,
            firmware: [{version: 1, deviceOS: "0.5.2"}, {version: 2, deviceOS: "2.3.1"}]}]
devices: [{product: hub, platform: photon, deviceOS: "0.6.3", application: 1}]
""")
    (device,) = bench.cloud.state.devices.values()
    bench.lock(device.id, 2)
    bench.advance(2 * 3600)
    assert device.mode == "normal"
    assert bench.look(device.id)["system_firmware_version"] == "2.3.1"
    falls = [entry for entry in device.history for slot in entry.before if entry.after[slot] < entry.before[slot]]
    assert falls == []


def test_the_healer_leaves_alone_what_nothing_helps(make_bench: Callable[..., Any]) -> None:
    bench = make_bench('devices: [{platform: boron, deviceOS: "6.3.4", status: safe_mode}]')
    (device,) = bench.cloud.state.devices.values()
    bench.advance(7200)
    assert device.mode == "safe_mode"
    assert device.transfers == 0


def test_a_crashing_application_recovers_with_the_next_one(make_bench: Callable[..., Any]) -> None:
    bench = make_bench("""
products: [{id: 200, slug: a, platform: boron,
            firmware: [{version: 1, deviceOS: "1.5.2"}, {version: 2, deviceOS: "1.5.2"}]}]
devices: [{product: a, platform: boron, deviceOS: "6.3.4", application: 1, status: safe_mode}]
""")
    (device,) = bench.cloud.state.devices.values()
    bench.lock(device.id, 2)
    bench.advance(120)
    assert bench.look(device.id)["status"] == "normal"
    assert bench.look(device.id)["firmware_version"] == 2


def test_one_seed_gives_one_history(make_bench: Callable[..., Any]) -> None:
    text = 'devices: [{count: 20, platform: boron, deviceOS: "2.0.1", modules: {bootloader/0: 502}}]'

    def history(seed: int) -> list[Any]:
        bench = make_bench(text, seed=seed)
        bench.advance(3600)
        return [entry for device in bench.cloud.state.devices.values() for entry in device.history]

    assert history(3) == history(3)
    assert history(3) != history(4)
