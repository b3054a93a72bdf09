"""A bus in memory that keeps the promises of `particle/usb.py`: devices with flash, that restart, and obey or do not.

Plain and small, for tests of what stands above the border. The emulator's devices are the faithful ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.firmware.binary import parse_module
from reconciler.firmware.builder import build_module
from reconciler.firmware.known import known_catalog
from reconciler.firmware.prefix import PREFIX_SIZE, ModuleFlags
from reconciler.model.device import DeviceId
from reconciler.model.error import FirmwareError
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.step import enforced_on_transfer
from reconciler.model.version import DeviceOsVersion
from reconciler.particle.usb import (
    CloudStatus,
    DfuWrite,
    Listening,
    MemoryLayout,
    ModuleReports,
    OnProgress,
    Phase,
    Protection,
    ReportedModule,
    Stopped,
    SystemCapability,
    UsbDevice,
    UsbMode,
    UsbPort,
    UsbProgress,
    never_stopped,
    no_progress,
)
from reconciler.particle.usb_clock import UsbClock
from reconciler.particle.usb_error import UsbError, UsbGoneError, UsbRefusedError
from reconciler.planning.situation import inferred_situation

PAGE = 4096
BYTES_PER_SECOND = 50_000.0
RESTART_SECONDS = 2.0
BINARIES = EmulatedBinaries(known_catalog())
NCP, RADIO = ModuleFunction.NCP_FIRMWARE, ModuleFunction.RADIO_STACK


@dataclass(slots=True)
class Clock:
    """Time that passes when somebody sleeps, and a little with every look at it."""

    seconds: float = 1_000_000.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        with self.lock:
            self.seconds += 0.000_001
            return self.seconds

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.seconds += seconds

    @property
    def usb(self) -> UsbClock:
        return UsbClock(now=self.now, sleep=self.sleep)


@dataclass(slots=True, eq=False)
class FakeDevice:
    """A device with its flash. `moments`: what has happened to it; `at_moment` may raise there, or unplug it."""

    id: DeviceId
    platform: Platform
    clock: Clock
    port: str = "1-1"
    mode: UsbMode = UsbMode.NORMAL
    plugged: bool = True
    pages: dict[int, bytes] = field(default_factory=dict)
    away_until: float = 0.0
    ncp: Module | None = None
    trouble: UsbError | None = None
    protection: Protection = Protection.OPEN
    is_listening: bool = False
    product_of_user: int | None = None
    moments: list[str] = field(default_factory=list)
    at_moment: Callable[[FakeDevice, str], None] = lambda _device, _moment: None
    sent_bytes: int = 0
    incarnation: int = 0
    refuses_updates: bool = False
    forgets_updates: bool = False
    application_sha256: str | None = None

    def moment(self, what: str) -> None:
        if not self.plugged:
            raise UsbGoneError(f"{self.id} was unplugged")
        self.moments.append(what)
        self.at_moment(self, what)
        if not self.plugged:
            raise UsbGoneError(f"{self.id} was unplugged")

    def read(self, address: int, size: int) -> bytes:
        blank = b"\xff" * PAGE
        first, last = address // PAGE, (address + size - 1) // PAGE
        content = b"".join(self.pages.get(number, blank) for number in range(first, last + 1))
        return content[address - first * PAGE : address - first * PAGE + size]

    def write(self, address: int, content: bytes) -> None:
        end = address + len(content)
        first, last = address // PAGE, (end - 1) // PAGE
        old = bytearray(self.read(first * PAGE, (last - first + 1) * PAGE))
        old[address - first * PAGE : end - first * PAGE] = content
        for number in range(first, last + 1):
            self.pages[number] = bytes(old[(number - first) * PAGE : (number - first + 1) * PAGE])

    def install(self, content: bytes) -> None:
        parsed = parse_module(content)
        if parsed.module.slot.function is NCP:
            self.ncp = parsed.module
            return
        drops = bool(parsed.flags & ModuleFlags.DROP_MODULE_INFO)
        self.write(parsed.prefix.start_address, content[PREFIX_SIZE:] if drops else content)

    def modules(self) -> dict[ModuleSlot, Module]:
        """What is intact."""
        found = {} if self.ncp is None else {self.ncp.slot: self.ncp}
        for bounds in self.platform.layout:
            if bounds.slot.function is RADIO:
                radio = self._radio(bounds.slot)
                found |= {} if radio is None else {radio.slot: radio}
            for address in bounds.start_addresses if bounds.slot.function not in (RADIO, NCP) else ():
                module = self._module(address, bounds.prefix_offset)
                if module is not None and module.slot == bounds.slot:
                    found[module.slot] = module
        return found

    def _module(self, address: int, offset: int) -> Module | None:
        start = int.from_bytes(self.read(address + offset, 4), "little")
        end = int.from_bytes(self.read(address + offset + 4, 4), "little")
        if start != address or not 0 < end - start < 4 * 1024 * 1024:
            return None
        return _parsed(self.read(address, end - start + 4))

    def _radio(self, slot: ModuleSlot) -> Module | None:
        address = self.platform.bounds[slot].start_addresses[0]
        for body, module in radio_stacks(self.platform, slot).items():
            if self.read(address, len(body)) == body:
                return module
        return None

    def restart(self, mode: UsbMode) -> None:
        parts = self.modules()
        self.mode = mode if all(slot in parts for slot in self.platform.system_parts) else UsbMode.DFU
        self.is_listening = False
        self.incarnation += 1
        self.away_until = self.clock.now() + RESTART_SECONDS
        self.moments.append(f"boots into {self.mode}")

    def device_os(self) -> str:
        number = self.modules()[self.platform.shown_part or self.platform.system_parts[0]].version
        return known_catalog().releases_of_system(self.platform, number)[0].version.text


@dataclass(frozen=True, slots=True)
class _Control:
    """As `ControlSession`."""

    device: FakeDevice

    def device_id(self) -> DeviceId:
        return self.device.id

    def serial_number(self) -> str:
        return "P000"

    def system_version(self) -> str:
        self.device.moment("version")
        return self.device.device_os()

    def capabilities(self) -> SystemCapability:
        return SystemCapability.NONE

    def protection(self) -> Protection:
        return self.device.protection

    def modules(self) -> ModuleReports:
        self.device.moment("modules")
        there = self.device.modules()
        return ModuleReports(
            modules=tuple(
                ReportedModule(
                    module=module,
                    sha256=self.device.application_sha256 if module.slot.function is ModuleFunction.USER_PART else None,
                    dependencies_met=all(
                        need.slot in there and there[need.slot].version >= need.version for need in module.dependencies
                    ),
                )
                for module in there.values()
            )
        )

    def listening(self) -> Listening:
        return Listening.LISTENING if self.device.is_listening else Listening.NORMAL

    def start_listening(self) -> None:
        self.device.moment("listening")
        self.device.is_listening = True

    def stop_listening(self) -> None:
        self.device.is_listening = False

    def cloud_status(self) -> CloudStatus:
        return CloudStatus.DISCONNECTED

    def connect_cloud(self) -> None: ...

    def disconnect_cloud(self) -> None: ...

    def cancel_update(self) -> None: ...

    def enter_dfu(self) -> None:
        self.device.moment("enter dfu")
        self.device.restart(UsbMode.DFU)

    def enter_safe_mode(self) -> None:
        self.device.restart(UsbMode.NORMAL)

    def reset(self) -> None:
        self.device.restart(UsbMode.NORMAL)

    def update(
        self,
        content: bytes,
        *,
        on_progress: OnProgress = no_progress,
        stopped: Stopped = never_stopped,  # nobody stops it here
        deadline_seconds: float = 240.0,  # nothing takes long here
    ) -> None:
        device = self.device
        parsed = parse_module(content)
        device.moment(f"update {parsed.module}")
        assert device.is_listening, "the network is in the way"
        if device.refuses_updates:
            raise UsbRefusedError(f"{device.id} says no", result=-1380)
        there = device.modules()
        for need in enforced_on_transfer(parsed.module):
            if need.slot not in there or there[need.slot].version < need.version:
                raise UsbRefusedError(f"{device.id} says no: {need}", result=-1340)
        device.clock.sleep(len(content) / BYTES_PER_SECOND)
        device.sent_bytes += len(content)
        on_progress(UsbProgress(phase=Phase.SENDING, done_bytes=len(content), total_bytes=len(content)))
        device.moment(f"apply {parsed.module}")
        if device.forgets_updates:
            return
        device.install(content)
        device.restart(UsbMode.NORMAL)
        try:
            device.moment(f"applied {parsed.module}")
        except UsbError as error:
            error.may_have_changed = True
            raise


@dataclass(frozen=True, slots=True)
class _Dfu:
    """As `DfuSession`."""

    device: FakeDevice

    def layouts(self) -> tuple[MemoryLayout, ...]:
        return ()

    def protection(self) -> Protection:
        return self.device.protection

    def flash(
        self,
        write: DfuWrite,
        *,
        on_progress: OnProgress = no_progress,
        stopped: Stopped = never_stopped,  # nobody stops it here
        deadline_seconds: float = 240.0,  # nothing takes long here
    ) -> None:
        device = self.device
        device.moment(f"erase {write.address:#x}")
        device.write(write.address, b"\xff" * len(write.content))
        half = len(write.content) // 2
        try:
            device.write(write.address, write.content[:half])
            device.clock.sleep(len(write.content) / BYTES_PER_SECOND)
            device.moment(f"half {write.address:#x}")
            device.write(write.address, write.content)
            device.sent_bytes += len(write.content)
            on_progress(UsbProgress(phase=Phase.SENDING, done_bytes=half * 2, total_bytes=half * 2))
            device.moment(f"written {write.address:#x}")
        except UsbError as error:
            error.may_have_changed = True
            raise

    def read(
        self,
        address: int,
        size_bytes: int,
        *,
        alternate: int = 0,
        on_progress: OnProgress = no_progress,  # it is at once
        stopped: Stopped = never_stopped,  # nobody stops it here
        deadline_seconds: float = 240.0,  # nothing takes long here
    ) -> bytes:
        assert alternate == 0
        if not self.device.plugged:
            raise UsbGoneError(f"{self.device.id} was unplugged")
        return self.device.read(address, size_bytes)

    def leave(self) -> None:
        self.device.moment("leave dfu")
        self.device.restart(UsbMode.NORMAL)

    def enter_safe_mode(self) -> None:
        self.leave()


@dataclass(frozen=True, slots=True)
class _Plugged:
    """As `UsbDevice`."""

    device: FakeDevice
    port: UsbPort
    serial: DeviceId | None
    platform: Platform
    mode: UsbMode
    incarnation: int
    trouble: UsbError | None

    @contextmanager
    def control(self) -> Iterator[_Control]:
        self._check(UsbMode.NORMAL)
        yield _Control(self.device)

    @contextmanager
    def dfu(self) -> Iterator[_Dfu]:
        self._check(UsbMode.DFU)
        yield _Dfu(self.device)

    def _check(self, mode: UsbMode) -> None:
        device = self.device
        if not device.plugged or device.mode is not mode or device.away_until > device.clock.now():
            raise UsbGoneError(f"{device.id} is not there in {mode} mode")


@cache
def radio_stacks(platform: Platform, slot: ModuleSlot) -> dict[bytes, Module]:
    """What lies in flash of every radio stack that is known: it carries no information of its own there."""
    found = {}
    for release in known_catalog().releases(platform):
        content = BINARIES.module(platform, release.version, slot)
        if content is not None:
            drops = bool(parse_module(content).flags & ModuleFlags.DROP_MODULE_INFO)
            found[content[PREFIX_SIZE:] if drops else content] = parse_module(content).module
    return found


@cache
def _parsed(content: bytes) -> Module | None:
    try:
        return parse_module(content).module
    except FirmwareError:
        return None


@dataclass(slots=True)
class FakeBus:
    """As `UsbBus`."""

    clock: Clock = field(default_factory=Clock)
    plugged: list[FakeDevice] = field(default_factory=list)

    def devices(self) -> Sequence[UsbDevice]:
        now = self.clock.now()
        return [
            _Plugged(
                device=device,
                port=UsbPort(device.port),
                serial=None if device.trouble else device.id,
                platform=device.platform,
                mode=device.mode,
                incarnation=device.incarnation,
                trouble=device.trouble,
            )
            for device in self.plugged
            if device.plugged and device.away_until <= now
        ]

    def find(
        self,
        serial: DeviceId,
        *,
        mode: UsbMode | None = None,
        restarted_from: UsbDevice | None = None,
        within_seconds: float,
    ) -> UsbDevice:
        before = None if restarted_from is None else restarted_from.incarnation
        until = self.clock.now() + within_seconds
        while True:
            for device in self.devices():
                if device.serial == serial and mode in (None, device.mode) and device.incarnation != before:
                    return device
            if self.clock.now() >= until:
                raise UsbGoneError(f"{serial} was not seen")
            self.clock.sleep(0.25)

    def plug(
        self, number: int, platform_name: str, device_os: str, *, application: tuple[str, int] | None = None
    ) -> FakeDevice:
        """A device that runs a release with the least that it needs, and an application built for a release."""
        platform = platform_by_name(platform_name)
        assert platform is not None
        device = FakeDevice(
            id=DeviceId(f"e00fce68{number:016x}"), platform=platform, clock=self.clock, port=f"1-{number}"
        )
        for module in inferred_situation(platform, DeviceOsVersion(device_os), known_catalog()).modules:
            device.install(binary_of(platform, module))
        if application is not None:
            built_for, version = application
            device.install(application_of(platform, built_for, version))
        self.plugged.append(device)
        return device


def binary_of(platform: Platform, module: Module) -> bytes:
    """The bytes of a module that some release ships, or of one that is as plain as can be."""
    for release in known_catalog().releases(platform):
        if any(shipped.module == module for shipped in release.modules):
            content = BINARIES.module(platform, release.version, module.slot)
            assert content is not None
            return content
    return build_module(platform, module, size=12 * 1024, product=None, seed=0)


def application_of(platform: Platform, device_os: str, version: int, product_id: int = 12345) -> bytes:
    """An application of a version, built for a release."""
    return BINARIES.application(platform, DeviceOsVersion(device_os), product=(product_id, version))


__all__ = ["Clock", "FakeBus", "FakeDevice", "application_of", "binary_of"]
