"""How many devices of a plan are in which bucket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many devices are where."""

    current: int = 0
    upgrade: int = 0
    refused: int = 0
    waiting: int = 0

    @property
    def devices(self) -> int:
        """All of them."""
        return self.current + self.upgrade + self.refused + self.waiting

    def __add__(self, other: Summary) -> Summary:
        return Summary(
            current=self.current + other.current,
            upgrade=self.upgrade + other.upgrade,
            refused=self.refused + other.refused,
            waiting=self.waiting + other.waiting,
        )
