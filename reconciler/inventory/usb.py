"""Eyes on the bench: what is plugged in, in which mode, with exact modules.

The rules:
- Looking changes nothing on a device: it is asked or read, never restarted.
- A device in normal mode lists its modules itself; of one in DFU mode they are read from flash (`usb_flash.py`).
- Which fleet a device belongs to is told by its id: by what the cloud said of it (the register: product, groups, name),
  or by a fleet that names it. A device that nobody knows is shown, belongs to no fleet and is never touched.
- Which application runs: a device of Device OS 5.5 or later reports its hash, which the manifests' binaries have too;
  in flash its version can be read. Otherwise the register's word counts, or what a bench wrote since; where there is
  neither it is not known.
- What cannot be opened is shown with its trouble, and does not keep the others from being seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from reconciler.firmware.catalog import Catalog
from reconciler.inventory.usb_flash import FlashContent, has_system_parts, read_flash
from reconciler.inventory.usb_memory import BenchMemory
from reconciler.model.device import BENCH, DeviceId, DeviceMode, Observation, ObservedDevice, Product
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import Instant
from reconciler.model.module import Module, ModuleFunction
from reconciler.model.platform import Platform
from reconciler.particle.usb import (
    ControlSession,
    ModuleReports,
    ModuleStore,
    Protection,
    UsbBus,
    UsbDevice,
    UsbMode,
    UsbPort,
)
from reconciler.particle.usb_error import UsbError, UsbGarbledError, UsbProtectedError, UsbUnsupportedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """What is known of devices besides what they say themselves; all of it may be empty.

    - `devices`: the cloud's records, from a snapshot; `products`: numbers and slugs, a number below zero is nobody's.
    - `applications`: by platform name and the SHA-256 in the suffix of its module, the version of an application.
    """

    devices: Mapping[DeviceId, ObservedDevice] = field(default_factory=dict)
    products: tuple[Product, ...] = ()
    applications: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugged:
    """One device on the bench at one look. Exactly one of `observed` and `trouble` is there.

    `is_bootable`: enough of a Device OS is there for the device to run, be it in safe mode.
    """

    port: UsbPort
    device_id: DeviceId | None
    platform: Platform
    mode: UsbMode
    observed: ObservedDevice | None = None
    trouble: UsbError | None = None
    is_bootable: bool = True


@dataclass(frozen=True, slots=True)
class Written:
    """An application that a bench has put on a device, and when."""

    version: int
    at: Instant


class BenchRecord(Protocol):
    """What the journal knows of a device that cannot be seen."""

    def application(self, device_id: DeviceId) -> Written | None:
        """The application that a bench was last seen to have put there."""

    def modules(self, device_id: DeviceId) -> Sequence[Module]:
        """Modules that were verified to be there."""


class _NoRecord:
    """Nothing is known."""

    def application(self, _device_id: DeviceId) -> Written | None:
        return None

    def modules(self, _device_id: DeviceId) -> Sequence[Module]:
        return ()


class UsbInventory:
    """The devices that are plugged in here. `clock` is wall time. For several threads, one device each.

    `record` is what our own attempts taught of a device.
    """

    def __init__(
        self,
        bus: UsbBus,
        *,
        fleets: FleetSet,
        catalog: Catalog,
        clock: Callable[[], Instant],
        register: Register | None = None,
        memory: BenchMemory | None = None,
        record: BenchRecord | None = None,
    ) -> None:
        self._bus = bus
        self._catalog = catalog
        self._clock = clock
        self._register = register or Register()
        self.memory = memory or BenchMemory()
        self._record = record or _NoRecord()
        self._products = _with_slugs(self._register, fleets)
        self._named = _products_of_named_devices(fleets, self._products)

    @property
    def products(self) -> tuple[Product, ...]:
        """Numbers and slugs of products, as far as they are known."""
        return self._products

    def on_bus(self) -> Sequence[UsbDevice]:
        """What the bus shows, without talking to any device. Raises UsbMissingError."""
        return self._bus.devices()

    def plugged(self) -> tuple[Plugged, ...]:
        """Every device, by port, with all that it says. Raises UsbMissingError."""
        return tuple(self.look(device) for device in self._bus.devices())

    def observe(self) -> Observation:
        """See `Inventory.observe`. What could not be seen is a finding."""
        plugged = self.plugged()
        seen = {one.observed.id: one.observed for one in plugged if one.observed is not None}
        # The message names the port or the device.
        troubles = [
            f"{one.trouble.code} {one.trouble.message}; {one.trouble.next_step}" for one in plugged if one.trouble
        ]
        return Observation(
            observed_at=self._clock(),
            source=BENCH,
            devices=tuple(seen[device_id] for device_id in sorted(seen)),
            complete=not troubles,
            findings=tuple(troubles),
            products=self._products,
        )

    def observe_device(self, device_id: DeviceId) -> ObservedDevice | None:
        """See `Inventory.observe_device`. Raises UsbError for a device that is there and cannot be seen."""
        plugged = self.look_for(device_id)
        if plugged is not None and plugged.trouble is not None:
            raise plugged.trouble
        return None if plugged is None else plugged.observed

    def look_for(self, device_id: DeviceId) -> Plugged | None:
        """One device, wherever it is plugged in by now; None: it is not."""
        device = next((each for each in self._bus.devices() if each.serial == device_id), None)
        return None if device is None else self.look(device)

    def look(self, device: UsbDevice) -> Plugged:
        """All that one device says."""
        shown = Plugged(port=device.port, device_id=device.serial, platform=device.platform, mode=device.mode)
        try:
            if device.trouble is not None:
                raise device.trouble
            if device.serial is None:
                raise UsbGarbledError(f"the device on port {device.port} has no id")
            if device.mode is UsbMode.DFU:
                observed, is_bootable = self._in_dfu_mode(device, device.serial)
            else:
                observed, is_bootable = self._running(device, device.serial), True
        except UsbError as error:
            return replace(shown, trouble=error)
        return replace(shown, observed=observed, is_bootable=is_bootable)

    def _running(self, device: UsbDevice, device_id: DeviceId) -> ObservedDevice:
        with device.control() as session:
            _refuse_protected(_protection(session), device_id)
            version = session.system_version()
            reports = _reports(session)
        if reports is None:
            return replace(self._known(device, device_id), device_os=version, modules=None, observed_at=self._clock())
        if reports.findings:
            # A module that is left out would count as not there, and might be replaced by a lower one.
            raise UsbGarbledError(f"{device_id} lists modules that cannot be read: {'; '.join(reports.findings)}")
        main = [report for report in reports.modules if report.store is ModuleStore.MAIN]
        is_well = all(report.intact and report.dependencies_met for report in main)
        modules = tuple(sorted((r.module for r in main if r.intact), key=lambda module: module.slot))
        self.memory.saw(device_id, modules)
        hashes = [r.sha256 for r in main if r.module.slot.function is ModuleFunction.USER_PART and r.sha256]
        return replace(
            self._known(device, device_id),
            device_os=version,
            modules=modules,
            application=self._application(device, device_id, hashes),
            mode=DeviceMode.NORMAL if is_well else DeviceMode.SAFE_MODE,
            observed_at=self._clock(),
        )

    def _in_dfu_mode(self, device: UsbDevice, device_id: DeviceId) -> tuple[ObservedDevice, bool]:
        with device.dfu() as session:
            _refuse_protected(session.protection(), device_id)
            learnt = self._record.modules(device_id)
            content: FlashContent = read_flash(session, device.platform, device_id, self.memory, self._catalog, learnt)
        observed = replace(
            self._known(device, device_id),
            device_os=None,
            modules=content.modules,
            application=content.application,
            mode=content.mode,
            observed_at=self._clock(),
        )
        return observed, has_system_parts(content.modules, device.platform, self._catalog)

    def _known(self, device: UsbDevice, device_id: DeviceId) -> ObservedDevice:
        """What the register says of it. Over USB a device is as online as it can be."""
        record = self._register.devices.get(device_id)
        if record is None:
            product_id = self._named.get(device_id)
            record = ObservedDevice(id=device_id, product_id=product_id, observed_at=self._clock())
        return replace(record, platform_id=device.platform.id, online=True, last_handshake_at=None)

    def _application(self, device: UsbDevice, device_id: DeviceId, hashes: Sequence[str]) -> int | None:
        for sha256 in hashes:
            version = self._register.applications.get((device.platform.name, sha256.lower()))
            if version is not None:
                return version
        record, written = self._register.devices.get(device_id), self._record.application(device_id)
        if written is not None and (record is None or record.observed_at <= written.at):
            return written.version
        return None if record is None else record.application


def _protection(session: ControlSession) -> Protection:
    try:
        return session.protection()
    except UsbUnsupportedError:
        return Protection.UNKNOWN


def _reports(session: ControlSession) -> ModuleReports | None:
    """None: its Device OS is too old to list its modules; then they are inferred from its release."""
    try:
        return session.modules()
    except UsbUnsupportedError:
        return None


def _refuse_protected(protection: Protection, device_id: DeviceId) -> None:
    """What a protected device would refuse is not planned for it: it is left alone (facts 4.5)."""
    if protection is Protection.PROTECTED:
        raise UsbProtectedError(f"{device_id} is protected against local updates")


def _with_slugs(register: Register, fleets: FleetSet) -> tuple[Product, ...]:
    """The products of the register; one that the manifests name by a slug that it lacks gets a number below zero.

    Where the register has devices and no slugs, and all are of one product, the one slug that is named means that.
    """
    known = {product.slug for product in register.products}
    named = {fleet.product for fleet in fleets.fleets if fleet.product and not fleet.product.isdecimal()}
    slugs = sorted(named - known)
    seen = {device.product_id for device in register.devices.values()} - {None}
    if len(slugs) == len(seen) == 1 and not known:
        return tuple(Product(id=number, slug=slugs[0]) for number in seen if number is not None)
    return (*register.products, *(Product(id=-number, slug=slug) for number, slug in enumerate(slugs, 1)))


def _products_of_named_devices(fleets: FleetSet, products: tuple[Product, ...]) -> Mapping[DeviceId, int]:
    """The product of devices that fleets name by their ids, for those that the register does not have."""
    slugs = {product.slug: product.id for product in products}
    named: dict[DeviceId, int] = {}
    for fleet in fleets.fleets:
        if fleet.product is not None:
            number = int(fleet.product) if fleet.product.isdecimal() else slugs[fleet.product]
            for words in (fleet.select.devices, fleet.select.roster):
                named.update((DeviceId(word), number) for word in words or ())
    return named
