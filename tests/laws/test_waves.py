"""Every device in exactly one wave, whatever the fleet; places that follow from the rollout and the device alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.fleet import FleetSet, RolloutPolicy, Share, Wave, WaveSize
from reconciler.model.plan import PASSING
from reconciler.planning.claims import Claims
from reconciler.planning.waves import RolloutOrder, placed
from tests.fleet_samples import LOGGER, device, device_id, fleet, plan_all

NAMES = ["e00fce680000000000000001", "eu-2", "eu-3", "e00fce680000000000000999"]
counts = st.integers(0, 40).map(Share)
percentages = st.integers(1, 100).map(lambda value: Share(value, percent=True))
waves = st.lists(
    st.builds(lambda size, devices: (size, frozenset(devices)), counts | percentages, st.lists(st.sampled_from(NAMES))),
    max_size=4,
).map(lambda asked: tuple(Wave(name=f"wave-{n}", size=size, devices=names) for n, (size, names) in enumerate(asked)))
looks = st.builds(
    lambda device_os, online, enabled: {"device_os": device_os, "online": online, "updates_enabled": enabled},
    st.sampled_from(["1.5.2", "2.0.1", "6.3.4", "6.4.1", None]),
    st.booleans(),
    st.booleans(),
)


def some(count: int, *, seed: int = 7) -> list[DeviceId]:
    """Ids like real ones."""
    dice = random.Random(seed)
    return [DeviceId(f"e00fce68{dice.getrandbits(64):016x}") for _ in range(count)]


def members(asked: Sequence[Wave], devices: Sequence[DeviceId], salt: str = "eu") -> list[tuple[DeviceId, ...]]:
    found = placed((*asked, REST), devices, whole=len(devices), salt=salt, claims=Claims())
    return [wave.devices for wave in found]


REST = Wave(name="rest", size=WaveSize.REMAINING)


def a_wave(size: Share, *devices: str) -> Wave:
    return Wave(name="first", size=size, devices=frozenset(devices))


@settings(max_examples=150, deadline=None)
@given(waves, st.lists(looks, max_size=30), st.randoms(use_true_random=False))
def test_every_device_that_the_rollout_concerns_is_in_exactly_one_wave_in_whatever_order_it_was_seen(
    asked: tuple[Wave, ...], seen: list[dict[str, object]], dice: random.Random
) -> None:
    devices: list[ObservedDevice] = [device(number, **look) for number, look in enumerate(seen, 1)]
    fleets = FleetSet(fleets=(fleet(application=LOGGER, rollout=RolloutPolicy(waves=asked)),))
    plan = plan_all(fleets, *devices)
    (planned,) = plan.fleets
    routed = [each for route in planned.routes for each in route.devices]
    waiting = [each for place in planned.waiting for each in place.devices]
    assert sorted(each for wave in planned.waves for each in wave.devices) == sorted([*routed, *waiting])
    behind = {each for place in planned.waiting if place.reason not in PASSING for each in place.devices}
    assert not planned.waves or behind <= set(planned.waves[-1].devices)
    assert sum(planned.wave_routed) == planned.summary.upgrade
    dice.shuffle(devices)
    assert plan_all(fleets, *devices) == plan


@settings(deadline=None)
@given(st.integers(1, 120), counts | percentages, counts | percentages, st.sampled_from(["a", "b", "c"]))
def test_growing_a_wave_never_removes_a_member(devices: int, one: Share, other: Share, salt: str) -> None:
    smaller, larger = sorted((one, other), key=lambda share: share.of(devices))
    before = members([a_wave(smaller)], some(devices), salt)[0]
    after = members([a_wave(larger)], some(devices), salt)[0]
    assert after[: len(before)] == before


@settings(deadline=None)
@given(st.integers(2, 120), st.data())
def test_a_device_that_joins_or_leaves_moves_no_other_in_the_order(number: int, data: st.DataObject) -> None:
    devices = some(number)
    gone = data.draw(st.sampled_from(devices))
    everyone = members([a_wave(Share(number))], devices)[0]
    others = members([a_wave(Share(number))], [each for each in devices if each != gone])[0]
    assert others == tuple(each for each in everyone if each != gone)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3000), counts | percentages, st.sampled_from(["a", "b", "c"]))
def test_a_wave_has_exactly_its_size_and_the_first_of_the_order(number: int, size: Share, salt: str) -> None:
    devices = some(number)
    first, rest = members([a_wave(size)], devices, salt)
    assert first == tuple(sorted(devices, key=RolloutOrder(salt))[: size.of(number)])
    assert rest == tuple(sorted(set(devices) - set(first)))


def test_percentages_are_rounded_down_and_never_to_nothing() -> None:
    sizes = [len(members([a_wave(Share(10, percent=True))], some(count))[0]) for count in (1, 9, 10, 19, 20, 1000)]
    assert sizes == [1, 1, 1, 1, 2, 100]


def test_the_devices_that_go_first_are_others_in_every_rollout() -> None:
    """With 10 of 100 first in each of 2,000 rollouts a device is first 200 times: six deviations are 80 either way."""
    devices = some(100)
    times: Counter[DeviceId] = Counter()
    for rollout in range(2000):
        times.update(members([a_wave(Share(10))], devices, f"rollout-{rollout}")[0])
    expected = 2000 * 10 / 100
    assert all(abs(times[each] - expected) < 80 for each in devices), times
    chi_square = sum((times[each] - expected) ** 2 / expected for each in devices)
    assert chi_square < 150  # 99 degrees of freedom: above 150 once in a thousand


def test_what_a_wave_names_comes_first_and_counts_towards_its_size() -> None:
    devices = some(50)
    last = max(devices, key=RolloutOrder("eu"))
    assert last in members([a_wave(Share(3), last)], devices)[0]
    assert len(members([a_wave(Share(3), last)], devices)[0]) == 3
    assert sorted(members([a_wave(Share(1), *devices[:4])], devices)[0]) == sorted(devices[:4])


def test_a_device_that_two_waves_name_is_in_the_first_of_them() -> None:
    devices = some(5)
    asked = [replace(a_wave(Share(0), devices[0]), name="a"), replace(a_wave(Share(0), *devices[:2]), name="b")]
    assert members(asked, devices)[:2] == [(devices[0],), (devices[1],)]


def test_a_name_that_is_spelt_like_an_id_takes_no_place() -> None:
    first, impostor = device_id(1), device_id(2)
    claims = Claims(names={impostor: str(first)})
    found = placed((a_wave(Share(1), first), REST), [impostor], whole=1, salt="", claims=claims)
    assert found[0].devices == (impostor,)  # by its turn in the order, as the only one
    found = placed((a_wave(Share(0), first), REST), [impostor], whole=1, salt="", claims=claims)
    assert found[0].devices == ()


@given(
    changes=st.lists(st.tuples(st.sets(st.integers(0, 400), max_size=400), st.integers(0, 40)), min_size=1, max_size=8)
)
def test_an_order_that_remembers_names_the_same_devices_first(changes: list[tuple[set[int], int]]) -> None:
    order = RolloutOrder("eu", remembering=True)
    for numbers, count in changes:
        devices = sorted(map(device_id, numbers))
        assert order.first(devices, count) == sorted(devices, key=RolloutOrder("eu"))[:count]
