"""Where a device ends up: the ordered questions, every refusal, every waiting reason."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.fleet import (
    Delivery,
    Desired,
    DesiredApplication,
    DeviceOverride,
    Fleet,
    FleetSet,
    Order,
    OverrideMode,
    Place,
    Suspension,
    Via,
)
from reconciler.model.instant import Instant
from reconciler.model.module import Module, ModuleSlot
from reconciler.model.plan import FleetPlan, RefusalReason, Route, RouteReason, WaitingReason
from reconciler.model.release import Release, ReleaseModule
from reconciler.model.step import FlashApplication, FlashModule, LockApplication
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.planning.cost import BYTES_PER_SECOND, RESTART_SECONDS
from reconciler.planning.planner import PLAN_VALID_SECONDS, plan_fleets
from tests.fleet_samples import (
    LOGGER,
    NOW,
    ONE,
    device,
    device_id,
    fleet,
    modules,
    observation,
    own_binary,
    plan_all,
    plan_of,
)

BELOW = device(device_os="2.0.1")
THERE = device(device_os="6.3.4", application=44)


def outline(plan: FleetPlan) -> str:
    """Where the only device of a plan is, in one word."""
    assert plan.summary.devices == 1, plan.summary
    if plan.current:
        return "current"
    if plan.routes:
        return "route"
    return (plan.refused or plan.waiting)[0].reason.reason


def message(plan: FleetPlan) -> str:
    return (plan.refused or plan.waiting)[0].message


def only_route(plan: FleetPlan) -> Route:
    assert len(plan.routes) == 1, plan
    return plan.routes[0]


def override(mode: OverrideMode, **fields: Any) -> DeviceOverride:
    known = {"reason": "a trial", "author": "ops", "expires": None, "pin": None, "place": Place("o.yaml", 1, 1)}
    return DeviceOverride(name="trial", devices=frozenset({ONE}), mode=mode, **{**known, **fields})


# --- one answer each ---


def test_a_device_as_desired_is_current() -> None:
    assert outline(plan_of(fleet(application=LOGGER), THERE)) == "current"


def test_a_device_below_the_desired_release_has_a_route() -> None:
    route = only_route(plan_of(fleet(), BELOW))
    assert route.reason is RouteReason.BELOW_DESIRED_DEVICE_OS
    assert [str(step.module.slot) for step in route.steps if isinstance(step, FlashModule)] == [
        "bootloader/0",
        "system_part/1",
    ]


def test_the_application_is_the_last_step() -> None:
    assert isinstance(only_route(plan_of(fleet(application=LOGGER), BELOW)).steps[-1], LockApplication)


def test_a_fleet_that_wants_no_release_moves_the_application_alone() -> None:
    route = only_route(plan_of(fleet(device_os=None, application=LOGGER), BELOW))
    assert route.reason is RouteReason.BELOW_DESIRED_APPLICATION
    assert [type(step) for step in route.steps] == [LockApplication]


def test_a_fleet_that_wants_no_application_touches_none() -> None:
    assert outline(plan_of(fleet(), device(device_os="6.3.4", application=7))) == "current"


def test_a_device_of_unknown_application_gets_the_desired_one() -> None:
    assert outline(plan_of(fleet(application=LOGGER), replace(THERE, application=None))) == "route"


def test_a_running_release_above_the_desired_one_is_refused() -> None:
    plan = plan_of(fleet(), device(device_os="6.4.1"))
    assert outline(plan) == "downgrade_refused"
    assert message(plan) == "runs 6.4.1, manifest asks 6.3.4"


def test_system_parts_of_a_later_release_in_progress_are_a_downgrade_too() -> None:
    begun = device(platform_name="photon", modules=modules(bootloader_0=401, system_part_1=1512, system_part_2=1321))
    assert outline(plan_of(fleet(device_os="1.4.4"), begun)) == "downgrade_refused"


def test_a_running_application_above_the_desired_one_is_refused_with_advice() -> None:
    plan = plan_of(fleet(application=LOGGER), replace(THERE, application=45))
    assert outline(plan) == "downgrade_refused"
    assert "release the old code under a higher number" in message(plan)


def test_a_release_that_is_not_published_for_the_platform_is_refused() -> None:
    assert (
        outline(plan_of(fleet(device_os="6.0.0"), device(platform_name="p2", device_os="5.9.0"))) == "unknown_release"
    )


def test_a_prerelease_is_refused_unless_it_is_allowed() -> None:
    wanted = fleet(device_os="5.5.0-rc.1")
    assert outline(plan_of(wanted, BELOW)) == "unknown_release"
    allowed = replace(wanted, desired=replace(wanted.desired, allow_prerelease=True))
    assert outline(plan_of(allowed, BELOW)) == "route"


def test_no_legal_route_is_a_refusal_that_names_the_needs() -> None:
    plan = plan_of(fleet(device_os="3.0.0"), device(platform_name="tracker", device_os="2.0.1"))
    assert outline(plan) == "no_route"
    assert "ncp_firmware/0" in message(plan)


def test_a_route_that_costs_more_than_allowed_is_refused_with_both_numbers() -> None:
    plan = plan_of(fleet(delivery=Delivery(bytes_per_device_max=1000)), BELOW)
    assert outline(plan) == "data_limit_exceeded"
    assert "1,000" in message(plan)


def test_a_route_that_costs_what_is_allowed_is_planned() -> None:
    free = only_route(plan_of(fleet(), BELOW))
    assert free.bytes_unknown == 0
    exactly = fleet(delivery=Delivery(bytes_per_device_max=free.bytes_known))
    assert outline(plan_of(exactly, BELOW)) == "route"


def test_application_first_is_refused_as_not_built() -> None:
    assert outline(plan_of(fleet(delivery=Delivery(order=Order.APPLICATION_FIRST)), BELOW)) == "order_unsupported"


def test_an_application_without_a_binary_for_the_platform_is_refused() -> None:
    wanted = fleet(application=own_binary("argon", file="a.bin"))
    plan = plan_of(wanted, BELOW)
    assert outline(plan) == "application_unavailable"
    assert "no binary for boron" in message(plan)


def test_a_device_of_its_owner_without_a_file_for_it_is_refused() -> None:
    wanted = fleet(product=None, application=LOGGER)
    assert outline(plan_of(wanted, replace(BELOW, product_id=13))) == "application_unavailable"


def test_a_device_of_its_owner_gets_the_named_file_directly() -> None:
    wanted = fleet(product=None, application=own_binary(file="a.bin", size=9, sha256="a" * 64))
    step = only_route(plan_of(wanted, replace(BELOW, product_id=13))).steps[-1]
    assert step == FlashApplication(application=ApplicationVersion(44), size=9, sha256="a" * 64)


def test_a_development_device_gets_the_application_directly_and_never_a_lock() -> None:
    step = only_route(plan_of(fleet(application=LOGGER), replace(BELOW, development=True))).steps[-1]
    assert isinstance(step, FlashApplication)


def test_a_held_device_waits_for_the_reason_given() -> None:
    plan = plan_of(fleet(), BELOW, overrides=[override(OverrideMode.HOLD)])
    assert outline(plan) == "held"
    assert "a trial" in message(plan)


def test_a_pinned_device_desires_what_its_pin_says() -> None:
    pin = Desired(device_os=DeviceOsVersion("4.0.2"), application=None)
    plan = plan_of(fleet(), BELOW, overrides=[override(OverrideMode.PIN, pin=pin)])
    assert [hop.text for hop in only_route(plan).hops] == ["4.0.2"]


def test_a_pin_that_has_expired_no_longer_counts() -> None:
    pin = Desired(device_os=DeviceOsVersion("4.0.2"), application=None)
    expired = override(OverrideMode.PIN, pin=pin, expires=NOW)
    assert [hop.text for hop in only_route(plan_of(fleet(), BELOW, overrides=[expired])).hops] == ["6.3.4"]


def test_an_excluded_device_is_in_no_plan() -> None:
    assert plan_of(fleet(), BELOW, overrides=[override(OverrideMode.EXCLUDE)]).summary.devices == 0


@pytest.mark.parametrize(
    ("until", "expected"), [(None, "suspended"), (NOW + 1, "suspended"), (NOW, "route"), (NOW - 1, "route")]
)
def test_a_suspension_ends_at_its_time(until: float | None, expected: str) -> None:
    suspended = Suspension(reason="modem firmware", until=None if until is None else Instant(until))
    assert outline(plan_of(fleet(suspension=suspended), BELOW)) == expected


def test_a_fleet_over_usb_waits_for_a_bench() -> None:
    assert outline(plan_of(fleet(delivery=Delivery(via=Via.USB)), BELOW)) == "needs_bench"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"online": False}, WaitingReason.OFFLINE),
        ({"quarantined": True}, WaitingReason.QUARANTINED),
        ({"mode": None}, WaitingReason.UNKNOWN_STATUS),
        ({"device_os": None}, WaitingReason.NEVER_REPORTED),
        ({"mode": DeviceMode.SAFE_MODE}, WaitingReason.MODULES_UNKNOWN),
        ({"updates_enabled": False}, WaitingReason.UPDATES_DISABLED),
        ({"desired_application": 13}, WaitingReason.LOCKED),
    ],
)
def test_a_device_that_is_not_ready_waits(fields: dict[str, Any], reason: WaitingReason) -> None:
    assert outline(plan_of(fleet(application=LOGGER), replace(BELOW, **fields))) == reason.reason


def test_forced_updates_are_planned_as_usual() -> None:
    assert outline(plan_of(fleet(), replace(BELOW, updates_enabled=False, updates_forced=True))) == "route"


@pytest.mark.parametrize("fields", [{"desired_application": 44}, {"desired_application": 13, "locked_by_us": 13}])
def test_our_own_lock_and_the_desired_one_do_not_wait(fields: dict[str, Any]) -> None:
    assert outline(plan_of(fleet(application=LOGGER), replace(BELOW, **fields))) == "route"


def test_a_lock_does_not_matter_to_a_fleet_that_wants_no_application() -> None:
    assert outline(plan_of(fleet(), replace(BELOW, desired_application=13))) == "route"


def test_a_device_in_safe_mode_with_all_that_is_desired_waits_and_is_never_current() -> None:
    whole = modules(bootloader_0=3200, radio_stack_0=202, system_part_1=6305)
    plan = plan_of(fleet(application=LOGGER), replace(THERE, mode=DeviceMode.SAFE_MODE, modules=whole))
    assert outline(plan) == "safe_mode"


def test_a_repair_says_that_needs_were_unmet() -> None:
    lacking = modules(bootloader_0=1101, radio_stack_0=202, system_part_1=6305)
    route = only_route(plan_of(fleet(), device(mode=DeviceMode.SAFE_MODE, modules=lacking)))
    assert route.reason is RouteReason.DEPENDENCIES_UNMET


def test_more_changes_than_the_limit_wait_for_a_person() -> None:
    plan = plan_of(fleet(targets_max=1), device(1), device(2), device(3, device_os="6.3.4"))
    assert (len(plan.current), plan.routes) == (1, ())
    assert plan.waiting[0].reason is WaitingReason.TARGETS_EXCEEDED
    assert plan.waiting[0].devices == (device_id(1), device_id(2))


def test_as_many_changes_as_the_limit_are_planned() -> None:
    assert plan_of(fleet(targets_max=2), device(1), device(2), device(3, device_os="6.3.4")).summary.upgrade == 2


def test_devices_that_wait_or_are_refused_do_not_count_towards_the_limit() -> None:
    plan = plan_of(fleet(targets_max=1), device(1), device(2, online=False), device(3, device_os="6.4.1"))
    assert plan.summary.upgrade == 1


# --- the order of the questions ---

ORDERED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # reason, what the device has, what the fleet has; each also has everything below it
    ("quarantined", {"quarantined": True}, {}),
    ("unknown_platform", {"platform_id": 42}, {}),
    ("downgrade_refused", {"device_os": "6.4.1"}, {}),
    ("data_limit_exceeded", {}, {"delivery": Delivery(bytes_per_device_max=1)}),
    ("suspended", {}, {"suspension": Suspension(reason="no")}),
    ("locked", {"desired_application": 13}, {}),
    ("updates_disabled", {"updates_enabled": False}, {}),
    ("offline", {"online": False}, {}),
]


@pytest.mark.parametrize("first", range(len(ORDERED)))
def test_the_first_question_that_has_an_answer_places_the_device(first: int) -> None:
    of_device: dict[str, Any] = {}
    of_fleet: dict[str, Any] = {}
    for _, device_fields, fleet_fields in reversed(ORDERED[first:]):
        of_device |= device_fields
        of_fleet |= fleet_fields
    # A fleet over platforms that can be selected: an unknown one is named by its id.
    select = replace(fleet().select, platforms=None, devices=frozenset({ONE}))
    plan = plan_of(fleet(application=LOGGER, select=select, **of_fleet), replace(BELOW, **of_device))
    assert outline(plan) == ORDERED[first][0]


def test_a_hold_comes_before_everything() -> None:
    worst = replace(BELOW, quarantined=True, online=False)
    assert outline(plan_of(fleet(), worst, overrides=[override(OverrideMode.HOLD)])) == "held"


def test_a_suspended_fleet_still_says_who_is_current_and_who_is_refused() -> None:
    suspended = fleet(application=LOGGER, suspension=Suspension(reason="no"))
    assert outline(plan_of(suspended, THERE)) == "current"
    assert outline(plan_of(suspended, device(device_os="6.4.1"))) == "downgrade_refused"


def test_an_offline_device_that_is_as_desired_is_current() -> None:
    assert outline(plan_of(fleet(application=LOGGER), replace(THERE, online=False))) == "current"


# --- the whole ---


def test_devices_in_one_situation_share_one_route() -> None:
    plan = plan_of(fleet(), device(3), device(1), device(2, device_os="1.5.2"))
    assert [route.devices for route in plan.routes] == [(device_id(2),), (device_id(1), device_id(3))]


def test_the_same_devices_in_any_order_give_the_same_plan() -> None:
    devices = [device(1), device(2, device_os="6.4.1"), device(3, online=False), device(4, device_os="1.5.2")]
    plans = [plan_all(FleetSet(fleets=(fleet(),)), *shuffled) for shuffled in permutations(devices)]
    assert all(plan == plans[0] for plan in plans)


def test_fleets_in_any_order_give_the_same_plan() -> None:
    first = fleet("a", select=replace(fleet().select, platforms=None, devices=frozenset({ONE})))
    second = fleet("b", select=replace(fleet().select, platforms=None, devices=frozenset({device_id(2)})))
    devices = [device(1), device(2)]
    assert plan_all(FleetSet(fleets=(first, second)), *devices) == plan_all(FleetSet(fleets=(second, first)), *devices)


def test_the_moment_of_planning_leaves_no_trace() -> None:
    fleets = FleetSet(fleets=(fleet(),))
    assert plan_all(fleets, BELOW, now=NOW) == plan_all(fleets, BELOW, now=Instant(NOW + 7))


def test_every_device_is_in_exactly_one_place() -> None:
    devices = [device(1), device(2, device_os="6.4.1"), device(3, online=False), device(4, device_os="6.3.4")]
    plan = plan_of(fleet(), *devices)
    places = [
        *plan.current,
        *(d for route in plan.routes for d in route.devices),
        *(d for refused in plan.refused for d in refused.devices),
        *(d for waiting in plan.waiting for d in waiting.devices),
    ]
    assert sorted(places) == [d.id for d in devices]
    assert plan.summary.devices == len(devices)


def test_another_observation_has_another_digest() -> None:
    fleets = FleetSet(fleets=(fleet(),))
    digests = {plan_all(fleets, seen).source.observed_digest for seen in (BELOW, replace(BELOW, online=False))}
    assert len(digests) == 2


def test_a_plan_lasts_a_day_from_its_observation() -> None:
    plan = plan_all(FleetSet(fleets=(fleet(),)), BELOW)
    assert (plan.created_at, plan.expires_at) == (NOW, NOW + PLAN_VALID_SECONDS)


def test_a_plan_on_half_an_observation_says_so() -> None:
    seen = observation(BELOW, complete=False, findings=("page 2 is missing",))
    plan = plan_fleets(FleetSet(fleets=(fleet(),)), seen, known_catalog(), now=NOW)
    assert (plan.complete, plan.findings) == (False, ("page 2 is missing",))


# --- what a route costs ---


def test_the_bytes_of_a_route_are_the_sum_of_the_known_sizes() -> None:
    route = only_route(plan_of(fleet(application=LOGGER), BELOW))
    assert route.bytes_known == sum(step.size or 0 for step in route.steps)
    assert route.bytes_unknown == 1  # the product holds the application, nobody says how big it is


def test_every_step_restarts_the_device_and_costs_one_request() -> None:
    route = only_route(plan_of(fleet(application=LOGGER), BELOW))
    assert (route.restarts, route.requests) == (3, 3)


def test_the_minutes_are_transfer_and_restarts_rounded_up() -> None:
    route = only_route(plan_of(fleet(), BELOW))
    seconds = route.bytes_known / BYTES_PER_SECOND + len(route.steps) * RESTART_SECONDS
    assert seconds / 60 <= route.minutes < seconds / 60 + 1


def test_an_application_of_unknown_size_counts_towards_the_limit_as_its_slot() -> None:
    wanted = fleet(device_os=None, application=LOGGER, delivery=Delivery(bytes_per_device_max=128 * 1024 - 1))
    assert outline(plan_of(wanted, BELOW)) == "data_limit_exceeded"


@pytest.mark.parametrize("reason", [*RefusalReason, *WaitingReason])
def test_every_reason_has_a_code_of_its_own(reason: RefusalReason | WaitingReason) -> None:
    codes = [each.code for each in (*RefusalReason, *WaitingReason)]
    assert codes.count(reason.code) == 1


def test_applications_by_name_and_by_fleet_are_told_apart() -> None:
    other = DesiredApplication(release="other", version=ApplicationVersion(50))
    pin = Desired(device_os=None, application=other)
    plan = plan_of(
        fleet(device_os=None, application=LOGGER), device(1), device(2), overrides=[override(OverrideMode.PIN, pin=pin)]
    )
    assert {route.devices: route.steps[0] for route in plan.routes} == {
        (device_id(1),): LockApplication(application=ApplicationVersion(50)),
        (device_id(2),): LockApplication(application=ApplicationVersion(44)),
    }


def test_a_fleet_is_kept_in_its_plan() -> None:
    wanted: Fleet = fleet()
    assert plan_of(wanted, BELOW).fleet == wanted


def test_an_observed_device_of_no_fleet_is_in_no_plan() -> None:
    stranger: ObservedDevice = device(9, product_id=99)
    assert plan_of(fleet(), BELOW, stranger).summary.devices == 1


# --- a catalog that knows half of a release ---


def half_known() -> Catalog:
    """The known catalog, and of 6.6.0 for the Boron nothing but its bootloader."""
    bootloader = ReleaseModule(module=Module(slot=ModuleSlot.parse("bootloader/0"), version=3400))
    half = Release(version=DeviceOsVersion("6.6.0"), platform_id=13, published=True, modules=(bootloader,))
    return Catalog((*known_catalog().all_releases, half), known_catalog().all_stations)


@pytest.mark.parametrize(
    ("runs", "wants", "expected"),
    [("2.0.1", "6.3.4", "route"), ("2.0.1", "6.6.0", "unknown_release"), ("6.6.0", "6.3.4", "unknown_release")],
)
def test_a_release_without_a_known_system_part_spoils_no_other_and_is_unknown(
    runs: str, wants: str, expected: str
) -> None:
    fleets = FleetSet(fleets=(fleet(device_os=wants),))
    plan = plan_fleets(fleets, observation(device(device_os=runs)), half_known(), now=NOW)
    assert outline(plan.fleets[0]) == expected
