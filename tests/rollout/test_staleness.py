"""What became of the devices of a saved plan: every one is in exactly one class."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.device import DeviceId
from reconciler.model.fleet import FleetSet, Share
from reconciler.rollout.staleness import Found, found_since, is_stale
from tests.fleet_samples import LOGGER, NOW, ONE, device, fleet, plan_all
from tests.saved_plans import saved_plan_of

FLEET = fleet(application=LOGGER)
OLD = device(1, device_os="6.2.0")


def found(*devices: Any, of_fleet: Any = FLEET, planned_on: Any = OLD) -> dict[DeviceId, Found]:
    fresh = plan_all(FleetSet(fleets=(of_fleet,)), *devices, now=NOW)
    by_class = found_since(saved_plan_of(FLEET, planned_on), fresh)
    assert set(by_class) == set(Found)
    return {device_id: each for each, ids in by_class.items() for device_id in ids}


def test_a_device_as_it_was_is_unchanged() -> None:
    assert found(OLD) == {ONE: Found.UNCHANGED}


def test_a_device_that_is_as_desired_by_now_is_satisfied() -> None:
    assert found(replace(OLD, device_os="6.3.4", application=44)) == {ONE: Found.SATISFIED}


def test_a_device_that_has_done_a_hop_of_its_route_is_compatible() -> None:
    assert found(replace(OLD, device_os="6.3.4")) == {ONE: Found.COMPATIBLE}


def test_a_device_with_the_same_steps_to_do_in_another_state_is_compatible_and_not_unchanged() -> None:
    assert found(replace(OLD, application=13)) == {ONE: Found.COMPATIBLE}


@pytest.mark.parametrize("changes", [{"device_os": "1.5.2"}, {"device_os": "6.4.1", "application": 12}])
def test_a_device_that_something_else_changed_has_drifted(changes: dict[str, Any]) -> None:
    assert found(replace(OLD, **changes)) == {ONE: Found.DRIFTED}


def test_a_device_that_is_gone_or_in_another_fleet_has_vanished() -> None:
    assert found(device(2)) == {ONE: Found.VANISHED}
    assert found(OLD, of_fleet=replace(FLEET, name="us")) == {ONE: Found.VANISHED}


def test_a_device_that_is_offline_is_deferred() -> None:
    assert found(replace(OLD, online=False)) == {ONE: Found.DEFERRED}


def test_a_plan_without_states_goes_by_the_steps_alone() -> None:
    saved = saved_plan_of(FLEET, OLD)
    earlier = replace(saved, routes=tuple(replace(route, state_hash=None) for route in saved.routes))
    fresh = plan_all(FleetSet(fleets=(FLEET,)), replace(OLD, application=13), now=NOW)
    assert found_since(earlier, fresh)[Found.UNCHANGED] == (ONE,)


@pytest.mark.parametrize(
    ("drifted", "planned", "allowed", "stale"),
    [
        (0, 10, Share(0), False),
        (1, 10, Share(0), True),
        (1, 10, Share(10, percent=True), False),
        (2, 10, Share(10, percent=True), True),
        (1, 2, Share(10, percent=True), True),
        (5, 10, Share(5), False),
        (0, 0, Share(10, percent=True), False),
    ],
)
def test_a_plan_is_stale_as_a_whole_above_its_share(drifted: int, planned: int, allowed: Share, stale: bool) -> None:
    assert is_stale(drifted, planned, allowed) is stale
