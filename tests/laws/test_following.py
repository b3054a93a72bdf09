"""A plan that follows the world is the plan made anew, after any change."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceId, DeviceMode, Observation, ObservedDevice
from reconciler.model.fleet import (
    AllowWindow,
    Fleet,
    FleetSet,
    RolloutPolicy,
    Selector,
    Share,
    Wave,
    WaveSize,
    ZoneRule,
)
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.planning.following import FollowingPlan
from reconciler.planning.planner import plan_fleets
from tests.fleet_samples import COLD_CHAIN, LOGGER, NOW, device, device_id, fleet

NAMED = Selector(devices=frozenset({"eu-1", "eu-2"}))
FLEETS = FleetSet(
    fleets=(
        fleet("named", select=NAMED, application=LOGGER),
        fleet("limited", select=Selector(groups=frozenset({"us"})), exclude=NAMED, targets_max=2),
        fleet(
            "rest",
            select=Selector(groups=frozenset({"eu"})),
            exclude=NAMED,
            rollout=RolloutPolicy(
                waves=(
                    Wave(name="in-hand", size=WaveSize.LISTED, select=Selector(devices=frozenset({"eu-4", "eu-9"}))),
                    Wave(name="boron", size=Share(1), select=Selector(platforms=frozenset({"boron"}))),
                )
            ),
            windows_allow=(AllowWindow(days=(0,), start_minute=0, duration_seconds=60, time_zone=None),),
            time_zones=(
                ZoneRule(select=Selector(devices=frozenset({"eu-3", "eu-4"})), time_zone="Asia/Tokyo"),
                ZoneRule(select=Selector(devices=frozenset({"eu-4", "eu-5"})), time_zone="Europe/Berlin"),
            ),
        ),
    )
)

looks = st.builds(
    lambda number, device_os, application, group, online, mode: device(
        number, device_os=device_os, application=application, groups=(group,), online=online, mode=mode
    ),
    st.integers(1, 8),
    st.sampled_from(["1.5.2", "2.0.1", "6.3.4", "6.4.1", "9.9.9", None]),
    st.sampled_from([12, 44, 45, None]),
    st.sampled_from(["eu", "us", "lab"]),
    st.booleans(),
    st.sampled_from([DeviceMode.NORMAL, DeviceMode.SAFE_MODE, None]),
)


def seen(devices: dict[str, ObservedDevice], at: Instant) -> Observation:
    return Observation(observed_at=at, source="cloud", devices=tuple(devices.values()), products=(COLD_CHAIN,))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(looks, max_size=8),
    st.lists(st.tuples(st.lists(looks, max_size=6), st.sets(st.integers(1, 8), max_size=3)), max_size=4),
)
def test_following_any_changes_gives_the_plan_made_anew(
    beginning: list[ObservedDevice], changes: list[tuple[list[ObservedDevice], set[int]]]
) -> None:
    devices: dict[str, ObservedDevice] = {each.id: each for each in beginning}
    following = FollowingPlan(FLEETS, seen(devices, NOW), known_catalog(), now=NOW)
    assert following.plan() == plan_fleets(FLEETS, seen(devices, NOW), known_catalog(), now=NOW)
    for number, (change, gone) in enumerate(changes, 1):
        at = Instant(NOW + number)
        changed = [replace(each, observed_at=at) for each in change]
        devices |= {each.id: each for each in changed}
        following.change(changed, observed_at=at)
        for left in map(device_id, gone):
            devices.pop(left, None)
        following.remove(map(device_id, gone))
        anew = plan_fleets(FLEETS, seen(devices, at), known_catalog(), now=NOW)
        bare = replace(anew, source=replace(anew.source, observed_digest=""), findings=())
        without_waves = tuple(replace(plan, waves=(), findings=()) for plan in bare.fleets)
        assert replace(bare, fleets=without_waves) == following.plan_of_pass()
        assert following.plan() == anew
        for each in devices.values():
            assert following.place_of(each.id) == place_in(anew, each.id)


def place_in(plan: Plan, wanted: DeviceId) -> tuple[Fleet, bool] | None:
    return next(
        ((each.fleet, wanted in each.current) for each in plan.fleets if wanted in each.devices),
        None,
    )
