"""People in the console: locks, releases, groups and marks that no client asked for.

Each act is in the history of a device, with no request as its cause, and in `acts`. A lock by a person is known as such
from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from reconciler.emulator.clock import Agenda
from reconciler.emulator.device import Device
from reconciler.emulator.dice import Dice
from reconciler.emulator.faults import PERSON_FAULTS, Faults
from reconciler.emulator.life import Life
from reconciler.emulator.products import Intention, Product
from reconciler.emulator.records import Moment
from reconciler.emulator.register import Register
from reconciler.model.instant import Instant, iso_from_instant

_ROUND_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person did, and the device that it was done to, or that gave occasion to it."""

    ordinal: int
    at: Instant
    fault: str
    product_id: int
    device: str
    words: str

    def document(self) -> dict[str, Any]:
        """For the control door."""
        return {
            "ordinal": self.ordinal,
            "time": iso_from_instant(self.at),
            "fault": self.fault,
            "product_id": self.product_id,
            "device": self.device,
            "words": self.words,
        }


class Console:
    """Lets people act, as the faults that are in place say."""

    def __init__(
        self,
        *,
        products: dict[int, Product],
        register: Register,
        faults: Faults,
        life: Life,
        agenda: Agenda,
        ordinal: Callable[[], int],
    ) -> None:
        self._products = products
        self._register = register
        self._faults = faults
        self._life = life
        self._agenda = agenda
        self._ordinal = ordinal
        self._dice: Dice = faults.dice("console", None)
        self._goes_round = False
        self.acts: list[Act] = []

    def open(self, now: Instant) -> None:
        """Somebody may act from now on: let people go round once an hour, as long as there are any."""
        if not self._goes_round and self._anybody():
            self._goes_round = True
            self._agenda.at(Instant(now + _ROUND_SECONDS), self._go_round)

    def after_request(self, product: Product | None, device: Device | None, now: Instant) -> None:
        """A request about devices of a product has been answered; a person may act on that device, or on any."""
        if product is None or not self._anybody():
            return
        for fault in PERSON_FAULTS:
            if self._faults.strikes(fault, device.id if device is not None else None):
                chosen = device if device is not None else self._any_of(product)
                if chosen is not None:
                    self._act(fault, product, chosen, now)

    def _go_round(self, now: Instant) -> None:
        self._goes_round = False
        for fault in PERSON_FAULTS:
            for aim in self._faults.aims(fault):
                device = self._register.get(aim) if aim != "*" else self._anyone()
                product = self._product_of(device)
                if device is not None and product is not None and self._faults.strikes(fault, device.id):
                    self._act(fault, product, device, now)
        self.open(now)

    def _anybody(self) -> bool:
        return self._faults.possible(*PERSON_FAULTS) and any(self._faults.aims(fault) for fault in PERSON_FAULTS)

    def _product_of(self, device: Device | None) -> Product | None:
        return self._products.get(device.product_id) if device is not None and device.product_id is not None else None

    def _anyone(self) -> Device | None:
        return self._any_of(self._dice.choice(tuple(self._products.values()))) if self._products else None

    def _any_of(self, product: Product) -> Device | None:
        members = self._register.of(product.id)
        return self._dice.choice(members) if members else None

    def _act(self, fault: str, product: Product, device: Device, now: Instant) -> None:
        match fault:
            case "person-changes-lock":
                words = self._change_lock(product, device)
            case "person-changes-release":
                words = self._change_release(product, device)
            case "person-changes-groups":
                words = self._change_groups(product, device)
            case _:
                device.development = not device.development
                words = "marked it for development" if device.development else "took the development mark away"
        if words is None:
            return
        self._life.remember(device, Moment.MARKED, now, detail=f"a person in the console {words}", by_person=True)
        self.acts.append(
            Act(ordinal=self._ordinal(), at=now, fault=fault, product_id=product.id, device=device.id, words=words)
        )
        if self._dice.coin():
            # The other half of them leaves the delivery to the next handshake.
            self._life.deliver(device, now)

    def _change_lock(self, product: Product, device: Device) -> str | None:
        if device.locked is not None:
            words = f"unlocked it from {device.locked}"
            device.locked, device.lock_cause, device.locked_by_person = None, None, False
            return words
        if not product.firmware:
            return None
        device.locked, device.lock_cause, device.locked_by_person = self._version(product), None, True
        return f"locked it to {device.locked}"

    def _change_release(self, product: Product, device: Device) -> str | None:
        if not product.firmware:
            return None
        intention = Intention(version=self._version(product), cause=None, immediate=self._dice.coin(), by_person=True)
        product.firmware[intention.version].ever_released = True
        if device.groups and self._dice.coin():
            group = self._dice.choice(device.groups)
            product.releases[group] = intention
            return f"released {intention.version} to the group {group}"
        product.default = intention
        return f"released {intention.version} to the product"

    def _change_groups(self, product: Product, device: Device) -> str | None:
        if not product.groups:
            return None
        group = self._dice.choice(tuple(product.groups))
        if group in device.groups:
            device.groups = tuple(name for name in device.groups if name != group)
            words = f"took it out of the group {group}"
        else:
            device.groups = (*device.groups, group)
            words = f"added it to the group {group}"
        return words

    def _version(self, product: Product) -> int:
        return self._dice.choice(sorted(product.firmware))
