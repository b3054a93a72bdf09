"""The rules of the house: each catches a client that breaks it, and not the one that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.world import WorldError, load_rules, load_world
from reconciler.model.instant import Instant, iso_from_instant
from tests.emulator.conftest import START

PRODUCT = "/v1/products/12345"
IDS = [f"e00fce68000000000000000{number}" for number in range(1, 6)]
WORLD = """
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu],
     firmware: [{version: 1, deviceOS: "1.5.2"}, {version: 2, deviceOS: "2.0.1"}, {version: 3, deviceOS: "2.0.1"}]}
devices:
""" + "".join(
    f'  - {{id: {device}, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: 1, groups: [eu]}}\n'
    for device in IDS
)
SEND_SECONDS = 300.0
"""Enough for a transfer of an application, a restart and a session."""


@pytest.fixture
def fleet(make_bench: Callable[..., Any]) -> Any:
    return make_bench(WORLD)


def told(bench: Any, **rules: Any) -> Any:
    answer = bench.call("POST", "/_emulator/rules", rules)
    assert answer.status == 200, answer.body
    return bench


def after(seconds: float) -> str:
    return iso_from_instant(Instant(START + seconds))


def found(bench: Any) -> list[tuple[str, str]]:
    return [(violation.law, violation.device) for violation in bench.cloud.violations()]


def send(bench: Any, device: str, version: int = 2) -> Instant:
    bench.look(device)
    assert bench.lock(device, version).status == 200
    return Instant(bench.now)


def release(bench: Any) -> None:
    body = {"version": 1, "groups": ["eu"], "intelligent": False}
    assert bench.call("PUT", f"{PRODUCT}/firmware/release", body).status == 200


def test_without_rules_nothing_of_this_is_wrong(fleet: Any) -> None:
    for device in IDS:
        send(fleet, device)
    assert found(fleet) == []


def test_s9_a_device_that_is_to_be_left_alone(fleet: Any) -> None:
    told(fleet, leaveAlone=[IDS[1]])
    for device in IDS[:3]:
        send(fleet, device)
    assert found(fleet) == [("S9", IDS[1])]
    assert fleet.cloud.violations()[0].detail == "lock sent to a device that is to be left alone"


def test_s9_a_release_that_reaches_a_device_that_is_to_be_left_alone(fleet: Any) -> None:
    told(fleet, leaveAlone=[IDS[1]])
    release(fleet)
    assert found(fleet) == [("S9", IDS[1])]
    assert fleet.cloud.violations()[0].detail == "release reaches a device that is to be left alone"


def test_s9_a_release_past_a_device_that_is_to_be_left_alone_is_right(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(WORLD.replace(f"{{id: {IDS[1]}", f"{{locked: 1, id: {IDS[1]}"))
    told(bench, leaveAlone=[IDS[1]])
    release(bench)
    assert found(bench) == []


def test_s10_a_send_outside_the_windows(fleet: Any) -> None:
    told(fleet, windows=[{"from": after(0), "until": after(100)}, {"from": after(1000), "until": after(2000)}])
    send(fleet, IDS[0])
    fleet.advance(100)
    wrong = send(fleet, IDS[1])
    fleet.advance(900)
    send(fleet, IDS[2])
    (violation,) = fleet.cloud.violations()
    assert (violation.law, violation.device, violation.at) == ("S10", IDS[1], wrong)
    assert "starts outside every window" in violation.detail


def test_s10_a_lock_within_the_window_whose_transfer_starts_after_it(fleet: Any) -> None:
    told(fleet, windows=[{"from": after(0), "until": after(100)}])
    fleet.look(IDS[0])
    fleet.cloud.state.life.set_online(fleet.device(IDS[0]), False, fleet.now)
    fleet.lock(IDS[0], 2, flash=False)
    fleet.advance(200)
    assert found(fleet) == []
    fleet.cloud.state.life.set_online(fleet.device(IDS[0]), True, fleet.now)
    fleet.advance(60)
    (violation,) = fleet.cloud.violations()
    assert (violation.law, violation.device) == ("S10", IDS[0])
    assert violation.at >= START + 200
    assert violation.detail.startswith("the transfer of request ")


def test_s10_a_release_outside_the_windows(fleet: Any) -> None:
    told(fleet, windows=[{"from": after(100)}])
    release(fleet)
    assert found(fleet) == [("S10", "")]


def test_s11_a_look_that_is_too_old(fleet: Any) -> None:
    told(fleet, stalenessSeconds=60)
    fleet.look(IDS[0])
    fleet.advance(60)
    fleet.lock(IDS[0], 2)
    assert found(fleet) == []
    fleet.look(IDS[1])
    fleet.advance(61)
    fleet.lock(IDS[1], 2)
    assert found(fleet) == [("S11", IDS[1])]
    assert fleet.cloud.violations()[0].detail == "lock 61 s after the last look at the device"


def test_s11_no_look_at_all(fleet: Any) -> None:
    told(fleet, stalenessSeconds=60)
    fleet.lock(IDS[0], 2)
    assert fleet.cloud.violations()[0].detail == "lock to a device that was never looked at"


def test_s11_an_event_is_a_look_at_the_moment_that_it_tells_of(fleet: Any) -> None:
    told(fleet, stalenessSeconds=60)
    listener = fleet.call("GET", f"{PRODUCT}/events").listener
    life = fleet.cloud.state.life
    life.set_online(fleet.device(IDS[0]), False, fleet.now)
    life.set_online(fleet.device(IDS[0]), True, fleet.now)
    fleet.advance(1)
    assert listener.take()
    fleet.lock(IDS[0], 2, flash=False)
    assert found(fleet) == []
    fleet.look(IDS[0])
    life.set_online(fleet.device(IDS[0]), False, fleet.now)
    fleet.advance(90)
    assert listener.take()
    fleet.lock(IDS[0], 2, flash=False)
    assert found(fleet) == [("S11", IDS[0])]


def test_s11_an_event_that_is_heard_late_takes_nothing_away_from_a_look_before_it(fleet: Any) -> None:
    told(fleet, stalenessSeconds=60)
    listener = fleet.call("GET", f"{PRODUCT}/events").listener
    fleet.cloud.state.life.set_online(fleet.device(IDS[0]), False, fleet.now)
    fleet.advance(90)
    fleet.look(IDS[0])
    assert listener.take()
    fleet.lock(IDS[0], 2, flash=False)
    assert found(fleet) == []


def test_s12_one_device_too_many_in_flight(fleet: Any) -> None:
    told(fleet, maxConcurrent=2)
    for device in IDS[:3]:
        send(fleet, device)
    assert found(fleet) == [("S12", IDS[2])]
    assert fleet.cloud.violations()[0].detail.endswith("makes 3 devices in flight, 2 are allowed")


def test_s12_one_after_the_other_is_right_also_after_failures(fleet: Any) -> None:
    told(fleet, maxConcurrent=1)
    fleet.fault("flash-fails", device=IDS[1], count=1)
    for device in IDS:
        send(fleet, device)
        fleet.advance(SEND_SECONDS)
    assert found(fleet) == []


def test_s12_a_release_that_starts_on_all_at_once(fleet: Any) -> None:
    told(fleet, maxConcurrent=2)
    send(fleet, IDS[0])
    fleet.advance(SEND_SECONDS)
    body = {"version": 2, "groups": ["eu"], "intelligent": True}
    assert fleet.call("PUT", f"{PRODUCT}/firmware/release", body).status == 200
    assert [law for law, _ in found(fleet)] == ["S12", "S12"]


def test_s12_a_device_that_never_returns_takes_a_place_only_until_it_is_overdue(fleet: Any) -> None:
    told(fleet, maxConcurrent=1, overdueSeconds=900)
    fleet.fault("device-never-returns", device=IDS[0])
    send(fleet, IDS[0])
    fleet.advance(899)
    send(fleet, IDS[1])
    assert found(fleet) == [("S12", IDS[1])]
    fleet.advance(SEND_SECONDS)
    send(fleet, IDS[2])
    assert found(fleet) == [("S12", IDS[1])]


def test_s12_a_send_that_the_cloud_never_took_is_not_in_flight(fleet: Any) -> None:
    told(fleet, maxConcurrent=1)
    fleet.fault("lost-request", device=IDS[0], count=1)
    fleet.lock(IDS[0], 2)
    send(fleet, IDS[1])
    assert found(fleet) == []


def waves(soak_seconds: float = 600) -> list[dict[str, Any]]:
    return [{"devices": IDS[:2], "soakSeconds": soak_seconds}, {"devices": IDS[2:4]}]


def test_s13_a_later_wave_while_the_earlier_one_is_in_flight(fleet: Any) -> None:
    told(fleet, waves=waves())
    send(fleet, IDS[0])
    send(fleet, IDS[2])
    assert found(fleet) == [("S13", IDS[2])]
    fleet.advance(SEND_SECONDS)
    assert fleet.cloud.violations()[0].detail == f"lock to wave 2 while {IDS[0]} is not done"


def test_s13_a_later_wave_before_the_earlier_one_has_soaked(fleet: Any) -> None:
    told(fleet, waves=waves())
    send(fleet, IDS[0])
    fleet.advance(SEND_SECONDS)
    send(fleet, IDS[2])
    assert found(fleet) == [("S13", IDS[2])]
    assert fleet.cloud.violations()[0].detail == "lock to wave 2 while the wave before has not soaked"


def test_s13_waves_in_their_order_are_right_also_when_an_earlier_device_comes_late(fleet: Any) -> None:
    told(fleet, waves=waves())
    send(fleet, IDS[0])
    fleet.advance(SEND_SECONDS + 600)
    send(fleet, IDS[2])
    send(fleet, IDS[1])
    send(fleet, IDS[3])
    send(fleet, IDS[4])
    assert found(fleet) == []


def test_s13_a_device_of_the_earlier_wave_that_never_returns_holds_up_nobody_for_ever(fleet: Any) -> None:
    told(fleet, waves=waves(soak_seconds=0), overdueSeconds=900)
    fleet.fault("device-never-returns", device=IDS[0])
    send(fleet, IDS[0])
    fleet.advance(901)
    send(fleet, IDS[2])
    assert found(fleet) == []


def test_s14_a_send_during_a_halt(fleet: Any) -> None:
    told(fleet, halts=[{"from": after(100), "until": after(1000)}], graceSeconds=10)
    for seconds, device in ((0, IDS[0]), (109, IDS[1]), (110, IDS[2]), (1000, IDS[3])):
        fleet.advance(START + seconds - fleet.now)
        send(fleet, device)
    assert found(fleet) == [("S14", IDS[2])]
    assert f"starts during the halt {after(100)} to {after(1000)}" in fleet.cloud.violations()[0].detail


def test_s14_a_lock_from_before_that_was_not_taken_away(fleet: Any) -> None:
    told(fleet, halts=[{"from": after(100)}])
    life, device = fleet.cloud.state.life, fleet.device(IDS[0])
    life.set_online(device, False, fleet.now)
    send(fleet, IDS[0])
    fleet.advance(500)
    life.set_online(device, True, fleet.now)
    fleet.advance(60)
    assert found(fleet) == [("S14", IDS[0])]


def test_s14_to_look_and_to_take_a_lock_away_during_a_halt_is_right(fleet: Any) -> None:
    told(fleet, halts=[{"from": after(100)}])
    life, device = fleet.cloud.state.life, fleet.device(IDS[0])
    life.set_online(device, False, fleet.now)
    send(fleet, IDS[0])
    fleet.advance(500)
    fleet.look(IDS[0])
    fleet.lock(IDS[0], None, flash=False)
    life.set_online(device, True, fleet.now)
    fleet.advance(60)
    assert found(fleet) == []


@pytest.mark.parametrize("fault", ["flash-fails", "boot-crash", "offline-during-transfer", "device-never-returns"])
def test_s15_a_send_to_another_device_after_too_many_failures(fleet: Any, fault: str) -> None:
    told(fleet, maxFailures=1)
    fleet.fault(fault)
    for device in IDS[:2]:
        send(fleet, device)
    fleet.advance(2000)
    send(fleet, IDS[2])
    assert found(fleet) == [("S15", IDS[2])]
    assert fleet.cloud.violations()[0].detail == "lock after 2 devices failed, 1 may"


def test_s15_as_many_failures_as_are_allowed_and_another_try_on_the_failed_one_are_right(fleet: Any) -> None:
    told(fleet, maxFailures=1)
    fleet.fault("boot-crash", device=IDS[0])
    send(fleet, IDS[0])
    fleet.advance(SEND_SECONDS)
    send(fleet, IDS[1])
    fleet.advance(SEND_SECONDS)
    fleet.fault("boot-crash", device=IDS[2])
    send(fleet, IDS[2])
    fleet.advance(SEND_SECONDS)
    assert found(fleet) == []
    send(fleet, IDS[2], version=3)
    assert found(fleet) == []


def test_s15_a_failure_that_is_made_good_counts_no_longer(fleet: Any) -> None:
    told(fleet, maxFailures=0)
    fleet.fault("flash-fails", device=IDS[0], count=1)
    send(fleet, IDS[0])
    fleet.advance(SEND_SECONDS)
    assert fleet.look(IDS[0])["firmware_version"] == 2, "the cloud repeats a lock's delivery"
    send(fleet, IDS[1])
    assert found(fleet) == []


def test_s15_a_transfer_may_be_tried_as_often_as_the_rules_say(fleet: Any, module_binary: Callable[..., bytes]) -> None:
    told(fleet, maxFailures=0, transferTries=2)
    fleet.fault("flash-fails", device=IDS[0])
    for other in IDS[1:3]:
        fleet.look(IDS[0])
        fleet.flash(IDS[0], module_binary("boron", "6.3.4", "bootloader/0"))
        fleet.advance(SEND_SECONDS)
        send(fleet, other)
    assert found(fleet) == [("S15", IDS[2])]


def test_s15_what_fails_by_itself_is_no_failure_of_a_client(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(WORLD.replace(f"{{id: {IDS[0]}", f"{{status: safe_mode, id: {IDS[0]}"))
    told(bench, maxFailures=0)
    bench.advance(3600)
    send(bench, IDS[1])
    assert found(bench) == []


def test_s15_safe_mode_on_the_way_is_no_failure_where_the_rules_allow_it(make_bench: Callable[..., Any]) -> None:
    world = WORLD.replace('{version: 3, deviceOS: "2.0.1"}', '{version: 3, deviceOS: "6.3.4"}')
    bench = make_bench(world.replace(f"{{id: {IDS[0]}", f"{{healer: false, id: {IDS[0]}"))
    told(bench, maxFailures=0, safeModeAllowed=True)
    send(bench, IDS[0], version=3)
    bench.advance(SEND_SECONDS)
    assert bench.look(IDS[0])["status"] == "safe_mode"
    send(bench, IDS[1])
    assert found(bench) == []
    told(bench, maxFailures=0)
    assert ("S15", IDS[1]) in found(bench)


def test_s16_more_sends_than_a_minute_may_have(fleet: Any) -> None:
    told(fleet, sendsPerMinute=2)
    for device in IDS[:2]:
        send(fleet, device)
        fleet.advance(30)
    send(fleet, IDS[2])
    fleet.advance(29)
    wrong = send(fleet, IDS[3])
    (violation,) = fleet.cloud.violations()
    assert (violation.law, violation.device, violation.at) == ("S16", IDS[3], wrong)


def test_s16_a_send_that_is_repeated_because_the_cloud_was_busy_counts_once(fleet: Any) -> None:
    told(fleet, sendsPerMinute=1)
    fleet.fault("rate-limit-storm", count=1)
    assert fleet.lock(IDS[0], 2).status == 429
    assert fleet.lock(IDS[0], 2).status == 200
    assert found(fleet) == []


def test_s16_more_requests_than_five_minutes_may_have(fleet: Any) -> None:
    told(fleet, requestsPerFiveMinutes=3)
    for _ in range(3):
        fleet.look(IDS[0])
    fleet.advance(300)
    for _ in range(4):
        fleet.look(IDS[0])
    assert found(fleet) == [("S16", IDS[0])]


@pytest.mark.parametrize(
    ("rules", "wrong"),
    [
        ({"bytesPerDay": 70_000}, [("S16", IDS[1])]),
        ({"bytesPerDevicePerDay": 20_000}, [("S16", IDS[0])]),
        ({"bytesPerDay": 110_000, "bytesPerDevicePerDay": 60_000}, []),
    ],
)
def test_s16_more_bytes_than_a_day_may_have(
    fleet: Any, module_binary: Callable[..., bytes], rules: dict[str, int], wrong: list[tuple[str, str]]
) -> None:
    told(fleet, **rules)
    bootloader = module_binary("boron", "6.3.4", "bootloader/0")
    assert 40_000 < len(bootloader) < 55_000
    fleet.flash(IDS[0], bootloader)
    fleet.advance(SEND_SECONDS)
    if "bytesPerDay" in rules:
        fleet.flash(IDS[1], bootloader)
        fleet.advance(86_400)
        fleet.flash(IDS[2], bootloader)
    assert found(fleet) == wrong


def test_s18_one_device_too_many(fleet: Any) -> None:
    told(fleet, maxDevices=2)
    for device in (IDS[0], IDS[1], IDS[0], IDS[2]):
        send(fleet, device)
        fleet.advance(SEND_SECONDS)
    assert found(fleet) == [("S18", IDS[2])]


def test_s18_a_release_that_reaches_too_many(fleet: Any) -> None:
    told(fleet, maxDevices=3)
    release(fleet)
    assert sorted(found(fleet)) == [("S18", IDS[3]), ("S18", IDS[4])]


def test_a_world_carries_rules() -> None:
    rules = load_world(f"rules: {{maxConcurrent: 5, windows: [{{from: '{after(0)}'}}]}}{WORLD}").rules
    assert rules.max_concurrent == 5
    assert rules.windows[0].begin == START
    assert rules.windows[0].holds(Instant(START + 1e9))


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"maxConcurent": 5}, "maxConcurent"),
        ({"maxFailures": -1}, "rules.maxFailures"),
        ({"windows": [{"until": "2027-01-01"}]}, "'from' is a required property"),
        ({"halts": [{"from": "tomorrow"}]}, "rules.halts[0].from: 'tomorrow' is no date and time"),
        ({"waves": [{"devices": ["a"]}, {"devices": ["a"]}]}, "rules.waves: a is there twice"),
        ([], "rules: [] is not of type 'object'"),
    ],
)
def test_rules_that_cannot_be_are_refused_with_their_place(rules: Any, words: str, fleet: Any) -> None:
    with pytest.raises(WorldError) as raised:
        load_rules(rules)
    assert words in raised.value.message
    if isinstance(rules, dict):
        assert fleet.call("POST", "/_emulator/rules", rules).status == 400


def test_a_person_must_be_somebody_who_has_a_token() -> None:
    with pytest.raises(WorldError, match="no token is called consol"):
        load_world(f"tokens: [{{name: console, token: '22222222'}}]\nrules: {{persons: [consol]}}{WORLD}")
