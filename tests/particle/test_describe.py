from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.firmware.known import known_catalog
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.particle.describe import entries_from_modules, modules_from_describe, modules_from_entries

BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
SYSTEM = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
USER = ModuleSlot(ModuleFunction.USER_PART, 1)

SYSTEM_ENTRY = {
    "s": 671744,
    "l": "m",
    "vc": 30,
    "vv": 26,
    "f": "s",
    "n": "1",
    "v": 4002,
    "d": [{"f": "b", "n": "0", "v": 1101, "_": ""}, {"f": "a", "n": "0", "v": 202, "_": ""}],
}


def describe(*entries: object) -> str:
    return json.dumps({"p": 13, "imei": "35", "m": list(entries)})


def test_a_module_has_its_slot_version_and_dependencies_in_order() -> None:
    radio = ModuleSlot(ModuleFunction.RADIO_STACK, 0)
    assert modules_from_describe(describe(SYSTEM_ENTRY)) == (
        Module(
            slot=SYSTEM,
            version=4002,
            first_dependency=Dependency(BOOTLOADER, 1101),
            second_dependency=Dependency(radio, 202),
        ),
    )


def test_the_application_is_a_user_part() -> None:
    user = {"l": "m", "f": "u", "n": "1", "v": 6, "u": "ABCDEF" * 10, "d": [{"f": "s", "n": "1", "v": 4200}]}
    [module] = modules_from_describe(describe(user))
    assert module == Module(slot=USER, version=6, first_dependency=Dependency(SYSTEM, 4200))


@pytest.mark.parametrize("location", ["f", "b", "t", None, 5])
def test_copies_that_are_not_installed_do_not_count(location: object) -> None:
    assert modules_from_describe(describe({**SYSTEM_ENTRY, "l": location})) == ()


def test_empty_factory_slots_of_old_firmware_are_passed_over() -> None:
    empty = {"s": 131072, "l": "f", "vc": 30, "vv": 0, "d": []}
    assert len(modules_from_describe(describe(empty, {**empty, "l": "m"}, SYSTEM_ENTRY))) == 1


def test_the_index_may_be_a_number() -> None:
    assert modules_from_describe(describe({**SYSTEM_ENTRY, "n": 1})) == modules_from_describe(describe(SYSTEM_ENTRY))


def test_functions_without_a_name_are_left_out() -> None:
    assert len(modules_from_describe(describe({"l": "m", "f": "z", "n": "0", "v": 1}, SYSTEM_ENTRY))) == 1


def test_a_module_that_is_told_twice_in_the_same_words_counts_once() -> None:
    assert len(modules_from_describe(describe(SYSTEM_ENTRY, SYSTEM_ENTRY))) == 1


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        None,
        {**SYSTEM_ENTRY, "v": "six"},
        {**SYSTEM_ENTRY, "v": True},
        {**SYSTEM_ENTRY, "v": -1},
        {**SYSTEM_ENTRY, "v": 65536},
        {**SYSTEM_ENTRY, "v": 12.5},
        {**SYSTEM_ENTRY, "v": None},
        {**SYSTEM_ENTRY, "n": "one"},
        {**SYSTEM_ENTRY, "n": "9" * 5000},
        {**SYSTEM_ENTRY, "f": 4},
        {**SYSTEM_ENTRY, "d": "none"},
        {**SYSTEM_ENTRY, "d": ["b0"]},
        {**SYSTEM_ENTRY, "d": [{"f": "z", "n": "0", "v": 1}]},
        {**SYSTEM_ENTRY, "d": [{"f": "b", "n": "0", "v": n} for n in (1, 2, 3)]},
        {**SYSTEM_ENTRY, "f": "b", "n": "0"} | {"v": 77},
    ],
)
def test_one_installed_module_that_cannot_be_read_makes_the_whole_account_worthless(broken: object) -> None:
    bootloader = {"l": "m", "f": "b", "n": "0", "v": 1101, "d": []}
    assert modules_from_describe(describe(bootloader, broken)) == ()


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"m": 5}', '{"m": null}', "{", "[" * 100_000, b"\xff\xfe"])
def test_what_is_no_describe_says_nothing(text: str | bytes) -> None:
    assert modules_from_describe(text) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["l", "f", "n", "v", "d", "m", "_"]), inner),
)


@given(JSON)
def test_nothing_that_json_can_say_makes_it_raise(document: object) -> None:
    assert isinstance(modules_from_entries(document), tuple)
    assert isinstance(modules_from_describe(json.dumps({"m": document})), tuple)


@given(st.binary())
def test_no_bytes_make_it_raise(data: bytes) -> None:
    assert isinstance(modules_from_describe(data), tuple)


def test_every_known_release_survives_being_written_and_read() -> None:
    for release in known_catalog().all_releases:
        modules = tuple(sorted((shipped.module for shipped in release.modules), key=lambda module: module.slot))
        read = modules_from_entries(json.loads(json.dumps(entries_from_modules(modules))))
        assert [(m.slot, m.version, m.dependencies) for m in read] == [
            (m.slot, m.version, m.dependencies) for m in modules
        ]
