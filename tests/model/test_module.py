from __future__ import annotations

import pytest

from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot

LETTERS = {0: "n", 1: "r", 2: "b", 3: "m", 4: "s", 5: "u", 6: "_", 7: "c", 8: "a", 9: "t"}


@pytest.mark.parametrize(("value", "letter"), LETTERS.items())
def test_functions_have_the_letters_of_the_facts(value: int, letter: str) -> None:
    assert ModuleFunction(value).letter == letter
    assert ModuleFunction.from_letter(letter) is ModuleFunction(value)


def test_there_are_no_other_functions() -> None:
    assert {int(function) for function in ModuleFunction} == set(LETTERS)


@pytest.mark.parametrize("function", ModuleFunction)
def test_labels_are_read_back(function: ModuleFunction) -> None:
    assert ModuleFunction.from_label(function.label) is function


def test_an_unknown_label_or_letter_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        ModuleFunction.from_label("system")
    with pytest.raises(KeyError):
        ModuleFunction.from_letter("q")


@pytest.mark.parametrize("text", ["bootloader/0", "system_part/3", "radio_stack/0", "user_part/2"])
def test_slots_are_read_back(text: str) -> None:
    assert str(ModuleSlot.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "bootloader", "bootloader/", "bootloader/x", "system/1", "bootloader/-1", "bootloader/²", "/0"]
)
def test_what_is_no_slot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a module slot such as bootloader/0"):
        ModuleSlot.parse(text)


def test_slots_are_ordered_by_function_and_index() -> None:
    slots = [ModuleSlot.parse(text) for text in ("user_part/1", "system_part/2", "system_part/1", "bootloader/2")]
    assert [str(slot) for slot in sorted(slots)] == ["bootloader/2", "system_part/1", "system_part/2", "user_part/1"]


def test_dependencies_keep_their_order_without_the_empty_ones() -> None:
    slot = ModuleSlot.parse("system_part/1")
    radio = Dependency(ModuleSlot.parse("radio_stack/0"), 202)
    bootloader = Dependency(ModuleSlot.parse("bootloader/0"), 3100)
    both = Module(slot=slot, version=1, first_dependency=radio, second_dependency=bootloader)
    assert both.dependencies == (radio, bootloader)
    assert Module(slot=slot, version=1, second_dependency=bootloader).dependencies == (bootloader,)
    assert Module(slot=slot, version=1).dependencies == ()


def test_a_module_and_a_dependency_say_what_they_are() -> None:
    slot = ModuleSlot.parse("system_part/1")
    assert str(Module(slot=slot, version=6305)) == "system_part/1 6305"
    assert str(Dependency(slot, 6305)) == "system_part/1 >= 6305"
