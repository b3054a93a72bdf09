"""What is planned for a product as a whole, and what is not, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.action import ReleaseApplication, UploadApplication
from reconciler.model.device import HeldApplication, ObservedDevice
from reconciler.model.fleet import (
    ApplicationBinary,
    Delivery,
    DesiredApplication,
    DeviceOverride,
    Fleet,
    FleetSet,
    OverrideMode,
    Place,
    Releasing,
    Selector,
    Suspension,
    Via,
)
from reconciler.model.plan import FleetPlan, RefusalReason
from reconciler.model.version import ApplicationVersion
from reconciler.planning.following import FollowingPlan
from reconciler.planning.planner import plan_fleets
from tests.fleet_samples import COLD_CHAIN, LOGGER, NOW, device, device_id, fleet, observation

V44 = LOGGER.version
EU = Selector(groups=frozenset({"eu"}))
FILED = replace(LOGGER, binaries=(ApplicationBinary(platform="boron", file="logger.bin", sha256="ab" * 32, size=9),))


def there(number: int = 1, **fields: Any) -> ObservedDevice:
    return device(number, device_os="6.3.4", **{"application": 44, **fields})


def held(version: int, *groups: str, **fields: Any) -> HeldApplication:
    return HeldApplication(version=ApplicationVersion(version), groups=groups, **fields)


def asking(application: DesiredApplication | None = LOGGER, **fields: Any) -> Fleet:
    return fleet(application=application, **{"select": EU, **fields})


def planned(
    of_fleet: Fleet,
    *devices: ObservedDevice,
    holds: tuple[HeldApplication, ...] | None = (held(44), held(12, "eu")),
    overrides: tuple[DeviceOverride, ...] = (),
    **fields: Any,
) -> FleetPlan:
    fleets = FleetSet(fleets=(of_fleet,), overrides=overrides)
    seen = observation(*devices, products=(replace(COLD_CHAIN, holds=holds),), **fields)
    plan = plan_fleets(fleets, seen, known_catalog(), now=NOW)
    assert FollowingPlan(fleets, seen, known_catalog(), now=NOW).plan() == plan
    return plan.fleets[0]


def release(*groups: str, product_default: bool = False) -> ReleaseApplication:
    return ReleaseApplication(product="cold-chain", application=V44, groups=groups, product_default=product_default)


# --- releases ---


def test_a_fleet_of_groups_is_released_to_its_groups_when_every_device_is_there() -> None:
    plan = planned(asking(), there(1), device(2))
    assert (plan.conclusion, plan.may_conclude, plan.due_actions) == (release("eu"), False, ())
    plan = planned(asking(), there(1), there(2))
    assert (plan.conclusion, plan.may_conclude, plan.due_actions) == (release("eu"), True, (release("eu"),))


@pytest.mark.parametrize("last", [{"online": False}, {"application": 45}], ids=["waiting", "refused"])
def test_one_device_that_is_not_there_holds_the_release(last: dict[str, Any]) -> None:
    assert not planned(asking(), there(1), device(2, device_os="6.3.4", **last)).may_conclude


def test_a_fleet_that_is_selected_by_its_platform_is_released_as_the_default() -> None:
    plan = planned(asking(select=Selector(platforms=frozenset({"boron"}))), there())
    assert plan.conclusion == release(product_default=True)


def test_what_is_released_already_is_not_released_again() -> None:
    plan = planned(asking(), there(), holds=(held(44, "eu"),))
    assert (plan.conclusion, plan.unreleased) == (None, ())
    whole = asking(select=Selector(platforms=frozenset({"boron"})))
    assert planned(whole, there(), holds=(held(44, product_default=True),)).conclusion is None


def test_what_is_released_is_never_lowered() -> None:
    plan = planned(asking(), there(), holds=(held(44), held(45, "eu")))
    assert (plan.conclusion, plan.unreleased) == (None, ("group eu has application 45, which is higher",))


def test_of_two_groups_the_one_that_can_be_is_released() -> None:
    both = asking(select=Selector(groups=frozenset({"eu", "us"})))
    plan = planned(both, there(1), there(2, groups=("us",)), holds=(held(44), held(45, "us")))
    assert plan.conclusion == release("eu")
    assert plan.unreleased == ("group us has application 45, which is higher",)


@pytest.mark.parametrize(
    "narrow",
    [
        {"select": replace(EU, devices=frozenset({device_id(1)}))},
        {"select": replace(EU, roster=frozenset({device_id(1)}))},
        {"exclude": Selector(groups=frozenset({"lab"}))},
    ],
    ids=["devices", "roster", "exclude"],
)
def test_a_selection_that_a_release_cannot_say_is_not_released_and_the_plan_says_so(narrow: dict[str, Any]) -> None:
    plan = planned(asking(**narrow), there())
    assert plan.conclusion is None
    assert "a release cannot say select." in plan.unreleased[0]


@pytest.mark.parametrize(
    "quiet",
    [
        {"delivery": Delivery(release=Releasing.NEVER)},
        {"delivery": Delivery(via=Via.USB)},
        {"application": None},
        {"suspension": Suspension(reason="holiday")},
    ],
    ids=["never", "usb", "no application", "suspended"],
)
def test_a_fleet_that_wants_no_release_has_none_and_no_words_about_it(quiet: dict[str, Any]) -> None:
    plan = planned(asking(**quiet), there())
    assert (plan.actions, plan.unreleased) == ((), ())


def test_where_nobody_knows_what_the_product_holds_nothing_is_planned_for_it() -> None:
    plan = planned(asking(FILED), there(), device(2), holds=None)
    assert (plan.actions, plan.unreleased) == ((), ("what product cold-chain holds is not known",))


def test_where_not_all_devices_were_seen_nothing_is_released() -> None:
    plan = planned(asking(), there(), complete=False)
    assert (plan.conclusion, plan.unreleased) == (None, ("not all devices of the product were seen",))


def test_a_group_in_which_the_fleet_has_no_device_is_left_out() -> None:
    """It may not exist, and then the cloud would refuse the whole release."""
    plan = planned(asking(select=Selector(groups=frozenset({"eu", "soon"}))), there())
    assert (plan.conclusion, plan.unreleased) == (release("eu"), ())


def test_a_fleet_of_pinned_devices_alone_has_nothing_to_release() -> None:
    pin = replace(asking().desired, application=replace(LOGGER, version=ApplicationVersion(12)))
    pinned = excluding(1, OverrideMode.PIN, pin=pin)
    plan = planned(asking(), device(device_os="6.3.4", desired_application=12), overrides=(pinned,))
    assert (plan.summary.current, plan.conclusion) == (1, None)


# --- nobody outside the fleet is moved ---


def excluding(number: int, mode: OverrideMode = OverrideMode.EXCLUDE, **fields: Any) -> DeviceOverride:
    return DeviceOverride(
        name="lent",
        devices=frozenset({device_id(number)}),
        mode=mode,
        reason="lent",
        author=None,
        expires=None,
        place=Place("lent.yaml", 1, 1),
        **{"pin": None, **fields},
    )


MOVED: dict[str, dict[str, Any]] = {
    "behind": {"application": 12},
    "ahead": {"application": 45},
    "silent": {"application": None},
}
UNMOVED: dict[str, dict[str, Any]] = {
    "runs it": {"application": 44},
    "locked": {"application": 12, "desired_application": 12},
    "development": {"application": 12, "development": True},
    "quarantined": {"application": 12, "quarantined": True},
    "another group": {"application": 12, "groups": ("lab",)},
    "another product": {"application": 12, "product_id": 777},
}


@pytest.mark.parametrize("fields", MOVED.values(), ids=MOVED.keys())
def test_a_device_outside_the_fleet_that_would_move_holds_the_release(fields: dict[str, Any]) -> None:
    plan = planned(asking(), there(1), device(2, **fields), overrides=(excluding(2),))
    assert plan.conclusion is None
    assert plan.unreleased == ("1 device outside the fleet would be moved by a release to group eu",)


@pytest.mark.parametrize("fields", UNMOVED.values(), ids=UNMOVED.keys())
def test_a_device_outside_the_fleet_that_would_not_move_does_not_hold_it(fields: dict[str, Any]) -> None:
    plan = planned(asking(), there(1), device(2, **fields), overrides=(excluding(2),))
    assert plan.conclusion == release("eu")


def test_a_pinned_device_of_the_fleet_counts_as_outside() -> None:
    pin = replace(asking().desired, application=replace(LOGGER, version=ApplicationVersion(12)))
    plan = planned(
        asking(), there(1), device(2, device_os="6.3.4"), overrides=(excluding(2, OverrideMode.PIN, pin=pin),)
    )
    assert plan.summary.current == 2
    assert plan.conclusion is None


def test_the_default_reaches_devices_of_every_group() -> None:
    whole = asking(select=Selector(platforms=frozenset({"boron"})))
    plan = planned(whole, there(1), device(2, groups=()), overrides=(excluding(2),))
    assert plan.unreleased == ("1 device outside the fleet would be moved by a release to the product's default",)


# --- uploads ---


def test_a_version_that_the_product_lacks_is_uploaded_from_the_file_that_the_manifests_name() -> None:
    plan = planned(asking(FILED), device(), holds=())
    assert plan.preparation == (
        UploadApplication(product="cold-chain", application=V44, platform="boron", sha256="ab" * 32, size=9),
    )
    assert plan.due_actions == plan.preparation


@pytest.mark.parametrize(
    ("of_fleet", "seen", "holds"),
    [
        (asking(FILED), device(), (held(44),)),
        (asking(FILED), there(), ()),
        (asking(FILED), device(online=False), ()),
        (asking(FILED), device(development=True), ()),
    ],
    ids=["it is there", "nobody needs it", "nobody needs it now", "nobody locks to it"],
)
def test_what_is_there_or_not_needed_is_not_uploaded(
    of_fleet: Fleet, seen: ObservedDevice, holds: tuple[HeldApplication, ...]
) -> None:
    assert planned(of_fleet, seen, holds=holds).preparation == ()


def test_a_pin_may_need_an_upload_of_its_own() -> None:
    newer = replace(FILED, version=ApplicationVersion(45))
    pin = excluding(1, OverrideMode.PIN, pin=replace(asking().desired, application=newer))
    plan = planned(asking(FILED), device(1), holds=(held(44),), overrides=(pin,))
    assert [upload.application for upload in plan.preparation] == [45]


def test_a_version_that_is_nowhere_is_refused_before_anything_is_sent() -> None:
    plan = planned(asking(), device(), holds=(held(12),))
    assert [refused.reason for refused in plan.refused] == [RefusalReason.APPLICATION_UNAVAILABLE]
    assert "name no file of it to upload" in plan.refused[0].message


@pytest.mark.parametrize(("sha256", "is_refused"), [("cd" * 32, True), ("ab" * 32, False), (None, False)])
def test_other_bytes_under_the_same_number_are_refused(sha256: str | None, is_refused: bool) -> None:
    plan = planned(asking(FILED), device(), holds=(held(44, sha256=sha256),))
    reasons = [refused.reason for refused in plan.refused]
    assert reasons == ([RefusalReason.APPLICATION_DIFFERS] if is_refused else [])
    assert plan.preparation == ()
