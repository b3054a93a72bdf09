"""How long a device takes for what it does. Orders of magnitude, not measurements: no source has them [?].

They are there so that a bench has something to wait for, and so that work on a device can be compared with the sum of
what the device itself needed. A world in which they are zero is as true.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

_PACKET: Final = 64
_TRANSFER_OVERHEAD: Final = 45
_PACKET_OVERHEAD: Final = 13
"""In bytes, at full speed: a control transfer, and each further packet of its data (USB 2.0, tables 5-2 and 5-9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All in seconds.

    For one control transfer, for a KiB over the device's own wire, erased, and programmed; until a request that only
    looks is answered; until a device obeys the order to restart, and from then until it is on the bus again.
    `shared_byte`: for a byte on the bus that all devices share, in which no two are served at the same time.
    """

    transfer: float = 0.0
    bus_kib: float = 0.0
    erase_kib: float = 0.0
    program_kib: float = 0.0
    answer: float = 0.0
    obey: float = 0.0
    restart: float = 0.0
    shared_byte: float = 0.0

    def shared(self, size: int) -> float:
        """For how long a control transfer with so many bytes of data keeps all others off the bus."""
        further = max(0, ceil(size / _PACKET) - 1)
        return self.shared_byte * (_TRANSFER_OVERHEAD + _PACKET_OVERHEAD * further + size)

    def scaled(self, factor: float) -> Timing:
        """All of it faster or slower."""
        return Timing(
            transfer=self.transfer * factor,
            bus_kib=self.bus_kib * factor,
            erase_kib=self.erase_kib * factor,
            program_kib=self.program_kib * factor,
            answer=self.answer * factor,
            obey=self.obey * factor,
            restart=self.restart * factor,
            shared_byte=self.shared_byte * factor,
        )


INSTANT: Final = Timing()
LIFELIKE: Final = Timing(
    transfer=0.0005,
    bus_kib=0.003,
    erase_kib=0.02,
    program_kib=0.01,
    answer=0.005,
    obey=1.0,
    restart=2.0,
    shared_byte=8 / 12e6,
)
