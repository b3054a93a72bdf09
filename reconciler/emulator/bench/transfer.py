"""A control transfer as a device sees it, and what a host can see of its end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_IN: Final = 0x80
_TYPE_MASK: Final = 0x60
_CLASS: Final = 0x20
_VENDOR: Final = 0x40


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The eight bytes in front of a transfer. `length` is that of the data stage, in bytes."""

    request_type: int
    request: int
    value: int
    index: int
    length: int

    @property
    def to_host(self) -> bool:
        """Whether the device sends the data."""
        return bool(self.request_type & _IN)

    @property
    def is_vendor(self) -> bool:
        """Whether it is one of Particle's own requests."""
        return self.request_type & _TYPE_MASK == _VENDOR

    @property
    def is_class(self) -> bool:
        """Whether it is one of the DFU class."""
        return self.request_type & _TYPE_MASK == _CLASS


class Failure(StrEnum):
    """How a transfer can end other than well."""

    STALL = "stall"
    SILENCE = "silence"
    GONE = "gone"


Outcome = bytes | Failure
"""What the host gets: data (nothing for a transfer to the device), or a failure."""
