"""One pretend device: what it is made of, what it takes, what it boots.

The rules of facts 4.3, by a reading of their own (planning has another one):

1. A module is for this platform (-1360), sits in a slot of it that a transfer may write (-1300), and is intact (-1330).
2. Its first dependency is met by what is installed, except for an application, whose dependencies wait for the boot.
3. Its second dependency too, unless it names a bootloader.
4. A system part does not break what another installed system part needs of it.
5. Failing 2 to 4 is -1340. A dependency on the module's own slot is read before the replacement, like any other.
6. Disabled updates refuse everything (-1380), unless the cloud forces them.

At boot both dependencies of every installed module must hold, or the device runs in safe mode.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.emulator.artifact import Artifact, Garbage, Payload
from reconciler.emulator.records import HistoryEntry, Marks
from reconciler.model.device import DeviceMode
from reconciler.model.instant import Instant
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform

_WITH_SECOND_PART_ON_TOP: Final = frozenset({"photon", "p1", "electron"})
_PAST_KEPT: Final = 32
_BOOTLOADER_UNPACKS_SINCE: Final = 1000
"""Bootloader module version, that of Device OS 2.0.0 (facts 1.8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferError:
    """Why a device refuses a module: the code that the device reports (facts 6.2), and words."""

    code: int
    words: str

    def __str__(self) -> str:
        return f"{self.code} {self.words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A module on a device. `product_version` and `sha256` are of an application."""

    module: Module
    product_id: int | None = None
    product_version: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A module on its way. `cause` is the ordinal of the client's request; None: the cloud's own doing."""

    payload: Payload
    started_at: Instant
    cause: int | None


@dataclass(slots=True, kw_only=True)
class Device:
    """The true state of one device, and what the cloud knows of it.

    - `reported_*`: what the cloud has from the last handshake; None: never reported.
    - `session`: counts sessions, so that a happening planned for an earlier one knows that it is void.
    - `crashing`: the installed application crashes at every boot.
    - `gone`: the device will never be seen again.
    - `past_records`: how the API showed it earlier, while lists may be stale.
    """

    id: str
    name: str | None
    platform: Platform
    product_id: int | None
    modules: dict[ModuleSlot, Installed]
    groups: tuple[str, ...] = ()
    notes: str | None = None
    development: bool = False
    locked: int | None = None
    lock_cause: int | None = None
    locked_by_person: bool = False
    updates_enabled: bool = True
    updates_forced: bool = False
    healer: bool = True
    crashing: bool = False
    gone: bool = False
    online: bool = False
    mode: DeviceMode = DeviceMode.NORMAL
    session: int = 0
    transfer: Transfer | None = None
    last_heard_at: Instant | None = None
    last_handshake_at: Instant | None = None
    reported_device_os: str | None = None
    reported_application: int | None = None
    reported_product_id: int | None = None
    restarts: int = 0
    transfers: int = 0
    bytes_received: int = 0
    history: list[HistoryEntry] = field(default_factory=list)
    past_records: deque[tuple[Instant, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=_PAST_KEPT))

    @property
    def versions(self) -> dict[ModuleSlot, int]:
        """The version in every slot that holds a module."""
        return {slot: installed.module.version for slot, installed in self.modules.items()}

    @property
    def application(self) -> Installed | None:
        """The installed application, whichever slot it is in."""
        return next((i for i in self.modules.values() if i.module.slot.function is ModuleFunction.USER_PART), None)

    @property
    def application_version(self) -> int | None:
        """The product version of the installed application."""
        application = self.application
        return application.product_version if application else None

    @property
    def system_number(self) -> int | None:
        """The number of the system part that applications depend on, which the hello message carries."""
        installed = self.modules.get(application_base(self.platform))
        return installed.module.version if installed else None

    @property
    def marks(self) -> Marks:
        """What the referee needs to know of the device at this moment."""
        return Marks(
            platform_id=self.platform.id,
            product_id=self.product_id,
            slots=frozenset(self.platform.bounds),
            development=self.development,
            updates_enabled=self.updates_enabled,
            updates_forced=self.updates_forced,
            locked_by_person=self.locked_by_person,
            reported=self.last_handshake_at is not None,
            device_os=self.reported_device_os,
        )

    @property
    def unmet_in_words(self) -> tuple[str, ...]:
        """Which dependencies of its modules its modules do not meet, in words."""
        modules = (installed.module for installed in self.modules.values())
        return tuple(f"{module} needs {dependency}" for module, dependency in unmet(modules))


def application_base(platform: Platform) -> ModuleSlot:
    """The system part that applications of this platform depend on (facts 4.1)."""
    return ModuleSlot(ModuleFunction.SYSTEM_PART, 2 if platform.name in _WITH_SECOND_PART_ON_TOP else 1)


def unmet(installed: Iterable[Module]) -> tuple[tuple[Module, Dependency], ...]:
    """Every dependency of these modules that these modules do not meet, with the module that has it."""
    modules = sorted(installed, key=lambda module: module.slot)
    versions = {module.slot: module.version for module in modules}
    return tuple(
        (module, dependency)
        for module in modules
        for dependency in module.dependencies
        if versions.get(dependency.slot, 0) < dependency.version
    )


def boot_mode(device: Device) -> DeviceMode:
    """What a restart leads to."""
    if device.crashing or unmet(installed.module for installed in device.modules.values()):
        return DeviceMode.SAFE_MODE
    return DeviceMode.NORMAL


def transfer_error(device: Device, payload: Payload) -> TransferError | None:
    """Why the device refuses what has arrived, or None: it takes it."""
    if isinstance(payload, Garbage):
        return TransferError(code=-1330, words=f"Integrity check failed: {payload.words}")
    artifact = payload
    if artifact.platform_id != device.platform.id:
        return TransferError(code=-1360, words=f"Module is for platform {artifact.platform_id}")
    bounds = device.platform.bounds.get(artifact.module.slot)
    if bounds is None or bounds.encrypted:
        return TransferError(code=-1300, words=f"No place for module {artifact.module.slot}")
    if artifact.compressed and not _unpacks(device, artifact.module):
        return TransferError(code=-1310, words="Compressed module is not supported")
    broken = broken_dependency(device.versions, _system_parts(device), artifact.module)
    if broken is not None:
        return TransferError(code=-1340, words=f"Module dependency check failed: {broken}")
    return None


def broken_dependency(versions: Mapping[ModuleSlot, int], system_parts: Iterable[Module], module: Module) -> str | None:
    """Rules 2 to 4 alone: which dependency forbids to take the module, in words, or None."""
    for dependency in _enforced(module):
        if versions.get(dependency.slot, 0) < dependency.version:
            return f"{module} needs {dependency}"
    if module.slot.function is ModuleFunction.SYSTEM_PART:
        for part in system_parts:
            for dependency in part.dependencies:
                if part.slot != module.slot and dependency.slot == module.slot and module.version < dependency.version:
                    return f"installed {part} needs {dependency}"
    return None


def install(device: Device, artifact: Artifact) -> None:
    """Put a module in its place. A device holds one application, so a new one replaces the old one of either slot."""
    if artifact.module.slot.function is ModuleFunction.USER_PART:
        for slot in [slot for slot in device.modules if slot.function is ModuleFunction.USER_PART]:
            del device.modules[slot]
        device.crashing = False
    device.modules[artifact.module.slot] = Installed(
        module=artifact.module,
        product_id=artifact.product_id,
        product_version=artifact.product_version,
        sha256=artifact.sha256,
    )


def _unpacks(device: Device, module: Module) -> bool:
    """Whether the bootloader can unpack it (facts 1.8)."""
    bootloader = device.versions.get(ModuleSlot(ModuleFunction.BOOTLOADER, 0), 0)
    able = device.platform.mcu in ("nrf52840", "rtl872x") and bootloader >= _BOOTLOADER_UNPACKS_SINCE
    return able and module.slot.function is not ModuleFunction.NCP_FIRMWARE


def _system_parts(device: Device) -> list[Module]:
    return [
        installed.module
        for installed in device.modules.values()
        if installed.module.slot.function is ModuleFunction.SYSTEM_PART
    ]


def _enforced(module: Module) -> tuple[Dependency, ...]:
    if module.slot.function is ModuleFunction.USER_PART:
        return ()
    second = module.second_dependency
    if second is not None and second.slot.function is ModuleFunction.BOOTLOADER:
        second = None
    return tuple(dependency for dependency in (module.first_dependency, second) if dependency is not None)
