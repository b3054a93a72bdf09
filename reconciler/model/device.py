"""Devices as they were last seen. An observation never says more than its source said.

Field meanings are those of the Particle API (facts 5.3); a field that the source left out is None, never zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NewType

from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.model.version import ApplicationVersion

DeviceId = NewType("DeviceId", str)
"""24 lower-case hexadecimal digits."""

_DEVICE_ID: Final = re.compile(r"[0-9a-f]{24}", re.ASCII)


def is_device_id(text: str) -> bool:
    """Whether a word is spelt like a device id. What is, never means a device's name."""
    return _DEVICE_ID.fullmatch(text) is not None


class DeviceMode(StrEnum):
    """What runs on the device: its application, or only the Device OS and the cloud connection (facts 4.6)."""

    NORMAL = "normal"
    SAFE_MODE = "safe_mode"

    __hash__ = str.__hash__
    """Modes are in many keys; the hash that enums have is a Python function of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedDevice:
    """One device as one observation showed it.

    - `device_os` and `application` are refreshed at every handshake, not live (facts 6.2).
    - `mode` is None for a status that we do not know.
    - `modules` are what the device itself reported to be installed (location `m`), with their dependencies; None or
      empty: not reported. The user part is among them when the device named it.
    - `locked_by_us` is the application version that our own last lock asked for; another lock is a person's.
    - `system_flash_refused_until`: the cloud refused Device OS modules for devices of this product that are not
      marked as development; until then that is believed.
    - `learnt` are modules that our own verified steps put there: lower bounds, never taken from an answer alone.
    - `arrived` is the intent at which our journal last saw it as desired; `latched` the one at which we gave up a fight
      over it, and `latched_why` that fight in words.
    """

    id: DeviceId
    name: str | None = None
    platform_id: int | None = None
    product_id: int | None = None
    device_os: str | None = None
    application: int | None = None
    online: bool = False
    mode: DeviceMode | None = DeviceMode.NORMAL
    last_heard_at: Instant | None = None
    last_handshake_at: Instant | None = None
    groups: tuple[str, ...] = ()
    development: bool = False
    quarantined: bool = False
    desired_application: int | None = None
    targeted_application: int | None = None
    updates_enabled: bool | None = None
    updates_forced: bool | None = None
    modules: tuple[Module, ...] | None = None
    learnt: tuple[Module, ...] = ()
    locked_by_us: int | None = None
    arrived: str | None = None
    latched: str | None = None
    latched_why: str = ""
    system_flash_refused_until: Instant | None = None
    observed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleReport:
    """What a device said of its own modules (a safe-mode describe), and when."""

    device_id: DeviceId
    modules: tuple[Module, ...]
    reported_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldApplication:
    """One application version that a product holds, and to which groups it is released.

    `sha256` is of the file that the product hands out; None: nobody has read it.
    """

    version: ApplicationVersion
    groups: tuple[str, ...] = ()
    product_default: bool = False
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product by its number and the slug that manifests may use for it; `holds` is None where it is not known."""

    id: int
    slug: str
    holds: tuple[HeldApplication, ...] | None = None

    def held(self, version: ApplicationVersion) -> HeldApplication | None:
        """A version that it is known to hold."""
        return next((held for held in self.holds or () if held.version == version), None)

    def released_to(self, group: str | None) -> ApplicationVersion | None:
        """The version that is released to a group, or, for None, as the default; of several the highest."""
        fitting = (
            held for held in self.holds or () if (held.product_default if group is None else group in held.groups)
        )
        return max((held.version for held in fitting), default=None)


BENCH: Final = "usb"
"""The source of an observation of what is plugged in here. It is planned for USB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All that one look at the world showed.

    `source` is `cloud`, `BENCH` or `snapshot`; `complete` is False when something could not be read, and `findings` say
    what. Devices are in the order of their ids, each once. `products` are the ids and slugs of the products seen, where
    the source says them.

    A look may be at some devices only. Then `listed_at` is when all were looked at last, and `products_at` when the
    products were (None: at this look); every device keeps the `observed_at` of the look that showed it.
    """

    observed_at: Instant
    source: str
    devices: tuple[ObservedDevice, ...]
    complete: bool = True
    findings: tuple[str, ...] = ()
    products: tuple[Product, ...] = ()
    listed_at: Instant | None = None
    products_at: Instant | None = None
    index: Mapping[DeviceId, ObservedDevice] | None = field(default=None, compare=False, repr=False)

    @property
    def by_id(self) -> Mapping[DeviceId, ObservedDevice]:
        """The devices by their ids; `index` is that where whoever looked has it at hand."""
        return {device.id: device for device in self.devices} if self.index is None else self.index

    @property
    def is_whole(self) -> bool:
        """Whether this very look was at all devices and products."""
        return self.listed_at is None and self.products_at is None
