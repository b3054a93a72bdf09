"""What becomes of transfers: those that go on, several modules at once, compressed ones, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.artifact import Artifact, Combined, read_payload
from reconciler.emulator.device import transfer_error
from reconciler.emulator.events import Scope
from reconciler.firmware.builder import combine_modules, compress_module
from reconciler.firmware.known import known_catalog
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion

ONE = "e00fce680000000000000001"
PRODUCT = 12345
NEW_WORLD = """
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu],
     firmware: [{version: 1, deviceOS: "4.0.1"}, {version: 2, deviceOS: "4.0.2"}, {version: 3, deviceOS: "6.3.4"}]}
devices:
  - {id: e00fce680000000000000001, product: cold-chain, platform: boron, deviceOS: "4.0.1", application: 1}
"""


def events_of(listener: Any, *prefixes: str) -> list[tuple[str, str]]:
    blocks = [block.split("\n") for block in listener.take().decode().split("\n\n") if block]
    pairs = [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: "))["data"].strip()) for name, data in blocks
    ]
    return [(name, data) for name, data in pairs if not prefixes or name.startswith(prefixes)]


def details(bench: Any, moment: str, device: str = ONE) -> list[str]:
    return [entry.detail for entry in bench.device(device).history if entry.moment == moment]


@pytest.fixture
def newer(make_bench: Callable[..., Any]) -> Any:
    """A Boron that resumes, combines and unpacks."""
    return make_bench(NEW_WORLD)


# --- going on where it broke off


def break_off(bench: Any, binary: bytes) -> int:
    """Flash, and pull the plug after 45 seconds. Returns what was received."""
    assert bench.flash(ONE, binary).status == 200
    bench.advance(45)
    bench.cloud.state.life.set_online(bench.device(ONE), False, bench.now)
    received: int = bench.device(ONE).bytes_received
    bench.advance(60)
    bench.cloud.state.life.set_online(bench.device(ONE), True, bench.now)
    return received


def test_a_transfer_of_the_same_bytes_goes_on_where_it_broke_off(
    newer: Any, module_binary: Callable[..., bytes]
) -> None:
    binary = module_binary("boron", "4.0.2", "system_part/1")
    received = break_off(newer, binary)
    (kept,) = [device["partial"] for device in newer.get("/_emulator/devices", id=ONE)]
    assert 0 < kept < received, "the last half minute is on record, not the last byte"

    newer.flash(ONE, binary)
    newer.advance(600)

    assert newer.version(ONE, "system_part/1") == 4006
    assert newer.device(ONE).bytes_received == received + len(binary) - kept
    assert details(newer, "transfer_started") == ["", f"goes on from byte {kept}"]


def test_other_bytes_begin_at_the_beginning(newer: Any, module_binary: Callable[..., bytes]) -> None:
    received = break_off(newer, module_binary("boron", "4.0.2", "system_part/1"))
    other = module_binary("boron", "4.0.2", "bootloader/0")
    newer.flash(ONE, other)
    newer.advance(600)
    assert newer.device(ONE).bytes_received == received + len(other)
    assert details(newer, "transfer_started") == ["", ""]


@pytest.mark.parametrize(("platform", "old", "new"), [("boron", "2.0.1", "2.1.0"), ("photon", "2.0.1", "2.1.0")])
def test_an_older_device_begins_at_the_beginning(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes], platform: str, old: str, new: str
) -> None:
    bench = make_bench(f'devices: [{{id: {ONE}, platform: {platform}, deviceOS: "{old}"}}]')
    binary = module_binary(platform, new, "system_part/1")
    bench.flash(ONE, binary)
    bench.advance(8)
    bench.cloud.state.life.set_online(bench.device(ONE), False, bench.now)
    assert bench.device(ONE).partial is None
    bench.cloud.state.life.set_online(bench.device(ONE), True, bench.now)
    bench.flash(ONE, binary)
    bench.advance(900)
    assert bench.device(ONE).bytes_received > len(binary)


def test_a_resumed_transfer_can_fail_its_check_and_then_begins_anew(
    newer: Any, module_binary: Callable[..., bytes]
) -> None:
    binary = module_binary("boron", "4.0.2", "system_part/1")
    break_off(newer, binary)
    newer.fault("resume-corrupt", count=1)
    newer.flash(ONE, binary)
    newer.advance(600)
    assert details(newer, "transfer_failed")[-1].startswith("-1331")
    newer.flash(ONE, binary)
    newer.advance(600)
    assert details(newer, "transfer_started")[-1] == ""
    assert newer.version(ONE, "system_part/1") == 4006


# --- several modules at once, and compressed ones


def test_the_cloud_sends_an_application_with_the_one_system_part_that_it_lacks(newer: Any) -> None:
    listener = newer.cloud.state.hub.listen(Scope(product_id=PRODUCT))
    newer.lock(ONE, 2)
    newer.advance(600)
    record = newer.look(ONE)
    assert (record["status"], record["firmware_version"], record["system_firmware_version"]) == ("normal", 2, "4.0.2")
    assert newer.device(ONE).transfers == 1
    assert events_of(listener, "spark/status/safe-mode") == []
    whole = sum(newer.cloud.state.binaries.size(newer.device(ONE).platform, m) for m in shipped("4.0.2"))
    assert newer.device(ONE).bytes_received < whole, "it travels compressed"


def shipped(version: str) -> list[Any]:
    platform = platform_by_name("boron")
    assert platform is not None
    release = known_catalog().release(platform, DeviceOsVersion(version))
    assert release is not None
    return [m for m in release.modules if m.module.slot.function is ModuleFunction.SYSTEM_PART]


def test_where_more_than_a_system_part_is_missing_the_application_goes_first(newer: Any) -> None:
    newer.lock(ONE, 3)
    newer.advance(60)
    assert newer.look(ONE)["status"] == "safe_mode"
    newer.advance(3600)
    assert newer.look(ONE)["firmware_version"] == 3
    assert newer.device(ONE).transfers > 1


def test_a_combined_file_is_taken_whole_or_not_at_all(
    newer: Any, module_binary: Callable[..., bytes], application_binary: Callable[..., bytes]
) -> None:
    application = application_binary("boron", "4.0.2", (PRODUCT, 9))
    newer.flash(ONE, combine_modules([module_binary("boron", "4.0.2", "system_part/1"), application]))
    newer.advance(600)
    assert (newer.version(ONE, "system_part/1"), newer.device(ONE).application_version) == (4006, 9)

    too_new = combine_modules([module_binary("boron", "6.3.4", "system_part/1"), application])
    newer.flash(ONE, too_new)
    newer.advance(600)
    assert newer.version(ONE, "system_part/1") == 4006
    assert details(newer, "transfer_failed")[-1].startswith("-1340")


def test_an_old_device_takes_no_combined_file(
    bench: Any, module_binary: Callable[..., bytes], application_binary: Callable[..., bytes]
) -> None:
    application = application_binary("boron", "2.0.1", (PRODUCT, 9))
    bench.flash(ONE, combine_modules([module_binary("boron", "2.1.0", "system_part/1"), application]))
    bench.advance(600)
    assert details(bench, "transfer_failed") == ["-1370 2 modules in one transfer are not supported"]


def test_no_device_takes_three_modules_at_once(
    newer: Any, module_binary: Callable[..., bytes], application_binary: Callable[..., bytes]
) -> None:
    names = ("bootloader/0", "system_part/1")
    modules = [module_binary("boron", "4.0.2", name) for name in names]
    payload = read_payload(combine_modules([*modules, application_binary("boron", "4.0.2", (PRODUCT, 9))]))
    assert isinstance(payload, Combined)
    error = transfer_error(newer.device(ONE), payload)
    assert error is not None
    assert error.code == -1370


def test_a_compressed_application_is_known_by_the_hash_of_what_is_in_it(
    newer: Any, application_binary: Callable[..., bytes]
) -> None:
    plain = application_binary("boron", "4.0.1", (PRODUCT, 9))
    inside = read_payload(plain)
    assert isinstance(inside, Artifact)
    newer.flash(ONE, compress_module(plain))
    newer.advance(300)
    application = newer.device(ONE).modules[ModuleSlot(ModuleFunction.USER_PART, 2)]
    assert (application.product_version, application.sha256) == (9, inside.sha256)


def test_an_old_bootloader_unpacks_nothing(
    make_bench: Callable[..., Any], application_binary: Callable[..., bytes]
) -> None:
    bench = make_bench(f'devices: [{{id: {ONE}, platform: boron, deviceOS: "1.5.2"}}]')
    bench.flash(ONE, compress_module(application_binary("boron", "1.5.2", (13, 9))))
    bench.advance(300)
    assert details(bench, "transfer_failed") == ["-1310 Compressed module is not supported"]


# --- faults


FAILED, SUCCEEDED = ("spark/flash/status", "failed"), ("spark/flash/status", "success")


@pytest.mark.parametrize(
    ("fault", "said", "reset_reason", "arrives"),
    [
        ("restart-before-transfer", FAILED, "power_down", False),
        ("restart-during-transfer", FAILED, "power_down", False),
        ("restart-after-transfer", FAILED, "power_down", True),
        ("transfer-stalls", FAILED, None, False),
        ("success-not-applied", SUCCEEDED, "update", False),
        ("flash-fails", FAILED, None, False),
        ("offline-during-transfer", FAILED, None, False),
    ],
)
def test_a_transfer_that_goes_wrong_says_this_and_leaves_that(
    bench: Any, module_binary: Callable[..., bytes], fault: str, said: Any, reset_reason: str | None, arrives: bool
) -> None:
    bench.fault(fault, count=1)
    listener = bench.cloud.state.hub.listen(Scope(product_id=PRODUCT))
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(2000)
    events = events_of(listener, "spark/flash", "spark/device/last_reset")
    assert said in events
    assert ({FAILED, SUCCEEDED} - {said}).isdisjoint(events)
    assert [data for name, data in events if name == "spark/device/last_reset"] == (
        [reset_reason] if reset_reason else []
    )
    assert (bench.version(ONE, "bootloader/0") == 3200) is arrives
    assert bench.look(ONE)["online"] is True


@pytest.mark.parametrize(
    ("fault", "reset_reason"),
    [
        ("transfer-stalls", "update_timeout"),
        ("offline-during-transfer", "update_timeout"),
        ("flash-fails", "update_error"),
    ],
)
def test_generation_2_resets_when_a_transfer_goes_wrong_and_says_why(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes], fault: str, reset_reason: str
) -> None:
    bench = make_bench(f'devices: [{{id: {ONE}, platform: photon, deviceOS: "2.0.1"}}]')
    bench.fault(fault, count=1)
    listener = bench.cloud.state.hub.listen(Scope(product_id=None, prefix="spark/device/last_reset"))
    bench.flash(ONE, module_binary("photon", "2.1.0", "system_part/1"))
    bench.advance(2000)
    assert events_of(listener) == [("spark/device/last_reset", reset_reason)]
    assert bench.device(ONE).restarts == 1


def test_a_stalled_transfer_takes_the_whole_timeout(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.fault("transfer-stalls", count=1)
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(290)
    assert bench.device(ONE).transfer is not None
    assert bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0")).status == 409
    bench.advance(60)
    assert bench.device(ONE).transfer is None


def test_a_crashing_application_says_so_as_the_reset_reason(bench: Any) -> None:
    listener = bench.cloud.state.hub.listen(Scope(product_id=PRODUCT, prefix="spark/device/last_reset"))
    bench.fault("boot-crash", count=1)
    bench.lock(ONE, 2)
    bench.advance(120)
    assert events_of(listener) == [("spark/device/last_reset", "panic, hard_fault")]


def test_a_device_whose_plug_was_pulled_says_so(bench: Any) -> None:
    listener = bench.cloud.state.hub.listen(Scope(product_id=PRODUCT, prefix="spark/device/last_reset"))
    for online in (False, True):
        bench.call("POST", "/_emulator/devices", {"id": ONE, "online": online})
    assert events_of(listener) == [("spark/device/last_reset", "power_down")]


def test_a_version_with_a_flaw_crashes_and_the_next_one_does_not(bench: Any) -> None:
    bench.call("POST", "/_emulator/faults", {"fault": "boot-crash", "application": 2})
    for version, mode in ((2, "safe_mode"), (3, "normal")):
        bench.lock(ONE, version)
        bench.advance(3600)
        assert (bench.device(ONE).application_version, bench.device(ONE).mode.value) == (version, mode)


def test_the_version_of_a_flaw_must_be_a_number(bench: Any) -> None:
    assert bench.call("POST", "/_emulator/faults", {"fault": "boot-crash", "application": "44"}).status == 400
