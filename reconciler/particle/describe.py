"""A device's own account of its modules: the `m` list of a system describe (facts 4.6).

The rules:
- Only entries at location `m` are installed; factory, backup and scratchpad copies are not. An entry without a function
  is an empty slot. Functions that we have no name for cannot be sent by us, and are left out.
- If one installed entry cannot be read, the whole account is worth nothing: a module that is left out would count as
  not there, and might then be replaced by a lower one.
- Accounts differ by age: the index is a string or a number, hashes are upper-case, dependencies carry a member `_`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot

NOTHING: Final[tuple[Module, ...]] = ()

_ENTRIES_MAX: Final = 256
_INDEX_MAX: Final = 0xFF
_VERSION_MAX: Final = 0xFFFF
_DEPENDENCIES_MAX: Final = 2


class _UnreadableError(ValueError):
    """An entry that is there and cannot be read."""


def modules_from_describe(text: str | bytes) -> tuple[Module, ...]:
    """The installed modules, ascending by slot, the application's user part among them; empty when unusable.

    `text` is the JSON of the event `spark/status/safe-mode`. Whatever it is, this does not raise.
    """
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return NOTHING
    return modules_from_entries(document.get("m")) if isinstance(document, dict) else NOTHING


def modules_from_entries(entries: object) -> tuple[Module, ...]:
    """The same from the decoded `m` list alone."""
    if not isinstance(entries, list) or len(entries) > _ENTRIES_MAX:
        return NOTHING
    found: dict[ModuleSlot, Module] = {}
    try:
        for entry in entries:
            module = _installed(entry)
            if module is not None and found.setdefault(module.slot, module) != module:
                return NOTHING
    except _UnreadableError:
        return NOTHING
    return tuple(found[slot] for slot in sorted(found))


def entries_from_modules(modules: Sequence[Module]) -> list[dict[str, object]]:
    """The `m` list that says exactly these modules; sizes, checks and hashes are not ours to say."""
    return [
        {
            "l": "m",
            "f": module.slot.function.letter,
            "n": str(module.slot.index),
            "v": module.version,
            "d": [
                {"f": needed.slot.function.letter, "n": str(needed.slot.index), "v": needed.version}
                for needed in module.dependencies
            ],
        }
        for module in modules
    ]


def _installed(entry: object) -> Module | None:
    if not isinstance(entry, dict):
        raise _UnreadableError
    if entry.get("l") != "m":
        return None
    function = _function(entry)
    if function is None:
        return None
    dependencies = [needed for needed in map(_dependency, _listed(entry.get("d"))) if needed is not None]
    if len(dependencies) > _DEPENDENCIES_MAX:
        raise _UnreadableError
    first, second = (*dependencies, None, None)[:_DEPENDENCIES_MAX]
    return Module(
        slot=ModuleSlot(function, _number(entry.get("n"), _INDEX_MAX)),
        version=_number(entry.get("v"), _VERSION_MAX),
        first_dependency=first,
        second_dependency=second,
    )


def _dependency(entry: object) -> Dependency | None:
    if not isinstance(entry, dict):
        raise _UnreadableError
    if entry.get("f") is None:
        return None
    function = _function(entry)
    if function is None:
        if entry.get("f") == ModuleFunction.NONE.letter:
            return None
        # A need for something that we cannot name is a need that we could not keep.
        raise _UnreadableError
    return Dependency(ModuleSlot(function, _number(entry.get("n"), _INDEX_MAX)), _number(entry.get("v"), _VERSION_MAX))


def _function(entry: Mapping[Any, object]) -> ModuleFunction | None:
    letter = entry.get("f")
    if letter is None:
        return None
    if not isinstance(letter, str):
        raise _UnreadableError
    try:
        function = ModuleFunction.from_letter(letter)
    except KeyError:
        return None
    return None if function is ModuleFunction.NONE else function


def _listed(value: object) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _UnreadableError
    return value


def _number(value: object, highest: int) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(highest)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise _UnreadableError
    return value
