"""Waves that select their devices: the plan's first wave is the one that the engine starts, whatever they select."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import RolloutPolicy, Selector, Share, Wave, WaveSize
from reconciler.model.plan import PASSING, FleetPlan
from reconciler.model.platform import platform_by_id
from reconciler.model.rollout import FleetStory
from reconciler.model.rollout_entry import RolloutEntry, WaveStarted
from reconciler.planning.claims import claims_in
from reconciler.planning.waves import RolloutOrder, rollout_salt
from reconciler.rollout.ledger import Ledger
from reconciler.rollout.waves import judgement, see
from tests.fleet_samples import NOW, device, device_id, fleet, observation, plan_of

GROUPS = ["eu", "lab", "beta"]
PLATFORMS = ["boron", "argon", "photon"]
WORDS = ["eu-1", "eu-2", "eu-5", device_id(2), device_id(3), device_id(99)]
IDS = [device_id(number) for number in (1, 4, 6)]

some_of = lambda words: st.none() | st.frozensets(st.sampled_from(words), min_size=1)  # noqa: E731  # reads as a word
selectors = st.builds(
    Selector, groups=some_of(GROUPS), platforms=some_of(PLATFORMS), devices=some_of(WORDS), roster=some_of(IDS)
).filter(lambda selector: selector != Selector())
sizes = st.integers(1, 6).map(Share) | st.integers(1, 100).map(lambda value: Share(value, percent=True))
claimed = st.tuples(st.just(WaveSize.LISTED) | sizes, st.none() | selectors, st.frozensets(st.sampled_from(WORDS)))
waves = st.lists(
    claimed.filter(lambda wave: wave[0] is not WaveSize.LISTED or wave[1] is not None or bool(wave[2])),
    min_size=1,
    max_size=4,
).map(
    lambda asked: tuple(
        Wave(name=f"wave-{number}", size=size, select=select, devices=devices)
        for number, (size, select, devices) in enumerate(asked)
    )
)
looks = st.builds(
    lambda platform_name, device_os, **fields: {"platform_name": platform_name, "device_os": device_os, **fields},
    platform_name=st.sampled_from(PLATFORMS),
    device_os=st.sampled_from(["1.5.2", "2.0.1", "2.3.1", None]),
    online=st.booleans(),
    updates_enabled=st.booleans(),
    groups=st.lists(st.sampled_from(GROUPS), unique=True).map(tuple),
)
herds = st.lists(looks, min_size=1, max_size=20).map(
    lambda seen: [device(number, **look) for number, look in enumerate(seen, 1)]
)


def planned(asked: tuple[Wave, ...], devices: list[ObservedDevice]) -> FleetPlan:
    return plan_of(fleet(device_os="2.3.1", rollout=RolloutPolicy(waves=asked)), *devices)


def begun(plan: FleetPlan, devices: list[ObservedDevice]) -> tuple[RolloutEntry, ...]:
    """What the engine notes when it sees the fleet for the first time, with all steps agreed to."""
    every_step = frozenset(step for route in plan.routes for step in route.steps)
    agreed = {each.id: every_step for each in devices}
    ledger = Ledger(story=FleetStory(fleet=plan.fleet.name), agreed=agreed)
    claims = claims_in(plan.fleet, observation(*devices))
    return judgement(see(plan, ledger, held=False, claims=claims, plan_id="plan-1", now=NOW))


def is_selected(selector: Selector, of_device: ObservedDevice) -> bool:
    """By the words of the schema, with none of the code that planning uses."""
    platform = platform_by_id(of_device.platform_id or 0)
    return all(
        [
            selector.groups is None or bool(selector.groups & {*of_device.groups}),
            selector.platforms is None or (platform is not None and platform.name in selector.platforms),
            selector.devices is None or bool(selector.devices & {of_device.id, of_device.name}),
            selector.roster is None or of_device.id in selector.roster,
        ]
    )


@settings(max_examples=200, deadline=None)
@given(waves, herds)
def test_the_wave_that_starts_has_the_members_that_the_plan_shows(
    asked: tuple[Wave, ...], devices: list[ObservedDevice]
) -> None:
    plan = planned(asked, devices)
    started = [entry for entry in begun(plan, devices) if isinstance(entry, WaveStarted)]
    assert bool(started) is bool(plan.routes)
    for first, shown in zip(started[:1], plan.waves, strict=False):
        assert (first.wave, first.members) == (shown.name, frozenset(shown.devices))


@settings(max_examples=200, deadline=None)
@given(waves, herds)
def test_a_wave_takes_of_what_it_selects_all_or_the_first_so_many_and_nothing_else(
    asked: tuple[Wave, ...], devices: list[ObservedDevice]
) -> None:
    plan = planned(asked, devices)
    by_id = {each.id: each for each in devices}
    passing = {each for place in plan.waiting if place.reason in PASSING for each in place.devices}
    concerned = {each for route in plan.routes for each in route.devices} | passing
    behind = {each for place in plan.waiting if place.reason not in PASSING for each in place.devices}
    assert sorted(each for wave in plan.waves for each in wave.devices) == sorted(concerned | behind)
    named = {each for each in concerned for wave in asked if wave.devices & {each, by_id[each].name}}
    free, order = concerned - named, RolloutOrder(rollout_salt(plan.fleet))
    for wave, shown in zip(asked, plan.waves, strict=False):
        if wave.select is None:
            continue
        own = named & {*shown.devices}
        matching = sorted((each for each in free if is_selected(wave.select, by_id[each])), key=order)
        whole = len(concerned | behind)
        room = max(0, wave.size.of(whole) - len(own)) if isinstance(wave.size, Share) else len(matching)
        assert {*shown.devices} - own == {*matching[:room]}
        free -= {*matching[:room]}


@settings(max_examples=100, deadline=None)
@given(waves, herds)
def test_a_selection_that_no_device_of_the_fleet_matches_is_told_and_no_other(
    asked: tuple[Wave, ...], devices: list[ObservedDevice]
) -> None:
    plan = planned(asked, devices)
    unmatched = [
        wave.name for wave in asked if wave.select and not any(is_selected(wave.select, each) for each in devices)
    ]
    told = [finding for finding in plan.findings if "the selection of" in finding]
    assert told == [f"fleet eu: the selection of wave {each} matches no device of the fleet" for each in unmatched]
