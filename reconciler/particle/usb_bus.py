"""What is plugged in, by libusb: pyusb, on the library that libusb-package brings. Keeps the promises of `usb.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from reconciler.model.device import DeviceId, is_device_id
from reconciler.model.platform import Platform
from reconciler.model.usb_ids import UsbIds, ids_in_dfu_mode, ids_in_normal_mode
from reconciler.particle.usb import ControlSession, DfuSession, UsbDevice, UsbMode, UsbPort
from reconciler.particle.usb_clock import MACHINE_CLOCK, Deadline, UsbClock
from reconciler.particle.usb_control import LibusbControl
from reconciler.particle.usb_dfu import LibusbDfu
from reconciler.particle.usb_error import (
    UsbError,
    UsbGarbledError,
    UsbGoneError,
    UsbMissingError,
    UsbPermissionError,
    UsbTimeoutError,
    UsbUnsupportedError,
)
from reconciler.particle.usb_pipe import UsbPipe, translated

_SERIAL_SECONDS: Final = 2.0
"""For a serial; a device has half a second to begin its answer (USB 2.0, section 9.2.6.4)."""
_MUTE_SECONDS: Final = 10.0
"""For how long a device that did not answer is not asked again: all others wait for every look at the bus."""
_FIND_PAUSE_SECONDS: Final = 0.1
"""Between two looks for a device that restarts. A look lists the bus and opens nothing that it has opened before."""
_LIST_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plugged:
    """One device as the bus enumerated it; the address is a new one after every restart."""

    port: UsbPort
    address: int
    ids: UsbIds
    mode: UsbMode


@dataclass(frozen=True, slots=True, kw_only=True)
class LibusbDevice:
    """As promised by `UsbDevice`; `handle` is pyusb's device, which opens itself when it is used."""

    port: UsbPort
    serial: DeviceId | None
    ids: UsbIds
    mode: UsbMode
    incarnation: int
    trouble: UsbError | None
    handle: Any
    clock: UsbClock

    @property
    def platform(self) -> Platform:
        """As promised."""
        return self.ids.platform

    def control(self) -> AbstractContextManager[ControlSession]:
        """As promised."""
        return self._control()

    def dfu(self) -> AbstractContextManager[DfuSession]:
        """As promised."""
        return self._dfu()

    @contextmanager
    def _control(self) -> Iterator[ControlSession]:
        if self.mode is UsbMode.DFU:
            raise UsbUnsupportedError(f"{self._name}: the device is in DFU mode, this needs normal mode")
        if not self.ids.control_requests:
            raise UsbUnsupportedError(f"{self._name}: {self.platform} does not know control requests")
        with _opened(self.handle, self._name, out_needs_data=self.ids.out_needs_data) as pipe:
            yield LibusbControl(pipe, self.clock)

    @contextmanager
    def _dfu(self) -> Iterator[DfuSession]:
        if self.mode is not UsbMode.DFU:
            raise UsbUnsupportedError(f"{self._name}: the device is in normal mode, this needs DFU mode")
        # The quirk is that of the Device OS: to a bootloader, a byte more would be a byte written.
        with _opened(self.handle, self._name) as pipe:
            yield LibusbDfu(pipe, self.platform, self.clock)

    @property
    def _name(self) -> str:
        return f"port {self.port}" + (f" ({self.serial})" if self.serial else "")


class LibusbBus:
    """All ports of this machine. May be used by several threads; each device by one at a time.

    `backend` is pyusb's, for tests and for the pretend bench; None: the libusb that is installed.
    """

    def __init__(self, *, backend: Any = None, clock: UsbClock = MACHINE_CLOCK) -> None:
        self._backend = backend
        self._clock = clock
        self._serials: dict[_Plugged, DeviceId] = {}
        self._mute: dict[_Plugged, tuple[float, UsbError]] = {}
        self._lock = threading.Lock()

    def devices(self) -> Sequence[UsbDevice]:
        """As promised. Every device is opened once for its serial, and not again while it stays plugged.

        One that does not answer is asked again after a while.
        """
        with self._lock:
            found = [(plugged, handle) for handle in self._handles() if (plugged := _plugged(handle)) is not None]
            there = {plugged for plugged, _ in found}
            self._serials = {plugged: serial for plugged, serial in self._serials.items() if plugged in there}
            self._mute = {plugged: mute for plugged, mute in self._mute.items() if plugged in there}
            return sorted((self._device(plugged, handle) for plugged, handle in found), key=_by_port)

    def find(
        self,
        serial: DeviceId,
        *,
        mode: UsbMode | None = None,
        restarted_from: UsbDevice | None = None,
        within_seconds: float,
    ) -> UsbDevice:
        """As promised."""
        until = self._clock.now() + within_seconds
        before = restarted_from.incarnation if restarted_from is not None else None
        while True:
            devices = self.devices()
            here = [device for device in devices if device.serial == serial and device.incarnation != before]
            for device in here:
                if mode in (None, device.mode):
                    return device
            if self._clock.now() >= until:
                wanted = f" in {mode} mode" if mode else ""
                seen = [f"it is in {device.mode} mode on port {device.port}" for device in here]
                seen += [device.trouble.message for device in devices if device.trouble is not None]
                raise _not_found(f"{serial} was not seen{wanted} within {within_seconds:g} s", seen, devices, mode)
            self._clock.sleep(min(_FIND_PAUSE_SECONDS, max(until - self._clock.now(), 0.001)))

    def _handles(self) -> list[Any]:
        """The devices of pyusb. One that goes while it is being listed is not listed the next time."""
        try:
            import usb.core  # noqa: PLC0415  # the extra `usb` is needed only where a bus is opened
        except ImportError:
            raise UsbMissingError("the USB libraries are not installed") from None
        for attempt in range(_LIST_TRIES):
            try:
                return list(usb.core.find(find_all=True, backend=self._backend or _libusb()))
            except usb.core.USBError as error:
                failure = translated(error, "the bus")
                if not isinstance(failure, UsbGoneError) or attempt == _LIST_TRIES - 1:
                    raise failure from None
            except (usb.core.NoBackendError, OSError) as error:
                raise UsbMissingError(f"USB cannot be used on this machine: {error}") from None
        raise AssertionError

    def _device(self, plugged: _Plugged, handle: Any) -> LibusbDevice:
        serial = self._serials.get(plugged)
        trouble: UsbError | None
        until, trouble = self._mute.get(plugged, (0.0, None))
        if serial is None and self._clock.now() >= until:
            self._mute.pop(plugged, None)
            trouble = None
            try:
                serial = self._serials[plugged] = self._read_serial(plugged.port, handle)
            except UsbTimeoutError as error:
                trouble = error
                self._mute[plugged] = (self._clock.now() + _MUTE_SECONDS, error)
            except UsbError as error:
                trouble = error
        return LibusbDevice(
            port=plugged.port,
            serial=serial,
            ids=plugged.ids,
            mode=plugged.mode,
            incarnation=plugged.address,
            trouble=trouble,
            handle=handle,
            clock=self._clock,
        )

    def _read_serial(self, port: UsbPort, handle: Any) -> DeviceId:
        name = f"port {port}"
        with _opened(handle, name) as pipe:
            text = pipe.text(int(handle.iSerialNumber), Deadline(self._clock, _SERIAL_SECONDS, f"{name}: its serial"))
        # Some bootloaders fill up with characters that are no text.
        serial = "".join(character for character in text if character.isascii() and character.isalnum()).lower()
        if not is_device_id(serial):
            raise UsbGarbledError(f"{name}: {text[:40]!r} is no device id")
        return DeviceId(serial)


def _libusb() -> Any:
    """A libusb of its own for every look.

    It lists what is there when it begins, and later hears of changes from the kernel, but not in a container: there
    it would go on to show what is long gone. It lives as long as a device that it has listed.
    """
    try:
        import libusb_package  # noqa: PLC0415  # the extra `usb` is needed only where a bus is opened
    except ImportError:
        raise UsbMissingError("the USB libraries are not installed") from None
    backend = libusb_package.get_libusb1_backend()
    if backend is None:
        raise UsbMissingError("there is no libusb for this machine")
    return type(backend)(backend.lib)


@contextmanager
def _opened(handle: Any, name: str, *, out_needs_data: bool = False) -> Iterator[UsbPipe]:
    pipe = UsbPipe(handle, name, out_needs_data=out_needs_data)
    try:
        yield pipe
    finally:
        pipe.close()


def _plugged(handle: Any) -> _Plugged | None:
    vendor_id, product_id = int(handle.idVendor), int(handle.idProduct)
    ids, mode = ids_in_normal_mode(vendor_id, product_id), UsbMode.NORMAL
    if ids is None:
        ids, mode = ids_in_dfu_mode(vendor_id, product_id), UsbMode.DFU
    if ids is None:
        return None
    path = ".".join(map(str, handle.port_numbers or ())) or f"address {handle.address}"
    return _Plugged(port=UsbPort(f"{handle.bus}-{path}"), address=int(handle.address or 0), ids=ids, mode=mode)


def _not_found(
    message: str, seen: Sequence[str], devices: Sequence[UsbDevice], mode: UsbMode | None
) -> UsbGoneError | UsbPermissionError:
    """A device that may be the one, and may not be opened, is no matter of a plug: a rule for one mode alone."""
    shut = [device for device in devices if isinstance(device.trouble, UsbPermissionError)]
    failure = UsbPermissionError if any(mode in (None, device.mode) for device in shut) else UsbGoneError
    return failure("; ".join((message, *seen)))


def _by_port(device: UsbDevice) -> list[int | str]:
    return [int(part) if part.isdigit() else 0 for part in device.port.replace("-", ".").split(".")]
