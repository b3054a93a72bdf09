"""Dice that replay: what they show follows from a text alone, and one die takes as little memory as one number.

Python's own generator needs 2.5 KB and ten microseconds for each new die, and a world has one for each of a hundred
thousand devices. This one is SplitMix64 (Steele, Lea and Flood, 2014), seeded by a hash of the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

_Face = TypeVar("_Face")

_MASK: Final = (1 << 64) - 1
_STEP: Final = 0x9E3779B97F4A7C15
_FRACTION: Final = 2.0**-53


class Dice:
    """One die. The same text gives the same throws, on every machine and in every version of Python."""

    __slots__ = ("_state",)

    def __init__(self, text: str) -> None:
        self._state = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

    def random(self) -> float:
        """A number from 0 up to, but not including, 1."""
        self._state = mixed = (self._state + _STEP) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) >> 11) * _FRACTION

    def uniform(self, low: float, high: float) -> float:
        """A number between two others."""
        return low + (high - low) * self.random()

    def coin(self) -> bool:
        """Heads or tails."""
        return self.random() < 0.5  # noqa: PLR2004  # a fair coin

    def below(self, number: int) -> int:
        """A whole number from 0 up to, but not including, another."""
        return int(self.random() * number)

    def digits(self, count: int) -> str:
        """So many hexadecimal digits."""
        return "".join(f"{self.below(16):x}" for _ in range(count))

    def choice(self, faces: Sequence[_Face]) -> _Face:
        """One of several, of which there is at least one."""
        return faces[self.below(len(faces))]
