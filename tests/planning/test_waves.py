"""Waves of a plan: names, slips of the hand, defaults."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.fleet import RolloutPolicy, Selector, Share, Suspension, Wave, WaveSize
from reconciler.model.plan import FleetPlan
from tests.fleet_samples import device, device_id, fleet, plan_of

FLEET = fleet()
HERD = [device(number) for number in range(1, 31)]


def named(*words: str, size: int = 1) -> FleetPlan:
    canary = Wave(name="canary", size=Share(size), devices=frozenset(words))
    return plan_of(replace(FLEET, rollout=RolloutPolicy(waves=(canary,))), *HERD)


def shape(plan: FleetPlan) -> list[tuple[str, int]]:
    return [(wave.name, len(wave.devices)) for wave in plan.waves]


def test_canaries_are_named_by_id_or_by_name() -> None:
    plan = named(device_id(3), "eu-7", size=2)
    assert set(plan.waves[0].devices) == {device_id(3), device_id(7)}
    assert plan.findings == ()


def test_an_id_with_a_slip_is_told_with_the_one_that_is_meant() -> None:
    slip = "e00fce680000000000000199"
    (finding,) = plan_of(replace(FLEET, rollout=named(slip).fleet.rollout), *HERD, device(0x19)).findings
    assert finding == (
        f"fleet eu: wave canary names {slip}, which is no device of the fleet; did you mean 'e00fce680000000000000019'?"
    )


def test_a_name_that_nobody_has_is_told() -> None:
    assert named("eu-99", "eu-1").findings == ("fleet eu: wave canary names eu-99, which is no device of the fleet",)


def test_a_canary_that_is_as_desired_already_is_no_slip() -> None:
    there = device(40, device_os="6.3.4")
    policy = RolloutPolicy(waves=(Wave(name="canary", size=Share(1), devices=frozenset({there.id})),))
    plan = plan_of(replace(FLEET, rollout=policy), *HERD, there)
    assert plan.findings == ()
    assert shape(plan) == [("canary", 1), ("rest", 29)]


def test_selections_go_before_sizes_and_names_before_selections() -> None:
    herd = [replace(each, groups=("lab",)) if number % 3 == 0 else each for number, each in enumerate(HERD)]
    lab = {each.id for each in herd if "lab" in each.groups}
    first, roof = sorted(lab)[:2]
    policy = RolloutPolicy(
        waves=(
            Wave(name="any", size=Share(15)),
            Wave(name="lab", size=WaveSize.LISTED, select=Selector(groups=frozenset({"lab"}))),
            Wave(name="roof", size=WaveSize.LISTED, devices=frozenset({first, roof})),
            Wave(name="again", size=Share(3), select=Selector(groups=frozenset({"lab", "nobody"}))),
        )
    )
    plan = plan_of(replace(FLEET, rollout=policy), *herd)
    assert shape(plan) == [("any", 15), ("lab", 8), ("roof", 2), ("again", 0), ("rest", 5)]
    assert set(plan.waves[1].devices) == lab - {first, roof}
    assert plan.findings == ()


def test_of_a_selection_with_a_size_the_first_go_and_a_named_device_counts() -> None:
    boron = Wave(name="boron", size=Share(3), select=Selector(platforms=frozenset({"boron"})))
    herd = [*HERD, *(device(number, "argon") for number in range(40, 60))]
    (three, *_) = plan_of(replace(FLEET, rollout=RolloutPolicy(waves=(boron,))), *herd).waves
    assert len(three.devices) == 3
    assert {*three.devices} <= {each.id for each in HERD}
    with_one_more = replace(boron, devices=frozenset({device_id(40)}))
    (found, *_) = plan_of(replace(FLEET, rollout=RolloutPolicy(waves=(with_one_more,))), *herd).waves
    assert {*found.devices} == {device_id(40), *three.devices[:2]}


def test_a_selection_that_matches_no_device_of_the_fleet_is_told_and_one_that_is_as_desired_is_not() -> None:
    waves = tuple(
        Wave(name=group, size=WaveSize.LISTED, select=Selector(groups=frozenset({group}))) for group in ("there", "lab")
    )
    there = device(40, device_os="6.3.4", groups=("there",))
    plan = plan_of(replace(FLEET, rollout=RolloutPolicy(waves=waves)), *HERD, there)
    assert shape(plan) == [("there", 0), ("lab", 0), ("rest", 30)]
    assert plan.findings == ("fleet eu: the selection of wave lab matches no device of the fleet",)


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        (0, []),
        (1, [("all", 1)]),
        (20, [("all", 20)]),
        (21, [("canary", 1), ("rest", 20)]),
        (250, [("canary", 2), ("rest", 248)]),
        (1200, [("canary", 10), ("rest", 1190)]),
    ],
)
def test_a_fleet_that_asks_for_no_waves_has_few_canaries(devices: int, expected: list[tuple[str, int]]) -> None:
    assert shape(plan_of(FLEET, *(device(number) for number in range(1, devices + 1)))) == expected


def test_an_offline_device_has_its_place_and_one_that_waits_for_a_person_is_in_the_last_wave() -> None:
    policy = RolloutPolicy(waves=(Wave(name="canary", size=Share(50, percent=True)),))
    offline = [replace(each, online=False) for each in HERD]
    assert shape(plan_of(replace(FLEET, rollout=policy), *offline)) == [("canary", 15), ("rest", 15)]
    disabled = [replace(each, updates_enabled=False) for each in HERD]
    assert shape(plan_of(replace(FLEET, rollout=policy), *disabled)) == [("canary", 0), ("rest", 30)]


def test_a_suspended_fleet_shows_all_its_devices_in_its_last_wave() -> None:
    suspended = replace(FLEET, suspension=Suspension(reason="holidays"))
    assert shape(plan_of(suspended, *HERD)) == [("canary", 0), ("rest", 30)]


def test_a_plan_takes_at_least_the_time_of_its_waves_and_their_soaks() -> None:
    def minutes(*waves: Wave) -> int:
        found = plan_of(replace(FLEET, rollout=RolloutPolicy(waves=waves)), *HERD[:20]).minutes
        assert found is not None
        return found

    canary = Wave(name="canary", size=Share(1))
    assert minutes() < minutes(canary)
    assert minutes(replace(canary, soak_seconds=3600)) == minutes(canary) + 60


def test_a_fleet_that_holds_says_so_for_every_wave() -> None:
    plan = plan_of(replace(FLEET, rollout=RolloutPolicy(concurrent_max=Share(0))), *HERD)
    assert (plan.minutes, plan.wave_minutes) == (None, (None, None))


def test_limits_are_numbers_and_the_first_failure_of_a_limit_of_0_halts() -> None:
    waves = tuple(
        Wave(name=f"{limit}", size=Share(10), failures_max=limit) for limit in (Share(0), Share(25, percent=True), None)
    )
    plan = plan_of(replace(FLEET, rollout=RolloutPolicy(waves=waves, failures_max=Share(3))), *HERD)
    assert plan.wave_failures_that_halt == (1, 2, 3, None)
    assert plan.failures_that_halt == 3


def test_a_wave_whose_devices_all_wait_takes_no_time() -> None:
    named = Wave(name="canary", size=WaveSize.LISTED, devices=frozenset({HERD[0].id}))
    waiting = [replace(each, online=False) for each in HERD[1:]]
    plan = plan_of(replace(FLEET, rollout=RolloutPolicy(waves=(named,))), HERD[0], *waiting)
    canary, rest = plan.wave_minutes
    assert canary
    assert rest == 0
    assert plan.minutes == canary
