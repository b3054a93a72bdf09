from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.device import Observation, ObservedDevice, Product
from reconciler.model.error import ManifestError
from reconciler.model.fleet import DeviceOverride, Fleet, FleetSet, OverrideMode, Place, Selector
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Refused, Route, Waiting, WaitingReason
from reconciler.planning.planner import plan_fleets
from tests.fleet_samples import NOW, ONE, device, device_id, fleet, observation, plan_of


def members(*fleets: Fleet, seen: Observation, overrides: tuple[DeviceOverride, ...] = ()) -> dict[str, list[int]]:
    """The numbers of the devices that each fleet's plan places somewhere."""
    plan = plan_fleets(FleetSet(fleets=fleets, overrides=overrides), seen, known_catalog(), now=NOW)
    return {of_fleet.fleet.name: sorted(int(placed[8:], 16) for placed in places(of_fleet)) for of_fleet in plan.fleets}


def places(plan: FleetPlan) -> list[str]:
    entries: tuple[Route | Refused | Waiting, ...] = (*plan.routes, *plan.refused, *plan.waiting)
    return [*plan.current, *(placed for entry in entries for placed in entry.devices)]


def held(*overrides: DeviceOverride) -> list[int]:
    """The numbers of the devices, of two, that an override holds."""
    plan = plan_of(fleet(), device(1), device(2), overrides=overrides)
    holds = [entry for entry in plan.waiting if entry.reason is WaitingReason.HELD]
    return [int(placed[8:], 16) for entry in holds for placed in entry.devices]


def numbers(of_fleet: Fleet, *devices: ObservedDevice, **fields: Any) -> list[int]:
    """The numbers of the devices that belong to the fleet."""
    return members(of_fleet, seen=observation(*devices, **fields))[of_fleet.name]


def selecting(**lines: Any) -> Fleet:
    return fleet(select=Selector(**{name: frozenset(values) for name, values in lines.items()}))


def overriding(
    *devices: str, name: str = "trial", mode: OverrideMode = OverrideMode.HOLD, **fields: Any
) -> DeviceOverride:
    known = {"reason": "a trial", "author": "ops", "expires": None, "pin": None, "place": Place(f"{name}.yaml", 1, 1)}
    return DeviceOverride(name=name, devices=frozenset(devices), mode=mode, **{**known, **fields})


def test_groups_mean_any_of() -> None:
    devices = [device(1, groups=("eu",)), device(2, groups=("us", "lab")), device(3, groups=())]
    assert numbers(selecting(groups=["eu", "lab"]), *devices) == [1, 2]


def test_platforms_mean_any_of() -> None:
    devices = [device(1), device(2, platform_name="argon"), device(3, platform_name="p2"), device(4, platform_id=None)]
    assert numbers(selecting(platforms=["boron", "p2"]), *devices) == [1, 3]


def test_devices_are_named_by_id_or_by_name() -> None:
    assert numbers(selecting(devices=[device_id(1), "eu-3"]), device(1), device(2), device(3)) == [1, 3]


def test_a_word_spelt_like_an_id_selects_nobody_by_name() -> None:
    pretender = device(2, name=device_id(1))
    assert numbers(selecting(devices=[device_id(1)]), device(1), pretender) == [1]
    assert numbers(selecting(devices=[device_id(1)]), pretender) == []


def test_an_override_spelt_like_an_id_holds_nobody_by_name() -> None:
    plan = plan_of(fleet(), device(1), device(2, name=device_id(1)), overrides=(overriding(device_id(1)),))
    holds = [entry for entry in plan.waiting if entry.reason is WaitingReason.HELD]
    assert [entry.devices for entry in holds] == [(device_id(1),)]


def test_a_roster_holds_ids() -> None:
    assert numbers(selecting(roster=[device_id(2)]), device(1), device(2)) == [2]


def test_every_given_line_must_match() -> None:
    both = selecting(groups=["eu"], platforms=["argon"])
    assert numbers(both, device(1), device(2, platform_name="argon"), device(3, platform_name="argon", groups=())) == [
        2
    ]


def test_what_an_exclusion_matches_is_left_out() -> None:
    without = fleet(exclude=Selector(groups=frozenset({"lab"})))
    assert numbers(without, device(1), device(2, groups=("eu", "lab"))) == [1]


def test_the_lines_of_an_exclusion_must_all_match() -> None:
    without = fleet(exclude=Selector(groups=frozenset({"lab"}), platforms=frozenset({"argon"})))
    assert numbers(without, device(1, groups=("lab",)), device(2, platform_name="argon", groups=("lab",))) == [1]


def test_devices_of_other_products_do_not_belong() -> None:
    assert numbers(fleet(), device(1), device(2, product_id=99), device(3, product_id=13)) == [1]


def test_a_fleet_without_a_product_has_the_owners_devices() -> None:
    devices = [device(1), device(2, product_id=13), device(3, product_id=None)]
    assert numbers(fleet(product=None), *devices) == [2, 3]


def test_a_product_may_be_named_by_its_number() -> None:
    assert numbers(fleet(product="12345"), device(1), products=()) == [1]


def test_a_slug_is_told_by_the_observation() -> None:
    assert numbers(fleet(), device(1), device(2, product_id=99)) == [1]


def test_a_snapshot_without_slugs_tells_the_only_product_that_is_seen_and_named() -> None:
    assert numbers(fleet(), device(1), device(2, product_id=13), products=()) == [1]


def test_a_snapshot_without_slugs_and_with_two_products_is_an_error_that_says_which() -> None:
    with pytest.raises(ManifestError) as raised:
        numbers(fleet(), device(1), device(2, product_id=99), products=())
    assert raised.value.code == "PFR1902"
    assert "99, 12345" in raised.value.message
    assert "eu.yaml:1:1" in raised.value.message


def test_two_slugs_on_a_snapshot_without_slugs_are_an_error_even_for_one_product() -> None:
    with pytest.raises(ManifestError) as raised:
        members(fleet("a"), fleet("b", product="other"), seen=observation(device(1), products=()))
    assert raised.value.code == "PFR1902"


def test_a_slug_that_the_observation_does_not_have_is_an_error_where_it_has_others() -> None:
    with pytest.raises(ManifestError, match="cold-chain"):
        numbers(fleet(), device(1), products=(Product(id=12345, slug="warm-chain"),))


def test_a_product_of_which_no_device_was_seen_has_an_empty_fleet() -> None:
    assert numbers(fleet(), products=()) == []


def test_two_fleets_that_claim_one_device_are_an_error_that_names_both() -> None:
    with pytest.raises(ManifestError) as raised:
        members(fleet("a"), fleet("b"), seen=observation(device(1)))
    assert raised.value.code == "PFR1901"
    assert all(words in raised.value.message for words in ("fleet a", "a.yaml:1:1", "fleet b", "b.yaml:1:1", ONE))


def test_two_fleets_share_the_devices_of_a_product_by_their_selection() -> None:
    first, second = selecting(groups=["eu"]), replace(selecting(groups=["us"]), name="us")
    seen = observation(device(1), device(2, groups=("us",)), device(3, groups=()))
    assert members(first, second, seen=seen) == {"eu": [1], "us": [2]}


def test_a_device_that_an_override_excludes_belongs_to_no_fleet() -> None:
    excluded = (overriding(ONE, mode=OverrideMode.EXCLUDE),)
    assert members(fleet(), seen=observation(device(1), device(2)), overrides=excluded) == {"eu": [2]}


def test_an_excluded_device_may_be_claimed_twice() -> None:
    excluded = (overriding(ONE, mode=OverrideMode.EXCLUDE),)
    assert members(fleet("a"), fleet("b"), seen=observation(device(1)), overrides=excluded) == {"a": [], "b": []}


@pytest.mark.parametrize("name", [ONE, "eu-1"])
def test_an_override_finds_a_device_by_its_id_or_name(name: str) -> None:
    assert held(overriding(name)) == [1]


@pytest.mark.parametrize(("expires", "found"), [(NOW, []), (NOW + 1, [1]), (NOW - 1, [])])
def test_an_override_ends_at_its_expiry(expires: float, found: list[int]) -> None:
    assert held(overriding(ONE, expires=Instant(expires))) == found


def test_two_overrides_for_one_device_are_an_error_that_names_both() -> None:
    with pytest.raises(ManifestError) as raised:
        held(overriding(ONE, name="a"), overriding("eu-1", name="b"))
    assert raised.value.code == "PFR1903"
    assert all(words in raised.value.message for words in ("override a", "override b", "a.yaml:1:1", "b.yaml:1:1"))


def test_an_expired_override_is_no_second_one() -> None:
    assert held(overriding(ONE, name="a", expires=Instant(NOW - 1)), overriding(ONE, name="b")) == [1]
