"""S3, S4, S8, S11, S19, and S1 through products: each catches who breaks it, and not the client that is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.house_rules import HouseRules
from reconciler.emulator.records import HistoryEntry, Marks, Moment, RequestKind, RequestRecord, Stations
from reconciler.emulator.referee import judge
from reconciler.firmware.binary import parse_module
from reconciler.firmware.builder import build_module
from reconciler.model.instant import Instant
from reconciler.model.module import Module, ModuleSlot
from reconciler.model.platform import platform_by_id, platform_by_name
from tests.emulator.conftest import START

ONE = "e00fce680000000000000001"
TWO = "e00fce680000000000000002"
PRODUCT = "/v1/products/12345"
PERSON = "2" * 40
FALLING = """
tokens: [{name: operator, token: "%s"}, {name: console, token: "%s"}]
rules: {persons: [console]}
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu, us], releases: %s, default: %s,
     firmware: [{version: 1, deviceOS: "1.5.2"}, {version: 2, deviceOS: "2.0.1"}, {version: 3, deviceOS: "2.0.1"}]}
devices:
  - {id: e00fce680000000000000001, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: 2,
     groups: [eu], locked: %s}
"""
DAYS = 8 * 86_400


def falling(*, releases: str = "{}", default: str = "null", locked: str | None = None) -> str:
    text = FALLING % ("1" * 40, PERSON, releases, default, locked)
    return text.replace(", locked: None", "")


def release(bench: Any, version: int, **fields: Any) -> None:
    body = {"version": version, **fields}
    assert bench.call("PUT", f"{PRODUCT}/firmware/release", body).status == 200


def put_in_group(bench: Any, group: str) -> None:
    assert bench.call("PUT", bench.path(ONE), {"groups": [group]}).status == 200


def only_violation(bench: Any) -> Any:
    (violation,) = bench.cloud.violations()
    return violation


@pytest.mark.parametrize("fields", [{"groups": ["eu"]}, {"product_default": True}])
@pytest.mark.parametrize("intelligent", [True, False])
def test_s1_a_release_of_a_lower_version(
    make_bench: Callable[..., Any], fields: dict[str, Any], intelligent: bool
) -> None:
    bench = make_bench(falling(default="1", locked="2"))
    assert bench.call("PUT", bench.path(ONE), {"desired_firmware_version": None}, token=PERSON).status == 200
    release(bench, 1, intelligent=intelligent, **fields)
    request = bench.cloud.requests[-1].ordinal
    bench.advance(DAYS)
    found = only_violation(bench)
    assert (found.law, found.device) == ("S1", ONE)
    assert found.detail == f"the application fell from 2 to 1 by request {request}"
    assert found.at > START


def test_s1_a_release_that_lowers_nobody_is_right(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling())
    release(bench, 2, groups=["eu"], intelligent=True)
    bench.advance(DAYS)
    assert bench.laws() == []


def test_s1_a_lock_that_a_client_takes_away(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling(default="1"))
    bench.lock(ONE, 2, flash=False)
    bench.look(ONE)
    bench.lock(ONE, None, flash=False)
    request = bench.cloud.requests[-1].ordinal
    bench.advance(DAYS)
    assert (
        only_violation(bench).detail
        == f"the application fell from 2 to 1 after request {request} made the cloud intend that"
    )


def test_s1_another_group(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling(releases="{eu: 2, us: 1}"))
    put_in_group(bench, "us")
    bench.advance(DAYS)
    assert "the application fell from 2 to 1 after request" in only_violation(bench).detail


def test_s1_another_group_of_many_devices_at_once(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling(releases="{eu: 2, us: 1}"))
    body = {"action": "groups", "devices": [ONE], "metadata": {"add": ["us"], "remove": ["eu"]}}
    assert bench.call("PUT", f"{PRODUCT}/devices", body).status == 200
    bench.advance(DAYS)
    assert bench.laws() == ["S1"]


def test_s1_a_group_that_changes_nothing_is_right_even_if_the_cloud_lowers_the_device(
    make_bench: Callable[..., Any],
) -> None:
    bench = make_bench(falling(default="1"))
    put_in_group(bench, "us")
    bench.advance(DAYS)
    assert bench.look(ONE)["firmware_version"] == 1
    assert bench.laws() == []


def test_s1_an_application_that_the_cloud_lowers_after_a_client_flashed_a_module_is_nobodys_fault(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench(falling(default="1"))
    bench.look(ONE)
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(300)
    assert bench.look(ONE)["firmware_version"] == 1
    assert bench.laws() == []


@pytest.mark.parametrize("body", [{"desired_firmware_version": 1}, {"desired_firmware_version": None}])
def test_s1_what_a_person_does_in_the_console_is_not_the_clients(
    make_bench: Callable[..., Any], body: dict[str, Any]
) -> None:
    bench = make_bench(falling(default="1"))
    bench.lock(ONE, 3)
    bench.advance(300)
    assert bench.look(ONE)["firmware_version"] == 3
    assert bench.call("PUT", bench.path(ONE), body, token=PERSON).status == 200
    bench.advance(DAYS)
    assert bench.look(ONE)["firmware_version"] == 1
    assert bench.laws() == []


@pytest.mark.parametrize(("acts", "laws"), [((), ["S1"]), ((15,), []), ((5,), ["S1"])])
def test_s1_a_persons_last_word_in_the_console_is_not_the_clients(acts: tuple[int, ...], laws: list[str]) -> None:
    application = ModuleSlot.parse("user_part/1")
    marks = Marks(platform_id=13, product_id=12345, slots=frozenset([application]), device_os="2.0.1")

    def moment(ordinal: int, what: Moment, versions: tuple[int, int] = (1, 1), **more: Any) -> HistoryEntry:
        modules = {application: 6}
        before, after = versions
        return HistoryEntry(
            ordinal=ordinal,
            at=Instant(START + ordinal),
            moment=what,
            before=modules,
            after=modules,
            application_before=before,
            application_after=after,
            marks=marks,
            **more,
        )

    flash = RequestRecord(
        ordinal=10,
        at=Instant(START + 10),
        method="PUT",
        path="",
        token="operator",
        status=200,
        bytes=9,
        kind=RequestKind.FLASH,
        device=ONE,
    )
    history = [
        moment(1, Moment.BORN),
        moment(12, Moment.INSTALLED, (1, 2), cause=10),
        moment(20, Moment.INSTALLED, (2, 1)),
        *(moment(ordinal, Moment.MARKED, by_person=True) for ordinal in acts),
    ]
    history.sort(key=lambda entry: entry.ordinal)
    found = judge([flash], {ONE: history}, {}, rules=HouseRules(), stations=Stations())
    assert [violation.law for violation in found] == laws


def test_s3_a_module_that_leaves_another_without_what_it_needs(
    make_bench: Callable[..., Any], application_binary: Callable[..., bytes]
) -> None:
    bench = make_bench('devices: [{id: e00fce680000000000000001, platform: boron, deviceOS: "2.0.1"}]')
    bench.flash(ONE, application_binary("boron", "6.3.4", None))
    bench.advance(60)
    found = only_violation(bench)
    assert (found.law, found.device) == ("S3", ONE)
    assert "restarts into safe mode: user_part/" in found.detail
    assert "needs system_part/1 >= 6305" in found.detail


def test_s3_safe_mode_that_the_rules_allow_is_right(bench: Any) -> None:
    assert bench.call("POST", "/_emulator/rules", {"safeModeAllowed": True}).status == 200
    bench.lock(ONE, 3)
    bench.advance(7200)
    assert bench.look(ONE)["firmware_version"] == 3
    assert bench.laws() == []


def test_s3_steps_out_of_safe_mode_are_right(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench(
        'devices: [{id: e00fce680000000000000001, platform: boron, deviceOS: "2.0.1", healer: false,\n'
        "          modules: {bootloader/0: 101, radio_stack/0: 0}}]"
    )
    for slot in ("bootloader/0", "radio_stack/0"):
        assert bench.look(ONE)["status"] == "safe_mode"
        bench.flash(ONE, module_binary("boron", "2.0.1", slot))
        bench.advance(300)
    assert bench.look(ONE)["status"] == "normal"
    assert bench.laws() == []


def test_s3_an_application_that_crashes_has_all_that_it_needs(bench: Any) -> None:
    bench.fault("boot-crash", count=1)
    bench.lock(ONE, 2)
    bench.advance(300)
    assert bench.look(ONE)["status"] == "safe_mode"
    assert bench.laws() == []


ELECTRON = 'devices: [{id: e00fce680000000000000001, platform: electron, deviceOS: "%s"}]'


def bring(bench: Any, module_binary: Callable[..., bytes], release: str, *slots: str, platform: str) -> None:
    for slot in slots:
        bench.look(ONE)
        assert bench.flash(ONE, module_binary(platform, release, slot)).status == 200
        bench.advance(400)
        # What the device refuses would show nothing.
        assert bench.version(ONE, slot) != 0


def test_s4_a_station_that_is_passed(make_bench: Callable[..., Any], module_binary: Callable[..., bytes]) -> None:
    bench = make_bench(ELECTRON % "0.6.4")
    bring(bench, module_binary, "1.2.1", "bootloader/0", "system_part/3", platform="electron")
    found = [violation for violation in bench.cloud.violations() if violation.law == "S4"]
    assert [violation.device for violation in found] == [ONE]
    assert "passes Device OS 0.7.0: system part " in found[0].detail


def test_s4_a_station_that_is_stopped_at_is_right(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench(ELECTRON % "0.7.0")
    order = ("bootloader/0", "system_part/3", "system_part/1", "system_part/2")
    bring(bench, module_binary, "1.2.1", *order, platform="electron")
    bring(bench, module_binary, "3.3.1", *order, platform="electron")
    assert "S4" not in bench.laws()
    assert bench.version(ONE, "system_part/2") == 3302


def test_s4_system_parts_of_two_releases_before_the_first_is_complete(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench('devices: [{id: e00fce680000000000000001, platform: photon, deviceOS: "1.4.4"}]')
    bring(bench, module_binary, "2.0.1", "system_part/1", platform="photon")
    assert bench.version(ONE, "system_part/1") == 2011
    bring(bench, module_binary, "2.3.1", "system_part/1", platform="photon")
    assert "S4" in bench.laws()


def another_build(binary: bytes) -> bytes:
    """The same module with other code in it."""
    parsed = parse_module(binary)
    platform = platform_by_id(parsed.platform_id)
    assert platform is not None
    return build_module(platform, parsed.module, size=parsed.size, product=parsed.product, seed=1)


def test_s8_something_that_is_no_module(bench: Any) -> None:
    bench.flash(ONE, b"hello")
    assert only_violation(bench).detail == "what was sent is no module"
    assert bench.laws() == ["S8"]


def test_s8_a_module_with_other_bytes_than_the_releases(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.flash(ONE, another_build(module_binary("boron", "6.3.4", "bootloader/0")))
    assert bench.laws() == ["S8"]
    assert only_violation(bench).detail == "the bytes are not those that the cloud holds of bootloader/0 3200"


def test_s8_an_application_with_other_bytes_than_the_products(
    bench: Any, application_binary: Callable[..., bytes]
) -> None:
    bench.flash(ONE, another_build(application_binary("boron", "2.0.1", (12345, 2))))
    assert bench.laws() == ["S8"]


def test_s8_an_application_that_the_product_does_not_hold_can_be_compared_with_nothing(
    bench: Any, application_binary: Callable[..., bytes]
) -> None:
    bench.flash(ONE, application_binary("boron", "2.0.1", (12345, 77)))
    assert bench.laws() == []


def test_s8_an_upload_of_garbage(bench: Any) -> None:
    bench.send_file("POST", f"{PRODUCT}/firmware", b"hello", version=9)
    found = only_violation(bench)
    assert (found.law, found.device) == ("S8", "")
    assert found.detail == "what was uploaded to product 12345 is no application"


def test_s8_an_upload_of_a_module_that_is_no_application(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.send_file("POST", f"{PRODUCT}/firmware", module_binary("boron", "6.3.4", "bootloader/0"), version=9)
    assert bench.laws() == ["S8"]


@pytest.mark.parametrize(("platform", "product"), [("argon", 12345), ("boron", 999)])
def test_s2_an_upload_of_anothers_application(
    bench: Any, application_binary: Callable[..., bytes], platform: str, product: int
) -> None:
    binary = application_binary(platform, "2.0.1", (product, 9))
    bench.send_file("POST", f"{PRODUCT}/firmware", binary, version=9)
    assert bench.laws() == ["S2"]


def test_an_upload_is_right_even_when_it_comes_twice(bench: Any, application_binary: Callable[..., bytes]) -> None:
    binary = application_binary("boron", "2.0.1", (12345, 9))
    answers = [bench.send_file("POST", f"{PRODUCT}/firmware", binary, version=9).status for _ in range(2)]
    assert answers == [201, 400]
    assert bench.laws() == []


def test_s11_a_second_send_on_what_was_seen_before_the_first(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.look(ONE)
    for slot in ("bootloader/0", "system_part/1"):
        bench.flash(ONE, module_binary("boron", "6.3.4", slot))
        bench.advance(300)
    found = only_violation(bench)
    assert (found.law, found.device, found.at) == ("S11", ONE, START + 300)


def test_s11_a_lock_is_taken_away_without_another_look(bench: Any) -> None:
    bench.fault("flash-fails")
    bench.lock(ONE, 2, flash=False)
    bench.lock(ONE, None, flash=False)
    assert bench.laws() == []


def test_s19_a_send_to_a_device_that_has_never_reported(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling().replace("groups: [eu]}", "groups: [eu], reported: false}"))
    bench.lock(ONE, 2)
    assert only_violation(bench).detail == "lock to a device that has never reported"
    assert bench.laws() == ["S19"]


def test_s19_a_send_to_a_device_of_an_unknown_release(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling().replace("groups: [eu]}", "groups: [eu], modules: {system_part/1: 2222}}"))
    bench.lock(ONE, 2)
    assert bench.laws() == ["S19"]


def test_s19_a_send_to_a_device_that_does_not_exist(bench: Any) -> None:
    assert bench.call("PUT", f"{PRODUCT}/devices/{TWO}", {"desired_firmware_version": 2}).status == 404
    assert [(found.law, found.device) for found in bench.cloud.violations()] == [("S19", TWO)]


def test_s19_a_module_of_no_release(bench: Any) -> None:
    platform = platform_by_name("boron")
    assert platform is not None
    bench.flash(ONE, build_module(platform, Module(slot=ModuleSlot.parse("bootloader/0"), version=9999)))
    assert only_violation(bench).detail == "no known release ships bootloader/0 9999"
    assert bench.laws() == ["S19"]


def test_s9_a_mark_that_came_after_the_last_look_could_not_be_known(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling())
    bench.look(ONE)
    bench.call("PUT", bench.path(ONE), {"desired_firmware_version": 2}, token=PERSON)
    bench.lock(ONE, 3, flash=False)
    assert bench.laws() == []
    bench.look(ONE)
    bench.lock(ONE, 3, flash=False)
    assert bench.laws() == ["S9"]


def test_s9_a_persons_lock_to_what_the_client_locks_to_agrees_with_it(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling())
    bench.call("PUT", bench.path(ONE), {"desired_firmware_version": 3}, token=PERSON)
    bench.look(ONE)
    bench.lock(ONE, 3, flash=False)
    assert bench.laws() == []


def test_s9_a_client_may_put_back_its_own_lock_that_a_person_lowered(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling())
    bench.look(ONE)
    bench.lock(ONE, 3, flash=False)
    bench.call("PUT", bench.path(ONE), {"desired_firmware_version": 2}, token=PERSON)
    bench.look(ONE)
    bench.lock(ONE, 3, flash=False)
    assert bench.laws() == []


def test_s9_a_lock_that_a_person_has_taken_away_stands_no_longer(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(falling(locked="2"))
    bench.call("PUT", bench.path(ONE), {"desired_firmware_version": None}, token=PERSON)
    bench.look(ONE)
    bench.lock(ONE, 3, flash=False)
    assert bench.laws() == []


@pytest.mark.parametrize(("fault", "laws"), [("lost-answer", ["S9"]), ("lost-request", [])])
def test_s9_a_persons_lock_without_an_answer_counts_where_the_cloud_has_it(
    make_bench: Callable[..., Any], fault: str, laws: list[str]
) -> None:
    bench = make_bench(falling())
    bench.fault(fault, count=1)
    bench.call("PUT", bench.path(ONE), {"desired_firmware_version": 2}, token=PERSON)
    bench.look(ONE)
    bench.lock(ONE, 3, flash=False)
    assert bench.laws() == laws


def test_what_a_person_does_is_not_judged_and_what_a_person_sees_is_no_look_of_a_client(
    make_bench: Callable[..., Any],
) -> None:
    bench = make_bench(falling())
    bench.lock(ONE, 3, flash=False)
    bench.call("GET", bench.path(ONE), token=PERSON)
    bench.lock(ONE, 3, flash=False)
    for _ in range(2):
        bench.call("PUT", bench.path(ONE), {"desired_firmware_version": 1}, token=PERSON)
    assert bench.laws() == ["S11"]
