"""One pretend device: what it is made of, what it takes, what it boots.

The rules of facts 4.3, by a reading of their own (planning has another one):

1. A module is for this platform (-1360), sits in a slot of it that a transfer may write (-1300), and is intact (-1330).
2. Its first dependency is met by what is installed, except for an application, whose dependencies wait for the boot.
3. Its second dependency too, unless it names a bootloader.
4. A system part does not break what another installed system part needs of it.
5. Failing 2 to 4 is -1340. A dependency on the module's own slot is read before the replacement, like any other.
6. Disabled updates refuse everything (-1380), unless the cloud forces them.
7. A combined transfer has two modules at most, each of which is held against what is installed (facts 1.9); a device
   takes it from Device OS 3.1.0 on, from generation 3 on (-1370).

Protected devices (facts 4.5) have rules of their own for local updates alone; none is known for the air (ADR 0017).

At boot both dependencies of every installed module must hold, or the device runs in safe mode.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final

from reconciler.emulator.artifact import Artifact, Combined, Garbage, Payload
from reconciler.emulator.dice import Dice
from reconciler.emulator.records import HistoryEntry, Marks, Versions
from reconciler.model.device import DeviceMode
from reconciler.model.instant import Instant
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform

_WITH_SECOND_PART_ON_TOP: Final = frozenset({"photon", "p1", "electron"})
_PAST_KEPT: Final = 32
_BOOTLOADER_UNPACKS_SINCE: Final = 1000
"""Bootloader module version, that of Device OS 2.0.0 (facts 1.8)."""
_COMBINES_SINCE: Final = 3103
"""Module number of Device OS 3.1.0 (facts 6.3)."""
_RESUMES_SINCE: Final = 3005
"""Module number of Device OS 3.0.0, which brought version 3 of the protocol to generation 3 (facts 6.2) [?]."""
_GENERATION_OF_PROTOCOL_3: Final = 3
_COMBINED_MAX: Final = 2


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Loadout:
    """All the modules of a device. It never changes, so that devices alike share one and what follows from it."""

    installed: Mapping[ModuleSlot, Installed]

    @cached_property
    def versions(self) -> Versions:
        """The version in every slot that holds a module."""
        return {slot: installed.module.version for slot, installed in self.installed.items()}

    @cached_property
    def application(self) -> Installed | None:
        """The installed application, whichever slot it is in."""
        return next((i for i in self.installed.values() if i.module.slot.function is ModuleFunction.USER_PART), None)

    @cached_property
    def unmet(self) -> tuple[tuple[Module, Dependency], ...]:
        """Every dependency that is not met, with the module that has it."""
        return unmet(installed.module for installed in self.installed.values())

    def with_module(self, artifact: Artifact) -> Loadout:
        """The same with one module in its place. A new application replaces the old one of either slot."""
        installed = dict(self.installed)
        if artifact.is_application:
            for slot in [slot for slot in installed if slot.function is ModuleFunction.USER_PART]:
                del installed[slot]
        installed[artifact.module.slot] = Installed(
            module=artifact.module,
            product_id=artifact.product_id,
            product_version=artifact.product_version,
            sha256=artifact.sha256,
        )
        return Loadout(installed=installed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Something on its way. `cause` is the ordinal of the client's request; None: the cloud's own doing, or a person's.

    `offset` is how many bytes the device has from an earlier try; `seconds` is how long it takes if nothing happens.
    """

    payload: Payload
    started_at: Instant
    cause: int | None
    offset: int
    seconds: float
    by_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What a device keeps of a transfer that broke off: whose bytes (size and hash), and how many."""

    fingerprint: tuple[object, ...]
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """A device that is awake for some seconds of every so many. `resumes`: it wakes without a handshake."""

    every_seconds: float
    for_seconds: float
    resumes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishes:
    """An event that the application publishes, soon after its start and every so many seconds."""

    event: str
    every_seconds: float


@dataclass(slots=True, kw_only=True, eq=False)
class Device:
    """The true state of one device, and what the cloud knows of it.

    - `reported_*`: what the cloud has from the last handshake; None: never reported.
    - `session`: counts sessions, so that a happening planned for an earlier one knows that it is void.
    - `crashing`: the installed application crashes at every boot. `crashes`: how often it has crashed in a loop that it
      is in, None: in none. `silent`: it publishes nothing of what applications of this device publish.
    - `gone`: the device will never be seen again.
    - `listed_in`: the product in whose list it is; the register follows `product_id` after every moment.
    - `session_ends_at`: when a sleeper must make a new handshake.
    - `past_records`: how the API showed it earlier, while answers may be stale.
    """

    id: str
    name: str | None
    platform: Platform
    product_id: int | None
    listed_in: int | None = None
    loadout: Loadout
    dice: Dice
    groups: tuple[str, ...] = ()
    notes: str | None = None
    development: bool = False
    locked: int | None = None
    lock_cause: int | None = None
    locked_by_person: bool = False
    updates_enabled: bool = True
    updates_forced: bool = False
    healer: bool = True
    protected: bool = False
    sleep: Sleep | None = None
    crashing: bool = False
    crashes: int | None = None
    silent: bool = False
    publishes: Publishes | None = None
    gone: bool = False
    online: bool = False
    mode: DeviceMode = DeviceMode.NORMAL
    session: int = 0
    session_ends_at: Instant | None = None
    transfer: Transfer | None = None
    partial: Partial | None = None
    last_heard_at: Instant | None = None
    last_handshake_at: Instant | None = None
    reported_device_os: str | None = None
    reported_application: int | None = None
    reported_product_id: int | None = None
    restarts: int = 0
    transfers: int = 0
    bytes_received: int = 0
    history: list[HistoryEntry] = field(default_factory=list)
    past_records: deque[tuple[Instant, dict[str, Any]]] | None = None

    @property
    def modules(self) -> Mapping[ModuleSlot, Installed]:
        """What is installed, by slot."""
        return self.loadout.installed

    @property
    def versions(self) -> Versions:
        """The version in every slot that holds a module."""
        return self.loadout.versions

    @property
    def application(self) -> Installed | None:
        """The installed application, whichever slot it is in."""
        return self.loadout.application

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
    def takes_updates(self) -> bool:
        """Whether its application lets it be updated, or the cloud forces it."""
        return self.updates_enabled or self.updates_forced

    @property
    def combines(self) -> bool:
        """Whether it takes a system part and an application in one transfer."""
        return self._speaks_since(_COMBINES_SINCE)

    @property
    def keeps_partials(self) -> bool:
        """Whether a transfer goes on where it broke off (facts 6.2)."""
        return self._speaks_since(_RESUMES_SINCE)

    @property
    def unpacks(self) -> bool:
        """Whether its bootloader unpacks compressed modules, which the cloud knows (facts 1.8)."""
        bootloader = self.versions.get(ModuleSlot(ModuleFunction.BOOTLOADER, 0), 0)
        return self.platform.mcu in ("nrf52840", "rtl872x") and bootloader >= _BOOTLOADER_UNPACKS_SINCE

    @property
    def marks(self) -> Marks:
        """What the referee needs to know of the device at this moment."""
        return _marks(
            self.platform,
            self.product_id,
            self.development,
            self.updates_enabled,
            self.updates_forced,
            self.locked,
            self.locked_by_person,
            self.last_handshake_at is not None,
            self.reported_device_os,
        )

    @property
    def unmet_in_words(self) -> tuple[str, ...]:
        """Which dependencies of its modules its modules do not meet, in words."""
        return tuple(f"{module} needs {dependency}" for module, dependency in self.loadout.unmet)

    def keep_record(self, at: Instant, record: dict[str, Any]) -> None:
        """Keep how the API shows the device now."""
        if self.past_records is None:
            self.past_records = deque(maxlen=_PAST_KEPT)
        self.past_records.append((at, record))

    def _speaks_since(self, number: int) -> bool:
        return self.platform.generation >= _GENERATION_OF_PROTOCOL_3 and (self.system_number or 0) >= number


@lru_cache(maxsize=4096)
def _marks(
    platform: Platform,
    product_id: int | None,
    development: bool,
    updates_enabled: bool,
    updates_forced: bool,
    locked: int | None,
    locked_by_person: bool,
    reported: bool,
    device_os: str | None,
) -> Marks:
    """Marks are the same for most devices and at most moments, and written down at each."""
    return Marks(
        platform_id=platform.id,
        product_id=product_id,
        slots=frozenset(platform.bounds),
        development=development,
        updates_enabled=updates_enabled,
        updates_forced=updates_forced,
        locked=locked,
        locked_by_person=locked if locked_by_person else None,
        reported=reported,
        device_os=device_os,
    )


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
    if device.crashing or device.loadout.unmet:
        return DeviceMode.SAFE_MODE
    return DeviceMode.NORMAL


def transfer_error(device: Device, payload: Payload) -> TransferError | None:
    """Why the device refuses what has arrived, or None: it takes it."""
    if isinstance(payload, Garbage):
        return TransferError(code=-1330, words=f"Integrity check failed: {payload.words}")
    if isinstance(payload, Combined):
        if len(payload.parts) > _COMBINED_MAX or not device.combines:
            return TransferError(code=-1370, words=f"{len(payload.parts)} modules in one transfer are not supported")
        return next((error for part in payload.parts if (error := transfer_error(device, part)) is not None), None)
    artifact = payload
    if artifact.platform_id != device.platform.id:
        return TransferError(code=-1360, words=f"Module is for platform {artifact.platform_id}")
    bounds = device.platform.bounds.get(artifact.module.slot)
    if bounds is None or bounds.encrypted:
        return TransferError(code=-1300, words=f"No place for module {artifact.module.slot}")
    is_ncp = artifact.module.slot.function is ModuleFunction.NCP_FIRMWARE
    if artifact.compressed and (is_ncp or not device.unpacks):
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


def install(device: Device, payload: Artifact | Combined) -> None:
    """Put what has arrived in its place."""
    for artifact in payload.parts if isinstance(payload, Combined) else (payload,):
        device.loadout = device.loadout.with_module(artifact)
        if artifact.is_application:
            device.crashing = device.silent = False
            device.crashes = None


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
