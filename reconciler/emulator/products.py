"""Products: their firmware, groups and releases, and which version the cloud intends for a device (facts 6.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.emulator.artifact import Artifact
from reconciler.emulator.device import Device
from reconciler.model.instant import Instant
from reconciler.model.platform import Platform


@dataclass(slots=True, kw_only=True)
class Group:
    """A group of devices of a product, as people see it; the devices know whether they are in it."""

    description: str = ""
    color: str = "#00aeef"


@dataclass(slots=True, kw_only=True)
class ProductFirmware:
    """One uploaded application version. `ever_released` stays true when the release is over."""

    version: int
    title: str
    binary: bytes
    artifact: Artifact
    uploaded_at: Instant
    description: str = ""
    name: str = "firmware.bin"
    mandatory: bool = False
    intelligent: bool = False
    ever_released: bool = False
    uploaded_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intention:
    """An application version that the cloud means a device to run, and the request that brought that about.

    `immediate`: an intelligent release, which does not wait for a handshake (facts 6.3). `by_person`: in the console.
    """

    version: int
    cause: int | None
    immediate: bool = False
    by_person: bool = False


@dataclass(slots=True, kw_only=True)
class Product:
    """A product. `default` is released to all, `releases` to groups; causes are ordinals of requests.

    `quarantine`: devices that report the product's id and are none of its devices, and whether they were denied.
    """

    id: int
    slug: str
    name: str
    platform: Platform
    groups: dict[str, Group]
    quarantine: dict[str, bool] = field(default_factory=dict)
    firmware: dict[int, ProductFirmware] = field(default_factory=dict)
    default: Intention | None = None
    releases: dict[str, Intention] = field(default_factory=dict)

    def add_groups(self, names: Iterable[str]) -> None:
        """Make the groups that are not there yet."""
        for name in names:
            self.groups.setdefault(name, Group())

    def intention(self, device: Device) -> Intention | None:
        """A lock wins; else the highest version released to one of its groups; else the default.

        A development device gets nothing by itself, but the lock is still what the record shows.
        """
        if device.locked is not None:
            by_person = device.locked_by_person and device.lock_cause is None
            return Intention(version=device.locked, cause=device.lock_cause, by_person=by_person)
        released = [self.releases[group] for group in device.groups if group in self.releases]
        if released:
            return max(released, key=lambda intention: intention.version)
        return self.default
