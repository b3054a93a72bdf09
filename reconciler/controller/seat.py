"""A seat at the bench: one device that is plugged in, and how far it is. What the table and the log show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.device import DeviceId
from reconciler.particle.usb import Phase, UsbPort


class SeatState(StrEnum):
    """Where a device at the bench is. What a person does next follows from it.

    - LOOKING, WORKING: leave it plugged in.
    - DONE: as desired, seen so after its last boot; unplug it. STRANGER: in no fleet, and not touched; unplug it.
    - ASIDE: in a fleet, and nothing is done to it here now (held, halted, refused); `message` says why.
    - FAILED: tried as often as is sensible. TROUBLE: it cannot be talked to. Unplug it, plug it in again, or set aside.
    - GONE: unplugged in the middle; plug it in again, and it goes on.
    """

    LOOKING = "looking"
    WORKING = "working"
    DONE = "done"
    STRANGER = "stranger"
    ASIDE = "aside"
    FAILED = "failed"
    TROUBLE = "trouble"
    GONE = "gone"

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing more happens by itself."""
        return self not in (SeatState.LOOKING, SeatState.WORKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One line of the table.

    `steps_done` of `steps`; `share` is how much of the `phase` of the transfer under way is done, 0.0 to 1.0.
    `code` is that of the error or reason that `message` tells, where there is one.
    """

    port: UsbPort
    device_id: DeviceId | None
    platform: str
    state: SeatState
    name: str | None = None
    fleet: str | None = None
    what: str = ""
    steps_done: int = 0
    steps: int = 0
    share: float = 0.0
    phase: Phase | None = None
    code: str | None = None
    message: str = ""
