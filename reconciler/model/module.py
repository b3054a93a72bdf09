"""Firmware modules: what a device is made of, and what each of them needs.

A module sits in a slot (function and index) of one platform, has a version of its own, and up to two dependencies
whose order matters: on a transfer the device checks the first one always and the second one unless it names a
bootloader (facts 4.3). All dependencies are minimum versions (facts 4.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple


class ModuleFunction(IntEnum):
    """What a module is for, by the numbers of its prefix (facts 1.3)."""

    NONE = 0
    RESOURCE = 1
    BOOTLOADER = 2
    MONO_FIRMWARE = 3
    SYSTEM_PART = 4
    USER_PART = 5
    SETTINGS = 6
    NCP_FIRMWARE = 7
    RADIO_STACK = 8
    ASSET = 9

    __hash__ = int.__hash__
    """Slots are keys everywhere; the hash that enums have is a Python function of its own."""

    @property
    def label(self) -> str:
        """The name in files and output, for example `system_part`."""
        return self.name.lower()

    @property
    def letter(self) -> str:
        """The one-letter code of a device's own describe (facts 1.3)."""
        return _LETTERS[self]

    @staticmethod
    def from_label(label: str) -> ModuleFunction:
        """Raises KeyError for a name that is none of ours."""
        return _BY_LABEL[label]

    @staticmethod
    def from_letter(letter: str) -> ModuleFunction:
        """Raises KeyError for a letter that facts 1.3 does not list."""
        return _BY_LETTER[letter]


_LETTERS: Final = dict(zip(ModuleFunction, "nrbmsu_cat", strict=True))
_BY_LETTER: Final = {letter: function for function, letter in _LETTERS.items()}
_BY_LABEL: Final = {function.label: function for function in ModuleFunction}


class ModuleSlot(NamedTuple):
    """Where a module sits: its function and index. Written `system_part/1`."""

    function: ModuleFunction
    index: int  # type: ignore[assignment]  # the index of the slot; nobody asks a slot for tuple.index

    def __str__(self) -> str:
        return f"{self.function.label}/{self.index}"

    @staticmethod
    def parse(text: str) -> ModuleSlot:
        """Read `bootloader/0`. Raises ValueError for anything else."""
        label, separator, index = text.partition("/")
        if not separator or not index.isascii() or not index.isdigit() or label not in _BY_LABEL:
            message = f"{text!r} is not a module slot such as bootloader/0"
            raise ValueError(message)
        return ModuleSlot(ModuleFunction.from_label(label), int(index))


class Dependency(NamedTuple):
    """The lowest version of the module in `slot` that is good enough."""

    slot: ModuleSlot
    version: int

    def __str__(self) -> str:
        return f"{self.slot} >= {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module: its slot, its version, and its first and second dependency as the prefix has them.

    `dependencies` are both in that order, without the empty ones.
    """

    slot: ModuleSlot
    version: int
    first_dependency: Dependency | None = None
    second_dependency: Dependency | None = None
    dependencies: tuple[Dependency, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        both = (self.first_dependency, self.second_dependency)
        object.__setattr__(self, "dependencies", tuple(dependency for dependency in both if dependency is not None))

    def __hash__(self) -> int:
        """Equal modules have equal hashes; few differ in their dependencies alone."""
        return hash((self.slot, self.version))

    def __str__(self) -> str:
        return f"{self.slot} {self.version}"
