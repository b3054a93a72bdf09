"""Each law catches a client that breaks it on purpose, and a right sequence breaks none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ONE = "e00fce680000000000000001"
MARKED = """
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu],
     firmware: [{version: 1, deviceOS: "1.5.2"}, {version: 2, deviceOS: "2.0.1"}], default: %s}
devices:
  - {id: e00fce680000000000000001, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: %s, %s}
"""


def test_a_right_sequence_breaks_no_law(bench: Any, module_binary: Callable[..., bytes]) -> None:
    for slot in ("bootloader/0", "system_part/1"):
        assert bench.look(ONE)["online"] is True
        assert bench.flash(ONE, module_binary("boron", "6.3.4", slot)).status == 200
        bench.advance(300)
    bench.look(ONE)
    bench.lock(ONE, 3)
    bench.advance(300)
    assert (bench.look(ONE)["system_firmware_version"], bench.look(ONE)["firmware_version"]) == ("6.3.4", 3)
    assert bench.laws() == []


def test_s1_a_lower_module(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.flash(ONE, module_binary("boron", "1.5.2", "system_part/1"))
    bench.advance(300)
    assert bench.laws() == ["S1"]
    assert "system_part/1 fell from 2011 to 1512" in bench.cloud.violations()[0].detail


def test_s1_a_lower_module_that_the_device_refuses_has_fallen_nowhere(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench('devices: [{platform: photon, deviceOS: "2.3.1"}]')
    (device,) = bench.cloud.state.devices
    bench.flash(device, module_binary("photon", "2.2.0", "system_part/1"))
    bench.advance(300)
    assert bench.laws() == []


def test_s1_a_lock_to_a_lower_application(bench: Any) -> None:
    bench.lock(ONE, 2)
    bench.advance(300)
    bench.look(ONE)
    bench.lock(ONE, 1)
    bench.advance(300)
    assert bench.laws() == ["S1"]


def test_s1_a_flash_that_the_cloud_takes_back(
    make_bench: Callable[..., Any], application_binary: Callable[..., bytes]
) -> None:
    bench = make_bench(MARKED % ("1", "1", "groups: [eu]"))
    bench.flash(ONE, application_binary("boron", "2.0.1", (12345, 2)))
    bench.advance(300)
    assert bench.laws() == ["S1"]
    assert "after a client had raised it" in bench.cloud.violations()[0].detail


def test_s1_what_the_cloud_does_by_itself_is_nobodys_fault(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(MARKED % ("1", "2", "groups: [eu]"))
    bench.advance(8 * 86_400)
    assert bench.look(ONE)["firmware_version"] == 1
    assert bench.laws() == []


@pytest.mark.parametrize(
    ("platform", "slot"), [("argon", "bootloader/0"), ("argon", "ncp_firmware/0"), ("photon", "system_part/2")]
)
def test_s2_a_module_of_another_platform(
    bench: Any, module_binary: Callable[..., bytes], platform: str, slot: str
) -> None:
    if slot == "ncp_firmware/0":
        platform = "tracker"
    bench.flash(ONE, module_binary(platform, "3.0.0", slot))
    assert bench.laws() == ["S2"]


def test_s2_an_application_of_another_product(bench: Any, application_binary: Callable[..., bytes]) -> None:
    bench.flash(ONE, application_binary("boron", "2.0.1", (999, 5)))
    assert bench.laws() == ["S2"]


def test_s5_a_second_send_during_the_first_even_after_a_look(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(3)
    bench.look(ONE)
    bench.lock(ONE, 2)
    assert bench.laws() == ["S5"]


def test_s5_a_send_during_the_restart(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    while bench.look(ONE)["online"]:
        bench.advance(1)
    bench.lock(ONE, 2)
    assert bench.laws() == ["S5"]


def test_s5_the_healers_transfer_is_no_send_of_a_client(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(MARKED % ("null", "1", "modules: {bootloader/0: 502}"))
    device = bench.device(ONE)
    while device.transfer is None:
        bench.advance(1)
    bench.lock(ONE, 2)
    assert bench.laws() == []


def test_s5_a_delivery_that_the_cloud_repeats_by_itself_is_no_send_of_a_client(bench: Any) -> None:
    bench.fault("flash-fails", count=1)
    bench.lock(ONE, 2)
    device = bench.device(ONE)
    while device.transfers < 2:
        bench.advance(1)
    assert device.transfer is not None
    bench.look(ONE)
    bench.lock(ONE, 2)
    assert bench.laws() == []


@pytest.mark.parametrize("fault", ["lost-answer", "lost-request", "error-500", "garbage", "html", "silence"])
def test_s7_a_resend_after_a_lost_answer(bench: Any, fault: str) -> None:
    bench.fault(fault, count=1)
    bench.lock(ONE, 2, flash=False)
    bench.lock(ONE, 2, flash=False)
    assert bench.laws() == ["S7"]


@pytest.mark.parametrize("path", ["/v1/products/12345/devices/" + ONE, "/v1/products/12345/devices"])
def test_s7_a_look_in_between_makes_it_right(bench: Any, path: str) -> None:
    bench.fault("lost-answer", count=1)
    bench.lock(ONE, 2, flash=False)
    bench.get(path)
    bench.lock(ONE, 2, flash=False)
    assert bench.laws() == []


def test_s7_a_look_that_was_lost_itself_is_none(bench: Any) -> None:
    bench.fault("lost-answer", count=2)
    bench.lock(ONE, 2, flash=False)
    bench.call("GET", bench.path(ONE))
    bench.lock(ONE, 2, flash=False)
    assert bench.laws() == ["S7"]


def test_s7_a_look_at_another_device_is_none(make_bench: Callable[..., Any]) -> None:
    two = "e00fce680000000000000002"
    text = MARKED % ("null", "1", "groups: [eu]")
    bench = make_bench(f'{text}  - {{id: {two}, product: cold-chain, platform: boron, deviceOS: "2.0.1"}}\n')
    bench.fault("lost-answer", device=ONE, count=1)
    bench.lock(ONE, 2, flash=False)
    bench.look(two)
    bench.lock(ONE, 2, flash=False)
    assert bench.laws() == ["S7"]


def test_s7_an_event_about_the_device_is_a_look(bench: Any, module_binary: Callable[..., bytes]) -> None:
    listener = bench.call("GET", "/v1/products/12345/events").listener
    bench.fault("lost-answer", count=1)
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(300)
    assert b"success" in listener.take()
    bench.flash(ONE, module_binary("boron", "6.3.4", "system_part/1"))
    assert bench.laws() == []


def test_s7_a_refusal_in_words_may_be_answered_by_another_try(bench: Any) -> None:
    bench.fault("rate-limit-storm", count=1)
    bench.lock(ONE, 2, flash=False)
    bench.lock(ONE, 2, flash=False)
    assert bench.laws() == []


def test_s9_a_lock_on_a_development_device(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(MARKED % ("null", "1", "development: true"))
    bench.lock(ONE, 2)
    assert bench.laws() == ["S9"]


def test_s9_a_flash_of_a_development_device_is_right(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench(MARKED % ("null", "1", "development: true"))
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    assert bench.laws() == []


@pytest.mark.parametrize("mark", ["locked: 1", "updates_enabled: false"])
@pytest.mark.parametrize("send", ["lock", "flash"])
def test_s9_a_send_to_a_device_that_is_to_be_left_alone(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes], mark: str, send: str
) -> None:
    bench = make_bench(MARKED % ("null", "1", mark))
    if send == "lock":
        bench.lock(ONE, 2)
    else:
        bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    assert bench.laws() == ["S9"]


def test_s9_forced_updates_are_asked_for(make_bench: Callable[..., Any], module_binary: Callable[..., bytes]) -> None:
    bench = make_bench(MARKED % ("null", "1", "updates_enabled: false, updates_forced: true"))
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    assert bench.laws() == []


def test_the_control_door_tells_the_violations(bench: Any) -> None:
    bench.flash(ONE, b"hello")
    (violation,) = bench.get("/_emulator/referee")
    assert (violation["law"], violation["device"]) == ("S8", ONE)
    assert set(violation) == {"law", "device", "at", "detail"}
