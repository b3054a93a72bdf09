"""What a change of the manifests adds to a plan, by the planner itself on a few devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from reconciler.model.change import Change, ChangeCode, Crossing, FleetChange
from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import Fleet, FleetSet, Selector, Suspension
from reconciler.model.plan import RefusalReason
from reconciler.planning.change import compare
from tests.fleet_samples import LOGGER, device, device_id, fleet, plan_all

COMMIT = "sha1:" + "a" * 40


def roster(*numbers: int) -> Selector:
    return Selector(roster=frozenset(map(device_id, numbers)))


def of(name: str, *numbers: int, device_os: str = "6.3.4", **fields: Any) -> Fleet:
    """A fleet of the devices with these numbers."""
    return fleet(name, device_os, select=roster(*numbers), **fields)


def change(
    before: Iterable[Fleet], after: Iterable[Fleet], *devices: ObservedDevice, missing: tuple[str, ...] = ()
) -> Change:
    base, plan = (plan_all(FleetSet(fleets=tuple(fleets)), *devices) for fleets in (before, after))
    return compare(base, plan, revision="main", commit=COMMIT, missing=missing)


def only(found: Change) -> FleetChange:
    (one,) = found.fleets
    return one


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(map(device_id, numbers))


def devices(*numbers: int, device_os: str = "2.0.1", **fields: Any) -> tuple[ObservedDevice, ...]:
    return tuple(device(number, device_os=device_os, **fields) for number in numbers)


def test_the_same_manifests_change_nothing() -> None:
    found = change([of("eu", 1, 2)], [of("eu", 1, 2)], *devices(1, 2, 3))
    assert (found.fleets, found.findings, found.blast_radius, found.joined, found.left) == ((), (), 0, (), ())


def test_the_base_is_named_with_its_commit_and_digest() -> None:
    before = plan_all(FleetSet(fleets=(of("eu", 1),), digest="sha256:1"), *devices(1))
    found = compare(before, before, revision="v1", commit=COMMIT)
    assert (found.revision, found.commit, found.manifest_digest) == ("v1", COMMIT, "sha256:1")


def test_a_device_of_no_fleet_that_gets_one_joins_and_is_targeted() -> None:
    found = change([of("eu", 1, 2)], [of("eu", 1, 2, 3)], *devices(1, 2, 3))
    assert only(found).joined == (Crossing(other=None, devices=ids(3)),)
    assert only(found).newly_targeted == ids(3)
    assert (found.joined, found.left, found.blast_radius) == (ids(3), (), 1)


def test_a_device_that_leaves_for_no_fleet_is_no_longer_targeted() -> None:
    found = change([of("eu", 1, 2, 3)], [of("eu", 1, 2)], *devices(1, 2, 3))
    assert only(found).left == (Crossing(other=None, devices=ids(3)),)
    assert only(found).no_longer_targeted == ids(3)
    assert (found.left, found.blast_radius, found.findings) == (ids(3), 0, ())


def test_a_device_that_changes_its_fleet_is_named_with_both() -> None:
    found = change([of("eu", 1, 2, 3), of("us", 4)], [of("eu", 1, 2), of("us", 3, 4)], *devices(1, 2, 3, 4))
    eu, us = found.fleets
    assert (eu.left, us.joined) == (
        (Crossing(other="us", devices=ids(3)),),
        (Crossing(other="eu", devices=ids(3)),),
    )
    assert (found.joined, found.left, found.blast_radius) == ((), (), 0)


def test_a_higher_release_targets_those_that_were_as_desired_and_gives_the_others_another_route() -> None:
    fleets = [of("eu", 1, 2, 3, device_os=device_os) for device_os in ("6.3.3", "6.3.4")]
    found = only(change(fleets[:1], fleets[1:], device(1, device_os="6.3.3"), *devices(2, 3)))
    assert found.newly_targeted == ids(1)
    (rerouted,) = found.rerouted
    assert rerouted.devices == ids(2, 3)
    assert [str(hop) for hop in rerouted.before.hops] == ["6.3.3"]
    assert [str(hop) for hop in rerouted.after.hops] == ["6.3.4"]
    assert (rerouted.before.devices, rerouted.after.devices) == ((), ())
    assert found.desired_before == fleets[0].desired
    assert found.desired_after == fleets[1].desired


def test_an_application_more_is_another_route() -> None:
    with_application = fleet("eu", "6.3.4", LOGGER, select=roster(1))
    (rerouted,) = only(change([of("eu", 1)], [with_application], *devices(1))).rerouted
    assert len(rerouted.after.steps) == len(rerouted.before.steps) + 1


def test_bytes_are_those_of_all_devices_before_and_after() -> None:
    found = change([of("eu", 1)], [of("eu", 1, 2, 3)], *devices(1, 2, 3))
    assert only(found).bytes_before > 0
    assert only(found).bytes_after == 3 * only(found).bytes_before


def test_an_offline_device_is_targeted_later_and_not_now() -> None:
    found = change([of("eu", 1)], [of("eu", 1, 2)], device(1), device(2, online=False))
    assert only(found).targeted_later == ids(2)
    assert (found.blast_radius, found.blast_radius_later) == (0, 1)


def test_a_device_that_waits_in_both_is_not_targeted_again() -> None:
    found = change([of("eu", 1, device_os="6.3.3")], [of("eu", 1)], device(1, online=False))
    assert (found.blast_radius, found.blast_radius_later) == (0, 0)
    assert only(found).desired_after != only(found).desired_before


def test_a_suspension_that_is_lifted_targets_its_devices() -> None:
    suspended = of("eu", 1, suspension=Suspension(reason="holidays"))
    assert only(change([suspended], [of("eu", 1)], *devices(1))).newly_targeted == ids(1)
    assert only(change([of("eu", 1)], [suspended], *devices(1))).no_longer_targeted == ids(1)


def test_a_device_that_is_refused_for_the_first_time_is_told_with_the_reason() -> None:
    seen = (device(1, device_os="6.3.4"), device(2, device_os="6.4.1"))
    found = only(change([of("eu", 1, 2)], [of("eu", 1, 2, device_os="6.3.3")], *seen))
    (refused,) = found.newly_refused
    assert (refused.reason, refused.devices) == (RefusalReason.DOWNGRADE_REFUSED, ids(1))
    assert found.rerouted == ()


def test_a_fleet_with_another_name_and_the_same_devices_is_renamed_and_no_finding() -> None:
    found = change([of("eu", 1, 2), of("us", 3)], [of("europe", 1, 2), of("us", 3)], *devices(1, 2, 3))
    eu, europe = found.fleets
    assert (europe.name, europe.renamed_from, europe.desired_before) == ("europe", "eu", of("eu").desired)
    assert (eu.desired_after, eu.left) == (None, (Crossing(other="europe", devices=ids(1, 2)),))
    assert (found.findings, found.blast_radius) == ((), 0)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([of("europe", 1, 2, 3)], id="with a device more"),
        pytest.param([of("europe", 1), of("asia", 2)], id="cut in two"),
        pytest.param([of("europe", 1)], id="with a device less"),
    ],
)
def test_what_is_more_than_a_new_name_is_no_renaming(after: list[Fleet]) -> None:
    found = change([of("eu", 1, 2)], after, *devices(1, 2, 3))
    assert {fleet.renamed_from for fleet in found.fleets} == {None}
    assert [finding.code for finding in found.findings] == [ChangeCode.FLEET_SHRINKS]


@pytest.mark.parametrize(("left", "warned"), [(0, False), (1, False), (2, False), (3, True), (4, True)])
def test_a_fleet_that_loses_more_than_half_of_its_devices_needs_a_look(left: int, warned: bool) -> None:
    kept = range(1, 5 - left)
    found = change([of("eu", 1, 2, 3, 4)], [of("eu", *kept), of("us", 5)], *devices(1, 2, 3, 4, 5))
    assert [(finding.code, finding.fleet) for finding in found.findings] == [(ChangeCode.FLEET_SHRINKS, "eu")] * warned


def test_a_fleet_that_is_removed_needs_a_look() -> None:
    found = change([of("eu", 1, 2), of("us", 3)], [of("us", 3)], *devices(1, 2, 3))
    (finding,) = found.findings
    assert "fleet eu loses all of its 2 devices, 2 of them to no fleet" in finding.message


def test_devices_that_go_to_another_fleet_are_told_from_those_that_go_to_none() -> None:
    (finding,) = change([of("eu", 1, 2), of("us", 3)], [of("us", 1, 2, 3)], *devices(1, 2, 3)).findings
    assert finding.message.startswith("fleet eu loses all of its 2 devices, all of them to other fleets")


def test_no_fleet_left_needs_a_look() -> None:
    found = change([of("eu", 1)], [], *devices(1))
    assert [finding.code for finding in found.findings] == [ChangeCode.FLEET_SHRINKS, ChangeCode.NOTHING_LEFT]


def test_no_device_left_in_any_fleet_needs_a_look() -> None:
    found = change([of("eu", 1)], [of("eu", 9)], *devices(1))
    assert ChangeCode.NOTHING_LEFT in {finding.code for finding in found.findings}


def test_fleets_that_never_had_a_device_lose_nothing() -> None:
    assert change([of("eu", 8)], [of("eu", 9)], *devices(1)).findings == ()


def test_a_path_that_is_new_is_said() -> None:
    found = change([], [of("eu", 1)], *devices(1), missing=("fleets",))
    assert [(finding.code, finding.fleet) for finding in found.findings] == [(ChangeCode.NOT_IN_BASE, None)]
    assert only(found).desired_before is None


def test_the_order_of_fleets_and_devices_makes_no_difference() -> None:
    seen = devices(1, 2, 3, 4, 5)
    before, after = [of("eu", 1, 2, 3), of("us", 4)], [of("eu", 1), of("us", 2, 3, 4), of("asia", 5)]
    assert change(before, after, *seen) == change(before[::-1], after[::-1], *seen[::-1])


def test_every_device_of_every_fleet_is_counted_once() -> None:
    seen = (*devices(*range(1, 30)), *devices(*range(30, 40), online=False))
    before, after = [of("a", *range(1, 20)), of("b", *range(20, 40))], [of("a", *range(10, 35)), of("b", 35, 36)]
    base, plan = (plan_all(FleetSet(fleets=tuple(fleets)), *seen) for fleets in (before, after))
    found = compare(base, plan, revision="main", commit=COMMIT)
    routed_before, routed_after = (
        {each for of_fleet in each_plan.fleets for route in of_fleet.routes for each in route.devices}
        for each_plan in (base, plan)
    )
    assert {each for of_fleet in found.fleets for each in of_fleet.newly_targeted} == routed_after - routed_before
    assert {each for of_fleet in found.fleets for each in of_fleet.no_longer_targeted} == routed_before - routed_after
    assert set(found.left) == set(ids(*range(1, 10), *range(37, 40)))
