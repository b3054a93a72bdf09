from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode, Observation, ObservedDevice, Product
from reconciler.model.error import ManifestError
from reconciler.model.fleet import Selector, Share
from reconciler.planning.adoption import AdoptedFleet, Adoption, adopt
from tests.fleet_samples import device, device_id, module, modules, observation


def some(first: int, count: int, device_os: str = "6.3.4", **fields: Any) -> list[ObservedDevice]:
    return [device(number, device_os=device_os, **fields) for number in range(first, first + count)]


def adopted(*parts: list[ObservedDevice], product: str | None = "cold-chain", **fields: Any) -> Adoption:
    devices = [each for part in parts for each in part]
    return adopt(observation(*devices, **fields), product, known_catalog())


def by_name(adoption: Adoption) -> dict[str, AdoptedFleet]:
    return {each.fleet.name: each for each in adoption.fleets}


def numbers(*of: int) -> frozenset[str]:
    return frozenset(device_id(number) for number in of)


def test_a_group_whose_devices_run_the_same_is_a_fleet_by_its_group_alone() -> None:
    adoption = adopted(some(1, 3, groups=("eu",)), some(4, 2, groups=("us",)))
    fleets = by_name(adoption)
    assert list(fleets) == ["cold-chain-eu", "cold-chain-us"]
    assert fleets["cold-chain-eu"].fleet.select == Selector(groups=frozenset({"eu"}))
    assert fleets["cold-chain-eu"].fleet.exclude is None
    assert [len(each.devices) for each in adoption.fleets] == [3, 2]


def test_a_few_that_run_something_else_are_a_fleet_of_their_own_and_excluded_one_by_one() -> None:
    fleets = by_name(adopted(some(1, 5), some(6, 2, "2.0.1")))
    assert list(fleets) == ["cold-chain-eu", "cold-chain-eu-2.0.1-app-12"]
    assert fleets["cold-chain-eu"].fleet.exclude == Selector(devices=numbers(6, 7))
    assert fleets["cold-chain-eu-2.0.1-app-12"].fleet.select == Selector(devices=numbers(6, 7))


def test_many_devices_go_into_rosters() -> None:
    fleets = by_name(adopted(some(1, 20), some(21, 13, "2.0.1")))
    few = numbers(*range(21, 34))
    assert fleets["cold-chain-eu"].fleet.exclude == Selector(roster=few)
    assert fleets["cold-chain-eu-2.0.1-app-12"].fleet.select == Selector(roster=few)


def test_a_pilot_that_runs_something_else_than_the_groups_it_is_in_is_one_fleet_and_excluded_by_its_group() -> None:
    fleets = by_name(
        adopted(
            some(1, 8, "2.0.1", groups=("eu",)),
            some(9, 7, "2.0.1", groups=("us",)),
            some(16, 1, groups=("eu", "pilot")),
            some(17, 1, groups=("us", "pilot")),
        )
    )
    assert list(fleets) == ["cold-chain-pilot", "cold-chain-eu", "cold-chain-us"]
    assert fleets["cold-chain-pilot"].fleet.select == Selector(groups=frozenset({"pilot"}))
    assert fleets["cold-chain-pilot"].fleet.exclude is None
    for region in ("eu", "us"):
        assert fleets[f"cold-chain-{region}"].fleet.exclude == Selector(groups=frozenset({"pilot"}))


def test_a_small_group_that_runs_what_its_larger_one_runs_is_no_fleet_of_its_own() -> None:
    fleets = by_name(adopted(some(1, 8, groups=("eu",)), some(9, 2, groups=("eu", "roof"))))
    assert list(fleets) == ["cold-chain-eu"]
    assert len(fleets["cold-chain-eu"].devices) == 10


def test_devices_without_a_group_are_selected_by_their_platform_and_not_by_all_groups() -> None:
    fleets = by_name(adopted(some(1, 8, groups=("eu",)), some(9, 2, groups=()), some(11, 4, groups=("us",))))
    alone = fleets["cold-chain-ungrouped"].fleet
    assert alone.select == Selector(platforms=frozenset({"boron"}))
    assert alone.exclude == Selector(groups=frozenset({"eu", "us"}))


def test_a_product_without_groups_is_one_fleet_for_each_thing_that_runs() -> None:
    fleets = by_name(adopted(some(1, 3, groups=()), some(4, 1, "2.0.1", groups=())))
    assert list(fleets) == ["cold-chain", "cold-chain-2.0.1-app-12"]


def test_a_set_that_its_group_would_not_tell_apart_with_less_is_listed() -> None:
    fleets = by_name(adopted(some(1, 3), some(4, 2, "2.0.1"), some(6, 2, "1.5.2")))
    assert fleets["cold-chain-eu-6.3.4-app-12"].fleet.select == Selector(devices=numbers(1, 2, 3))


def test_platforms_of_one_group_are_fleets_of_their_own() -> None:
    argons = [device(number, "argon", device_os="6.3.4") for number in (4, 5)]
    fleets = by_name(adopted(some(1, 3), argons))
    assert list(fleets) == ["cold-chain-eu-argon", "cold-chain-eu-boron"]
    assert fleets["cold-chain-eu-argon"].fleet.select == Selector(
        groups=frozenset({"eu"}), platforms=frozenset({"argon"})
    )


def test_the_applications_that_run_are_one_release_with_their_platforms() -> None:
    argon = device(9, "argon", device_os="6.3.4", application=44)
    adoption = adopted(some(1, 2), some(3, 1, application=44), [argon])
    assert adoption.application == "cold-chain-app"
    assert adoption.versions == {12: ("boron",), 44: ("argon", "boron")}


def test_a_device_that_reports_no_application_is_asked_for_its_device_os_alone() -> None:
    adoption = adopted(some(1, 1, application=None))
    assert adoption.application is None
    assert adoption.fleets[0].fleet.desired.application is None


def test_without_applications_there_is_a_fleet_for_each_device_os() -> None:
    devices = [device(number, device_os="6.3.4", application=number) for number in range(1, 6)]
    world = observation(*devices, device(9, device_os="6.3.4", application=70000))
    adoption = adopt(world, "cold-chain", known_catalog(), with_application=False)
    assert [(each.fleet.name, len(each.devices)) for each in adoption.fleets] == [("cold-chain-eu", 6)]
    assert (adoption.application, adoption.left_out) == (None, ())


@pytest.mark.parametrize("fields", [{"online": False}, {"updates_enabled": False}, {"desired_application": 50}, {}])
def test_a_device_that_lacks_a_part_of_its_release_is_left_out_for_that_alone(fields: dict[str, Any]) -> None:
    parts = (*modules(bootloader_0=502), module("boron", "2.0.1", "system_part/1"))
    half = device(mode=DeviceMode.SAFE_MODE, modules=parts, **fields)
    assert [each.reason for each in adopted([half]).left_out] == ["Device OS 2.0.1 is not complete on it"]


def test_adopted_fleets_roll_out_carefully() -> None:
    rollout = adopted(some(1, 1)).fleets[0].fleet.rollout
    assert (rollout.concurrent_max, rollout.failures_max, rollout.waves) == (Share(5), Share(1), ())


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"device_os": None}, "PFR2103", "never reported"),
        ({"device_os": "9.9.9"}, "PFR2005", "nothing is known"),
        ({"device_os": "6.4.0-rc.1"}, "", "prerelease"),
        ({"device_os": "5.5.0-rc.1"}, "", "prerelease"),
        ({"quarantined": True}, "PFR2108", "quarantined"),
        ({"mode": DeviceMode.SAFE_MODE}, "PFR2102", "safe mode"),
        ({"mode": DeviceMode.SAFE_MODE, "modules": modules(system_part_1=1)}, "PFR2006", "no known release"),
        ({"mode": None}, "PFR2109", "neither normal nor safe mode"),
        ({"development": True}, "", "development"),
        ({"application": 70000}, "", "no manifest can name"),
    ],
)
def test_what_cannot_be_adopted_is_left_out_with_its_reason_and_excluded(
    fields: dict[str, Any], code: str, words: str
) -> None:
    adoption = adopted(some(1, 3), [device(9, device_os="6.3.4")])
    assert adoption.left_out == ()
    adoption = adopted(some(1, 3), [replace(device(9, device_os="6.3.4"), **fields)])
    [left_out] = adoption.left_out
    assert (left_out.device.id, left_out.code) == (device_id(9), code)
    assert words in left_out.reason
    [fleet] = adoption.fleets
    assert fleet.fleet.exclude == Selector(devices=numbers(9))


def test_a_device_of_an_unknown_platform_is_told_apart_by_the_platform_of_the_others() -> None:
    adoption = adopted(some(1, 3), [replace(device(9), platform_id=99)])
    assert [(each.code, each.device.id) for each in adoption.left_out] == [("PFR2004", device_id(9))]
    assert adoption.fleets[0].fleet.select.platforms == frozenset({"boron"})
    assert adoption.fleets[0].fleet.exclude is None


@pytest.mark.parametrize("fields", [{"online": False}, {"updates_enabled": False}, {"desired_application": 50}])
def test_what_keeps_a_device_from_changing_does_not_keep_it_from_being_adopted(fields: dict[str, Any]) -> None:
    assert adopted([replace(device(device_os="6.3.4"), **fields)]).left_out == ()


def test_the_tokens_own_devices_are_adopted_without_an_application() -> None:
    mine = [device(number, device_os="6.3.4", product_id=13, groups=()) for number in (1, 2)]
    adoption = adopted(mine, some(3, 2), product=None)
    [fleet] = adoption.fleets
    assert (fleet.fleet.name, fleet.fleet.product, len(fleet.devices)) == ("own-boron", None, 2)
    assert fleet.fleet.desired.application is None


def test_a_product_by_its_number_is_called_by_its_slug() -> None:
    assert [each.fleet.name for each in adopted(some(1, 1), product="12345").fleets] == ["cold-chain-eu"]
    unnamed = adopted(some(1, 1), product="12345", products=())
    assert [each.fleet.name for each in unnamed.fleets] == ["product-12345-eu"]


def test_a_product_that_the_observation_does_not_tell_is_an_error() -> None:
    two = Observation(
        observed_at=device().observed_at,
        source="snapshot",
        devices=(device(1), device(2, product_id=777)),
        products=(Product(id=777, slug="other"),),
    )
    with pytest.raises(ManifestError, match="does not say which product"):
        adopt(two, "cold-chain", known_catalog())


def test_names_that_would_be_the_same_are_told_apart() -> None:
    names = [each.fleet.name for each in adopted(some(1, 2, groups=("a b",)), some(3, 1, groups=("a-b",))).fleets]
    assert names == ["cold-chain-a-b", "cold-chain-a-b-2"]
    long = adopted(some(1, 1, groups=("g" * 80,)), some(2, 1, groups=("g" * 81,)))
    assert {len(each.fleet.name) for each in long.fleets} == {63}
    assert len({each.fleet.name for each in long.fleets}) == 2
