from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.execution.guard import check
from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.model.step import FlashApplication, Step
from tests.fleet_samples import LOCK, NOW, device, flash, modules, situation

BELOW = device(device_os="2.0.1")
BOOTLOADER = flash(slot="bootloader/0")
APPLICATION = FlashApplication(application=LOCK.application)
STEPS: list[Step] = [BOOTLOADER, LOCK, APPLICATION]


def why(step: Step, fresh: ObservedDevice | None, *, planned_on: ObservedDevice = BELOW) -> str | None:
    blocked = check(step, situation(planned_on), planned_on, fresh, known_catalog())
    return None if blocked is None else blocked.why


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_a_step_on_an_unchanged_device_is_sent(step: Step) -> None:
    assert why(step, replace(BELOW, observed_at=Instant(NOW + 5))) is None


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_a_device_that_is_gone_blocks(step: Step) -> None:
    assert why(step, None) is not None


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize(
    "change",
    [
        {"platform_id": 12},
        {"product_id": 99},
        {"device_os": "2.1.0"},
        {"device_os": None},
        {"application": 13},
        {"application": None},
        {"mode": DeviceMode.SAFE_MODE},
        {"mode": None},
        {"development": True},
        {"last_handshake_at": Instant(NOW)},
        {"last_handshake_at": None},
    ],
    ids=str,
)
def test_every_change_since_it_was_planned_blocks(step: Step, change: dict[str, Any]) -> None:
    said = why(step, replace(BELOW, **change))
    assert said is not None
    assert f"{next(iter(change))} changed" in said


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"online": False}, "offline"),
        ({"quarantined": True}, "quarantined"),
        ({"updates_enabled": False}, "disabled updates"),
    ],
)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_a_device_that_is_not_willing_blocks(step: Step, fields: dict[str, Any], word: str) -> None:
    assert word in (why(step, replace(BELOW, **fields)) or "")


def test_forced_updates_do_not_block() -> None:
    assert why(BOOTLOADER, replace(BELOW, updates_enabled=False, updates_forced=True)) is None


def test_a_lock_on_a_development_device_blocks() -> None:
    developed = replace(BELOW, development=True)
    assert "development" in (why(LOCK, developed, planned_on=developed) or "")


@pytest.mark.parametrize("step", [BOOTLOADER, APPLICATION], ids=lambda step: type(step).__name__)
def test_a_flash_on_a_development_device_does_not(step: Step) -> None:
    developed = replace(BELOW, development=True)
    assert why(step, developed, planned_on=developed) is None


def test_a_lock_over_the_lock_of_another_blocks() -> None:
    assert "locked it to application 13" in (why(LOCK, replace(BELOW, desired_application=13)) or "")


@pytest.mark.parametrize("fields", [{"desired_application": 44}, {"desired_application": 13, "locked_by_us": 13}])
def test_a_lock_over_our_own_or_the_same_one_does_not(fields: dict[str, Any]) -> None:
    assert why(LOCK, replace(BELOW, **fields)) is None


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_a_lock_that_came_since_it_was_planned_blocks_every_step(step: Step) -> None:
    assert "locked it to application 13" in (why(step, replace(BELOW, desired_application=13)) or "")


@pytest.mark.parametrize(("lock", "blocks"), [(13, False), (45, True)])
def test_our_lock_may_be_put_back_over_a_lower_one_and_never_over_a_higher(lock: int, blocks: bool) -> None:
    changed = replace(BELOW, desired_application=lock, locked_by_us=44)
    assert (why(LOCK, changed, planned_on=changed) is not None) is blocks


def test_our_lock_may_be_put_back_on_what_runs_already() -> None:
    there = replace(BELOW, application=44, desired_application=13, locked_by_us=44)
    assert why(LOCK, there, planned_on=there) is None
    assert "already" in (why(LOCK, replace(there, desired_application=44), planned_on=there) or "")
    never_ours = replace(there, locked_by_us=None)
    assert why(LOCK, never_ours, planned_on=never_ours) is not None


@pytest.mark.parametrize(("released", "blocks"), [(None, False), (12, False), (44, False), (45, True)])
def test_a_lock_below_what_the_cloud_is_to_bring_blocks(released: int | None, blocks: bool) -> None:
    fresh = replace(BELOW, targeted_application=released)
    assert ("is to bring it application 45" in (why(LOCK, fresh) or "")) is blocks


@pytest.mark.parametrize("running", [44, 45])
@pytest.mark.parametrize("step", [LOCK, APPLICATION], ids=lambda step: type(step).__name__)
def test_an_application_that_is_not_higher_blocks(step: Step, running: int) -> None:
    later = device(device_os="2.0.1", application=running)
    assert "not higher" in (why(step, later, planned_on=later) or "")


def test_an_unknown_application_may_be_replaced() -> None:
    nameless = replace(BELOW, application=None)
    assert why(LOCK, nameless, planned_on=nameless) is None


@pytest.mark.parametrize("installed", [3200, 3201])
def test_a_module_that_the_device_reports_at_or_above_the_sent_version_blocks(installed: int) -> None:
    # The report came after planning: the situation still says that the bootloader is lower.
    reporting = replace(BELOW, modules=modules(bootloader_0=installed))
    assert "not higher" in (why(BOOTLOADER, reporting) or "")


def test_a_running_release_at_or_above_the_sent_one_blocks_whatever_the_situation_says() -> None:
    later = device(device_os="6.4.1")
    blocked = check(flash(), situation(BELOW), later, later, known_catalog())
    assert blocked is not None
    assert "runs 6.4.1" in blocked.why


def test_a_running_release_that_nobody_knows_blocks() -> None:
    strange = device(device_os="9.9.9")
    blocked = check(flash(), situation(BELOW), strange, strange, known_catalog())
    assert blocked is not None
    assert "nothing is known" in blocked.why


def test_a_module_whose_condition_the_situation_does_not_meet_blocks() -> None:
    assert "needs bootloader/0" in (why(flash(), BELOW) or "")
