"""The border to devices on the bench: what is plugged in, and the two ways to talk to one of them.

The rules:
- `UsbBus.devices()` looks and touches nothing; a device that could not be opened is in the list with its `trouble`.
- A session holds the device: one at a time, opened late and closed soon. After `enter_dfu`, `enter_safe_mode`,
  `reset`, `leave` and a finished `update` the device restarts: close the session, and look for its serial again. It may
  come back on another port.
- Every call ends: with its answer or with one of the classes of `usb_error.py`, within `deadline_seconds`.
- Whoever calls decides order and repetition. Nothing here is retried beyond what the protocol itself asks for.
- The device judges what `update` brings (facts 4.3); DFU judges nothing. So `flash` refuses ranges that must never be
  written, whoever asks (facts 7.4).

Types and promises alone; `usb_bus.py` keeps them with libusb.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from typing import Final, NewType, Protocol

from reconciler.model.device import DeviceId
from reconciler.model.module import Module
from reconciler.model.platform import Platform
from reconciler.particle.usb_error import UsbError

UsbPort = NewType("UsbPort", str)
"""Where a device is plugged in: bus and the path through the hubs, `1-2.4`. The same while it stays plugged."""

REQUEST_SECONDS: Final = 60.0
"""How long one control request may take (facts 7.2)."""
UPDATE_SECONDS: Final = 240.0
"""How long one module may take to be sent, checked and taken; firmware of a network processor is slow (facts 7.3)."""


class UsbMode(StrEnum):
    """What the device is to the bus: told by its product id (facts 7.1). Safe mode and listening are `NORMAL`."""

    NORMAL = "normal"
    DFU = "dfu"


class Listening(StrEnum):
    """GET_DEVICE_MODE (facts 7.3): while it listens for its set-up, the network is off."""

    NORMAL = "normal"
    LISTENING = "listening"


class CloudStatus(StrEnum):
    """The connection to the cloud, as the device says."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTING = "disconnecting"


class Protection(StrEnum):
    """Device protection (facts 7.4): `SERVICE` is protection switched off for now. `UNKNOWN`: too old to say."""

    OPEN = "open"
    PROTECTED = "protected"
    SERVICE = "service"
    UNKNOWN = "unknown"


class ModuleStore(StrEnum):
    """Which copy of a module it is (facts 4.6). Only `MAIN` runs."""

    MAIN = "main"
    FACTORY = "factory"
    BACKUP = "backup"
    SCRATCHPAD = "scratchpad"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedModule:
    """One module as the device itself reports it, in either form of the answer (facts 7.3).

    `size_bytes` and `sha256` are None where the form does not carry them, or carries nothing. `intact` is False when a
    check of the module itself failed; `dependencies_met` False: a boot ends in safe mode.
    """

    module: Module
    store: ModuleStore = ModuleStore.MAIN
    size_bytes: int | None = None
    sha256: str | None = None
    intact: bool = True
    dependencies_met: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleReports:
    """What the device says of its modules. `findings` name what could not be read; the rest holds all the same."""

    modules: tuple[ReportedModule, ...]
    findings: tuple[str, ...] = ()


class Phase(StrEnum):
    """What is being done to a device at the moment."""

    PREPARING = "preparing"
    ERASING = "erasing"
    SENDING = "sending"
    VERIFYING = "verifying"
    APPLYING = "applying"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbProgress:
    """How far one phase is, in bytes of `total_bytes`. It never runs backwards within a phase."""

    phase: Phase
    done_bytes: int
    total_bytes: int


OnProgress = Callable[[UsbProgress], None]
Stopped = Callable[[], bool]
"""Asked between two transfers; True ends the work with UsbCancelledError."""


def no_progress(_progress: UsbProgress) -> None:
    """Nobody watches."""


def never_stopped() -> bool:
    """Nobody stops it."""
    return False


class ControlSession(Protocol):
    """Control requests to a device in normal mode or safe mode (facts 7.2, 7.3).

    UsbUnsupportedError: its Device OS has no such request. UsbRefusedError: it said no.
    """

    def device_id(self) -> DeviceId:
        """Device id by its own word; the serial of the USB descriptor says the same."""
        ...

    def serial_number(self) -> str:
        """The number on the label, such as `P046AF1450000FC`."""
        ...

    def system_version(self) -> str:
        """Its Device OS release as it writes it: `6.3.4`."""
        ...

    def capabilities(self) -> SystemCapability:
        """What its Device OS can do beyond the rest."""
        ...

    def protection(self) -> Protection:
        """Whether local updates are restricted (facts 4.5)."""
        ...

    def modules(self) -> ModuleReports:
        """All modules with versions and dependencies."""
        ...

    def listening(self) -> Listening:
        """Whether it listens for its set-up."""
        ...

    def start_listening(self) -> None:
        """Keep the network out of the way. Returns when it listens."""
        ...

    def stop_listening(self) -> None:
        """Back to what it does in its mode."""
        ...

    def cloud_status(self) -> CloudStatus:
        """Its connection to the cloud."""
        ...

    def connect_cloud(self) -> None:
        """Ask it to connect. Returns at once."""
        ...

    def disconnect_cloud(self) -> None:
        """Ask it to disconnect. Returns at once."""
        ...

    def enter_dfu(self) -> None:
        """It restarts into its bootloader, about a second later."""
        ...

    def enter_safe_mode(self) -> None:
        """It restarts into safe mode, about a second later."""
        ...

    def reset(self) -> None:
        """It restarts, about a second later."""
        ...

    def update(
        self,
        content: bytes,
        *,
        on_progress: OnProgress = no_progress,
        stopped: Stopped = never_stopped,
        deadline_seconds: float = UPDATE_SECONDS,
    ) -> None:
        """Send one module file as it is; the device checks it, takes it and restarts.

        A failure before the last request leaves the device as it was (`may_have_changed` False), and its transfer is
        cancelled where the device can still be reached. `Phase.APPLYING` begins with the last request.
        """
        ...

    def cancel_update(self) -> None:
        """Forget a transfer that somebody began. Harmless when there is none."""
        ...


class SystemCapability(IntFlag):
    """Flags of GET_SYSTEM_CAPABILITIES (facts 7.3)."""

    NONE = 0
    COMPRESSED_OTA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Sectors in a row that are alike: addresses from `start` up to, not including, `end`, all in bytes."""

    start: int
    end: int
    sector_bytes: int
    readable: bool
    erasable: bool
    writable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLayout:
    """One alternate setting of the DFU interface: what its string descriptor says (facts 7.4)."""

    alternate: int
    name: str
    segments: tuple[Segment, ...]
    transfer_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DfuWrite:
    """Bytes for one place. `usb_image.py` says which writes bring a module."""

    address: int
    content: bytes
    alternate: int = 0


class DfuSession(Protocol):
    """A bootloader in DFU mode (facts 7.4). Nothing here checks what a module needs: the caller has."""

    def layouts(self) -> tuple[MemoryLayout, ...]:
        """Every alternate setting that describes memory, by its number."""
        ...

    def protection(self) -> Protection:
        """Whether its memory can be read and written."""
        ...

    def flash(
        self,
        write: DfuWrite,
        *,
        on_progress: OnProgress = no_progress,
        stopped: Stopped = never_stopped,
        deadline_seconds: float = UPDATE_SECONDS,
    ) -> None:
        """Erase the sectors below, write, read back, compare.

        Raises ForbiddenRangeError and UsbProtectedError before anything is erased. A stop in the middle leaves the
        module broken; the next `flash` of the same bytes mends it.
        """
        ...

    def read(
        self,
        address: int,
        size_bytes: int,
        *,
        alternate: int = 0,
        on_progress: OnProgress = no_progress,
        stopped: Stopped = never_stopped,
        deadline_seconds: float = UPDATE_SECONDS,
    ) -> bytes:
        """What lies there now; exactly that many bytes."""
        ...

    def leave(self) -> None:
        """It restarts into what is installed."""
        ...

    def enter_safe_mode(self) -> None:
        """It restarts into safe mode. UsbUnsupportedError: its bootloader does not know how."""
        ...


class UsbDevice(Protocol):
    """One device as one look at the bus showed it. The value does not change; the device may be gone meanwhile."""

    @property
    def port(self) -> UsbPort:
        """Where it was plugged in."""
        ...

    @property
    def serial(self) -> DeviceId | None:
        """Its device id, from the descriptor; None: it could not be read, and `trouble` says why."""
        ...

    @property
    def platform(self) -> Platform:
        """By its vendor and product id."""
        ...

    @property
    def mode(self) -> UsbMode:
        """By its vendor and product id."""
        ...

    @property
    def incarnation(self) -> int:
        """Another number after every restart, as long as the machine runs."""
        ...

    @property
    def trouble(self) -> UsbError | None:
        """Why it could not be opened at that look."""
        ...

    def control(self) -> AbstractContextManager[ControlSession]:
        """Talk to a device in normal mode. UsbUnsupportedError: it is in DFU mode."""
        ...

    def dfu(self) -> AbstractContextManager[DfuSession]:
        """Talk to a bootloader. UsbUnsupportedError: it is in normal mode."""
        ...


class UsbBus(Protocol):
    """All ports of this machine."""

    def devices(self) -> Sequence[UsbDevice]:
        """Every Particle device that is plugged in, by port. UsbMissingError: there is no USB here."""
        ...

    def find(
        self,
        serial: DeviceId,
        *,
        mode: UsbMode | None = None,
        restarted_from: UsbDevice | None = None,
        within_seconds: float,
    ) -> UsbDevice:
        """Wait until this device is plugged in (in that mode) and can be opened.

        `restarted_from`: what it was before it was told to restart. It goes on for about a second, and that does not
        count. When the time is up: UsbPermissionError where a device that may be the one may not be opened, else
        UsbGoneError; the message tells of every device that could not be opened.
        """
        ...
