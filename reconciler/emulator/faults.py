"""What can go wrong, by name; how often, for whom, how many times.

A fault strikes where it could, by its own dice: the dice follow from the seed, the fault and the device, so that what
happens to one device does not depend on how often somebody asked for another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from reconciler.emulator.dice import Dice

TRANSFER_FAULTS: Final = MappingProxyType(
    {
        "flash-fails": "a transfer ends with failed; the device keeps what it has",
        "offline-during-transfer": "the device loses its connection in the middle of a transfer, and returns later",
        "restart-before-transfer": "the device restarts before the first byte arrives; the cloud notices after 300 s",
        "restart-during-transfer": "the device restarts in the middle of a transfer; the cloud notices after 300 s",
        "restart-after-transfer": "the device restarts with all bytes there, installs them, and the cloud says failed",
        "transfer-stalls": "no byte arrives any more: after 300 s failed, and generation 2 resets (update_timeout)",
        "success-not-applied": "a transfer ends with success, the device restarts, and runs what it ran before",
        "resume-corrupt": "a transfer that goes on where it broke off fails its integrity check (-1331)",
        "device-never-returns": "after a transfer the device restarts and is never seen again",
        "boot-crash": "after a transfer the application crashes: safe mode until another application arrives",
    }
)
"""What strikes a transfer to a device."""

APPLICATION_FAULTS: Final = MappingProxyType(
    {
        "crash-loop": "an application that was sent runs for 300 s, then crashes soon after every start",
        "silent-application": "an application that was sent publishes nothing",
        "vitals-low": "the vitals of a device say that its battery is at 3 % and its memory is nearly used up",
    }
)
"""What is wrong with an application whose version is right: it strikes when the application, or a report, arrives."""

REQUEST_FAULTS: Final = MappingProxyType(
    {
        "lost-answer": "the request takes effect; then the connection breaks, or a proxy answers 502 in HTML",
        "lost-request": "the request takes no effect; then the connection breaks, or a proxy answers 502 in HTML",
        "silence": "the request may or may not take effect, and nothing is ever answered",
        "slow-answer": "the answer takes a few real seconds",
        "doubled-request": "a proxy delivers a request twice that is no GET; the answer is the second one",
        "device-timeout": "a flash is answered 408, whether it reached the device or not",
        "error-500": "the request takes no effect; the answer is 500 in JSON",
        "garbage": "the request takes effect; the answer is 200 and no JSON",
        "html": "the request takes no effect; a proxy answers 200 with a page of its own",
        "rate-limit-storm": "the request takes no effect; the answer is 429 with Retry-After",
        "token-revoked": "from the moment it strikes every request is answered 401, until the fault is lifted",
        "clock-skew": "the Date of an answer is 5 to 30 minutes ahead or behind, always the same in one world",
    }
)
"""What strikes a request on its way, or its answer."""

SIGHT_FAULTS: Final = MappingProxyType(
    {
        "stale-list": "lists of devices show how things were 60 seconds ago",
        "stale-device": "a single device is shown as it was 60 seconds ago",
        "list-shifts": "a device leaves or joins before a later page: one device is missed, or is there twice",
        "list-unordered": "a page of a list is in no order",
        "events-dropped": "an event reaches no listener",
        "events-doubled": "an event reaches every listener twice",
        "events-late": "an event reaches its listeners 30 to 300 seconds late",
        "events-out-of-order": "an event reaches its listeners behind the one that follows it",
    }
)
"""What is shown of the world, and is not so."""

PERSON_FAULTS: Final = MappingProxyType(
    {
        "person-changes-lock": "a person locks a device to a version of its product, or takes that lock away",
        "person-changes-release": "a person releases a version, higher or lower, to the product or to a group",
        "person-changes-groups": "a person adds a device to a group of its product, or takes it out of one",
        "person-marks-development": "a person marks a device for development, or takes the mark away",
    }
)
"""What a person in the console does: after a request about devices of a product, and once a virtual hour."""

FAULTS: Final = MappingProxyType(
    {**TRANSFER_FAULTS, **APPLICATION_FAULTS, **REQUEST_FAULTS, **SIGHT_FAULTS, **PERSON_FAULTS}
)
"""Every fault and what it does."""

STALE_SECONDS: Final = 60.0
"""How far what is stale lags behind (virtual seconds)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOrder:
    """A fault as it was asked for. `device` is an id or `*`; `count` None: without end; a `rate` of 0 lifts it.

    With an `application` it is a flaw of that version: it strikes transfers of it alone, and `rate` is the share of
    devices on which the version has it, always the same ones.
    """

    fault: str
    device: str = "*"
    rate: float = 1.0
    count: int | None = None
    application: int | None = None

    def document(self) -> dict[str, Any]:
        """For the control door."""
        flawed = {} if self.application is None else {"application": self.application}
        return {"fault": self.fault, "device": self.device, "rate": self.rate, "count": self.count, **flawed}


@dataclass(slots=True)
class _Active:
    order: FaultOrder
    left: int | None
    struck: int
    dice: dict[str, Dice]


class Faults:
    """The faults that are there now."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._active: dict[tuple[str, str, int | None], _Active] = {}
        self._names: frozenset[str] = frozenset()
        self._coin = self.dice("coin", None)

    def order(self, order: FaultOrder) -> None:
        """Put a fault in place, instead of an earlier one with the same name, device and application."""
        key = (order.fault, order.device, order.application)
        if order.rate <= 0:
            self._active.pop(key, None)
        else:
            self._active[key] = _Active(order=order, left=order.count, struck=0, dice={})
        self._names = frozenset(name for name, _, _ in self._active)

    def possible(self, *faults: str) -> bool:
        """Whether one of these faults could strike anyone at all."""
        return not self._names.isdisjoint(faults)

    def aims(self, fault: str) -> tuple[str, ...]:
        """Whom the fault could still strike: ids of devices, and `*` for all."""
        return tuple(device for (name, device, _), active in self._active.items() if name == fault and active.left != 0)

    def strikes(self, fault: str, device_id: str | None, application: int | None = None) -> bool:
        """Throw the dice of this fault for this device (None: a request about no device).

        `application` is the version that a transfer brings.
        """
        if not self._active:
            return False
        for target in (device_id, "*"):
            for version in dict.fromkeys((application, None)):
                active = self._active.get((fault, target, version)) if target is not None else None
                if active is not None and self._throw(active, device_id or ""):
                    return True
        return False

    def coin(self) -> bool:
        """For a fault that has two ways to strike."""
        return self._coin.coin()

    def dice(self, purpose: str, device_id: str | None) -> Dice:
        """Fresh dice that follow from the seed, a purpose and a device."""
        return Dice(f"{self._seed}/{purpose}/{device_id}")

    def document(self) -> list[dict[str, Any]]:
        """What is in place, how often it struck, and how often it still may."""
        return [
            {**active.order.document(), "left": active.left, "struck": active.struck}
            for active in self._active.values()
        ]

    def _throw(self, active: _Active, device_id: str) -> bool:
        if active.left == 0:
            return False
        dice = active.dice.get(device_id)
        if dice is None or active.order.application is not None:
            dice = active.dice[device_id] = self.dice(active.order.fault, device_id)
        if active.order.rate < 1 and dice.random() >= active.order.rate:
            return False
        active.struck += 1
        if active.left is not None:
            active.left -= 1
        return True
