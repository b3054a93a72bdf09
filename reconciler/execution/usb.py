"""Hands on the bench: system parts, radio stack and application in DFU mode, the rest through the running Device OS.

The rules:
- Every send looks for the device by its id, on whatever port it is by now, and brings it into the mode that the step
  needs. An application that lies there already, byte for byte, is not written again.
- The network is kept out of the way: nothing runs in DFU mode, and a running Device OS is made to listen first, so that
  the cloud does not send something at the same time (facts 7.3).
- In DFU mode the device checks nothing. So the lowering of an application whose version nobody knew before is refused
  here, by what lies in the flash.
- A failure that certainly changed nothing is `NotSent`; after the first byte that may have been erased it is
  `MayHaveArrived`, and only reading the device again tells.
- It stays in DFU mode after a write: the next step may be written there too. `rest` brings it back to work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, assert_never

from reconciler.execution.binaries import BinaryStore, verify_application
from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent, SendOutcome, told
from reconciler.firmware.binary import NO_PRODUCT, SUFFIX_SIZE_MIN, ParsedModule, parse_module
from reconciler.firmware.prefix import CRC_SIZE, PREFIX_SIZE, candidates
from reconciler.model.attempt import FailureClass
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.error import FirmwareError, ManifestError, OperatorError, WireError
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_id
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step, goes_in_dfu_mode
from reconciler.particle.usb import (
    ControlSession,
    DfuSession,
    DfuWrite,
    Listening,
    Stopped,
    UsbBus,
    UsbDevice,
    UsbMode,
    UsbProgress,
    never_stopped,
)
from reconciler.particle.usb_error import (
    UsbBusyError,
    UsbCancelledError,
    UsbError,
    UsbGoneError,
    UsbRefusedError,
    UsbUnsupportedError,
)
from reconciler.particle.usb_image import dfu_writes

RETURN_SECONDS: Final = 30.0
"""How long a device may take to restart and to be there again. It takes about a second to begin (facts 7.3)."""
_VERSION_FROM_END: Final = CRC_SIZE + SUFFIX_SIZE_MIN + 2
"""Where an application's version stands, in bytes before its end (facts 1.6)."""


class FlashMemory(Protocol):
    """Who remembers what was written, for what cannot be read back later."""

    def doubt(self, device_id: DeviceId, slot: ModuleSlot) -> None:
        """A module of this slot is about to be written."""

    def read(self, device_id: DeviceId, module: Module) -> None:
        """A module was written and read back."""

    def wrote_application(self, device_id: DeviceId, version: int | None) -> None:
        """The application of this version was written and read back; None: one is about to be written."""


class UsbExecutor:
    """Sends to devices that are plugged in here. For many threads, one device each.

    `on_progress` hears of every device how far its transfer is. `stopped`: a person wants to leave.
    """

    def __init__(
        self,
        bus: UsbBus,
        binaries: BinaryStore,
        memory: FlashMemory,
        *,
        on_progress: Callable[[DeviceId, UsbProgress], None] = lambda _device, _progress: None,
        stopped: Stopped = never_stopped,
    ) -> None:
        self._bus = bus
        self._binaries = binaries
        self._memory = memory
        self._on_progress = on_progress
        self._stopped = stopped

    def send(self, device: ObservedDevice, step: Step) -> SendOutcome:
        """Do the step, once."""
        platform = None if device.platform_id is None else platform_by_id(device.platform_id)
        if platform is None:
            detail = f"device {device.id} has the unknown platform {device.platform_id}"
            return NotSent(failure=FailureClass.INCOMPATIBLE, detail=detail)
        try:
            match step:
                case FlashModule():
                    content = self._binaries.module(platform, step)
                    if goes_in_dfu_mode(step.module.slot.function, step.via):
                        return self._write(device.id, platform, content, application=None)
                    return self._update(device.id, content)
                case FlashApplication():
                    return self._write_application(device.id, platform, step)
                case LockApplication():
                    return NotSent(failure=FailureClass.REFUSED, detail="a lock is the cloud's, not the bench's")
                case _:
                    assert_never(step)
        except FirmwareError as error:
            failure = FailureClass.INTEGRITY if error.code == "PFR4401" else FailureClass.REFUSED
            return NotSent(failure=failure, detail=told(error))
        except UsbError as error:
            return _outcome_of(error)
        except (WireError, ManifestError, OperatorError) as error:
            return NotSent(failure=FailureClass.REFUSED, detail=told(error))

    def rest(self, device_id: DeviceId) -> None:
        """Back to work: out of DFU mode, or out of listening. Raises UsbError."""
        device = self._bus.find(device_id, within_seconds=RETURN_SECONDS)
        if device.mode is UsbMode.DFU:
            self._leave_dfu(device, device_id)
            return
        with device.control() as session:
            if session.listening() is Listening.LISTENING:
                session.stop_listening()

    def _write_application(self, device_id: DeviceId, platform: Platform, step: FlashApplication) -> SendOutcome:
        content = self._binaries.application(platform.name, step.application, step.sha256)
        if content is None:
            detail = f"the manifests name no binary of application version {step.application}"
            return NotSent(failure=FailureClass.REFUSED, detail=detail)
        verify_application(content, platform, step.application, step.sha256)
        return self._write(device_id, platform, content, application=step.application)

    def _write(
        self, device_id: DeviceId, platform: Platform, content: bytes, *, application: int | None
    ) -> SendOutcome:
        parsed = parse_module(content)
        device = self._in_dfu_mode(device_id)
        with device.dfu() as session:
            if application is not None:
                there = _application_there(session, platform)
                if there is not None and there > application:
                    detail = f"application {there} lies in its flash, {application} is lower"
                    return NotSent(failure=FailureClass.INCOMPATIBLE, detail=detail)
                if there == application and _lies_there(session, parsed, content):
                    self._memory.read(device_id, parsed.module)
                    self._memory.wrote_application(device_id, application)
                    return Accepted(detail="lay there already, byte for byte")
            self._memory.doubt(device_id, parsed.module.slot)
            if application is not None:
                self._memory.wrote_application(device_id, None)
            self._flash(session, device_id, dfu_writes(platform, content))
            self._memory.read(device_id, parsed.module)
            if application is not None:
                self._memory.wrote_application(device_id, application)
        return Accepted(detail="written and read back")

    def _flash(self, session: DfuSession, device_id: DeviceId, writes: Sequence[DfuWrite]) -> None:
        may_have_changed = False
        try:
            for write in writes:
                session.flash(write, on_progress=self._watch(device_id), stopped=self._stopped)
                may_have_changed = True
        except UsbError as error:
            error.may_have_changed = error.may_have_changed or may_have_changed
            raise

    def _update(self, device_id: DeviceId, content: bytes) -> SendOutcome:
        device = self._running(device_id)
        with device.control() as session:
            _listen(session)
            session.cancel_update()
            session.update(content, on_progress=self._watch(device_id), stopped=self._stopped)
        self._await_restart(device, device_id)
        return Accepted(detail="taken by the device")

    def _in_dfu_mode(self, device_id: DeviceId) -> UsbDevice:
        device = self._bus.find(device_id, within_seconds=RETURN_SECONDS)
        if device.mode is UsbMode.DFU:
            return device
        with device.control() as session:
            session.enter_dfu()
        return self._bus.find(device_id, mode=UsbMode.DFU, within_seconds=RETURN_SECONDS)

    def _running(self, device_id: DeviceId) -> UsbDevice:
        device = self._bus.find(device_id, within_seconds=RETURN_SECONDS)
        return device if device.mode is UsbMode.NORMAL else self._leave_dfu(device, device_id)

    def _leave_dfu(self, device: UsbDevice, device_id: DeviceId) -> UsbDevice:
        with device.dfu() as session:
            session.leave()
        back = self._bus.find(device_id, restarted_from=device, within_seconds=RETURN_SECONDS)
        if back.mode is UsbMode.DFU:
            raise UsbUnsupportedError(f"{device_id} came back in DFU mode: what is installed does not start")
        return back

    def _await_restart(self, device: UsbDevice, device_id: DeviceId) -> None:
        """Until it has gone and is there again. One that never goes, or never comes, is judged by the next look."""
        try:
            self._bus.find(device_id, restarted_from=device, within_seconds=RETURN_SECONDS)
        except UsbError:
            return

    def _watch(self, device_id: DeviceId) -> Callable[[UsbProgress], None]:
        return lambda progress: self._on_progress(device_id, progress)


def _listen(session: ControlSession) -> None:
    """Old Device OS has no such request: then the device goes on as it is."""
    try:
        session.start_listening()
    except UsbUnsupportedError:
        return


def _lies_there(session: DfuSession, parsed: ParsedModule, content: bytes) -> bool:
    return session.read(parsed.prefix.start_address, len(content)) == content


def _application_there(session: DfuSession, platform: Platform) -> int | None:
    """The version of the application that would run, of those with a known place; the former slot wins (facts 3.2)."""
    for bounds in sorted(platform.layout, key=lambda each: each.slot):
        if bounds.slot.function is not ModuleFunction.USER_PART:
            continue
        for address in bounds.start_addresses:
            content = session.read(address + bounds.prefix_offset, PREFIX_SIZE)
            for candidate in candidates(bytes(bounds.prefix_offset) + content, 0):
                prefix = candidate.prefix
                if prefix is not None and prefix.start_address == address and prefix.platform_id == platform.id:
                    end = address + prefix.module_size
                    version = int.from_bytes(session.read(end - _VERSION_FROM_END, 2), "little")
                    return None if version == NO_PRODUCT else version
    return None


def _outcome_of(error: UsbError) -> SendOutcome:
    if error.may_have_changed:
        return MayHaveArrived(detail=told(error))
    match error:
        case UsbGoneError() | UsbCancelledError():
            failure = FailureClass.OFFLINE
        case UsbRefusedError():
            failure = FailureClass.INSTALL
        case UsbBusyError():
            failure = FailureClass.REFUSED
        case _:
            failure = FailureClass.TRANSPORT
    return NotSent(failure=failure, detail=told(error))
