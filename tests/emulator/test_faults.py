"""Each fault does what its line says, to whom and as often as it was ordered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator.faults import FAULTS, FaultOrder, Faults
from reconciler.emulator.message import Manner

ONE = "e00fce680000000000000001"
LIST = "/v1/products/12345/devices"


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def test_the_control_door_lists_every_fault(bench: Any) -> None:
    assert bench.get("/_emulator/faults")["faults"] == dict(FAULTS)


def test_the_documentation_lists_every_fault_and_no_other() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "emulator.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", page, re.MULTILINE)) == dict(FAULTS)


def test_a_fault_strikes_as_often_as_it_is_counted() -> None:
    faults = Faults(1)
    faults.order(FaultOrder(fault="html", count=2))
    assert [faults.strikes("html", "d") for _ in range(4)] == [True, True, False, False]


def test_a_fault_strikes_at_its_rate_and_by_the_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.order(FaultOrder(fault="html", rate=0.3))
        return [faults.strikes("html", f"d{number}") for number in range(500)]

    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)
    assert 100 < sum(strikes(1)) < 200


def test_a_fault_strikes_only_its_device() -> None:
    faults = Faults(1)
    faults.order(FaultOrder(fault="html", device="a"))
    assert not faults.strikes("html", "b")
    assert not faults.strikes("html", None)
    assert faults.strikes("html", "a")


def test_a_rate_of_zero_lifts_a_fault() -> None:
    faults = Faults(1)
    faults.order(FaultOrder(fault="html"))
    faults.order(FaultOrder(fault="html", rate=0))
    assert not faults.possible("html")
    assert not faults.strikes("html", "a")


def test_a_flaw_strikes_its_version_alone_and_always_the_same_devices() -> None:
    faults = Faults(1)
    faults.order(FaultOrder(fault="boot-crash", application=3, rate=0.3))
    names = [f"d{number}" for number in range(200)]

    def struck(version: int | None) -> list[str]:
        return [name for name in names if faults.strikes("boot-crash", name, version)]

    assert struck(None) == struck(4) == []
    assert 30 < len(struck(3)) < 90
    assert struck(3) == struck(3)


@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        ("lost-answer", True),
        ("garbage", True),
        ("slow-answer", True),
        ("lost-request", False),
        ("error-500", False),
        ("html", False),
        ("rate-limit-storm", False),
        ("token-revoked", False),
    ],
)
def test_a_spoilt_request_has_its_effect_or_has_none(bench: Any, fault: str, effect: bool) -> None:
    bench.fault(fault, count=1)
    bench.lock(ONE, 2, flash=False)
    assert (bench.device(ONE).locked == 2) is effect


def test_a_lost_answer_is_a_broken_connection_or_a_page_of_a_proxy(bench: Any) -> None:
    bench.fault("lost-answer")
    answers = [bench.call("GET", LIST) for _ in range(20)]
    assert {(a.manner, a.status if a.manner is Manner.PROPER else 0) for a in answers} == {
        (Manner.BROKEN, 0),
        (Manner.PROPER, 502),
    }
    assert all(record["answered"] is False for record in bench.get("/_emulator/requests"))


def test_silence_falls_with_and_without_effect(make_bench: Callable[..., Any]) -> None:
    outcomes = set()
    for seed in range(12):
        bench = make_bench(
            'products: [{id: 200, slug: a, platform: boron, firmware: [{version: 1, deviceOS: "1.5.2"}]}]\n'
            f'devices: [{{id: {ONE}, product: a, platform: boron, deviceOS: "2.0.1"}}]',
            seed=seed,
        )
        bench.fault("silence", count=1)
        assert bench.lock(ONE, 1, flash=False).manner is Manner.SILENT
        outcomes.add(bench.device(ONE).locked)
    assert outcomes == {None, 1}


@pytest.mark.parametrize(
    ("fault", "status", "reads_as_json"),
    [("error-500", 500, True), ("garbage", 200, False), ("html", 200, False), ("rate-limit-storm", 429, True)],
)
def test_a_spoilt_answer_looks_like_this(bench: Any, fault: str, status: int, reads_as_json: bool) -> None:
    bench.fault(fault)
    answer = bench.call("GET", LIST)
    assert answer.status == status
    assert is_json(answer.body) is reads_as_json


def test_a_storm_says_when_to_come_back(bench: Any) -> None:
    bench.fault("rate-limit-storm")
    assert int(bench.call("GET", LIST).headers["Retry-After"]) > 0


def test_a_revoked_token_stays_revoked_until_the_fault_is_lifted(bench: Any) -> None:
    bench.fault("token-revoked", count=1)
    assert [bench.call("GET", LIST).status for _ in range(3)] == [401, 401, 401]
    bench.fault("token-revoked", rate=0)
    assert bench.call("GET", LIST).status == 200


def test_a_doubled_flash_is_answered_for_the_second_time(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.fault("doubled-request", count=1)
    assert bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0")).status == 409
    assert bench.device(ONE).transfers == 1
    bench.advance(120)
    assert bench.version(ONE, "bootloader/0") == 3200
    flashes = [record for record in bench.get("/_emulator/requests") if record["kind"] == "flash"]
    assert [(record["fault"], record["status"]) for record in flashes] == [("doubled-request", 409)]


def test_a_doubled_lock_is_one_lock(bench: Any) -> None:
    bench.fault("doubled-request")
    assert bench.lock(ONE, 2).status == 200
    bench.advance(120)
    assert (bench.device(ONE).locked, bench.device(ONE).transfers) == (2, 1)


def test_a_question_is_never_doubled(bench: Any) -> None:
    bench.fault("doubled-request", count=1)
    bench.call("GET", LIST)
    assert bench.get("/_emulator/faults")["active"][0]["struck"] == 0


def test_a_flash_that_times_out_may_have_reached_the_device(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    outcomes = set()
    for seed in range(12):
        bench = make_bench(f'devices: [{{id: {ONE}, platform: boron, deviceOS: "2.0.1"}}]', seed=seed)
        bench.fault("device-timeout", count=1)
        assert bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0")).status == 408
        assert bench.get("/_emulator/requests")[-1]["answered"] is False
        outcomes.add(bench.device(ONE).transfers)
    assert outcomes == {0, 1}


def test_nothing_but_a_flash_times_out(bench: Any) -> None:
    bench.fault("device-timeout")
    assert bench.call("GET", LIST).status == 200
    assert bench.lock(ONE, 2).status == 200


def test_a_clock_that_is_wrong_is_wrong_by_the_same_time_whenever_it_strikes(bench: Any) -> None:
    bench.fault("clock-skew", rate=0.5)
    skews = [bench.call("GET", LIST).date_skew_seconds for _ in range(40)]
    (wrong,) = set(skews) - {0.0}
    assert 300 <= abs(wrong) <= 1800
    assert 0.0 in skews


def test_a_stale_list_lags_while_a_single_device_does_not(bench: Any) -> None:
    bench.fault("stale-list")
    bench.advance(100)
    bench.cloud.state.life.set_online(bench.device(ONE), False, bench.now)
    assert bench.look(ONE)["online"] is False
    assert bench.get(LIST)["devices"][0]["online"] is True
    bench.advance(61)
    assert bench.get(LIST)["devices"][0]["online"] is False


def test_a_failing_flash_leaves_the_device_as_it_was(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.fault("flash-fails", count=1)
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(120)
    assert bench.version(ONE, "bootloader/0") == 1005
    assert bench.device(ONE).online
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(120)
    assert bench.version(ONE, "bootloader/0") == 3200


def test_a_device_lost_during_a_transfer_returns_as_it_was(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.fault("offline-during-transfer", count=1)
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(15)
    assert not bench.device(ONE).online
    bench.advance(1300)
    assert bench.device(ONE).online
    assert bench.version(ONE, "bootloader/0") == 1005


def test_a_device_that_never_returns_never_returns(bench: Any, module_binary: Callable[..., bytes]) -> None:
    bench.fault("device-never-returns")
    bench.flash(ONE, module_binary("boron", "6.3.4", "bootloader/0"))
    bench.advance(30 * 86_400)
    assert bench.look(ONE)["online"] is False
    bench.cloud.state.life.set_online(bench.device(ONE), True, bench.now)
    assert bench.look(ONE)["online"] is False


def test_a_crash_after_an_update_is_safe_mode_that_no_healer_ends(bench: Any) -> None:
    bench.fault("boot-crash", count=1)
    bench.lock(ONE, 2)
    bench.advance(3 * 3600)
    record = bench.look(ONE)
    assert (record["status"], record["firmware_version"]) == ("safe_mode", 1)
    assert bench.device(ONE).transfers == 1
