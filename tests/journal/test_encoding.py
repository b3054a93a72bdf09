"""What is stored of steps and modules comes back equal; what was altered is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.journal.encoding import decode_modules, decode_step, encode_modules, encode_step, step_kind
from reconciler.journal.entries import decode_entry, encode_entry
from reconciler.model.device import DeviceMode
from reconciler.model.error import JournalError
from reconciler.model.fleet import Via
from reconciler.model.instant import Instant
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.rollout_entry import Resumed
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion, published_versions

numbers = st.integers(0, 65535)
slots = st.builds(ModuleSlot, st.sampled_from(ModuleFunction), st.integers(0, 255))
dependencies = st.none() | st.builds(Dependency, slots, numbers)
modules = st.builds(Module, slot=slots, version=numbers, first_dependency=dependencies, second_dependency=dependencies)
versions = st.sampled_from(published_versions()) | st.text(max_size=12).map(DeviceOsVersion)
sizes = st.none() | st.integers(0, 2**31)
hashes = st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)
applications = numbers.map(ApplicationVersion)
ways = st.sampled_from(Via)
modes = st.sampled_from(DeviceMode)
steps = st.one_of(
    st.builds(FlashModule, module=modules, device_os=versions, boots_into=modes, size=sizes, sha256=hashes, via=ways),
    st.builds(LockApplication, application=applications, size=sizes, boots_into=modes, via=ways),
    st.builds(FlashApplication, application=applications, size=sizes, sha256=hashes, boots_into=modes, via=ways),
)
FLASH = FlashModule(
    module=Module(
        slot=ModuleSlot(ModuleFunction.SYSTEM_PART, 1),
        version=6305,
        first_dependency=Dependency(ModuleSlot(ModuleFunction.BOOTLOADER, 0), 3200),
        second_dependency=Dependency(ModuleSlot(ModuleFunction.RADIO_STACK, 0), 202),
    ),
    device_os=DeviceOsVersion("6.3.4"),
    boots_into=DeviceMode.NORMAL,
    size=520_000,
)


@given(steps)
def test_every_step_comes_back_equal(step: Step) -> None:
    assert decode_step(encode_step(step)) == step
    assert json.loads(encode_step(step))["kind"] == step_kind(step)


@given(st.lists(modules, max_size=6).map(tuple))
def test_modules_come_back_equal_and_in_their_order(some: tuple[Module, ...]) -> None:
    assert decode_modules(encode_modules(some)) == some


def test_the_device_os_of_a_step_that_was_read_is_the_interned_one() -> None:
    step = decode_step(encode_step(FLASH))
    assert isinstance(step, FlashModule)
    assert step.device_os is FLASH.device_os


def test_what_is_on_disk_can_be_read_by_a_person() -> None:
    assert json.loads(encode_step(FLASH)) == {
        "kind": "flash_module",
        "module": {
            "slot": "system_part/1",
            "version": 6305,
            "first": {"slot": "bootloader/0", "version": 3200},
            "second": {"slot": "radio_stack/0", "version": 202},
        },
        "device_os": "6.3.4",
        "boots_into": "normal",
        "size": 520_000,
        "sha256": None,
        "via": "cloud",
    }


@pytest.mark.parametrize("missing", ["kind", "module", "device_os", "boots_into", "size", "sha256", "via"])
def test_a_step_without_one_of_its_fields_is_refused(missing: str) -> None:
    document = json.loads(encode_step(FLASH))
    del document[missing]
    with pytest.raises(JournalError, match="PFR5011"):
        decode_step(json.dumps(document))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "flash_everything"),
        ("via", "pigeon"),
        ("size", "520000"),
        ("size", True),
        ("size", 1.5),
        ("module", None),
        ("module", []),
        ("device_os", 6.3),
    ],
)
def test_a_step_with_a_value_of_another_kind_is_refused(field: str, value: object) -> None:
    document = json.loads(encode_step(FLASH)) | {field: value}
    with pytest.raises(JournalError, match="PFR5011"):
        decode_step(json.dumps(document))


@given(st.text(max_size=40) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_text_is_taken_for_a_step_by_accident(text: str) -> None:
    with pytest.raises(JournalError, match="PFR5011"):
        decode_step(text)


def test_a_word_that_was_noted_before_it_said_what_it_settles_is_read() -> None:
    resumed = decode_entry("resumed", '{"by":"ada"}', fleet="eu", at=Instant(7))
    assert resumed == Resumed(fleet="eu", at=Instant(7), by="ada")
    settling = Resumed(fleet="eu", at=Instant(7), by="ada", settled_before=Instant(5))
    assert decode_entry("resumed", encode_entry(settling), fleet="eu", at=Instant(7)) == settling
