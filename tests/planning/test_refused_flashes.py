"""A product for which the cloud was seen to refuse Device OS modules: which of its devices wait for what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import Delivery, Desired, Fleet, IfRefused, Via
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, WaitingReason
from reconciler.model.step import LockApplication
from tests.fleet_samples import NOW, device, fleet, plan_of
from tests.planning.test_healing import desired

UNTIL = Instant(NOW + 3600)
WAIT = Delivery()
APPLICATION_FIRST = Delivery(if_refused=IfRefused.APPLICATION_FIRST)


def refused(device_os: str = "5.5.0", **fields: object) -> ObservedDevice:
    return replace(device(device_os=device_os, system_flash_refused_until=UNTIL), **fields)  # type: ignore[arg-type]  # fields


def asking(delivery: Delivery, wanted: Desired | None = None) -> Fleet:
    return fleet(desired=wanted or desired("boron", "6.3.4", "6.3.4"), delivery=delivery)


def reasons(plan: FleetPlan) -> list[WaitingReason]:
    return [entry.reason for entry in plan.waiting]


def test_a_device_that_needs_modules_waits_and_the_reason_says_until_when() -> None:
    plan = plan_of(asking(WAIT), refused())
    assert reasons(plan) == [WaitingReason.SYSTEM_FLASH_REFUSED]
    assert "product 12345" in plan.waiting[0].message
    assert "2026-11-22T10:00:00" in plan.waiting[0].message
    assert plan.waiting[0].reason.code == "PFR2130"


def test_afterwards_it_is_tried_again() -> None:
    assert plan_of(asking(WAIT), refused(), now=UNTIL).routes


def test_a_device_that_needs_no_module_goes_on() -> None:
    [route] = plan_of(asking(WAIT), refused("6.3.4")).routes
    assert [type(step) for step in route.steps] == [LockApplication]


@pytest.mark.parametrize("fields", [{"development": True}, {"product_id": 13}], ids=["development", "own"])
def test_it_is_not_about_development_devices_nor_about_the_owners_own(fields: dict[str, object]) -> None:
    plan = plan_of(asking(WAIT, desired("boron", "6.3.4", None)), refused(**fields))
    assert plan.waiting == ()


def test_over_usb_the_cloud_has_no_say() -> None:
    assert reasons(plan_of(asking(Delivery(via=Via.USB)), refused())) == [WaitingReason.NEEDS_BENCH]


def test_where_the_manifest_allows_it_the_application_goes_first() -> None:
    [route] = plan_of(asking(APPLICATION_FIRST), refused()).routes
    assert [type(step) for step in route.steps] == [LockApplication]
    assert route.healed_by_cloud


def test_where_the_healer_cannot_do_it_alone_the_device_waits_and_the_reason_says_why() -> None:
    plan = plan_of(asking(APPLICATION_FIRST, desired("boron", "6.3.4", "5.5.0")), refused())
    assert reasons(plan) == [WaitingReason.SYSTEM_FLASH_REFUSED]
    assert "no more than the application needs" in plan.waiting[0].message
