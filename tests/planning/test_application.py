"""What an application's file says of itself decides at plan time whether it can be the last step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.firmware.application import read_application
from reconciler.firmware.builder import build_application, build_module
from reconciler.firmware.known import known_catalog
from reconciler.model.fleet import ApplicationBinary, BuiltApplication, Desired, DesiredApplication, Via
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.plan import RefusalReason, Refused, Route
from reconciler.model.step import FlashApplication, FlashModule, LockApplication
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.planning.answer import Answers, Goal, Placed
from tests.fleet_samples import COLD_CHAIN, device, platform, situation

V44 = ApplicationVersion(44)
PRODUCT = COLD_CHAIN.id
USER_1, USER_2 = (ModuleSlot(ModuleFunction.USER_PART, index) for index in (1, 2))


def built(
    platform_name: str = "boron",
    system_version: int = 6305,
    product: tuple[int, int] | None = (PRODUCT, 44),
    **more: Any,
) -> BuiltApplication:
    """What a real file of these properties says."""
    return read_application(
        build_application(platform(platform_name), system_version=system_version, product=product, **more)
    )


def desired(application: BuiltApplication | None, device_os: str | None = "6.3.4", **binary: Any) -> Desired:
    known = ApplicationBinary(platform="boron", file="logger.bin", built=application)
    wanted = DesiredApplication(release="logger", version=V44, binaries=(replace(known, **binary),))
    return Desired(device_os=None if device_os is None else DeviceOsVersion(device_os), application=wanted)


def answer(wanted: Desired, product_id: int | None = PRODUCT, **fields: Any) -> Placed:
    start = situation(device(device_os="2.0.1", **fields))
    return Answers(known_catalog()).of(start, Goal(wanted, Via.CLOUD, None, product_id=product_id))


def answer_of_own(wanted: Desired) -> Placed:
    """Of a device of the token's owner, which is in no product."""
    start = situation(device(device_os="2.0.1", product_id=13))
    return Answers(known_catalog()).of(start, Goal(wanted, Via.CLOUD, None))


def route(placed: Placed) -> Route:
    assert isinstance(placed, Route), placed
    return placed


def refusal(placed: Placed) -> tuple[RefusalReason, str]:
    assert isinstance(placed, Refused), placed
    return placed.reason, placed.message


def test_a_fitting_application_is_the_last_step_with_its_size() -> None:
    placed = route(answer(desired(built(size=20_000), size=9)))
    assert placed.steps[-1] == LockApplication(application=V44, size=20_000)


def test_a_direct_flash_is_pinned_to_the_file_that_was_read() -> None:
    application = built(product=(PRODUCT, 44))
    placed = route(answer(desired(application), product_id=None, development=True))
    assert placed.steps[-1] == FlashApplication(application=V44, size=application.size, sha256=application.sha256)


@pytest.mark.parametrize(
    ("application", "said"),
    [
        (built("argon"), "its binary for boron is built for argon"),
        (replace(built(), platform_id=77), "is built for platform 77"),
        (replace(built(), module=Module(slot=ModuleSlot(ModuleFunction.USER_PART, 3), version=6)), "no user_part/3"),
        (replace(built(), module_size=262_145), "it has 262,145 bytes, user_part/2 of boron holds 262,144"),
        (
            replace(built(), module=Module(slot=USER_1, version=6), module_size=131_073),
            "user_part/1 of boron holds 131",
        ),
        (built(product=(PRODUCT, 43)), "its binary says that it is version 43"),
        (built(product=(PRODUCT + 1, 44)), f"it is for product {PRODUCT + 1}, and the device is in product {PRODUCT}"),
    ],
)
def test_an_application_that_is_not_what_the_manifest_says_is_refused(application: BuiltApplication, said: str) -> None:
    reason, message = refusal(answer(desired(application)))
    assert reason is RefusalReason.APPLICATION_UNFIT
    assert message.startswith("application logger 44: ")
    assert said in message


@pytest.mark.parametrize("size", [262_144, 131_073])
def test_an_application_up_to_its_slot_fits(size: int) -> None:
    assert route(answer(desired(replace(built(), module_size=size))))


@pytest.mark.parametrize(
    "application",
    [
        built(product=None),
        built(product=(13, 44)),  # the platform's id: no product, as in the vendor's own applications
        replace(built(), product_version=None),
        replace(built(), product_id=None),
    ],
)
def test_what_a_file_does_not_name_is_no_contradiction(application: BuiltApplication) -> None:
    assert route(answer(desired(application)))


def test_a_product_that_nobody_knows_is_no_contradiction() -> None:
    assert route(answer(desired(built(product=(PRODUCT + 1, 44))), product_id=None))


def test_only_the_low_16_bits_of_a_product_are_compared() -> None:
    assert route(answer(desired(built()), product_id=PRODUCT + (1 << 16)))


def test_an_application_of_a_product_is_not_for_a_device_without_one() -> None:
    reason, message = refusal(answer_of_own(desired(built())))
    assert reason is RefusalReason.APPLICATION_UNFIT
    assert "and the device is in no product" in message


@pytest.mark.parametrize("application", [built(product=None), replace(built(product=(13, 44)), product_version=None)])
def test_an_application_without_a_version_is_not_flashed_to_a_device_that_takes_no_lock(
    application: BuiltApplication,
) -> None:
    for placed in (answer_of_own(desired(application)), answer(desired(application), development=True)):
        reason, message = refusal(placed)
        assert reason is RefusalReason.APPLICATION_UNFIT
        assert "carries no version" in message
    assert route(answer(desired(application)))


def test_an_application_of_no_product_with_its_version_is_for_a_device_without_one() -> None:
    assert isinstance(route(answer_of_own(desired(built(product=(13, 44))))).steps[-1], FlashApplication)


def test_the_large_slot_needs_a_device_os_that_knows_it() -> None:
    system = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
    asks_too_little = Module(slot=USER_2, version=6, first_dependency=Dependency(system, 2011))
    application = read_application(build_module(platform("boron"), asks_too_little, product=(PRODUCT, 44)))
    reason, message = refusal(answer(desired(application)))
    assert reason is RefusalReason.APPLICATION_UNFIT
    assert "256 KiB slot" in message


def test_an_old_application_in_the_small_slot_still_runs() -> None:
    application = built(system_version=2011)
    assert application.module.slot == USER_1
    assert route(answer(desired(application)))


def test_an_application_for_a_later_device_os_than_desired_is_refused() -> None:
    reason, message = refusal(answer(desired(built(system_version=6401))))
    assert reason is RefusalReason.APPLICATION_NEEDS_LATER
    assert message == (
        "application logger 44 is built for Device OS 6.4.1: the desired 6.3.4 brings system_part/1 6305"
    )


def test_an_application_for_a_later_device_os_than_runs_is_refused_where_none_is_desired() -> None:
    reason, message = refusal(answer(desired(built(), device_os=None)))
    assert reason is RefusalReason.APPLICATION_NEEDS_LATER
    assert message.endswith("is built for Device OS 6.3.4: no deviceOS is desired, and it has system_part/1 2011")


def test_an_application_for_what_runs_needs_no_device_os() -> None:
    assert len(route(answer(desired(built(system_version=2011), device_os=None))).steps) == 1


def test_an_application_that_runs_already_is_not_judged() -> None:
    placed = route(answer(desired(built("argon")), application=44))
    assert all(isinstance(step, FlashModule) for step in placed.steps)
    assert answer(desired(built("argon"), device_os="2.0.1"), application=44) is None


def test_of_an_application_that_only_the_product_holds_nothing_is_judged() -> None:
    wanted = Desired(device_os=None, application=DesiredApplication(release="logger", version=V44))
    assert route(answer(wanted)).steps == (LockApplication(application=V44),)


def test_a_bundle_is_delivered_by_a_product_and_not_flashed() -> None:
    bundle = replace(built(product=None), bundle=True)
    assert route(answer(desired(bundle)))
    reason, message = refusal(answer(desired(bundle), development=True))
    assert reason is RefusalReason.APPLICATION_UNAVAILABLE
    assert "bundle" in message
