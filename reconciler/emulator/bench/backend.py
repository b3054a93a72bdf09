"""The bench under pyusb, in this process: what pyusb asks of an operating system, answered by pretend ports.

Nothing of libusb is needed. A transfer takes as long as the device takes, by `sleep`; a device serves one transfer at a
time, several devices at once, as far as the bus that they share lets them.
"""

from __future__ import annotations

import errno
import struct
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import usb.backend
import usb.core

from reconciler.emulator.bench.bench import BUS, Attached, Bench, Port
from reconciler.emulator.bench.descriptors import configuration_descriptor, device_descriptor
from reconciler.emulator.bench.transfer import Failure, Setup

_CONFIGURATION_BYTES: Final = 9
_INTERFACE: Final = 4
_FULL_SPEED: Final = 2
_SET_INTERFACE: Final = 11
_TO_INTERFACE: Final = 1

_DEVICE_FIELDS: Final = [
    "bLength",
    "bDescriptorType",
    "bcdUSB",
    "bDeviceClass",
    "bDeviceSubClass",
    "bDeviceProtocol",
    "bMaxPacketSize0",
    "idVendor",
    "idProduct",
    "bcdDevice",
    "iManufacturer",
    "iProduct",
    "iSerialNumber",
    "bNumConfigurations",
]
_CONFIGURATION_FIELDS: Final = [
    "bLength",
    "bDescriptorType",
    "wTotalLength",
    "bNumInterfaces",
    "bConfigurationValue",
    "iConfiguration",
    "bmAttributes",
    "bMaxPower",
]
_INTERFACE_FIELDS: Final = [
    "bLength",
    "bDescriptorType",
    "bInterfaceNumber",
    "bAlternateSetting",
    "bNumEndpoints",
    "bInterfaceClass",
    "bInterfaceSubClass",
    "bInterfaceProtocol",
    "iInterface",
]


@dataclass(slots=True, eq=False)
class _Handle:
    """An opening of the device that had this address."""

    address: int


class PretendUsb(usb.backend.IBackend):  # type: ignore[misc]  # pyusb has no types
    """A backend of pyusb. `denied`: ports that this user may not open."""

    def __init__(self, bench: Bench, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        super().__init__()
        self.denied: set[Port] = set()
        self._bench = bench
        self._now = now
        self._sleep = sleep
        self._lock = threading.Lock()
        self._busy: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._claims: dict[tuple[int, int], _Handle] = {}

    def enumerate_devices(self) -> list[SimpleNamespace]:
        """What is on the bus now, with its descriptors as they are now."""
        with self._lock:
            return [_as_seen(attached) for attached in self._bench.attached(self._now())]

    def get_device_descriptor(self, dev: Any) -> Any:
        """As pyusb wants it."""
        return dev.descriptor

    def get_configuration_descriptor(self, dev: Any, config: int) -> Any:
        """As pyusb wants it."""
        if config:
            raise IndexError(config)
        return _configuration(dev.configuration)

    def get_interface_descriptor(self, dev: Any, intf: int, alt: int, config: int) -> Any:
        """As pyusb wants it."""
        if config:
            raise IndexError(config)
        return _interfaces(dev.configuration)[intf][alt]

    def open_device(self, dev: Any) -> _Handle:
        """A handle of its own for every opening."""
        if dev.port in self.denied:
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        return _Handle(address=dev.address)

    def close_device(self, dev_handle: _Handle) -> None:
        """Give back what it claimed."""
        with self._lock:
            self._claims = {key: handle for key, handle in self._claims.items() if handle is not dev_handle}

    def get_configuration(self, dev_handle: _Handle) -> int:  # noqa: ARG002  # what pyusb passes
        """There is one configuration."""
        return 1

    def set_configuration(self, dev_handle: _Handle, config_value: int) -> None:
        """There is one configuration."""

    def claim_interface(self, dev_handle: _Handle, intf: int) -> None:
        """One handle at a time."""
        with self._lock:
            if self._claims.setdefault((dev_handle.address, intf), dev_handle) is not dev_handle:
                raise usb.core.USBError("Resource busy", -6, errno.EBUSY)

    def release_interface(self, dev_handle: _Handle, intf: int) -> None:
        """Let others have it."""
        with self._lock:
            if self._claims.get((dev_handle.address, intf)) is dev_handle:
                del self._claims[dev_handle.address, intf]

    def set_interface_altsetting(self, dev_handle: _Handle, intf: int, altsetting: int) -> None:
        """A transfer like any other."""
        self.ctrl_transfer(dev_handle, _TO_INTERFACE, _SET_INTERFACE, altsetting, intf, b"", 1000)

    def ctrl_transfer(
        self,
        dev_handle: _Handle,
        bmRequestType: int,  # noqa: N803  # the names of pyusb and of the USB specification
        bRequest: int,  # noqa: N803  # as above
        wValue: int,  # noqa: N803  # as above
        wIndex: int,  # noqa: N803  # as above
        data: Any,
        timeout: int,
    ) -> int:
        """One control transfer; `data` is what goes, or the room for what comes."""
        setup = Setup(request_type=bmRequestType, request=bRequest, value=wValue, index=wIndex, length=len(data))
        outgoing = b"" if setup.to_host else bytes(data)
        with self._busy[dev_handle.address]:
            with self._lock:
                served = self._bench.transfer(dev_handle.address, setup, outgoing, self._now())
            if served.outcome is Failure.SILENCE or served.seconds * 1000 > timeout:
                self._sleep(timeout / 1000)
                raise usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
            if served.seconds:
                self._sleep(served.seconds)
        match served.outcome:
            case Failure.STALL:
                raise usb.core.USBError("Pipe error", -9, errno.EPIPE)
            case Failure():
                raise usb.core.USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)
            case bytes(answer) if setup.to_host:
                for index, byte in enumerate(answer[: len(data)]):
                    data[index] = byte
                return min(len(answer), len(data))
            case _:
                return len(data)

    def is_kernel_driver_active(self, dev_handle: _Handle, intf: int) -> bool:  # noqa: ARG002  # what pyusb passes
        """No kernel here."""
        return False


def _as_seen(attached: Attached) -> SimpleNamespace:
    return SimpleNamespace(
        address=attached.address,
        port=attached.port,
        descriptor=_device(attached),
        configuration=configuration_descriptor(attached.device),
    )


def _device(attached: Attached) -> SimpleNamespace:
    values = struct.unpack("<BBHBBBBHHHBBBB", device_descriptor(attached.device))
    return SimpleNamespace(
        **dict(zip(_DEVICE_FIELDS, values, strict=True)),
        address=attached.address,
        bus=BUS,
        port_number=attached.port[-1],
        port_numbers=attached.port,
        speed=_FULL_SPEED,
    )


def _configuration(data: bytes) -> SimpleNamespace:
    values = struct.unpack("<BBHBBBBB", data[:_CONFIGURATION_BYTES])
    return SimpleNamespace(**dict(zip(_CONFIGURATION_FIELDS, values, strict=True)), extra_descriptors=[])


def _interfaces(data: bytes) -> list[list[SimpleNamespace]]:
    """The interfaces, each with its alternate settings."""
    found: dict[int, list[SimpleNamespace]] = {}
    offset = _CONFIGURATION_BYTES
    while offset < len(data):
        body = data[offset : offset + data[offset]]
        if body[1] == _INTERFACE:
            setting = SimpleNamespace(**dict(zip(_INTERFACE_FIELDS, body, strict=True)), extra_descriptors=[])
            found.setdefault(body[2], []).append(setting)
        offset += data[offset]
    return list(found.values())
