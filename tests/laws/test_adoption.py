"""Adopting a fleet as it is leaves nothing to do: every device is in one fleet and as desired, or left out by name."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.cli.adopt import prove_empty
from reconciler.firmware.known import known_catalog
from reconciler.manifests import load_manifests
from reconciler.model.device import DeviceMode, Observation, ObservedDevice
from reconciler.planning.adoption import Adoption, adopt
from reconciler.planning.planner import plan_fleets
from reconciler.render.manifest_text import adoption_files
from tests.fleet_samples import COLD_CHAIN, NOW, device, modules, observation

GROUPS = ["eu", "us", "pilot", "roof", "Grün & Co: #1", "yes"]
MARKS: list[dict[str, Any]] = [
    {"development": True},
    {"quarantined": True},
    {"online": False},
    {"updates_enabled": False},
    {"desired_application": 50},
    {"modules": modules(system_part_1=2009)},
]
looks = st.builds(
    lambda number, name, platform, device_os, application, groups, mode, marks, own: replace(
        device(number, device_os=device_os, application=application, groups=tuple(groups), mode=mode, **marks),
        name=name,
        platform_id=platform,
        product_id=platform if own else COLD_CHAIN.id,
    ),
    st.integers(1, 60),
    st.sampled_from(["eu-1", None, "e00fce680000000000000001", "# \x1b[2J", "a: b"]),
    st.sampled_from([13, 13, 13, 13, 12, 6, 10, 99, 0, None]),
    st.sampled_from(["6.3.4", "6.3.4", "2.0.1", "1.5.2", "3.3.1", "5.5.0-rc.1", "5.4.0+ledger", "9.9.9", "", None]),
    st.sampled_from([12, 12, 44, 0, 65535, 70000, -1, None]),
    st.lists(st.sampled_from(GROUPS), max_size=3),
    st.sampled_from([DeviceMode.NORMAL] * 6 + [DeviceMode.SAFE_MODE, None]),
    st.just({}) | st.sampled_from(MARKS),
    st.sampled_from([False] * 5 + [True]),
)


def worlds() -> st.SearchStrategy[Observation]:
    return st.lists(looks, min_size=1, max_size=60, unique_by=lambda each: each.id).map(seen)


def seen(devices: list[ObservedDevice]) -> Observation:
    return observation(*sorted(devices, key=lambda each: each.id))


def adopted_by_fleet(adoption: Adoption) -> dict[str, str]:
    return {each.id: fleet.fleet.name for fleet in adoption.fleets for each in fleet.devices}


@settings(max_examples=250, deadline=None)
@given(worlds(), st.sampled_from([COLD_CHAIN.slug, str(COLD_CHAIN.id), None]), st.booleans())
def test_a_plan_on_adopted_manifests_has_every_device_as_desired_and_each_in_one_place(
    world: Observation, product: str | None, with_application: bool
) -> None:
    adoption = adopt(world, product, known_catalog(), with_application=with_application)
    files = adoption_files(adoption)
    of_product = [each for each in world.devices if (each.product_id == each.platform_id) == (product is None)]
    placed = [each.id for fleet in adoption.fleets for each in fleet.devices]
    assert Counter([*placed, *(each.device.id for each in adoption.left_out)]) == Counter(
        each.id for each in of_product
    )
    assert all(each.reason for each in adoption.left_out)
    manifests = {path: text for path, text in files.items() if path.endswith(".yaml")}
    fleets = load_manifests(manifests, files)
    plan = plan_fleets(fleets, world, known_catalog(), now=NOW)
    assert {device_id: fleet.fleet.name for fleet in plan.fleets for device_id in fleet.current} == adopted_by_fleet(
        adoption
    )
    assert [(fleet.routes, fleet.refused, fleet.waiting) for fleet in plan.fleets] == [((), (), ())] * len(plan.fleets)
    prove_empty(adoption, files, world, known_catalog())


@settings(max_examples=50, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_observation_leaves_no_trace(world: Observation, dice: random.Random) -> None:
    shuffled = list(world.devices)
    dice.shuffle(shuffled)
    once = adoption_files(adopt(world, COLD_CHAIN.slug, known_catalog()))
    assert adoption_files(adopt(replace(world, devices=tuple(shuffled)), COLD_CHAIN.slug, known_catalog())) == once
