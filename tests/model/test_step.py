"""When a module may be sent, and what is true afterwards (facts 4.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.device import DeviceMode
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.step import FlashModule, condition, effect, enforced_on_transfer
from reconciler.model.version import DeviceOsVersion

BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
SYSTEM_1 = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
SYSTEM_2 = ModuleSlot(ModuleFunction.SYSTEM_PART, 2)
RADIO = ModuleSlot(ModuleFunction.RADIO_STACK, 0)
USER = ModuleSlot(ModuleFunction.USER_PART, 1)


def flash(
    slot: ModuleSlot, version: int, first: Dependency | None = None, second: Dependency | None = None
) -> FlashModule:
    return FlashModule(
        module=Module(slot=slot, version=version, first_dependency=first, second_dependency=second),
        device_os=DeviceOsVersion("6.3.4"),
        boots_into=DeviceMode.NORMAL,
    )


BORON_SYSTEM = flash(SYSTEM_1, 6305, Dependency(BOOTLOADER, 3200), Dependency(RADIO, 202))
ARGON_SYSTEM = flash(SYSTEM_1, 3000, Dependency(RADIO, 202), Dependency(BOOTLOADER, 1005))


def test_a_module_whose_needs_are_met_may_be_sent() -> None:
    assert condition(BORON_SYSTEM, {BOOTLOADER: 3200, RADIO: 202, SYSTEM_1: 1512}) is None


@pytest.mark.parametrize("installed", [6305, 6306])
def test_a_module_that_is_not_higher_is_never_sent(installed: int) -> None:
    reason = condition(BORON_SYSTEM, {BOOTLOADER: 3200, RADIO: 202, SYSTEM_1: installed})
    assert reason == f"system_part/1 is already at {installed}, 6305 is not higher"


def test_a_module_may_be_sent_into_an_empty_slot() -> None:
    assert condition(BORON_SYSTEM, {BOOTLOADER: 3200, RADIO: 202}) is None


def test_the_first_dependency_is_always_enforced() -> None:
    reason = condition(BORON_SYSTEM, {BOOTLOADER: 3199, RADIO: 202})
    assert reason == "system_part/1 6305 needs bootloader/0 >= 3200, installed is 3199"


def test_a_first_dependency_on_a_module_that_is_not_there_is_not_met() -> None:
    assert condition(BORON_SYSTEM, {RADIO: 202}) == "system_part/1 6305 needs bootloader/0 >= 3200, installed is 0"


def test_the_second_dependency_is_enforced() -> None:
    reason = condition(BORON_SYSTEM, {BOOTLOADER: 3200, RADIO: 201})
    assert reason == "system_part/1 6305 needs radio_stack/0 >= 202, installed is 201"


def test_a_second_dependency_on_a_bootloader_is_left_to_the_boot() -> None:
    assert condition(ARGON_SYSTEM, {RADIO: 202, BOOTLOADER: 501}) is None


def test_a_dependency_on_its_own_slot_is_read_before_the_replacement() -> None:
    step = flash(SYSTEM_1, 5600, Dependency(SYSTEM_1, 3001))
    assert condition(step, {SYSTEM_1: 2008}) == "system_part/1 5600 needs system_part/1 >= 3001, installed is 2008"
    assert condition(step, {SYSTEM_1: 3001}) is None


def test_enforced_dependencies_come_in_the_order_of_the_module() -> None:
    assert enforced_on_transfer(BORON_SYSTEM.module) == (Dependency(BOOTLOADER, 3200), Dependency(RADIO, 202))
    assert enforced_on_transfer(ARGON_SYSTEM.module) == (Dependency(RADIO, 202),)


def test_a_first_dependency_on_a_bootloader_is_enforced() -> None:
    assert enforced_on_transfer(flash(RADIO, 202, Dependency(BOOTLOADER, 501)).module) == (Dependency(BOOTLOADER, 501),)


def test_an_application_is_accepted_whatever_it_needs() -> None:
    assert enforced_on_transfer(flash(USER, 6, Dependency(SYSTEM_1, 4200), Dependency(SYSTEM_2, 1)).module) == ()


def test_a_module_without_needs_enforces_nothing() -> None:
    assert enforced_on_transfer(flash(BOOTLOADER, 401).module) == ()


versions = st.dictionaries(st.sampled_from([BOOTLOADER, SYSTEM_1, SYSTEM_2, RADIO]), st.integers(0, 9), max_size=4)
dependencies = st.none() | st.builds(
    Dependency, st.sampled_from([BOOTLOADER, SYSTEM_1, SYSTEM_2, RADIO]), st.integers(0, 9)
)
steps = st.builds(flash, st.sampled_from([BOOTLOADER, SYSTEM_1, RADIO]), st.integers(1, 9), dependencies, dependencies)


@given(steps, versions)
def test_after_a_step_its_slot_is_at_its_version_and_the_others_are_as_before(
    step: FlashModule, before: dict[ModuleSlot, int]
) -> None:
    after = effect(step, before)
    assert after[step.module.slot] == step.module.version
    assert {slot: number for slot, number in after.items() if slot != step.module.slot} == {
        slot: number for slot, number in before.items() if slot != step.module.slot
    }


@given(steps, versions)
def test_a_step_that_may_be_sent_only_ever_raises_versions_and_is_sent_once(
    step: FlashModule, before: dict[ModuleSlot, int]
) -> None:
    if condition(step, before) is None:
        after = effect(step, before)
        assert all(after[slot] >= number for slot, number in before.items())
        assert condition(step, after) is not None


@given(steps, versions, st.sampled_from([BOOTLOADER, SYSTEM_1, SYSTEM_2, RADIO]))
def test_a_higher_version_of_another_module_never_makes_a_step_impossible(
    step: FlashModule, before: dict[ModuleSlot, int], raised: ModuleSlot
) -> None:
    if condition(step, before) is None and raised != step.module.slot:
        assert condition(step, {**before, raised: before.get(raised, 0) + 1}) is None
